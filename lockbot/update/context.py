"""What a cycle goes by (`RunConfig`) and what it works with (`RunContext`).

Plain values: where they were configured is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lockbot.errors import LockbotError
from lockbot.git.clone import Clone
from lockbot.git.landing import BaseMoved
from lockbot.git.source import Source
from lockbot.git.sync import Base
from lockbot.git.worktree import Identity, Signing
from lockbot.history.store import History
from lockbot.judge import verdict
from lockbot.judge.hosts import HostPatterns
from lockbot.lock import propose
from lockbot.model import Gate, Progress, RequestDone, Run
from lockbot.nix.command import Nix
from lockbot.policy.rules import PolicyRules
from lockbot.policy.upstream_checks import AskChecks, nobody
from lockbot.search.strategies import Strategy
from lockbot.update.regenerate import Commands


@dataclass(frozen=True)
class Review:
    """What is told of an update: what differs on each host (with what hosts are without it fetched or built, where
    the store lacks it), and upstream's commits."""

    differences: bool = True
    build_base: bool = True
    upstream: bool = True


@dataclass(frozen=True)
class RunConfig:
    """What the configuration says about a cycle."""

    source: Source
    flake_dir: str
    host_patterns: HostPatterns
    gate: Gate
    fetching: propose.Limits
    judging: verdict.Limits
    author: Identity
    committer: Identity
    signing: Signing | None
    subject: str
    publish_tries: int
    keep_results: int
    log_limit: int
    policy: PolicyRules = field(default_factory=PolicyRules)
    strategy: Strategy = Strategy.BEST
    groups: tuple[frozenset[str], ...] = ()
    """Inputs that move together or not at all."""
    probes: int = 40
    search_time: float = 4 * 3600.0
    remember_failures: float = 7 * 86400.0
    """Seconds for which a derivation that failed is taken to fail again."""
    review: Review = field(default_factory=Review)
    reason: tuple[str, ...] = ()
    """Paragraphs for the commit's message: what it is made for, where somebody has said so."""
    after_update: Commands = field(default_factory=Commands)
    push: bool = True
    dry_run: bool = False
    fingerprint: str = ""
    """A word for everything but the flake that decides how hosts fare: Nix, its settings, lockbot's limits; what
    was found out under another is not believed."""


@dataclass(frozen=True)
class Offer:
    """What was judged, and may be taken: for a pull request. `run` tells of it as far as it has come."""

    run: Run
    base: Base
    commit: str
    inputs: tuple[str, ...] | None
    """Which inputs this request is about; None: all that the flake has."""
    flake_dir: str


@dataclass(frozen=True)
class Offered:
    """What became of an offer, or of requests that were looked after."""

    done: tuple[RequestDone, ...] = ()
    notes: tuple[str, ...] = ()
    landed: str | None = None
    """The commit that the base branch has been moved to."""
    moved: BaseMoved | None = None
    """The base branch moved meanwhile: what was judged lies beside it."""
    trouble: LockbotError | None = None
    """Why it could not be opened; the next run goes on with it."""


class PullRequests(Protocol):
    """Publishes by pull requests. Raises what ends the whole run."""

    def refusal(self, base: Base) -> LockbotError | None:
        """Why none can be made on top of this base."""
        ...

    def look_after(self, base: Base) -> Offered:
        """See how those that were opened before stand now, and land what may be landed."""
        ...

    def asked(self, base: Base) -> frozenset[tuple[str, str]]:
        """Which input a request of its own asks to bring to which revision, on top of this very base."""
        ...

    def offer(self, offer: Offer) -> Offered:
        """Open one, or make the one that there is ask for this commit."""
        ...

    def close_overtaken(self, base: Base, run: Run, flake_dir: str) -> Offered:
        """Close those that this run has made pointless."""
        ...


@dataclass(frozen=True)
class RunContext:
    """What a cycle works with. `directory` is the repository's own place in the state directory."""

    nix: Nix
    clone: Clone
    history: History
    directory: Path
    progress: Progress
    clock: Callable[[], datetime]
    checks: AskChecks = nobody
    """Upstream's own verdict on its commits."""
    requests: PullRequests | None = None
    """None: what was judged is pushed."""
