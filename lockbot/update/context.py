"""What a cycle goes by (`RunConfig`) and what it works with (`RunContext`).

Plain values: where they were configured is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lockbot.git.clone import Clone
from lockbot.git.source import Source
from lockbot.git.worktree import Identity, Signing
from lockbot.history.store import History
from lockbot.judge import verdict
from lockbot.judge.hosts import HostPatterns
from lockbot.lock import propose
from lockbot.model import Gate, Progress
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
