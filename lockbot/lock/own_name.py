"""Whether what a flake is made of depends on what its commit is called, in a way that no evaluation tells of.

The evaluator says so where a host asks for `self.rev`. It can't where an input is made from the flake itself, nor
where `git archive`, by which Nix 2.19 reads a commit, writes the name into files.
"""

from __future__ import annotations

from lockbot.git.clone import Clone
from lockbot.nix.lockfile import LockFile


def holds_own_name(clone: Clone, commit: str, lock: LockFile) -> bool:
    """Whether any host of the flake at this commit, which has this lock, may be another with another message."""
    return lock.refers_to_itself or clone.substitutes(commit)
