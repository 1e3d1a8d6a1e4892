"""What a flake.lock says: its text (`jsontext`), read as Nix reads it (`nodes`), asked by input path (`lock`),
compared with another (`changes`), and which files of this machine it names (`local`).
"""

from lockbot.nix.lockfile.changes import diff
from lockbot.nix.lockfile.local import local_path, local_paths, names_this_machine
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
    "local_path",
    "local_paths",
    "locked_at",
    "names_of",
    "names_this_machine",
    "spelled",
]
