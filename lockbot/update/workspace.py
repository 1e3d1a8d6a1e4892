"""Where one attempt works: a worktree of one base, with the run's record, context and configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lockbot.git.sync import Base
from lockbot.git.worktree import Worktree
from lockbot.update.context import RunConfig, RunContext
from lockbot.update.record import Record


@dataclass(frozen=True)
class Workspace:
    """`flake_dir`: the directory of flake.nix, from the repository's top; empty: the top itself."""

    context: RunContext
    config: RunConfig
    record: Record
    base: Base
    tree: Worktree
    flake_dir: str

    @property
    def flake(self) -> Path:
        """The directory of flake.nix in the worktree. Raises UsageError where a link leads there."""
        return self.tree.inside(self.flake_dir)
