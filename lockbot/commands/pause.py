"""`lockbot pause` and `resume`: the daemon begins no run meanwhile."""

from __future__ import annotations

from lockbot.app import App
from lockbot.daemon import memory
from lockbot.errors import SurroundingsError, UsageError
from lockbot.report.styled_lines import Line, line


def pause(app: App, why: str) -> tuple[Line, ...]:
    """Let the daemon begin no run. Raises UsageError without a reason."""
    if not why.strip():
        raise UsageError("say why it is paused: --why TEXT", "`lockbot status` shows it to whoever wonders later")
    state = app.state().root
    try:
        memory.pause(state, why.strip(), app.clock())
    except OSError as error:
        raise SurroundingsError(f"the pause can't be written to {state}: {error.strerror}") from error
    return (line("paused: the daemon begins no run until `lockbot resume`; what runs goes on"),)


def resume(app: App) -> tuple[Line, ...]:
    try:
        was = memory.resume(app.state().root)
    except OSError as error:
        raise SurroundingsError(f"the pause can't be ended: {error.strerror}") from error
    return (line("resumed: what was due meanwhile is begun within half a minute" if was else "it was not paused"),)
