"""What lockbot is started with, put in order before anything else, and what of it may be missing.

Descriptors, umask and encoding by `prepare`; the working directory and the place for temporary files when somebody
asks for them. Knows the operating system, nothing of lockbot's settings.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lockbot.errors import UsageError


def prepare() -> None:
    """First of all in a program, before a file is opened. May start the program anew, in Python's UTF-8 mode."""
    _fill_standard_descriptors()
    _speak_utf8()
    # A umask that takes from the owner (0777) would lock lockbot out of the directories that it makes.
    os.umask(os.umask(0) & ~0o700)


def _fill_standard_descriptors() -> None:
    """Else the next file that is opened (the history, say) becomes standard output, and is printed into."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                # For reading, also in the place of outputs: what is written there must fail, as it did before.
                os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)


def _speak_utf8() -> None:
    """Flakes, hosts and git's paths are UTF-8 whatever the locale is: in another one Python can't pass them on."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  # no shell


def here() -> Path:
    """The working directory. Raises UsageError when it is gone."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the directory in which lockbot was started is gone ({error.strerror})",
            "change to one that exists, or say by absolute paths what is meant: --config FILE, and in that file "
            "`[repository] path`",
        ) from None


def absolute(path: Path) -> Path:
    """From the working directory, which need not be there where the path is absolute. Links stay as they are."""
    return path if path.is_absolute() else here() / path


def with_temporary_directory(environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The environment without a TMPDIR that can't be used, and a sentence about that ("" where all is well).

    Such a directory is often gone with the session that made it; git and Nix would fail on it.
    """
    wanted = environ.get("TMPDIR")
    if not wanted or _can_be_written(wanted):
        return dict(environ), ""
    rest = {name: value for name, value in environ.items() if name != "TMPDIR"}
    return rest, f"TMPDIR is {wanted}, which is no directory that can be written to: /tmp is used instead"


def with_home(environ: Mapping[str, str], otherwise: Path) -> dict[str, str]:
    """The environment with a HOME, without which git and Nix fail for a user whom the system does not know."""
    if not environ.get("HOME") and not _known_user():
        return {**environ, "HOME": str(otherwise)}
    return dict(environ)


def _known_user() -> bool:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


STARTED_BY_HOOK = "LOCKBOT_EVENT"
"""The variable that tells a hook what has happened. A lockbot that finds it was started by one."""


def kept_from_hooks(path: Path, environ: Mapping[str, str]) -> str:
    """What to do about a file or directory of lockbot's that can't be read, where that is because a hook started
    this lockbot; else nothing."""
    if STARTED_BY_HOOK not in environ:
        return ""
    return f'a hook may not read it, unless the configuration says so: `[security] readable = ["{path}"]`'


def temporary_directory(prefix: str) -> Path:
    """A new one. Raises UsageError where none can be made."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise UsageError(
            f"a temporary directory can't be made: {error.strerror}", "set TMPDIR to a directory with some room"
        ) from None


def _can_be_written(directory: str) -> bool:
    # isdir: Path.is_dir raises where a directory above it can't be searched.
    absolute = directory.startswith("/")
    return absolute and os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)  # noqa: PTH112
