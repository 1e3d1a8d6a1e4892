"""Trouble that is nobody's fault, at the base, at the candidate, at both and at neither: a whole update of each.

What could not be judged is never published, blames nobody, is told as it is, and is forgotten when it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import nixes
from tests.sampling import some
from tests.update.site import Part, Site, broken, fine
from tests.update.surroundings import AFTER, KINDS, Place, Surrounding

_INSTALLED = nixes.discover()


def _with(nix: nixes.Installed, kinds: Iterable[Surrounding]) -> pytest.MarkDecorator:
    cases = [pytest.param(nix, kind, id=f"{kind.name}-{nix}") for kind in kinds]
    return pytest.mark.parametrize(("nix", "kind"), cases, indirect=["nix"])


def at(place: Place, turn: int = 0) -> pytest.MarkDecorator:
    """Every fifth kind that can be there, with the newest Nix; every third of those that can be nowhere else."""
    by_turns = some((kind for kind in KINDS if len(kind.places) > 1), 8, turn)
    only_here = some((kind for kind in KINDS if kind.places == {place}), 5)
    return _with(_INSTALLED[-1], [kind for kind in (*by_turns, *only_here) if place in kind.places])


@pytest.fixture
def site(nix: nixes.Nix, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as cleanup:
        made = Site(nix, tmp_path, cleanup)
        cleanup.callback(made.server.close)
        yield made


class Case:
    """One surrounding at one place, set up: `a` has moved, and lockbot has not seen it yet."""

    def __init__(self, site: Site, kind: Surrounding, place: Place, candidate: Part | None = None) -> None:
        if why := kind.unless(site.nix):
            pytest.skip(why)
        self.site, self.kind, self.place = site, kind, place
        site.write(fine(1) if place is Place.CANDIDATE and not kind.by_setting else kind.part(site, 1))
        if place is Place.CANDIDATE and kind.by_setting:
            site.build_the_base()
        kind.trouble(site)
        self.new = site.commit("a", candidate or kind.part(site, 2))

    def update(self) -> Run:
        before = self.site.head
        code, document = self.site.lockbot("update")
        return Run(code, document, moved=self.site.head != before)

    def heal(self) -> None:
        if self.kind.heal is None:
            self.new = self.site.commit("a", fine(3))
        else:
            self.kind.end(self.site)

    def lands(self, run: Run | None = None) -> None:
        run = run or self.update()
        assert (run.outcome, run.code) == ("published", 0), run
        assert self.site.locked("a") == self.new

    def nobody_is_blamed(self, run: Run) -> None:
        assert not run.blamed, run
        _, status = self.site.lockbot("status")
        rows = status["inputs"]
        assert {row["input"] for row in rows} == {"a", "b"}
        assert not [row for row in rows if row["culprit"] or row["first_bad"]], rows


class Run:
    def __init__(self, code: int, document: dict[str, Any], *, moved: bool) -> None:
        self.code = code
        self.document = document
        self.moved = moved
        self.outcome: str = document["outcome"]
        self.held: dict[str, str] = {held["input"]: held["reason"] for held in document["held"]}
        self.blamed = {name for name, reason in self.held.items() if reason.startswith("breaks")}
        self.hosts = {host["name"]: host for host in document["hosts"]}

    def __repr__(self) -> str:
        hosts = {name: (*self.answers(name), host["failure_detail"]) for name, host in self.hosts.items()}
        return f"{self.outcome} {self.code}: {self.document['error']}; held {self.document['held']}; {hosts}"

    def answers(self, host: str) -> tuple[str | None, str | None]:
        """At the base, and at the candidate."""
        base, candidate = (self.hosts[host][side] for side in ("base", "candidate"))
        return base and base["answer"], candidate and candidate["answer"]


@_with(_INSTALLED[0], some((kind for kind in KINDS if Place.NEITHER in kind.places), 8))
def test_at_neither(site: Site, kind: Surrounding) -> None:
    """Some of them: each of the others is healed below, which is no less."""
    case = Case(site, kind, Place.NEITHER)
    case.heal()
    case.lands()


@at(Place.BASE)
def test_at_the_base_only(site: Site, kind: Surrounding) -> None:
    """A broken candidate may be no worse: it stays out, and nobody is blamed. Of a good one no more is asked."""
    case = Case(site, kind, Place.BASE, broken(2))
    run = case.update()
    assert not run.moved and (run.outcome, run.code) == ("unjudged", 1), run
    assert run.answers("alpha") == ("unjudged", "bad"), run
    case.nobody_is_blamed(run)
    case.new = site.commit("a", fine(3))
    run = case.update()
    case.lands(run)
    assert run.answers("alpha") == ("unjudged", "good"), run


@pytest.mark.parametrize(
    ("nix", "how"), [(_INSTALLED[0], "build"), (_INSTALLED[-1], "throw")], indirect=["nix"], ids=str
)
def test_blame_comes_with_knowledge(site: Site, how: str) -> None:
    """The base could not be read, then it could: only now is it known who broke what."""
    kind = next(kind for kind in KINDS if kind.name == "evaluation-fetchurl")
    case = Case(site, kind, Place.BASE, broken(2, how))
    run = case.update()
    assert not run.moved and (run.outcome, run.code) == ("unjudged", 1), run
    case.nobody_is_blamed(run)
    case.heal()
    run = case.update()
    assert not run.moved and (run.outcome, run.blamed) == ("rejected", {"a"}), run


@at(Place.CANDIDATE, turn=1)
def test_at_the_candidate_only(site: Site, kind: Surrounding) -> None:
    case = Case(site, kind, Place.CANDIDATE)
    run = case.update()
    assert not run.moved and not run.blamed, run
    if kind.spreads and not kind.by_setting:
        assert run.code != 0 and run.outcome in ("unjudged", "failed"), run
    else:
        assert (run.outcome, run.code) == ("unjudged", 1), run
        assert run.answers("alpha") == ("good", "unjudged"), run
    if kind.places != AFTER:
        case.heal()
        case.lands()


@at(Place.BOTH, turn=2)
def test_at_both_sides(site: Site, kind: Surrounding) -> None:
    case = Case(site, kind, Place.BOTH)
    run = case.update()
    assert not run.moved
    case.nobody_is_blamed(run)
    if kind.spreads or kind.unlisted:
        assert run.code != 0 and run.outcome in ("unjudged", "failed"), run
    else:
        assert (run.outcome, run.code) == ("unjudged", 1), run
        assert run.answers("alpha") == ("unjudged", "unjudged"), run
    case.heal()
    case.lands()


@_with(
    _INSTALLED[0],
    some((kind for kind in KINDS if Place.BOTH in kind.places and not (kind.spreads or kind.unlisted)), 9),
)
def test_at_both_sides_beside_another_input(site: Site, kind: Surrounding) -> None:
    """What has nothing to do with it is not held back."""
    case = Case(site, kind, Place.BOTH)
    before, other = site.locked("a"), site.commit("b", fine(2))
    run = case.update()
    assert (run.outcome, run.code, run.blamed) == ("partly published", 0, set()), run
    assert (site.locked("a"), site.locked("b")) == (before, other), run
    assert run.answers("alpha") in (("unjudged", "unjudged"), ("unjudged", None)), run
    assert run.answers("beta")[1] == "good", run


# -- the flake's own faults, in the words of its surroundings ------------------------------------------------


def _printing(words: str) -> str:
    return f"plain \"part-2\" ''echo \"{words}\"; exit 1'' {{ }}"


_OWN = {
    "throws-disk": 'throw "No space left on device"',
    "throws-nix": 'throw "x\\nerror: cannot connect to socket at here\\n       error: unable to download it"',
    "throws-timeout": 'throw "building of x timed out after 5 seconds"',
    "aborts": 'abort "Connection refused"',
    "asserts": 'assert (builtins.trace "error: No space left on device" false); "2"',
    "within-context": 'builtins.addErrorContext "cannot connect to socket at x: No space left" (throw "gone")',
    "context-of-a-type": 'builtins.addErrorContext "error: Nix daemon disconnected unexpectedly" (1 + "x")',
    "attribute": '{ }."No space left on device"',
    "prints-daemon": _printing("error: Nix daemon disconnected unexpectedly"),
    "prints-hash": _printing("error: hash mismatch in fixed-output derivation"),
    "prints-timeout": _printing("error: building of x timed out after 5 seconds"),
    "prints-signal": _printing("error: builder for x failed due to signal 9"),
    "prints-network": _printing("error: unable to download x: Could not resolve host: example.org"),
    "prints-platform": _printing("error: a riscv64-linux with features {} is required to build x"),
    "hash-mismatch": """plain "part-2" "echo other >$out" {
      outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "x@SITE@";
    }""",
}


@pytest.mark.parametrize(
    ("nix", "what"),
    [(_INSTALLED[-(at % 2)], what) for at, what in some(enumerate(_OWN), 5)],  # each with one Nix
    indirect=["nix"],
    ids=str,
)
def test_its_own_fault_is_blamed_whatever_its_words(site: Site, what: str) -> None:
    site.write(fine(1))
    site.commit("a", Part(_OWN[what].replace("@SITE@", str(site))))
    other = site.commit("b", fine(2))
    before = site.locked("a")
    code, document = site.lockbot("update")
    run = Run(code, document, moved=True)
    assert (run.outcome, run.code, run.blamed) == ("partly published", 0, {"a"}), run
    assert (site.locked("a"), site.locked("b")) == (before, other)
