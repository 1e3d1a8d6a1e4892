"""The errors that reach a person: what failed, and what to do about it.

Knows nothing of any tool. A failing build is not an error but a value (`model.Failure`).
"""

from __future__ import annotations


class LockbotError(Exception):
    """Something that stops a command. `hint` says what to do about it; exit code 3."""

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LockbotError):
    """The command line or the configuration is wrong; exit code 2."""

    exit_code = 2


class SurroundingsError(LockbotError):
    """Network, disk, daemon or builder: nobody's input is to blame, and trying again may help."""


class UnjudgedError(LockbotError):
    """Nothing can be found out about an update, nor about what was there before."""

    exit_code = 1


class BusyError(LockbotError):
    """Another run holds the repository."""


class CommandError(LockbotError):
    """A tool ended otherwise than it should. `command` can be pasted; `output` is its last lines."""

    def __init__(
        self, message: str, hint: str = "", *, command: str = "", output: str = "", code: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.command = command
        self.output = output
        self.code = code


class Cancelled(LockbotError):
    """Ctrl-C or SIGTERM: every child was ended; exit code 130."""

    exit_code = 130


class DeadlineExceeded(LockbotError):
    """A child, or the whole run, took longer than allowed; every child was ended."""
