"""A run's events as records for machines: JSON lines on stderr, and in a file of the run's own, `RUN/run.jsonl`.

Knows events, JSON and files; not who asks. The daemon's own log is made here, too, with structlog, which only it
imports. Records hold what events hold, and nothing of the settings; whatever else is a secret is taken out here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, assert_never

from lockbot import files
from lockbot.errors import LockbotError
from lockbot.model import (
    CommandSaid,
    DerivationStarted,
    DerivationStopped,
    Event,
    HookSaid,
    HostDecided,
    HostEvaluated,
    HostEvaluating,
    Looking,
    Note,
    PhaseStarted,
    Progress,
    Retrying,
    Run,
)
from lockbot.process import process_start
from lockbot.redact import redact, redacted
from lockbot.report import output, words
from lockbot.report.escape import block, plain
from lockbot.retention import EVENT_BYTES

if TYPE_CHECKING:
    from structlog.typing import EventDict, ExcInfo, FilteringBoundLogger

Record = dict[str, Any]
"""`time`, `level`, `event` (a constant phrase) and the event's own keys; `run`, once there is one."""

FILE = "run.jsonl"
STARTED, ENDED, FAILED = "run started", "run ended", "not run"
NOTIFIED, NOTE = "notified", "note"


def record(event: Event) -> Record:
    """An event, without its time. `level` is debug for what comes by the hundred."""
    match event:
        case PhaseStarted(phase, detail, hosts):
            return _record("info", "phase", phase=phase, detail=detail, hosts=hosts)
        case HostEvaluating(host, at):
            return _record("debug", "evaluating", host=host, at=at)
        case HostEvaluated(host, at):
            return _record("debug", "evaluated", host=host, at=at)
        case HostDecided(build):
            why = build.failure
            level = "info" if why is None else "warning"
            told = {"failure": why.kind, "message": why.message, "culprit": why.culprit} if why else {}
            return _record(level, "host decided", host=build.host.name, status=build.status, **told)
        case DerivationStarted(drv, machine):
            return _record("debug", "building", derivation=words.derivation(drv), drv=drv, machine=machine)
        case DerivationStopped(drv):
            return _record("debug", "built", derivation=words.derivation(drv), drv=drv)
        case Looking(what, inputs, probe, about):
            return _record("info", "looking", what=what, inputs=list(inputs), probe=probe, about=about)
        case Retrying(what, why_, seconds):
            return _record("warning", "retrying", what=what, why=why_, seconds=seconds)
        case Note(text):
            return _record("warning", NOTE, text=text)
        case CommandSaid(text):
            return _record("info", "command said", text=text)
        case HookSaid(hook, text):
            return _record("debug", "hook said", hook=hook, text=text)
        case _:
            assert_never(event)


def failure(error: LockbotError) -> Record:
    """Why there was no run; `error` is the exception's name."""
    return _record("error", FAILED, error=type(error).__name__, message=error.message, hint=error.hint)


def notified(sent: int, failed: Sequence[str], next_try: datetime | None) -> Record:
    """What `lockbot notify` did: how many messages it sent, who took some not, and when it is due again."""
    moment = next_try.isoformat() if next_try is not None else None
    return _record("warning" if failed else "info", NOTIFIED, sent=sent, failed=list(failed), next=moment)


def _record(level: str, event: str, **fields: object) -> Record:
    return {"level": level, "event": event} | {
        name: value for name, value in fields.items() if value not in ("", None)
    }


def encode(one: Mapping[str, object]) -> str:
    """One line of JSON, in ASCII: it can do nothing to a terminal. No secret is in it."""
    return json.dumps(redacted(one), default=lambda value: redact(str(value)))


def decode(line: str) -> Record | None:
    """None: no record."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fine = isinstance(found, dict) and isinstance(found.get("event"), str) and isinstance(found.get("level"), str)
    return found if fine else None


def now() -> datetime:
    return datetime.now(UTC)


class JsonLines:
    """A Progress that writes records to a stream. `run` is added once it is known."""

    def __init__(self, stream: TextIO, clock: Callable[[], datetime] = now) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self.run: str | None = None

    def __call__(self, event: Event) -> None:
        with contextlib.suppress(Exception):  # whatever goes wrong in telling must not reach who is at work
            self.write(record(event))

    def write(self, one: Record) -> None:
        """Never raises; a full disk or a broken pipe loses the line."""
        whole = {"time": self._clock().isoformat(timespec="milliseconds"), **one}
        if self.run is not None:
            whole["run"] = self.run
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(encode(whole) + "\n")
            self._stream.flush()


@dataclass(frozen=True)
class Kept:
    """A Progress that goes on to another, and into the run's file."""

    onward: Progress
    file: JsonLines | None

    def __call__(self, event: Event) -> None:
        self.onward(event)
        if self.file is not None:
            self.file(event)

    def write(self, one: Record) -> None:
        for log in (self.onward, self.file):
            if isinstance(log, JsonLines):
                log.write(one)

    def ended(self, run: Run) -> Run:
        told = {
            "outcome": run.outcome,
            "commit": run.commit,
            "error": run.error,
            "held": [h.input for h in run.held],
        }
        failed = [build.host.name for build in run.hosts if build.failure is not None]
        asked = [
            {"step": one.step, "number": one.number, "url": one.url, "inputs": list(one.inputs)}
            for one in run.requests
        ]
        self.write(_record("info", ENDED, **told, failed=failed, pull_requests=asked, repository=run.repository))
        return run


@contextlib.contextmanager
def kept(onward: Progress, logs: Path, run: Run) -> Iterator[Kept]:
    """Keep the run's events in LOGS/RUN/run.jsonl, for `lockbot logs`. On a full disk it goes on without."""
    with contextlib.ExitStack() as stack:
        file: JsonLines | None = None
        with contextlib.suppress(OSError):
            files.directory(logs / run.id)
            files.check_file(logs / run.id / FILE)
            descriptor = os.open(
                logs / run.id / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            stream = stack.enter_context(_Bounded(os.fdopen(descriptor, "w", encoding="ascii")))
            file = JsonLines(stream)  # type: ignore[arg-type]  # what it uses of a TextIO is there
            file.run = run.id
        if isinstance(onward, JsonLines):
            onward.run = run.id
        log = Kept(onward, file)
        start = process_start(os.getpid())
        log.write(_record("info", STARTED, repository=run.repository, pid=os.getpid(), start=start))
        try:
            yield log
        except LockbotError as error:
            log.write(_record("error", ENDED, outcome="failed", error=error.message))
            raise


class _Bounded:
    """A text file that takes no more than EVENT_BYTES, but for the record of the run's end."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._room = EVENT_BYTES

    def __enter__(self) -> _Bounded:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def write(self, text: str) -> int:
        self._room -= len(text)
        return self._file.write(text) if self._room >= 0 or f'"{ENDED}"' in text else 0

    def flush(self) -> None:
        self._file.flush()


def told(one: Record) -> str:
    """A record as a line for people."""
    rest = {name: value for name, value in one.items() if name not in _NOT_TOLD}
    fields = " ".join(
        f"{plain(name)}={plain(str(value))}" for name, value in rest.items() if value not in ("", [], 0)
    )
    return f"{plain(str(one.get('time', '')))[:19]} {plain(one['event'])} {fields}".rstrip()


_NOT_TOLD = frozenset({"time", "level", "event", "run", "drv", "start"})


def is_alive(started: Record) -> bool:
    """Whether the process of a run that began so still lives. `start` tells it from another with its number, which
    after a boot there soon is; a record without is of an older lockbot."""
    pid, start = started.get("pid"), started.get("start")
    now = process_start(pid) if isinstance(pid, int) else None
    return now is not None and start in (None, now)


# -- the daemon's own log


def configure(stream: TextIO, environ: Mapping[str, str], *, verbose: bool = False) -> FilteringBoundLogger:
    """structlog: for people on a terminal, else JSON lines, to the journal with their priority.

    Tracebacks are without local variables, which may hold secrets.
    """
    import logging

    import structlog
    from structlog.tracebacks import ExceptionDictTransformer

    processors: list[Any] = [structlog.processors.add_log_level]
    if stream.isatty():
        processors += [
            structlog.processors.TimeStamper("%H:%M:%S", utc=False),
            _harmless,
            structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in environ, exception_formatter=_traceback),
            _without_secrets,
        ]
    else:
        processors += [
            structlog.processors.TimeStamper("iso", utc=True, key="time"),
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            _for_the_journal if _is_journal(stream, environ) else _line,
        ]
    structlog.configure(
        processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(output.trusted(stream)),
    )
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def _harmless(logger: object, method: str, event: EventDict) -> EventDict:  # noqa: ARG001 -- structlog's shape
    return {name: plain(value) if isinstance(value, str) else value for name, value in event.items()}


def _traceback(sink: TextIO, raised: ExcInfo) -> None:
    """What an exception says may be a stranger's words."""
    import structlog

    text = io.StringIO()
    structlog.dev.plain_traceback(text, raised)
    sink.write(block(text.getvalue()))


def _without_secrets(logger: object, method: str, event: str) -> str:  # noqa: ARG001 -- structlog's shape
    """Of what was rendered: tracebacks and lists are in it, too."""
    return redact(event)


def _line(logger: object, method: str, event: EventDict) -> str:  # noqa: ARG001 -- structlog's shape
    return encode(event)


_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def _for_the_journal(logger: object, method: str, event: EventDict) -> str:
    """sd-daemon(3): the number in front is the priority, and is taken away."""
    return f"<{_PRIORITIES.get(str(event.get('level')), 6)}>{_line(logger, method, event)}"


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    with contextlib.suppress(OSError, ValueError):
        found = os.fstat(stream.fileno())
        return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
    return False


def stderr() -> JsonLines:
    return JsonLines(output.trusted(sys.stderr))
