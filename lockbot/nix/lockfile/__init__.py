"""What a flake.lock says: its text (`jsontext`), read as Nix reads it (`nodes`), asked by input path (`lock`),
and compared with another (`changes`).
"""

from lockbot.nix.lockfile.changes import diff
from lockbot.nix.lockfile.lock import (
    EMPTY,
    LOCK_NAME,
    Fixed,
    Input,
    LockFile,
    locked_at,
    names_of,
    spelled,
)
from lockbot.nix.lockfile.nodes import LockFileError

__all__ = [
    "EMPTY",
    "LOCK_NAME",
    "Fixed",
    "Input",
    "LockFile",
    "LockFileError",
    "diff",
    "locked_at",
    "names_of",
    "spelled",
]
