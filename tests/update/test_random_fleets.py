"""Random fleets in real git and on real Nix, against brute force over a pure model of the same fleet.

LOCKBOT_RANDOM_FLEETS=0-50 tries the first fifty worlds on each version of Nix, 7-8 one of them alone: chance comes
from the version and the world's number. Of itself it tries one that is not among the largest.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from lockbot.model import Held, Outcome, Run
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Breakage, HostSpec, Upstream, When, apart, since, together
from tests.sampling import nix_by_turns
from tests.update.inside import World

FIRST, END = map(int, os.environ.get("LOCKBOT_RANDOM_FLEETS", "4-5").split("-"))
At = Mapping[str, int]
"""Input → how many commits above the locked one it is."""


@dataclass(frozen=True)
class Span:
    """One input's commits from `first` to before `end` break these hosts."""

    first: int
    end: int
    hosts: tuple[str, ...]
    kind: Literal["throw", "build", "dependency"]


@dataclass(frozen=True)
class Model:
    """What is true of a fleet, without Nix."""

    counts: At
    hosts: tuple[HostSpec, ...]
    spans: Mapping[str, Span]

    @property
    def locked(self) -> At:
        return dict.fromkeys(self.counts, 0)

    def passes(self, at: At) -> bool:
        """What the gate says of a candidate: nothing is newly broken, every input that moves is used by a host
        that is good with it (or by none), and no input breaks anew what the others repair."""
        moved = [name for name in at if at[name]]
        return not self.red(at) and all(
            self._is_spoken_for(name, at) and not self._spoils(name, at) for name in moved
        )

    def _is_spoken_for(self, name: str, at: At) -> bool:
        """Or it is known to change no host: of one that can't be evaluated, nobody knows what it would be."""
        if any(name in host.uses and not self._fails(host, at) for host in self.hosts):
            return True
        return not any(name in host.uses or self._throws(host, at) for host in self.hosts if self._fails(host, at))

    def _throws(self, host: HostSpec, at: At) -> bool:
        own = isinstance(host.failure, Breakage) and host.failure.kind == "throw" and _holds(host.failure.when, at)
        return own or any(
            span.kind == "throw"
            and host.name in span.hosts
            and name in host.uses
            and span.first <= at[name] < span.end
            for name, span in self.spans.items()
        )

    def _spoils(self, name: str, at: At) -> bool:
        return any(self._fails(host, at) and not self._fails(host, {**at, name: 0}) for host in self.hosts)

    def red(self, at: At) -> frozenset[str]:
        """The hosts that fail there and did not before."""
        return frozenset(host.name for host in self.hosts if self._fails(host, at)) - self.broken_before

    @property
    def broken_before(self) -> frozenset[str]:
        return frozenset(host.name for host in self.hosts if self._fails(host, self.locked))

    def _fails(self, host: HostSpec, at: At) -> bool:
        by_input = any(
            host.name in span.hosts and name in host.uses and span.first <= at[name] < span.end
            for name, span in self.spans.items()
        )
        return by_input or (isinstance(host.failure, Breakage) and _holds(host.failure.when, at))

    def most(self) -> int:
        """Brute force: how many inputs can be at their tips at once, the others as locked."""
        for size in range(len(self.counts), 0, -1):
            for chosen in combinations(self.counts, size):
                if self.passes({name: self.counts[name] if name in chosen else 0 for name in self.counts}):
                    return size
        return 0

    def newest(self, name: str, at: At) -> int | None:
        """How far an input goes on top of the others; None: it goes from good to bad more than once."""
        good = [self.passes({**at, name: number}) for number in range(self.counts[name] + 1)]
        return good.count(True) - 1 if sorted(good, reverse=True) == good else None


def _holds(when: When, at: At) -> bool:
    """As fleet.nix says. A commit's value is its number, the locked one's 1."""
    values = {name: at[name] + 1 for name in when.values}
    same = [values[name] == int(value) for name, value in when.values.items()]
    match when.rule:
        case "always":
            return True
        case "together":
            return all(same)
        case "apart":
            return any(same) and not all(same)
        case "since":
            return all(values[name] >= int(value) for name, value in when.values.items())


def imagined(chance: random.Random) -> Model:
    names = "abcdefg"[: chance.randint(5, 7)]
    counts = {name: chance.randint(1, 6) for name in names}
    uses = {f"host{n}": chance.sample(names, chance.randint(2, 4)) for n in range(chance.randint(3, 6))}
    return Model(
        counts,
        tuple(HostSpec(host, used, failure=_failure(chance, counts, used)) for host, used in uses.items()),
        {
            name: span
            for name in chance.sample(names, chance.choice([0, 1, 1, 2, 2, 3]))
            if (span := _span(chance, counts[name], [host for host, used in uses.items() if name in used]))
        },
    )


def _span(chance: random.Random, count: int, users: Sequence[str]) -> Span | None:
    if not users:
        return None
    first = chance.randint(1, count)
    mended = chance.random() < 0.25
    return Span(
        first,
        chance.randint(first + 1, count + 1) if mended else count + 1,
        tuple(sorted(chance.sample(users, chance.randint(1, len(users))))),
        chance.choice(["throw", "build", "dependency"]),
    )


def _failure(chance: random.Random, counts: At, used: Sequence[str]) -> Breakage | None:
    one, other = chance.sample(used, 2)
    tips = {name: counts[name] + 1 for name in (one, other)}
    values = {name: str(tip) for name, tip in tips.items()}
    whens = {
        "always": When(),
        "together": together(values),
        "apart": apart(values),
        "since": since({name: chance.randint(2, tip) for name, tip in tips.items()}),
    }
    rule = chance.choice([None, None, None, "always", "together", "apart", "since"])
    return Breakage(chance.choice(["throw", "build"]), whens[rule]) if rule else None


def _make_history(upstream: Upstream, count: int, span: Span | None) -> list[str]:
    """The revisions, the locked one first."""
    revisions = [upstream.head()]
    for number in range(1, count + 1):
        if span is not None and number == span.first:
            breaking = upstream.break_evaluation if span.kind == "throw" else upstream.break_build
            revisions.append(breaking(span.kind, hosts=span.hosts))  # type: ignore[arg-type]  # the one it is for
        elif span is not None and number == span.end:
            revisions.append(upstream.fix())
        else:
            revisions.append(upstream.commit(f"{upstream.name}: {number}"))
    return revisions


@nix_by_turns("number", {str(number): number for number in range(FIRST, END)})
def test_the_result_is_what_brute_force_finds(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, number: int
) -> None:
    model = imagined(random.Random(f"{nix.version} {number}"))  # noqa: S311 -- reproducible worlds, no secret
    settings = {"LOCKBOT_SEARCH__PROBES": "300"}
    world = World(nix, tmp_path, cancel, model.hosts, "".join(model.counts), settings, moved=False)
    revisions = {
        name: _make_history(upstream, model.counts[name], model.spans.get(name))
        for name, upstream in world.upstreams.items()
    }
    base = world.fleet.head("main")
    run = world.update()
    at = {name: revisions[name].index(world.fleet.locked(name, "main")) for name in revisions}
    print(model, at, *run.held, sep="\n")  # noqa: T201 -- pytest shows it when the test fails
    _is_landed(world, model, run, at, base)
    _is_best(model, at)
    _is_told(world, model, run, at, revisions)


def _is_landed(world: World, model: Model, run: Run, at: At, base: str) -> None:
    """What was published is what was judged, and green, says Nix by itself."""
    moved = {name for name, number in at.items() if number}
    behind = {name for name, number in at.items() if number < model.counts[name]}
    expected = Outcome.REJECTED if not moved else Outcome.PARTLY_PUBLISHED if behind else Outcome.PUBLISHED
    assert run.outcome is expected
    head = world.fleet.head("main")
    if not moved:
        assert (run.commit, head) == (None, base)
        return
    assert run.commit == head
    judged = {build.host.name: build.drv for build in run.hosts}
    assert judged.keys() == {host.name for host in model.hosts}
    nix = world.fleet._nix
    for host in model.hosts:
        if host.name not in model.broken_before:
            drv = world.fleet.derivation(host, head)
            assert judged[host.name] == drv
            nix.run("nix-store", "--realise", drv)


def _is_best(model: Model, at: At) -> None:
    assert not model.red(at)
    assert sum(at[name] == count for name, count in model.counts.items()) >= model.most()
    for name, number in at.items():
        newest = model.newest(name, at)
        assert newest is None or newest == number, name


def _is_told(world: World, model: Model, run: Run, at: At, revisions: Mapping[str, Sequence[str]]) -> None:
    changes = {change.input: change for change in run.changes}
    if run.commit is not None:
        assert changes.keys() == {name for name, number in at.items() if number}
        for name, change in changes.items():
            assert (change.old and change.old.rev, change.new and change.new.rev) == (
                revisions[name][0],
                revisions[name][at[name]],
            )
    assert {held.input for held in run.held} == {
        name for name, number in at.items() if number < model.counts[name]
    }
    for held in run.held:
        if held.reason == "only-broken-hosts":
            assert not model.passes({**at, held.input: model.counts[held.input]})
            continue
        _is_blamed_rightly(world, model, held, at, revisions[held.input])
    for name in at.keys() - {held.input for held in run.held}:
        assert world.state(name).state == "current"


def _is_blamed_rightly(world: World, model: Model, held: Held, at: At, revisions: Sequence[str]) -> None:
    name = held.input
    tip = model.counts[name]
    above = [model.red({**at, name: number}) for number in range(at[name] + 1, tip + 1)]
    assert held.revision == revisions[at[name]]
    told = re.match(r"breaks (.+?)(?: (together with|without) (\S+?))?(?:: | since | somewhere )", held.detail)
    assert told is not None, held.detail
    hosts, word, partner = set(re.split(", | and ", told[1])), told[2], told[3]
    assert hosts & model.red({**at, name: tip})
    assert hosts <= frozenset().union(*above)
    if word == "together with":
        assert not hosts <= model.red({**at, name: tip, partner: 0})
    elif word == "without" and not {name, partner} & model.spans.keys():  # what they break alone would hide it
        assert not hosts <= model.red({**at, name: tip, partner: model.counts[partner]})
    bad = world.state(name).culprit
    if bad is None:
        return
    first = revisions.index(bad.revision)
    assert bad.after is not None
    after = revisions.index(bad.after)
    assert at[name] <= after < first <= tip
    assert bad.exact == (after + 1 == first)
    assert set(bad.hosts) <= model.red({**at, name: first})
    assert not set(bad.hosts) & model.red({**at, name: after})
