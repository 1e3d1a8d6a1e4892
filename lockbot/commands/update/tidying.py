"""After a run: what has grown too old, or too much, goes (`lockbot.retention`).

What belongs to one flake or one input is used by its runs alone. Of one that is gone no run comes any more, so
others remove it: by when it was used last.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from lockbot import files
from lockbot.app import App
from lockbot.errors import Cancelled, LockbotError
from lockbot.git.inputs import cache
from lockbot.model import Run
from lockbot.state import ROOTS, UPSTREAMS, digest
from lockbot.update.context import RunContext

_OF_A_FLAKE = re.compile(r"(answers|bisected)-[0-9a-f]{8}\.json|postmarks-[0-9a-f]{8}")

_SURELY_OVER = timedelta(days=1)
"""Nobody takes so long to write a file; and a clock may be wrong by hours."""


def tidy(app: App, context: RunContext, run: Run) -> None:
    """The run is over and recorded: a problem here does not change what became of it."""
    keep_days = app.settings.state.keep_days
    with contextlib.suppress(OSError):
        files.remove(context.directory / "answers.json")  # an older lockbot's, of the whole repository
    for directory in (app.settings.state.directory, context.directory):
        files.remove_unfinished(directory, (app.clock() - _SURELY_OVER).timestamp())
    before = (app.clock() - timedelta(days=keep_days)).timestamp()
    cache.remove_unused(context.directory / UPSTREAMS, before)
    try:
        for earlier in context.history.runs(limit=1, before=run.id):
            # A clock that is far ahead for one run takes no flake for gone: the run before it knows better.
            last = min(app.clock(), earlier.started) - timedelta(days=keep_days)
            _forget_flakes(context.directory, run.flake, last.timestamp())
        context.history.prune(keep_days, app.clock())
        context.history.ledger(run.flake).prune(keep_days)
        context.history.forget_baselines(
            run.flake, {name for name in (run.base, run.commit, run.candidate) if name}
        )
        with context.clone.blaming_damage():  # all of it is read here, and seldom before
            context.clone.maintain()
    except LockbotError as error:
        if not isinstance(error, Cancelled):
            context.history.save(replace(run, notes=(*run.notes, f"tidying up failed: {error.message}")))


def _forget_flakes(directory: Path, flake: str, before: float) -> None:
    """What other flakes of the repository had, of which there was no run since: their results are no longer safe
    from garbage collection. What can't be removed stays for the next time."""
    own = digest(flake)
    with contextlib.suppress(OSError):
        os.utime(directory / ROOTS / own)
    for path in _entries(directory):
        if _OF_A_FLAKE.fullmatch(path.name) and own not in path.name:
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < before:
                    files.remove(path)
    for path in _entries(directory / ROOTS):
        if re.fullmatch(r"[0-9a-f]{8}", path.name) and path.name != own:
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < before:
                    files.remove_tree(path)


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []
