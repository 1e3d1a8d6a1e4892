"""lockbot as a child process that is forked from a Python in which it is already imported.

Importing it takes longer than many a test's update, and the tests start it thousands of times. A child made here
has its own environment, directory, descriptors and exit code, as if it were started by `python -m lockbot`; only
what Python decides before lockbot's first line is not its own. So whoever sets one of LOADED_BY, or asks for
LOCKBOT_TEST_EVERYTHING=1, gets a fresh Python. How lockbot starts, lives as a service and looks from outside is
tested with fresh ones anyhow (cli/, daemon/, systemd/, end_to_end/).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from tests.nixes import PROJECT
from tests.sampling import EVERYTHING

LOADED_BY = ("LC_ALL", "LC_CTYPE", "TZ")
"""Variables that Python reads as it starts (beside every PYTHON…): whoever has one gets a fresh Python."""
_LANG = "C.UTF-8"
_PRELOADED = ("lockbot.cli", "lockbot.app", "lockbot.commands.update", "tests.fleet")
_ROOM = 2**20
"""Bytes of one request: an environment and an argv."""


# -- for tests ------------------------------------------------------------------------------------------------


def start(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | os.PathLike[str] | None = None
) -> subprocess.Popen[str]:
    """`python -m MODULE …` with nothing on stdin, and pipes for what it says."""
    own = {"PYTHONPATH": str(PROJECT)} | dict(env)
    if list(argv[:2]) == [sys.executable, "-m"] and _may_be_forked(own):
        return _Forked(list(argv[2:]), own, cwd)
    return subprocess.Popen(
        argv,
        env=own,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """The same, to its end; killed when it takes longer than `timeout` (seconds)."""
    process = start(argv, env, cwd)
    stdout, stderr = ended(process, timeout)
    return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)


def ended(process: subprocess.Popen[str], timeout: float) -> tuple[str, str]:
    """What a process has said by its end; killed when that takes longer than `timeout` (seconds)."""
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def server() -> int | None:
    """The number of the process that forks: it lives as long as this one, and no test has left it behind."""
    return _server.process.pid if _server is not None else None


def _may_be_forked(env: Mapping[str, str]) -> bool:
    python = {name for name in env if name.startswith("PYTHON")} - {"PYTHONPATH"}
    return (
        sys.platform == "linux"
        and not EVERYTHING
        and env.get("LANG") == _LANG
        and env["PYTHONPATH"] == str(PROJECT)
        and env.get("LD_PRELOAD") in (None, os.environ.get("LD_PRELOAD"))
        and not python
        and not env.keys() & set(LOADED_BY)
    )


class _Forked(subprocess.Popen[str]):
    """What `Popen` has of a child that is another's: its end is told through a pipe."""

    def __init__(
        self, words: list[str], env: Mapping[str, str], cwd: str | os.PathLike[str] | None
    ) -> None:  # not Popen's: nothing is executed here
        self._child_created = False  # nothing for Popen's own __del__ to wait for
        self.args = [sys.executable, "-m", *words]
        self.returncode = None
        self.stdin = None
        self._readers: list[_Reader] = []
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        self._end, their_end = os.pipe()
        request = {"words": words, "env": dict(env), "cwd": str(cwd or Path.cwd())}
        try:
            self.pid = _the_server().fork(request, [their_out, their_err, their_end])
        finally:
            for descriptor in (their_out, their_err, their_end):
                os.close(descriptor)
        self.stdout, self.stderr = os.fdopen(out, encoding="utf-8"), os.fdopen(err, encoding="utf-8")

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._end)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._end, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(os.read(self._end, 16) or b"-9")
        return self.returncode

    def communicate(  # type: ignore[override]  # str only
        self,
        input: None = None,  # noqa: ARG002  # as Popen has it
        timeout: float | None = None,
    ) -> tuple[str, str]:
        end = None if timeout is None else time.monotonic() + timeout
        self._readers = self._readers or [_Reader(cast(TextIO, one)) for one in (self.stdout, self.stderr)]
        for reader in self._readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        out, err = (reader.text for reader in self._readers)
        return out, err

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


class _Reader(threading.Thread):
    """Reads a stream to its end, and closes it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._data = b""
        self.start()

    def run(self) -> None:
        with self._stream:
            self._data = self._stream.buffer.read()

    @property
    def text(self) -> str:
        return self._data.decode()


class _Server:
    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_at_a_time = threading.Lock()
        with theirs:
            environment = {"PATH": os.environ["PATH"], "LANG": _LANG, "PYTHONPATH": str(PROJECT)}
            environment |= {name: os.environ[name] for name in ("LD_PRELOAD",) if name in os.environ}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._close)

    def _close(self) -> None:
        """It ends when nobody can ask it any more."""
        self._socket.close()
        self.process.wait()

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        with self._one_at_a_time:
            socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
            answer = self._socket.recv(64)
        assert answer, "the process that forks has ended"
        return int(answer)


_server: _Server | None = None
_starting = threading.Lock()


def _the_server() -> _Server:
    global _server  # one for each worker, when it is first asked for
    with _starting:
        if _server is None:
            _server = _Server()
        return _server


# -- the process that forks -----------------------------------------------------------------------------------


def _serve(descriptor: int) -> list[str]:
    """Fork whom we are asked to, and tell how each ended, until nobody can ask any more. Returns in each child,
    with the module and the words that it shall run."""
    asked = socket.socket(fileno=descriptor)
    ends: dict[int, tuple[int, int]] = {}  # the child's pidfd: its number, and the pipe to tell its end to
    while True:
        for ready in select.select([descriptor, *ends], [], [])[0]:
            if ready != descriptor:
                pid, pipe = ends.pop(ready)
                _tell(pipe, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(ready)
                continue
            text, descriptors, _, _ = socket.recv_fds(asked, _ROOM, 3)
            if not text:
                os._exit(0)
            out, err, end = descriptors
            pid = os.fork()
            if pid == 0:
                asked.close()
                for one in (end, *ends, *(pipe for _, pipe in ends.values())):
                    os.close(one)
                request = json.loads(text)
                _become(request, out, err)
                words: list[str] = request["words"]
                return words
            os.close(out)
            os.close(err)
            ends[os.pidfd_open(pid)] = pid, end
            asked.send(str(pid).encode())


def _tell(pipe: int, code: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(pipe, str(code).encode())
    os.close(pipe)


def _become(request: Mapping[str, Any], out: int, err: int) -> None:
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    for theirs, number in ((out, 1), (err, 2)):
        os.dup2(theirs, number)
        os.close(theirs)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr)  # type: ignore[union-attr]
    sys.argv = ["-m", *request["words"][1:]]
    sys.orig_argv[1:] = ["-m", *request["words"]]
    sys.path[0] = request["cwd"]
    sys.modules.pop("__main__", None)


def _main() -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    words = _serve(int(sys.argv[1]))
    code = 0
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:  # noqa: BLE001 -- as Python ends, and without what it would take apart before
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    os._exit(code)


if __name__ == "__main__":
    _main()
