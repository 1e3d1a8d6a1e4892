"""Running other programs: the only subprocess. Own process group, deadlines, cancellation, streamed lines.

It must not know what the programs are. Every child gets its own session, no terminal and /dev/null (or the
bytes given) as standard input; whatever way the run ends, its process group and its descendants end with it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockbot.errors import Cancelled, CommandError, DeadlineExceeded, LockbotError, SurroundingsError

KEPT_BYTES = 8 * 1024 * 1024
"""How much of each stream is kept: the first and the last half of it."""
LINE_BYTES = 64 * 1024
"""Longer lines are cut before they reach a line callback, unless it asks for longer ones."""
GRACE = (2.0, 2.0)
"""Seconds after SIGINT, then after SIGTERM, before SIGKILL. A pure Nix evaluation ignores the first two."""


class Deadline:
    """A moment after which something has taken too long. `restart` sets it anew (for silence)."""

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds = seconds
        self.what = what
        self._end = time.monotonic() + seconds

    def restart(self) -> None:
        self._end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()


class CancelToken:
    """Says to every child, in every thread, that the run is over: a signal, or its overall deadline.

    A token with a `parent` is over when either is: it ends one part of a run and not the rest.
    """

    def __init__(self, deadline: Deadline | None = None, parent: CancelToken | None = None) -> None:
        self.deadline: Deadline | None = deadline or (parent.deadline if parent is not None else None)
        self._parent = parent
        self._reason: str | None = None
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def __enter__(self) -> CancelToken:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def cancel(self, reason: str) -> None:
        """Safe in a signal handler and from any thread; the first reason stays."""
        if self._reason is None:
            self._reason = reason
            with contextlib.suppress(OSError):
                os.write(self._writer, b"x")  # stays readable for everyone: nobody reads it

    @property
    def reason(self) -> str | None:
        return self._reason or (self._parent.reason if self._parent is not None else None)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Become readable when the run is over."""
        return (self._reader, *(self._parent.descriptors if self._parent is not None else ()))

    def check(self) -> None:
        """Raise if the run is over."""
        if self.reason is not None:
            raise Cancelled(f"stopped: {self.reason}")
        if self.deadline is not None and self.deadline.left <= 0:
            raise DeadlineExceeded(
                f"{self.deadline.what} took longer than {duration(self.deadline.seconds)}",
                "raise the deadline in the configuration, or find out what hangs",
            )

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the end of the run."""
        pause = Deadline(seconds, "a pause")
        with selectors.DefaultSelector() as selector:
            for descriptor in self.descriptors:
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                self.check()
                if pause.left <= 0:
                    return
                selector.select(_patience(self, [pause], blind=False))


@dataclass(frozen=True)
class Finished:
    """A program that has ended by itself. Streams are text; bytes that are not UTF-8 are replaced."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def command(self) -> str:
        return shlex.join(self.argv)

    def error(self, message: str, hint: str = "") -> CommandError:
        """An error that carries the command and its last lines."""
        tail = "\n".join((self.stderr.strip() or self.stdout.strip()).splitlines()[-12:])
        return CommandError(message, hint, command=self.command, output=tail, code=self.code)


@dataclass
class _Stream:
    """One output of a child: kept within bounds, handed on line by line."""

    on_line: Callable[[str], None] | None
    line_bytes: int = LINE_BYTES
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    dropped: int = 0
    partial: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        room = KEPT_BYTES // 2 - len(self.head)
        self.head += data[:room] if room > 0 else b""
        self.tail += data[max(room, 0) :]
        if len(self.tail) > KEPT_BYTES:  # not at every byte too many: a cut moves what stays
            self._cut()
        if self.on_line is not None:
            *lines, rest = data.split(b"\n")
            for line in lines:
                self._extend(line)
                self.on_line(self.partial.decode(errors="replace"))
                self.partial.clear()
            self._extend(rest)

    def _extend(self, data: bytes) -> None:
        self.partial += data[: max(self.line_bytes - len(self.partial), 0)]

    def _cut(self) -> None:
        surplus = max(len(self.tail) - KEPT_BYTES // 2, 0)
        self.dropped += surplus
        del self.tail[:surplus]

    def close(self) -> str:
        self._cut()
        if self.on_line is not None and self.partial:
            self.on_line(bytes(self.partial).decode(errors="replace"))
            self.partial = bytearray()
        middle = f"\n[… {self.dropped} bytes left out …]\n".encode() if self.dropped else b""
        return bytes(self.head + middle + self.tail).decode(errors="replace")


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cancel: CancelToken,
    deadlines: Sequence[Deadline] = (),
    cwd: Path | None = None,
    stdin: bytes | None = None,
    on_stdout: Callable[[str], None] | None = None,
    on_stderr: Callable[[str], None] | None = None,
    on_start: Callable[[int], None] | None = None,
    line_bytes: int = LINE_BYTES,
) -> Finished:
    """Run a program to its end; its exit code is the caller's to judge.

    Raises DeadlineExceeded or Cancelled after the whole group has ended, SurroundingsError when it can't start.
    `on_start` receives the process id; the line callbacks run in the calling thread.
    """
    cancel.check()
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd or "/",  # not the caller's, which may be gone: no command of ours means it
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise SurroundingsError(
            f"cannot start {argv[0]}: {error.strerror}", f"is it installed, and on PATH? ({shlex.join(argv)})"
        ) from error
    return supervise(
        process,
        argv,
        cancel=cancel,
        deadlines=deadlines,
        stdin=stdin,
        on_stdout=on_stdout,
        on_stderr=on_stderr,
        on_start=on_start,
        line_bytes=line_bytes,
    )


def supervise(
    process: subprocess.Popen[bytes],
    argv: Sequence[str],
    *,
    cancel: CancelToken,
    deadlines: Sequence[Deadline] = (),
    stdin: bytes | None = None,
    on_stdout: Callable[[str], None] | None = None,
    on_stderr: Callable[[str], None] | None = None,
    on_start: Callable[[int], None] | None = None,
    line_bytes: int = LINE_BYTES,
) -> Finished:
    """See a started child (the leader of its own session) to its end; the rest is as in `run`."""
    begun = time.monotonic()
    streams = {"stdout": _Stream(on_stdout, line_bytes), "stderr": _Stream(on_stderr, line_bytes)}
    try:
        if on_start is not None:
            on_start(process.pid)
        _pump(process, streams, stdin, cancel, deadlines)
        _signal_group(process.pid, signal.SIGKILL)  # the leader is gone; a background job of its goes, too
    except LockbotError:
        end_group(process)
        raise
    except BaseException:  # a bug in a callback, KeyboardInterrupt: the child must not outlive it either
        end_group(process, grace=(0.5, 0.5))
        raise
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
    seconds = time.monotonic() - begun
    texts = {name: stream.close() for name, stream in streams.items()}
    return Finished(tuple(argv), process.returncode, texts["stdout"], texts["stderr"], seconds)


def _pump(
    process: subprocess.Popen[bytes],
    streams: Mapping[str, _Stream],
    stdin: bytes | None,
    cancel: CancelToken,
    deadlines: Sequence[Deadline],
) -> None:
    """Move bytes until the child has ended and its pipes are empty; raise at a deadline or when cancelled."""
    waiting = memoryview(stdin or b"")
    with selectors.DefaultSelector() as selector, _exit_descriptor(process) as exited:
        for descriptor in cancel.descriptors:
            selector.register(descriptor, selectors.EVENT_READ, "cancel")
        for name in streams:
            pipe = getattr(process, name)
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, name)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")
        if exited is not None:
            selector.register(exited, selectors.EVENT_READ, "exit")
        ended: float | None = None
        while True:
            cancel.check()
            for deadline in deadlines:
                if deadline.left <= 0:
                    raise DeadlineExceeded(f"{deadline.what} took longer than {duration(deadline.seconds)}")
            open_pipes = [key for key in selector.get_map().values() if key.data in streams]
            if ended is None and process.poll() is not None:
                ended = time.monotonic()
            # A grandchild may hold the pipes open for ever: half a second after the leader's end is enough.
            if ended is not None and (not open_pipes or time.monotonic() - ended > 0.5):
                return
            blind = all(key.data != "exit" for key in selector.get_map().values())
            for key, _ in selector.select(_patience(cancel, deadlines, blind=blind)):
                if key.data == "exit":
                    selector.unregister(key.fileobj)
                elif key.data == "stdin":
                    assert process.stdin is not None
                    waiting = _write(process.stdin.fileno(), waiting)
                    if not waiting:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif key.data in streams and not _read(key.fd, streams[key.data]):
                    selector.unregister(key.fileobj)


def _patience(cancel: CancelToken, deadlines: Sequence[Deadline], *, blind: bool) -> float | None:
    """How long the selector may sleep: to the next deadline, or briefly where only a look tells of the end."""
    limits = [deadline.left for deadline in deadlines]
    if cancel.deadline is not None:
        limits.append(cancel.deadline.left)
    if blind:
        limits.append(0.05)
    return max(min(limits), 0) if limits else None


@contextlib.contextmanager
def _exit_descriptor(process: subprocess.Popen[bytes]) -> Iterator[int | None]:
    """A descriptor that becomes readable when the child ends; None where the system has none (macOS)."""
    descriptor: int | None = None
    with contextlib.suppress(AttributeError, OSError):
        descriptor = os.pidfd_open(process.pid)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _read(descriptor: int, stream: _Stream) -> bool:
    """False at the end of the stream."""
    try:
        data = os.read(descriptor, 65536)
    except BlockingIOError:
        return True
    if data:
        stream.feed(data)
    return bool(data)


def _write(descriptor: int, data: memoryview) -> memoryview:
    try:
        return data[os.write(descriptor, data[:65536]) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]


def end_group(process: subprocess.Popen[bytes], grace: tuple[float, float] = GRACE) -> None:
    """End a child, its group and what they started: SIGINT, SIGTERM, SIGKILL. Returns when they are gone."""
    family = descendants(process.pid)
    for number, patience in ((signal.SIGINT, grace[0]), (signal.SIGTERM, grace[1])):
        if process.poll() is not None:
            break
        _signal_group(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    family |= descendants(process.pid)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()
    for pid, started in family:
        if process_start(pid) == started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def process_start(pid: int) -> str | None:
    """When a process began, in the kernel's clock ticks: with its id, it names the process for good."""
    fields = _stat(pid)
    return fields[19] if fields else None


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name (which may hold anything); None: no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def descendants(pid: int) -> set[tuple[int, str]]:
    """The children of a process, theirs, and so on, as (process id, start): Nix's builders leave its group."""
    children: dict[int, list[tuple[int, str]]] = {}
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))):
                children.setdefault(int(fields[1]), []).append((int(entry.name), fields[19]))
    found: set[tuple[int, str]] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child[0])
    return found


def resident_bytes(pid: int) -> int:
    """The memory that a process holds now; 0 when it is gone or the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def duration(seconds: float) -> str:
    """`90` → `1 min 30 s`, `3600` → `1 h`."""
    whole = round(seconds)
    if seconds < 10 and seconds != whole:
        return f"{seconds:.1f} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "min"), (left, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def kill(pid: int) -> None:
    """End one process of ours at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
