"""What a flake.lock says: its text (`jsontext`), read as Nix reads it (`nodes`), asked by input path (`lock`)."""

from lockbot.nix.lockfile.lock import (
    EMPTY,
    LOCK_NAME,
    Fixed,
    Input,
    LockFile,
    LockFileError,
    diff,
    locked_at,
    names_of,
    spelled,
)

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
