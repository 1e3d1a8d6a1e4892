"""A run as it happens: lines for logs and pipes, a live picture on a terminal.

Both are `model.Progress`: called from several threads, quick, and they never raise; a broken pipe or a bug in
drawing must not end an update. They know events, nothing of how these come about.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO, assert_never

from lockbot.model import (
    CommandSaid,
    DerivationStarted,
    DerivationStopped,
    Event,
    HookSaid,
    HostBuild,
    HostDecided,
    HostEvaluated,
    HostEvaluating,
    HostStatus,
    Looking,
    Note,
    Phase,
    PhaseStarted,
    Retrying,
)
from lockbot.process import duration
from lockbot.report import styled_lines, words
from lockbot.report.escape import name, plain, shortened
from lockbot.report.styled_lines import Line, Style, line
from lockbot.report.table import apart
from lockbot.report.terminal import STATUS_STYLE

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

Clock = Callable[[], float]
"""Seconds that never run backwards, such as `time.monotonic`."""

REFRESHES = 4
"""How often a second the live picture is drawn."""
_ROWS = 8

_DOING = {
    Phase.SYNC: "fetching the branch",
    Phase.PROPOSE: "updating the inputs",
    Phase.JUDGE: "judging the hosts",
    Phase.PUBLISH: "publishing",
    Phase.RECORD: "recording the run",
}


class PlainProgress:
    """One line per event, stamped with minutes and seconds since the start."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        # Whatever goes wrong in telling must not reach who is at work.
        with self._lock, contextlib.suppress(Exception):
            minutes, seconds = divmod(int(self._clock() - self._start), 60)
            styled_lines.write([line(f"{minutes:02}:{seconds:02} ", *tell(event))], self._stream)
            self._stream.flush()


def tell(event: Event) -> tuple[str | tuple[str, Style], ...]:
    """An event in constant words, for `line`."""
    match event:
        case PhaseStarted(phase, detail):
            return (_DOING[phase] + (f": {detail}" if detail else ""),)
        case HostEvaluating(host, at):
            return (f"evaluating {name(host)}{_at(at)}",)
        case HostEvaluated(host, at):
            return (f"evaluated {name(host)}{_at(at)}",)
        case HostDecided(build):
            return _decided(build)
        case DerivationStarted(drv, machine):
            return (f"building {words.derivation(drv)}" + (f" on {machine}" if machine else ""),)
        case DerivationStopped(drv):
            return (f"finished {words.derivation(drv)}",)
        case Looking(what, inputs, probe, about):
            shown = ", ".join(name(one) for one in inputs[:3]) + (
                f" and {len(inputs) - 3} more" if inputs[3:] else ""
            )
            return (f"looking for {plain(what)}: question {probe} of about {about}, among {shown}",)
        case Retrying(what, why, seconds):
            return ((f"retrying {what} in {duration(seconds)}: {why}", Style.WARN),)
        case Note(text):
            return ((f"note: {text}", Style.WARN),)
        case CommandSaid(text):
            return (f"  {text}",)
        case HookSaid(hook, text):
            return (f"{hook}: {text}",)
        case _:
            assert_never(event)


def _decided(build: HostBuild) -> tuple[str | tuple[str, Style], ...]:
    why = build.failure
    reason = "" if why is None else f": {words.failure(why.kind)}"
    if why and why.culprit:
        reason += f" ({words.derivation(why.culprit)})"
    return f"{name(build.host.name)}: ", (words.status(build.status), STATUS_STYLE[build.status]), reason


def _at(commit: str) -> str:
    return "" if commit == "candidate" else f" at the {commit}"


class LiveProgress:
    """A picture of what is going on now, on a terminal; a context manager.

    What is worth keeping (hosts that failed, notes, retries) is printed above it and stays; the picture itself
    is gone when the block ends.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self._state = Watched(clock)
        self._lock = threading.Lock()
        self._live = _live(console, self._picture)

    def __enter__(self) -> Self:
        with contextlib.suppress(Exception):
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._live.stop()

    def __call__(self, event: Event) -> None:
        with contextlib.suppress(Exception):
            with self._lock:
                self._state.observe(event)
            if _worth_keeping(event):
                self._live.console.print(styled_lines.styled(line(*tell(event))), soft_wrap=True)

    def _picture(self) -> RenderableType:
        # Drawn by rich's own thread, where an exception would spill over the screen.
        with contextlib.suppress(Exception):
            from rich.console import Group

            with self._lock:
                shown = self._state.picture(self._live.console.width)
            return Group(*map(styled_lines.styled, shown))
        return ""


def _live(console: Console, picture: Callable[[], RenderableType]) -> Live:
    """rich's Live, made unable to end the program that it tells about."""
    from rich.live import Live

    class Harmless(Live):
        def refresh(self) -> None:
            with contextlib.suppress(Exception):
                super().refresh()

    def on_broken_pipe() -> None:
        console.quiet = True

    # rich's own turns standard output into /dev/null and raises SystemExit.
    console.on_broken_pipe = on_broken_pipe  # type: ignore[method-assign]  # the console is the caller's
    return Harmless(
        console=console,
        get_renderable=picture,
        refresh_per_second=REFRESHES,
        transient=True,
        redirect_stdout=False,  # standard output carries the result, and nothing else
        redirect_stderr=False,  # what else is said there goes its own way, on which it is made harmless
        vertical_overflow="crop",
    )


def _worth_keeping(event: Event) -> bool:
    match event:
        case HostDecided(build):
            return build.failure is not None
        case Note() | Retrying() | Looking() | CommandSaid():
            return True
        case _:
            return False


class Watched:
    """What is known to be going on, from the events so far. Not thread-safe: who owns it locks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phase: PhaseStarted | None = None
        self._phase_since = clock()
        self._evaluating: dict[tuple[str, str], float] = {}
        self._building: dict[str, tuple[str, float]] = {}
        self._known: set[str] = set()
        self._decided: dict[str, HostStatus] = {}
        self._built = 0

    def observe(self, event: Event) -> None:
        now = self._clock()
        match event:
            case PhaseStarted():
                self._phase, self._phase_since = event, now
                self._evaluating.clear()
                self._building.clear()
                if event.phase is Phase.JUDGE:
                    self._known.clear()
                    self._decided.clear()
            case HostEvaluating(host, at):
                self._known.add(host)
                self._evaluating[host, at] = now
            case HostEvaluated(host, at):
                self._evaluating.pop((host, at), None)
            case HostDecided(build):
                self._known.add(build.host.name)
                self._decided[build.host.name] = build.status
                for key in [key for key in self._evaluating if key[0] == build.host.name]:
                    del self._evaluating[key]
            case DerivationStarted(drv, machine):
                self._building[drv] = machine, now
            case DerivationStopped(drv):
                self._built += self._building.pop(drv, None) is not None
            case Retrying() | Note() | Looking() | CommandSaid() | HookSaid():
                pass
            case _:
                assert_never(event)

    def picture(self, width: int) -> list[Line]:
        """The lines to show now, the lists among them at most about `width` columns wide."""
        return [
            *self._title(),
            *self._counts(),
            *self._evaluations(width),
            *self._builds(width),
            *self._waiting(width),
        ]

    def _title(self) -> list[Line]:
        if self._phase is None:
            return []
        (said,) = tell(self._phase)
        return [line((str(said), Style.TITLE), (f"  {self._since(self._phase_since)}", Style.QUIET))]

    def _counts(self) -> list[Line]:
        if not self._known:
            return []
        total = max(self._phase.hosts if self._phase else 0, len(self._known))
        parts = [f"{len(self._decided)} of {words.count(total, 'host')} decided"]
        decided = list(self._decided.values())
        parts += [f"{decided.count(status)} {_COUNTED[status]}" for status in HostStatus if status in decided]
        if self._built:
            parts.append(f"{words.count(self._built, 'derivation')} finished")
        return [line("  " + ", ".join(parts))]

    def _evaluations(self, width: int) -> list[Line]:
        rows = [(f"evaluating {name(host)}{_at(at)}", since) for (host, at), since in self._evaluating.items()]
        return self._rows(rows, width)

    def _builds(self, width: int) -> list[Line]:
        rows = [
            (f"building {words.derivation(drv)}" + (f" on {machine}" if machine else ""), since)
            for drv, (machine, since) in self._building.items()
        ]
        return self._rows(rows, width)

    def _waiting(self, width: int) -> list[Line]:
        """Hosts that are evaluated and not decided: their derivations, or the base's, are still at work."""
        busy = {host for host, _ in self._evaluating}
        waiting = sorted(self._known - self._decided.keys() - busy)
        if not waiting:
            return []
        return [line((shortened("  waiting for builds: " + ", ".join(map(name, waiting)), width), Style.QUIET))]

    def _rows(self, rows: list[tuple[str, float]], width: int) -> list[Line]:
        """The longest at work first: they are what one waits for."""
        oldest = sorted(rows, key=lambda row: row[1])[:_ROWS]
        told = apart([plain(said) for said, _ in oldest], max(width - 16, 20))
        shown = [
            line(f"  {said}", (f"  {self._since(since)}", Style.QUIET))
            for said, (_, since) in zip(told, oldest, strict=True)
        ]
        if len(rows) > _ROWS:
            shown.append(line((f"  … and {len(rows) - _ROWS} more", Style.QUIET)))
        return shown

    def _since(self, moment: float) -> str:
        return duration(int(self._clock() - moment))


_COUNTED = {
    HostStatus.BUILT: "built",
    HostStatus.UNCHANGED: "unchanged",
    HostStatus.EVALUATED: "evaluated only",
    HostStatus.FAILED: "failed",
    HostStatus.BROKEN_BEFORE: "broken before",
    HostStatus.NEW_AND_BROKEN: "new, and broken",
    HostStatus.NOT_BUILDABLE_HERE: "not buildable here",
    HostStatus.UNJUDGED: "not judged",
}
