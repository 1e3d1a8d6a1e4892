"""What git's failures mean to a person: its messages (in the C locale) to errors with a hint.

Knows git's words; must not run anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from lockbot.errors import LockbotError, SurroundingsError, UsageError
from lockbot.model import FailureKind
from lockbot.process import Finished
from lockbot.redact import redact


class RemoteError(SurroundingsError):
    """A remote could not be used. `kind` tells AUTH, NETWORK and NOT_FOUND apart."""

    def __init__(self, kind: FailureKind, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind


_AUTH = re.compile(
    r"authentication failed|could not read (username|password)|terminal prompts disabled|permission denied \("
    r"|host key verification failed|returned error: 40[13]|invalid username or|access denied",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(
    r"does not appear to be a git repository|repository .{0,300}not found|returned error: 404|does not exist",
    re.IGNORECASE,
)
_REDIRECT = re.compile(r"returned error: 30[1278]|unable to update url base from redirection", re.IGNORECASE)
_NETWORK = re.compile(
    r"could not resolve|connection (refused|timed out|reset|closed)|operation timed out|operation too slow"
    r"|network is unreachable|no route to host|unable to (access|connect|look up)|early eof|unexpected disconnect"
    r"|hung up unexpectedly|could not read from remote repository|returned error: 5\d\d|timed out",
    re.IGNORECASE,
)
_DISK = re.compile(r"no space left on device|disk quota exceeded|read-only file system", re.IGNORECASE)
_OWNER = re.compile(r"detected dubious ownership in repository at '([^'\n]*)'")

SHALLOW = re.compile(
    r"shallow roots are not allowed|shallow update not allowed|attempt to fetch.{0,300}shallow", re.IGNORECASE
)
SHA256 = re.compile(r"mismatched algorithms|server sha256|unknown object format|unsupported hash", re.IGNORECASE)


def explain(finished: Finished) -> LockbotError:
    """The error for a git command that ended otherwise than it should."""
    text = finished.stderr
    if _DISK.search(text):
        return SurroundingsError(f"git cannot write: {last_line(text)}", "free some space, then try again")
    if owner := _OWNER.search(text):
        return dubious_owner(owner.group(1))
    shown = replace(finished, stderr=redact(text), stdout=redact(finished.stdout))
    return shown.error(f"git {verb(finished.argv)} failed: {last_line(text) or f'exit code {finished.code}'}")


def explain_remote(finished: Finished, where: str) -> LockbotError:
    """The same for a command that talks to another repository; `where` names it."""
    text = finished.stderr
    if _DISK.search(text) or _OWNER.search(text):
        return explain(finished)
    words = last_line(text)
    if SHALLOW.search(text):
        return shallow(where)
    if SHA256.search(text):
        return sha256(where)
    if _AUTH.search(text):
        return RemoteError(
            FailureKind.AUTH,
            f"{where} does not let lockbot in: {words}",
            "nobody is there to type one in: give git a credential helper (or the forge's token, by `git = true`),"
            " and ssh a key that needs no passphrase",
        )
    if _REDIRECT.search(text):
        return RemoteError(
            FailureKind.NOT_FOUND,
            f"{where} has moved: {words}",
            "configure the new address: redirects are refused",
        )
    if _NOT_FOUND.search(text):
        return RemoteError(FailureKind.NOT_FOUND, f"{where} was not found: {words}", "is its address right?")
    if _NETWORK.search(text):
        return RemoteError(FailureKind.NETWORK, f"{where} cannot be reached: {words}", "try again later")
    return explain(finished)


def shallow(where: str) -> UsageError:
    return UsageError(
        f"{where} is a shallow clone: the history that lockbot needs is not all there",
        "run `git fetch --unshallow` in it",
    )


def partial(where: str, remotes: Sequence[str]) -> UsageError:
    path = shlex.quote(where)
    commands = " && ".join(
        f"git -C {path} fetch --refetch --no-filter {shlex.quote(remote)}" for remote in remotes
    )
    return UsageError(
        f"{where} is a partial clone, and something that lockbot needs is neither there nor on a branch of "
        f"{', '.join(remotes)}",
        f"complete it: {commands}",
    )


def sha256(where: str) -> UsageError:
    return UsageError(
        f"{where} keeps its objects by SHA-256, which lockbot cannot work with",
        "convert it to a repository of git's default format (SHA-1)",
    )


def dubious_owner(path: str) -> UsageError:
    # git asks for the work tree's path in some commands and for the git directory's in others.
    paths = [path] if path.endswith(".git") else [path, f"{path}/.git"]
    commands = " && ".join(f"git config --global --add safe.directory {shlex.quote(each)}" for each in paths)
    return UsageError(
        f"git refuses {path}: it belongs to another user (dubious ownership)",
        f"run lockbot as its owner, or, if you trust the repository, as the user that runs lockbot: {commands}",
    )


def last_line(text: str) -> str:
    """The line that says what went wrong: the first `fatal:` or `error:`, else the last line of all."""
    lines = [line.strip() for line in redact(text).splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("fatal: ", "error: ")):
            return line.split(": ", 1)[1]
    return lines[-1] if lines else ""


_LOCKED = re.compile(r"Unable to create '([^'\n]+\.lock)': File exists")


def refusal(finished: Finished) -> str:
    """Why git did not do it; for a lock file, what to do about it."""
    if lock := _LOCKED.search(finished.stderr):
        return f"another git holds {lock[1]}; if none is running, one that died has left it: remove it then"
    return last_line(finished.stderr) or f"it ended with code {finished.code}"


def verb(argv: tuple[str, ...]) -> str:
    """`fetch` of `git -C /x --literal-pathspecs fetch …`."""
    rest = argv[3:] if argv[1:2] == ("-C",) else argv[1:]
    return next((word for word in rest if not word.startswith("-")), "")
