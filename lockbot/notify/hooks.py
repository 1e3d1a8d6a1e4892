"""Commands of the user's that are run when something has happened, with JSON on their standard input.

They get none of lockbot's secrets, may read none of the user's, and find nothing of its environment but what every
program needs. Whatever becomes
of them is a sentence, never an error: what has happened stays as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockbot import process
from lockbot.confine import UNCONFINED, Confinement
from lockbot.errors import Cancelled, LockbotError
from lockbot.model import HookSaid, Progress, silent
from lockbot.notify.kinds import Hook, HookEvent
from lockbot.process import CancelToken, Deadline, Listener, Within
from lockbot.report.document import Document, dump
from lockbot.report.escape import log_line, plain
from lockbot.surroundings import STARTED_BY_HOOK

KEPT = ("PATH", "HOME", "LANG", "TZ", "USER", "XDG_RUNTIME_DIR")
"""The variables that a hook finds as lockbot did, beside the one that tells it what has happened."""
_MOST_LINES = 1000
_LONGEST_LINE = 200
_REFUSED = "hooks read no keys and no credentials: `[security] readable` names what this one needs"


@dataclass(frozen=True)
class Surroundings:
    """What hooks are run in. `directory` is lockbot's own, in which they start; where it is gone, in `/`."""

    environ: Mapping[str, str]
    cancel: CancelToken
    directory: Path
    progress: Progress = silent
    confinement: Confinement = UNCONFINED


def run_hooks(
    hooks: Sequence[Hook], event: HookEvent, document: Document, surroundings: Surroundings
) -> tuple[str, ...]:
    """Run those for the event, one after the other; a sentence for each that did not do well.

    When lockbot is told to stop, the one that runs is ended, and the others are not begun.
    """
    wanted = [hook for hook in hooks if hook.event is event]
    told = dump({"event": event, **document}).encode() + b"\n" if wanted else b""
    found = (_problem(hook, told, surroundings) for hook in wanted)
    return tuple(problem for problem in found if problem is not None)


def shown(hook: Hook) -> str:
    """Its program; its arguments may be secrets."""
    return plain(hook.command[0], _LONGEST_LINE)


def why_not(hook: Hook, environ: Mapping[str, str]) -> str | None:
    """Why the system would not run its program; None: it can be found, and may be run."""
    program = hook.command[0]
    if shutil.which(program, path=environ.get("PATH", os.defpath)) is not None:
        return None
    if "/" not in program:
        return f"there is no program {shown(hook)} on PATH"
    if not os.path.lexists(program):
        return f"there is no {shown(hook)}"
    return f"{shown(hook)} is no file that this user may run"


def _problem(hook: Hook, told: bytes, surroundings: Surroundings) -> str | None:
    what = f"the hook {shown(hook)} ({hook.event})"
    heard = _Heard(shown(hook), surroundings.progress)
    # Not by Path.is_dir, which raises where a directory above it can't be searched.
    at_home = os.path.isdir(surroundings.directory)  # noqa: PTH112
    try:
        done = process.run(
            hook.command,
            env=_environment(hook.event, surroundings.environ),
            cancel=surroundings.cancel,
            deadlines=[Deadline(hook.timeout, what)],
            cwd=surroundings.directory if at_home else Path("/"),
            stdin=told,
            listener=Listener(on_stdout=heard.line(), on_stderr=heard.line(last=True)),
            within=Within(surroundings.confinement.for_commands),
        )
    except Cancelled as error:
        return f"{what} was not run to its end: {error.message}"
    except LockbotError as error:
        return error.message if error.message.startswith(what) else f"{what}: {error.message}"
    if done.code == 0:
        return None
    ended = f"ended with code {done.code}" if done.code > 0 else f"was killed by signal {-done.code}"
    refused = surroundings.confinement.active and "ermission denied" in heard.last
    return f"{what} {ended}" + (f": {heard.last}" if heard.last else "") + (f" ({_REFUSED})" if refused else "")


class _Heard:
    """What a hook prints: told up to a limit, and the last line of its standard error kept."""

    def __init__(self, program: str, progress: Progress) -> None:
        self._program = program
        self._progress = progress
        self._left = _MOST_LINES
        self.last = ""

    def line(self, *, last: bool = False) -> Callable[[str], None]:
        def hear(text: str) -> None:
            if last and text.strip():
                self.last = log_line(text, _LONGEST_LINE)
            if self._left > 0:
                self._left -= 1
                self._progress(HookSaid(self._program, text))

        return hear


def _environment(event: HookEvent, environ: Mapping[str, str]) -> dict[str, str]:
    kept = {variable: environ[variable] for variable in KEPT if variable in environ}
    return {"PATH": os.defpath, **kept, STARTED_BY_HOOK: event}
