"""Whether anything speaks for each input that is to move, and whether one of them spoils what another repairs.

Hosts that say nothing (the gate's word: broken before and after, or unjudged on both sides) let a change pass.
So two questions remain, asked by looking at hosts without one of the inputs. Does an input reach only such hosts?
Then nothing speaks for it. Would such a host be good without one of the inputs? Then that one breaks it anew. It
must not know how questions are answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lockbot.history import unjudged
from lockbot.judge import gate as gates
from lockbot.judge.gate import Vote
from lockbot.judge.verdict import Baseline, Judged
from lockbot.model import Answer, Failure, Gate, Held, HostBuild, HostStatus
from lockbot.report import words
from lockbot.search.conflicts import Unit
from lockbot.search.interface import BudgetSpent, Found, Picks, Trial, Watch, unwatched
from lockbot.search.strategies import Strategy, search, units_of

UNJUDGED, ONLY_BROKEN = unjudged.HELD, "only-broken-hosts"
"""Why an input is held for which nothing speaks, as words for machines."""

REPAIR_LOOKS = 16
"""How many candidates are judged, at most, to see whether an input spoils what another repairs."""
AT_A_TIME = 4
"""How many hosts are evaluated together while one is looked for that an input changes."""


class Looks(Trial, Protocol):
    """A search's trial that also tells what it has seen of hosts, answers and all."""

    repairable: frozenset[str]
    """Hosts that count as broken by the change wherever it changes them and they are bad."""

    @property
    def trouble(self) -> str | None:
        """Why the search had to end early, where that was the surroundings' doing."""
        ...

    def whole(self, picks: Picks) -> Judged | None:
        """The whole fleet's verdict at these picks, if it was asked for."""
        ...

    def looked_at(self, picks: Picks, hosts: Sequence[str], *, evaluate_only: bool) -> Mapping[str, HostBuild]:
        """These hosts with these picks; those missing that nobody can look at there. May raise BudgetSpent where
        it is more than an evaluation."""
        ...

    def derivation_at_base(self, host: str) -> str | None: ...

    def by_commit(self, picks: Picks, host: str) -> frozenset[str] | None:
        """The names of the derivations that a host needs and that differ at another commit with the very same
        inputs; None: nobody can tell."""
        ...

    def differing(self, one: str, other: str) -> frozenset[str] | None:
        """The names of the derivations that only one of two derivations needs; None: nobody can tell."""
        ...

    def suspects(self, build: HostBuild, picks: Picks) -> Sequence[str]:
        """The inputs that a failure names, most likely first."""
        ...


def best_supported(
    looks: Looks,
    targets: Picks,
    *,
    groups: Sequence[frozenset[str]] = (),
    strategy: Strategy = Strategy.BEST,
    gate: Gate = Gate.NO_REGRESSION,
    watch: Watch = unwatched,
) -> tuple[Found, tuple[Silent, ...]]:
    """The best of `targets` that passes and that hosts speak for; and the units for which none does.

    The whole fleet was asked about all of `targets` before.
    """
    targets = dict(targets)
    looks.repairable = repairable(looks, targets, groups, strategy)
    quiet: list[Silent] = []
    while targets:
        found = search(looks, targets, groups=groups, strategy=strategy, watch=watch)
        if looks.trouble is None and (wasted := _still_broken(looks, found.picks)):
            looks.repairable -= wasted  # the repair can't be taken: then nothing is to be spoilt
            continue
        try:
            silent = _silent(looks, found.picks, _units(found.picks, groups, strategy), gate)
        except BudgetSpent:  # the surroundings' doing: what nothing is known to speak for is not taken
            return replace(found, picks={}, steps=(), complete=False), tuple(quiet)
        if not silent:
            return found, tuple(quiet)
        quiet += silent
        if looks.trouble is not None:
            return replace(found, picks={}, steps=(), complete=False), tuple(quiet)
        for name in (name for one in silent for name in one.unit.inputs):
            del targets[name]
    return Found({}, (), (), complete=True), tuple(quiet)


def _units(picks: Picks, groups: Sequence[frozenset[str]], strategy: Strategy) -> tuple[Unit, ...]:
    """What moves together: as in the groups, or all of it."""
    return units_of(picks, (frozenset(picks),) if strategy is Strategy.TOGETHER else groups)


@dataclass(frozen=True)
class Silent:
    """A unit for which nothing speaks, and the hosts that it reaches."""

    unit: Unit
    hosts: tuple[HostBuild, ...]

    def held(self, before: dict[str, str | None]) -> tuple[Held, ...]:
        """Its inputs as they are held, and why."""
        open_ = [host for host in self.hosts if host.here is not None and host.here.answer is Answer.UNJUDGED]
        names = words.listed([host.host.name for host in open_ or self.hosts])
        if open_:
            said = "; ".join(sorted({_said(host.failure) for host in open_ if host.failure is not None}))
            why = f"{names} could not be judged, with it or without ({said}), and no other host uses it"
        else:
            why = f"{names} is broken with it and without, and no other host uses it: nothing speaks for it"
        reason = UNJUDGED if open_ else ONLY_BROKEN
        return tuple(Held(name, reason, why, before.get(name)) for name in self.unit.inputs)


def _said(failure: Failure) -> str:
    return f"{words.failure(failure.kind)}: {failure.message[:300]}"


def _silent(looks: Looks, picks: Picks, units: Sequence[Unit], gate: Gate) -> tuple[Silent, ...]:
    """The units of `picks`, which were judged whole, that change no host that is good with them, but others.

    Costs nothing where every host that changed is good: then one speaks for whatever changes any.
    """
    judged = looks.whole(picks)
    builds = judged.verdict.builds if judged is not None else ()
    by_vote = {vote: [build for build in builds if gates.of(build, gate) is vote] for vote in Vote}
    quiet = [build for build in by_vote[Vote.NOTHING] if build.status is not HostStatus.UNCHANGED]
    if not quiet:
        return ()
    found = [_reached(looks, picks, unit, by_vote[Vote.FOR], quiet) for unit in units]
    return tuple(Silent(unit, reached) for unit, reached in zip(units, found, strict=True) if reached)


def _reached(
    looks: Looks, picks: Picks, unit: Unit, good: Sequence[HostBuild], quiet: Sequence[HostBuild]
) -> tuple[HostBuild, ...]:
    """The quiet hosts that a unit changes, unless it changes a good one, too."""
    less = {name: revision for name, revision in picks.items() if name not in unit.inputs}
    if _any_moves(looks, picks, less, good[:1]):  # most inputs reach most hosts
        return ()
    reached = tuple(
        build for build in quiet if build.drv is None or _moves(looks, picks, less, [build], unknown=True)
    )
    if not reached or _any_moves(looks, picks, less, good[1:]):
        return ()
    return reached


def _any_moves(looks: Looks, picks: Picks, less: Picks, builds: Sequence[HostBuild]) -> bool:
    slices = (builds[start : start + AT_A_TIME] for start in range(0, len(builds), AT_A_TIME))
    return any(_moves(looks, picks, less, some, unknown=False) for some in slices)


def _moves(looks: Looks, picks: Picks, less: Picks, builds: Sequence[HostBuild], *, unknown: bool) -> bool:
    """Whether one of these hosts is another derivation without the unit; `unknown`: what is said where nobody can
    tell."""
    seen = looks.looked_at(less, [build.host.name for build in builds], evaluate_only=True) if less else {}
    for build in builds:
        name = build.host.name
        if less and (name not in seen or seen[name].here is None):
            moves = unknown
        elif less and seen[name].drv is None:
            here = seen[name].here
            moves = unknown or (here is not None and here.answer is Answer.BAD)
        else:
            other = seen[name].drv if less else looks.derivation_at_base(name)
            moves = _differ(looks, picks, build, other, unknown=unknown)
        if moves:
            return True
    return False


def _differ(looks: Looks, picks: Picks, build: HostBuild, less: str | None, *, unknown: bool) -> bool:
    """Whether it is another derivation by more than the commit that it is evaluated at: many hosts embed
    `self.rev` or files of the flake's own, and are another at every commit."""
    if less is None or build.drv is None or less == build.drv:
        return less != build.drv
    by_commit = looks.by_commit(picks, build.host.name)
    if by_commit is not None and not by_commit:
        return True
    differing = looks.differing(less, build.drv)
    return unknown if by_commit is None or differing is None else not differing <= by_commit


def repairable(looks: Looks, picks: Picks, groups: Sequence[frozenset[str]], strategy: Strategy) -> frozenset[str]:
    """The hosts that are broken before and after, and would be good without one of the units, or with one alone.

    A host whose failure is the very same derivation's as before is not looked at: nothing repairs that.
    """
    units = _units(picks, groups, strategy)
    judged = looks.whole(picks)
    found: set[str] = set()
    if judged is None or len(units) < 2:
        return frozenset()
    asked = 0
    try:
        for build in judged.verdict.builds:
            if build.status is not HostStatus.BROKEN_BEFORE or _same_failure(build, judged.base):
                continue
            for some in _ways_to_repair(looks, picks, units, build):
                if asked == REPAIR_LOOKS:
                    return frozenset(found)
                asked += 1
                name = build.host.name
                seen = looks.looked_at(some, [name], evaluate_only=False).get(name)
                if seen is not None and seen.here is not None and seen.here.answer is Answer.GOOD:
                    found.add(name)
                    break
    except BudgetSpent:  # what was found stands; the search will say how far it comes
        pass
    return frozenset(found)


def _ways_to_repair(looks: Looks, picks: Picks, units: Sequence[Unit], build: HostBuild) -> Iterator[Picks]:
    """All but one of the units, those that the failure names first; then each alone. Those that leave the host as
    it is, with all of them or with none, are left out."""
    suspects = looks.suspects(build, picks)
    for unit in sorted(units, key=lambda unit: not any(name in suspects for name in unit.inputs)):
        less = {name: revision for name, revision in picks.items() if name not in unit.inputs}
        if build.drv is None or _moves(looks, picks, less, [build], unknown=True):
            yield less
    if len(units) > 2:
        at_base = looks.derivation_at_base(build.host.name)
        for unit in units:
            alone = dict(unit.moves)
            seen = looks.looked_at(alone, [build.host.name], evaluate_only=True).get(build.host.name)
            if seen is not None and seen.drv is not None and seen.drv != at_base:
                yield alone


def _same_failure(build: HostBuild, base: Baseline) -> bool:
    before = base.get(build.host.attribute)
    culprits = [made.failure.culprit for made in (build, before) if made is not None and made.failure is not None]
    return len(culprits) == 2 and culprits[0] is not None and culprits[0] == culprits[1]


def _still_broken(looks: Looks, picks: Picks) -> frozenset[str]:
    """The repairable hosts that are not good with these picks: the repair could not be taken."""
    judged = looks.whole(picks) if picks else None
    if judged is None:
        return looks.repairable
    good = {
        build.host.name
        for build in judged.verdict.builds
        if build.here is not None and build.here.answer is Answer.GOOD
    }
    return looks.repairable - good
