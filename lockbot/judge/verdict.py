"""What judging a candidate goes by, and what it tells: values. No tool is called here.

Shared by whoever judges (`judge.candidate`), asks for it, or tells what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from lockbot.errors import LockbotError
from lockbot.git.worktree import Incomplete
from lockbot.model import Failure, Host, HostBuild, HostKind, Verdict
from lockbot.nix import build, evaluate
from lockbot.nix.flakeref import local_flake

Baseline = Mapping[tuple[str, ...], HostBuild]
"""What each host (by its attribute path) was found to be at one commit, as far as it is known. `here` is what was
found out in this very run; None: only its derivation is known."""

BUILT, PRESENT, EVALUATED, NOT_BUILT, NOT_THERE = "built", "present", "evaluated", "not-built", "not-there"
"""Evidence: built now (or there when it was to be), there in the store, only evaluated; never built here; and of a
host that the flake has on neither side."""


@dataclass(frozen=True)
class Limits:
    evaluation: evaluate.Limits
    build: build.Limits


@dataclass(frozen=True)
class Checkout:
    """Where commits of the flake are evaluated from. `incomplete`: what the work tree lacks of the user's, if it
    does (asked only when something fails)."""

    tree: Path
    flake_dir: str = ""
    submodules: bool = False
    incomplete: Callable[[], Incomplete | None] = lambda: None

    def at(self, commit: str) -> str:
        return local_flake(self.tree, commit, self.flake_dir, submodules=self.submodules)


@dataclass(frozen=True)
class Listing:
    """The hosts that the flake names at one commit. `failure`: why it could not; both None: nobody asked."""

    hosts: frozenset[tuple[str, ...]] | None = None
    failure: Failure | None = None

    def lacks(self, host: Host) -> bool:
        """Whether it is known not to be there. What only the configuration names is not listed anywhere."""
        return self.hosts is not None and host.kind is not HostKind.ATTRIBUTE and host.attribute not in self.hosts

    @property
    def unjudged(self) -> Failure | None:
        """Why nothing can be found out about any host here."""
        return self.failure if self.failure is not None and not self.failure.kind.own else None


@dataclass(frozen=True)
class Listings:
    """The flake's own lists of its hosts at the base (`before`) and at the candidate (`now`)."""

    before: Listing = Listing()
    now: Listing = Listing()


UNLISTED = Listings()


class TooCostly(LockbotError):
    """More would have to be compiled for a candidate than policy lets be. Nothing of it was built."""


MayBuild = Callable[[Collection[str]], None]
"""Asked, of the derivations of all hosts that a candidate changes, before the first of them is built. Raises
TooCostly."""


@dataclass(frozen=True)
class Known:
    """What need not be found out again. `failed_in_other_runs` are derivations that failed by themselves in
    another run, under the same settings: a candidate that needs one fails. `failed_in_this_run` are those that
    failed in this one, or could not be judged however often they were tried; judging adds to it."""

    base: Baseline = field(default_factory=dict)
    failed_in_other_runs: Mapping[str, Failure] = field(default_factory=dict)
    failed_in_this_run: MutableMapping[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A verdict, and what was learnt of both commits, to be remembered."""

    verdict: Verdict
    base: Baseline
    candidate: Baseline
    flaky: frozenset[str] = frozenset()
    """Derivations that failed and then were built, unchanged."""
