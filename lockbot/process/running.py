"""One child from its start to its end: started, its bytes moved, ended at a deadline or when the run is over."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockbot.errors import DeadlineExceeded, LockbotError, SurroundingsError
from lockbot.process import watcher
from lockbot.process.deadline import CancelToken, Deadline, duration, patience
from lockbot.process.ending import end_group, signal_group
from lockbot.process.landlock import Ruleset, confined
from lockbot.process.output import NOBODY, Finished, Listener, Stream


@dataclass(frozen=True)
class Within:
    """What a child gets to have beside its environment: files, and descriptors by their numbers."""

    ruleset: Ruleset | None = None
    """It may use no other files; None: any."""
    descriptors: tuple[int, ...] = ()


ANYWHERE = Within()


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cancel: CancelToken,
    deadlines: Sequence[Deadline] = (),
    cwd: Path | None = None,
    stdin: bytes | None = None,
    listener: Listener = NOBODY,
    within: Within = ANYWHERE,
) -> Finished:
    """Run a program to its end; its exit code is the caller's to judge.

    Raises
    DeadlineExceeded or Cancelled after the whole group has ended, SurroundingsError when it can't start.
    """
    cancel.check()
    try:
        process = begin(
            lambda marked: subprocess.Popen(
                list(argv),
                env={**env, **marked},
                cwd=cwd or "/",  # not the caller's, which may be gone: no command of ours means it
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=within.descriptors,
            ),
            within.ruleset,
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
        listener=listener,
    )


def begin(
    start: Callable[[Mapping[str, str]], subprocess.Popen[bytes]], ruleset: Ruleset | None = None
) -> subprocess.Popen[bytes]:
    """Have a child started that uses no files but the ruleset's, and that ends when this process is killed.

    `start` gets the variables that mark it. Raises what it raises, and OSError where the kernel refuses.
    """
    marked = {watcher.VARIABLE: watcher.name()}
    return start(marked) if ruleset is None else confined(ruleset, lambda: start(marked))


def supervise(
    process: subprocess.Popen[bytes],
    argv: Sequence[str],
    *,
    cancel: CancelToken,
    deadlines: Sequence[Deadline] = (),
    stdin: bytes | None = None,
    listener: Listener = NOBODY,
) -> Finished:
    """See a started child (the leader of its own session) to its end; the rest is as in `run`."""
    begun = time.monotonic()
    heard = {"stdout": listener.on_stdout, "stderr": listener.on_stderr}
    streams = {name: Stream(on_line, listener.line_bytes) for name, on_line in heard.items()}
    try:
        if listener.on_start is not None:
            listener.on_start(process.pid)
        _pump(process, streams, stdin, cancel, deadlines)
        signal_group(process.pid, signal.SIGKILL)  # the leader is gone; a background job of its goes, too
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
    streams: Mapping[str, Stream],
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
            for key, _ in selector.select(patience(cancel, deadlines, blind=blind)):
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


def _read(descriptor: int, stream: Stream) -> bool:
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
