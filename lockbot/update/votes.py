"""Whether a host votes for each input that is to move, and whether one of them spoils what another repairs.

Hosts that say nothing (`judge.gate`, `Vote.NOTHING`: broken before and after, or unjudged on both sides) let a
change pass. So two questions remain, asked by looking at hosts without one of the inputs. Does an input reach only
such hosts? Then nothing speaks for it. Would such a host be good without one of the inputs? Then that one breaks
it anew. It must not know how questions are answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lockbot.history.summaries import unjudged
from lockbot.judge import gate as gates
from lockbot.judge.gate import Vote
from lockbot.judge.verdict import Baseline, Judged
from lockbot.model import Answer, Gate, Held, HostBuild, HostStatus
from lockbot.report import words
from lockbot.search.conflicts import UpdateGroup
from lockbot.search.interface import BudgetSpent, Oracle, SearchResult, Selection, Watch, unwatched
from lockbot.search.strategies import Strategy, groups_of, search

UNJUDGED, ONLY_BROKEN = unjudged.HELD, "only-broken-hosts"
"""Why an input is held for which nothing speaks, as words for machines."""

REPAIR_LOOKS = 16
"""How many candidates are judged, at most, to see whether an input spoils what another repairs."""
AT_A_TIME = 4
"""How many hosts are evaluated together while one is looked for that an input changes."""


class HostOracle(Oracle, Protocol):
    """The search's oracle, which also tells what it has seen of hosts, failures and all."""

    repairable: frozenset[str]
    """Hosts that count as broken by the change wherever it changes them and they are bad."""

    @property
    def trouble(self) -> str | None:
        """Why the search had to end early, where that was the surroundings' doing."""
        ...

    def whole(self, selection: Selection) -> Judged | None:
        """The whole fleet's verdict at this selection, if it was asked for."""
        ...

    def looked_at(
        self, selection: Selection, hosts: Sequence[str], *, evaluate_only: bool
    ) -> Mapping[str, HostBuild]:
        """These hosts with this selection; those missing that nobody can look at there. May raise BudgetSpent
        where it is more than an evaluation."""
        ...

    def derivation_at_base(self, host: str) -> str | None: ...

    def by_commit(self, selection: Selection, host: str) -> frozenset[str] | None:
        """The names of the derivations that a host needs and that differ at another commit with the very same
        inputs; None: nobody can tell."""
        ...

    def differing(self, one: str, other: str) -> frozenset[str] | None:
        """The names of the derivations that only one of two derivations needs; None: nobody can tell."""
        ...

    def suspects(self, build: HostBuild, selection: Selection) -> Sequence[str]:
        """The inputs that a failure names, most likely first."""
        ...


def best_supported(
    oracle: HostOracle,
    targets: Selection,
    *,
    groups: Sequence[frozenset[str]] = (),
    strategy: Strategy = Strategy.BEST,
    gate: Gate = Gate.NO_REGRESSION,
    watch: Watch = unwatched,
) -> tuple[SearchResult, tuple[Unsupported, ...]]:
    """The best of `targets` that passes and that hosts speak for; and the groups for which none does.

    The whole fleet was asked about all of `targets` before.
    """
    targets = dict(targets)
    oracle.repairable = repairable(oracle, targets, groups, strategy)
    left_out: list[Unsupported] = []
    while targets:
        found = search(oracle, targets, groups=groups, strategy=strategy, watch=watch)
        if oracle.trouble is None and (wasted := _still_broken(oracle, found.selection)):
            oracle.repairable -= wasted  # the repair can't be taken: then nothing is to be spoilt
            continue
        try:
            unsupported = _unsupported(
                oracle, found.selection, _update_groups(found.selection, groups, strategy), gate
            )
        except BudgetSpent:  # the surroundings' doing: what nothing is known to speak for is not taken
            return replace(found, selection={}, steps=(), complete=False), tuple(left_out)
        if not unsupported:
            return found, tuple(left_out)
        left_out += unsupported
        if oracle.trouble is not None:
            return replace(found, selection={}, steps=(), complete=False), tuple(left_out)
        for name in (name for one in unsupported for name in one.group.inputs):
            del targets[name]
    return SearchResult({}, (), (), complete=True), tuple(left_out)


def _update_groups(
    selection: Selection, groups: Sequence[frozenset[str]], strategy: Strategy
) -> tuple[UpdateGroup, ...]:
    """What moves together: as in the groups, or all of it."""
    return groups_of(selection, (frozenset(selection),) if strategy is Strategy.TOGETHER else groups)


@dataclass(frozen=True)
class Unsupported:
    """A group for which nothing speaks, and the hosts that it reaches."""

    group: UpdateGroup
    hosts: tuple[HostBuild, ...]

    def held(self, before: dict[str, str | None]) -> tuple[Held, ...]:
        """Its inputs as they are held, and why."""
        open_ = [host for host in self.hosts if host.here is not None and host.here.answer is Answer.UNJUDGED]
        names = words.listed([host.host.name for host in open_ or self.hosts])
        if open_:
            said = "; ".join(sorted({words.failed(host.failure) for host in open_ if host.failure is not None}))
            why = f"{names} could not be judged, with it or without ({said}), and no other host uses it"
        else:
            why = f"{names} is broken with it and without, and no other host uses it: nothing speaks for it"
        reason = UNJUDGED if open_ else ONLY_BROKEN
        return tuple(Held(name, reason, why, before.get(name)) for name in self.group.inputs)


def _unsupported(
    oracle: HostOracle, selection: Selection, update_groups: Sequence[UpdateGroup], gate: Gate
) -> tuple[Unsupported, ...]:
    """The groups of `selection`, which were judged whole, that change no host that is good with them, but others.

    Costs nothing where every host that changed is good: then one speaks for whatever changes any.
    """
    judged = oracle.whole(selection)
    builds = judged.verdict.builds if judged is not None else ()
    by_vote = {vote: [build for build in builds if gates.of(build, gate) is vote] for vote in Vote}
    saying_nothing = [build for build in by_vote[Vote.NOTHING] if build.status is not HostStatus.UNCHANGED]
    if not saying_nothing:
        return ()
    found = [_reached(oracle, selection, group, by_vote[Vote.FOR], saying_nothing) for group in update_groups]
    return tuple(
        Unsupported(group, reached) for group, reached in zip(update_groups, found, strict=True) if reached
    )


def _reached(
    oracle: HostOracle,
    selection: Selection,
    group: UpdateGroup,
    good: Sequence[HostBuild],
    saying_nothing: Sequence[HostBuild],
) -> tuple[HostBuild, ...]:
    """The hosts that say nothing and that a group changes, unless it changes a good one, too."""
    less = {name: revision for name, revision in selection.items() if name not in group.inputs}
    if _any_moves(oracle, selection, less, good[:1]):  # most inputs reach most hosts
        return ()
    reached = tuple(
        build
        for build in saying_nothing
        if build.drv is None or _moves(oracle, selection, less, [build], unknown=True)
    )
    if not reached or _any_moves(oracle, selection, less, good[1:]):
        return ()
    return reached


def _any_moves(oracle: HostOracle, selection: Selection, less: Selection, builds: Sequence[HostBuild]) -> bool:
    slices = (builds[start : start + AT_A_TIME] for start in range(0, len(builds), AT_A_TIME))
    return any(_moves(oracle, selection, less, some, unknown=False) for some in slices)


def _moves(
    oracle: HostOracle, selection: Selection, less: Selection, builds: Sequence[HostBuild], *, unknown: bool
) -> bool:
    """Whether one of these hosts is another derivation without the group; `unknown`: what is said where nobody can
    tell."""
    seen = oracle.looked_at(less, [build.host.name for build in builds], evaluate_only=True) if less else {}
    for build in builds:
        name = build.host.name
        if less and (name not in seen or seen[name].here is None):
            moves = unknown
        elif less and seen[name].drv is None:
            here = seen[name].here
            moves = unknown or (here is not None and here.answer is Answer.BAD)
        else:
            other = seen[name].drv if less else oracle.derivation_at_base(name)
            moves = _differ(oracle, selection, build, other, unknown=unknown)
        if moves:
            return True
    return False


def _differ(
    oracle: HostOracle, selection: Selection, build: HostBuild, less: str | None, *, unknown: bool
) -> bool:
    """Whether it is another derivation by more than the commit that it is evaluated at: many hosts embed
    `self.rev` or files of the flake's own, and are another at every commit."""
    if less is None or build.drv is None or less == build.drv:
        return less != build.drv
    by_commit = oracle.by_commit(selection, build.host.name)
    if by_commit is not None and not by_commit:
        return True
    differing = oracle.differing(less, build.drv)
    return unknown if by_commit is None or differing is None else not differing <= by_commit


def repairable(
    oracle: HostOracle, selection: Selection, groups: Sequence[frozenset[str]], strategy: Strategy
) -> frozenset[str]:
    """The hosts that are broken before and after, and would be good without one of the groups, or with one alone.

    A host whose failure is the very same derivation's as before is not looked at: nothing repairs that.
    """
    update_groups = _update_groups(selection, groups, strategy)
    judged = oracle.whole(selection)
    found: set[str] = set()
    if judged is None or len(update_groups) < 2:
        return frozenset()
    asked = 0
    try:
        for build in judged.verdict.builds:
            if build.status is not HostStatus.BROKEN_BEFORE or _same_failure(build, judged.base):
                continue
            for some in _ways_to_repair(oracle, selection, update_groups, build):
                if asked == REPAIR_LOOKS:
                    return frozenset(found)
                asked += 1
                name = build.host.name
                seen = oracle.looked_at(some, [name], evaluate_only=False).get(name)
                if seen is not None and seen.here is not None and seen.here.answer is Answer.GOOD:
                    found.add(name)
                    break
    except BudgetSpent:  # what was found stands; the search will say how far it comes
        pass
    return frozenset(found)


def _ways_to_repair(
    oracle: HostOracle, selection: Selection, update_groups: Sequence[UpdateGroup], build: HostBuild
) -> Iterator[Selection]:
    """All but one of the groups, those that the failure names first; then each alone. Those that leave the host as
    it is, with all of them or with none, are left out."""
    suspects = oracle.suspects(build, selection)
    for group in sorted(update_groups, key=lambda group: not any(name in suspects for name in group.inputs)):
        less = {name: revision for name, revision in selection.items() if name not in group.inputs}
        if build.drv is None or _moves(oracle, selection, less, [build], unknown=True):
            yield less
    if len(update_groups) > 2:
        at_base = oracle.derivation_at_base(build.host.name)
        for group in update_groups:
            alone = dict(group.moves)
            seen = oracle.looked_at(alone, [build.host.name], evaluate_only=True).get(build.host.name)
            if seen is not None and seen.drv is not None and seen.drv != at_base:
                yield alone


def _same_failure(build: HostBuild, base: Baseline) -> bool:
    before = base.get(build.host.attribute)
    culprits = [made.failure.culprit for made in (build, before) if made is not None and made.failure is not None]
    return len(culprits) == 2 and culprits[0] is not None and culprits[0] == culprits[1]


def _still_broken(oracle: HostOracle, selection: Selection) -> frozenset[str]:
    """The repairable hosts that are not good with this selection: the repair could not be taken."""
    judged = oracle.whole(selection) if selection else None
    if judged is None:
        return oracle.repairable
    good = {
        build.host.name
        for build in judged.verdict.builds
        if build.here is not None and build.here.answer is Answer.GOOD
    }
    return oracle.repairable - good
