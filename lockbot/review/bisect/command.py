"""The command that tells good from bad: found before anything else, and run with a system's path.

Its exit code means what it does for `git bisect run`. It must not know what is searched for.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockbot import process
from lockbot.errors import DeadlineExceeded, LockbotError, UsageError
from lockbot.process import CancelToken, Deadline, Listener, duration
from lockbot.review.bisect.result import Ended, Limit, Result

SKIP = 125
"""The exit code by which a command says that it can't tell."""


@dataclass(frozen=True)
class Command:
    """`argv` as it was given: no shell reads it. It runs in the caller's directory and environment."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    directory: Path
    limit: Limit

    def run(self, told: Mapping[str, str], cancel: CancelToken, on_line: Callable[[str], None]) -> Ended:
        """Run it once, with what it is `told` in its environment. Raises LockbotError where it ends in a way that
        says that it is broken: by a signal, or with 128 and more."""
        limit = self.limit.seconds
        deadlines = [] if limit is None else [Deadline(limit, self.argv[0])]
        try:
            finished = process.run(
                self.argv,
                env={**self.environ, **told},
                cancel=cancel,
                deadlines=deadlines,
                cwd=self.directory,
                listener=Listener(on_stdout=on_line, on_stderr=on_line),
            )
        except DeadlineExceeded:
            cancel.check()  # the whole run's own deadline is not the command's
            assert limit is not None
            return Ended(self.limit.result, f"it took longer than {duration(limit)}", limit)
        return self._ended(finished.code, told)

    def _ended(self, code: int, told: Mapping[str, str]) -> Ended:
        if code < 0 or code > 127:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            raise LockbotError(
                f"the command {how}, which says neither good nor bad: {shlex.join(self.argv)}",
                f"end with 0 (good), 1 to 124 (bad) or {SKIP} (can't be told); try it with {_assigned(told)}. "
                "The same command line goes on from here",
            )
        result = {0: Result.GOOD, SKIP: Result.SKIPPED}.get(code, Result.BAD)
        return Ended(result, f"it ended with {code}")


def check(argv: Sequence[str], environ: Mapping[str, str], directory: Path) -> None:
    """Raise UsageError where there is no such program, before hours are spent on building for it."""
    program = argv[0]
    if not program:
        raise UsageError("the command's name is empty", "write lockbot bisect … -- COMMAND ARGUMENT…")
    if "/" in program:
        path = directory / program
        if not path.is_file():
            raise UsageError(f"there is no program {program}", "name it from where lockbot is started, or in full")
        if not os.access(path, os.X_OK):
            raise UsageError(f"{program} is not executable", f"chmod +x {shlex.quote(program)}")
    elif shutil.which(program, path=environ.get("PATH", os.defpath)) is None:
        hint = (
            "write ./ before its name if it lies here" if (directory / program).is_file() else "is it installed?"
        )
        raise UsageError(f"there is no {program} on PATH", hint)


def _assigned(told: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in told.items())
