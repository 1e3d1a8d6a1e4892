"""What commands have in common: the options before the command, the App to work with, progress on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockbot import oserrors, surroundings
from lockbot.errors import LockbotError
from lockbot.report import output

if TYPE_CHECKING:
    from lockbot.app import App
    from lockbot.model import Progress


@dataclass(frozen=True)
class Flags:
    """The options that stand before the command."""

    config: Path | None
    verbose: bool
    quiet: bool
    json_lines: bool = False


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there.")


@contextlib.contextmanager
def unloaded(flags: Flags, *, ignore_file: bool = False, timed: bool = False) -> Iterator[Callable[[], App]]:
    """A way to load the configuration and open the App, with signals and progress in place.

    `timed`: the whole command must end within `[run] deadline`.
    """
    from lockbot.app import App, cancelled_by_signals, find_config
    from lockbot.config import load
    from lockbot.model import Note
    from lockbot.process import Deadline

    with shown_progress(flags) as progress, oserrors.explaining(), cancelled_by_signals() as cancel:

        def opened() -> App:
            config = None if ignore_file else find_config(flags.config)
            settings = load(config, os.environ)
            if timed:
                cancel.deadline = Deadline(settings.run.deadline, "the run")
            environ, note = surroundings.with_temporary_directory(os.environ)
            if note:
                progress(Note(note))
            environ = surroundings.with_home(environ, settings.state.directory)
            return App(settings, environ, cancel, progress, config=config)

        yield opened


@contextlib.contextmanager
def opened_app(flags: Flags, *, ignore_file: bool = False, timed: bool = False) -> Iterator[App]:
    with unloaded(flags, ignore_file=ignore_file, timed=timed) as load:
        yield load()


@contextlib.contextmanager
def afterwards(flags: Flags, app: App) -> Iterator[App]:
    """The App for what follows a run that was made with `app`: signals and progress in place again, no deadline.

    What was told to stop during the run is so here, too.
    """
    from lockbot.app import cancelled_by_signals
    from lockbot.report.events import JsonLines

    with shown_progress(flags) as progress, oserrors.explaining(), cancelled_by_signals() as cancel:
        if (reason := app.cancel.reason) is not None:
            cancel.cancel(reason)
        if isinstance(progress, JsonLines) and isinstance(app.progress, JsonLines):
            progress.run = app.progress.run
        yield replace(app, cancel=cancel, progress=progress)


@contextlib.contextmanager
def shown_progress(flags: Flags) -> Iterator[Progress]:
    """Live on a terminal, plain lines elsewhere, nothing when quiet."""
    from lockbot.model import silent
    from lockbot.report.progress import LiveProgress, PlainProgress

    if flags.json_lines:
        with _errors_as_json() as lines:
            yield lines
    elif flags.quiet:
        yield silent
    elif sys.stderr.isatty() and not flags.verbose and os.environ.get("TERM") != "dumb":
        from rich.console import Console

        with LiveProgress(Console(file=output.trusted(sys.stderr)), time.monotonic) as live:
            yield live
    else:
        plain = PlainProgress(sys.stderr, time.monotonic)
        yield plain if flags.verbose else _essential(plain)


@contextlib.contextmanager
def _errors_as_json() -> Iterator[Progress]:
    """Whoever reads JSON lines wants the error as one, too."""
    from lockbot.report import events as logs

    lines = logs.stderr()
    try:
        yield lines
    except LockbotError as error:
        lines.write(logs.failure(error))
        raise click.exceptions.Exit(error.exit_code) from None


def leave(code: int, *, unfinished: bool) -> int:
    """The exit code. `unfinished`: something hangs in a thread, for which Python would wait at its end."""
    if unfinished:
        os._exit(code)
    return code


def _essential(progress: Progress) -> Progress:
    """What a log wants to hold of a run: not every evaluation and derivation."""
    from lockbot.model import DerivationStarted, DerivationStopped, HookSaid, HostEvaluated, HostEvaluating

    left_out = (DerivationStarted, DerivationStopped, HookSaid, HostEvaluating, HostEvaluated)

    def some(event: object) -> None:
        if not isinstance(event, left_out):
            progress(event)  # type: ignore[arg-type]  # what is left of Event

    return some
