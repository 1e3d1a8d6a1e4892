"""`lockbot notify` as a child of a run's own, for at most 20 seconds: where no daemon does it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lockbot.app import App
from lockbot.daemon import memory
from lockbot.daemon.children import program
from lockbot.errors import LockbotError
from lockbot.process import CancelToken, Deadline
from lockbot.process import run as run_program
from lockbot.surroundings import here

LONGEST = 20.0


def send_what_is_due(app: App, config: Path | None) -> None:
    """What can't be sent by then is tried again by the next run, or by whoever calls `lockbot notify`: nothing of
    that is an error here."""
    with contextlib.suppress(LockbotError, OSError):
        if is_due(app) and not _child_of_the_daemon(app):
            named = ["--config", str(config)] if config is not None else []
            with CancelToken(parent=app.cancel) as cancel:
                run_program(
                    [*program(), *named, "--quiet", "notify"],
                    env=os.environ,
                    cancel=cancel,
                    deadlines=[Deadline(LONGEST, "telling")],
                    cwd=here(),
                )


def is_due(app: App) -> bool:
    """Whether a message is to be sent now, or nobody knows what became of one."""
    if not app.settings.notify:
        return False
    place = app.place()
    with app.history(place) as past:
        outbox = past.notices(place.flake)
        return outbox.unsettled() or any(letter.is_due(app.clock()) for letter in outbox.waiting())


def _child_of_the_daemon(app: App) -> bool:
    """It sends as soon as this run is over."""
    service = memory.read_service(app.settings.state.directory)
    return service is not None and service.pid == os.getppid()
