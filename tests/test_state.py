"""The state directory, the run lock (with real processes) and the disk's floor."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from lockbot import state
from lockbot.errors import BusyError, Cancelled, LockbotError, SurroundingsError, UsageError
from lockbot.model import Event, Note
from lockbot.process import CancelToken, Deadline, process_start
from lockbot.state import ERRAND, RunLock, StateDirectory

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOMEBODY = 12345


def clock() -> datetime:
    return NOON


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- the directory


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        made = StateDirectory(tmp_path / "deep" / "state")
        place = made.repository_directory("/srv/flake")
    finally:
        os.umask(old)
    assert made.root == tmp_path / "deep" / "state"
    assert made.history == made.root / "history.sqlite"
    assert {mode(path) for path in (made.root, *made.root.rglob("*"))} == {0o700}
    assert sorted(path.name for path in place.iterdir()) == [state.ROOTS, state.WORKTREES]
    assert StateDirectory(made.root).repository_directory("/srv/flake") == place  # and once more


@pytest.mark.parametrize(
    ("identity", "readable"),
    [
        ("/home/me/My Flake", "my-flake"),
        ("https://user:secret@example.org/me/config.git", "config-git"),
        ("/srv/flake/", "flake"),
        ("git@host:../../up", "up"),
        ("/", "repository"),
        ("/srv/..", "repository"),
        ("/srv/\udcff\n\0", "repository"),
        ("/srv/" + "x" * 300, "x" * 40),
    ],
)
def test_a_repositorys_name_is_readable_and_harmless(tmp_path: Path, identity: str, readable: str) -> None:
    place = StateDirectory(tmp_path / "state").repository_directory(identity)
    assert place.parent == tmp_path / "state" / "repos"
    name, _, digest = place.name.rpartition("-")
    assert name == readable
    assert len(digest) == 8


def test_repositories_of_one_name_have_places_of_their_own(tmp_path: Path) -> None:
    made = StateDirectory(tmp_path / "state")
    assert made.repository_directory("/a/flake") != made.repository_directory("/b/flake")


def test_a_link_to_the_place_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert StateDirectory(tmp_path / "link").root == tmp_path / "real"


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for place in (tmp_path / "a", tmp_path / "a" / "state"):
        with pytest.raises(LockbotError, match="loop of symbolic links") as caught:
            StateDirectory(place)
        assert "[state] directory" in caught.value.hint


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    for place in (tmp_path / "state", tmp_path / "state" / "deeper"):
        with pytest.raises(LockbotError, match="can't be used") as caught:
            StateDirectory(place)
        assert "[state] directory" in caught.value.hint


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root may mount")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine's root may not mount: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("prepared", [True, False])
def test_a_read_only_place_is_refused(tmp_path: Path, prepared: bool) -> None:
    with mounted(tmp_path / "disk", "size=1m,mode=700"):
        if prepared:
            StateDirectory(tmp_path / "disk")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        for place in (tmp_path / "disk", tmp_path / "disk" / "state"):
            with pytest.raises(LockbotError, match=r"Read-only|can't be written") as caught:
                StateDirectory(place)
            assert "[state] directory" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_somebody_elses_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", SOMEBODY, -1)
    with pytest.raises(LockbotError, match="belongs to another user") as caught:
        StateDirectory(tmp_path / "state")
    assert f"sudo -u '#{SOMEBODY}'" in caught.value.hint
    assert list((tmp_path / "state").iterdir()) == []


def test_a_place_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    with pytest.raises(LockbotError, match="everybody"):
        StateDirectory(tmp_path / "state")


def test_a_place_inside_the_work_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flake").mkdir()
    (tmp_path / "elsewhere").symlink_to(tmp_path / "flake")
    for root in (tmp_path / "flake", tmp_path / "flake" / "state", tmp_path / "elsewhere" / "deep" / "state"):
        with pytest.raises(UsageError, match="work tree") as caught:
            state.refuse_inside(root, tmp_path / "flake")
        assert "[state] directory" in caught.value.hint
    for root in (tmp_path / "flake-state", tmp_path / "flake" / ".." / "state", tmp_path):
        state.refuse_inside(root, tmp_path / "flake")


# -- the lock

HOLDER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from lockbot.errors import BusyError
from lockbot.process import CancelToken
from lockbot.state import RunLock
at = float(sys.argv[3])
time.sleep(max(at - time.time(), 0))
try:
    three = datetime(2026, 11, 22, 15, tzinfo=UTC)
    with RunLock(Path(sys.argv[1]), sys.argv[2], lambda: three, cancel=CancelToken()):
        print("held", flush=True)
        sys.stdin.read()
except BusyError as error:
    print("busy", error.message, flush=True)
"""


def start_holder(path: Path, run: str = "r1", at: float = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), run, str(at)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )


@contextlib.contextmanager
def holder(path: Path, run: str = "r1") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with start_holder(path, run) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def lock(path: Path, cancel: CancelToken) -> RunLock:
    return RunLock(path, "mine", clock, cancel=cancel)


def test_it_says_who_holds_it(path: Path, lock: RunLock) -> None:
    with holder(path, "r7") as process:
        with pytest.raises(BusyError) as caught, lock:
            pass
        assert f"held by pid {process.pid} since 2026-11-22 15:00:00 UTC (run r7)" in caught.value.message
        assert "--wait" in caught.value.hint
    assert mode(path) == 0o600


def test_a_holder_that_ends_frees_it(path: Path, lock: RunLock) -> None:
    with holder(path) as process:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        assert path.read_bytes() == b""
        with lock:
            assert json.loads(path.read_bytes())["run"] == "mine"
        with lock:  # and again
            pass


def test_kill_9_frees_it_and_what_the_dead_wrote_counts_for_nothing(
    path: Path, lock: RunLock, cancel: CancelToken
) -> None:
    with holder(path, "dead") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert b'"dead"' in path.read_bytes()
        with lock:
            assert json.loads(path.read_bytes())["run"] == "mine"
            with (
                pytest.raises(BusyError, match=f"pid {os.getpid()} .*run mine"),
                RunLock(path, "other", clock, cancel=cancel),
            ):
                pass


def test_it_is_freed_by_an_exception(lock: RunLock) -> None:
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    with lock:
        pass


def test_a_clock_that_fails_leaves_it_free(path: Path, lock: RunLock, cancel: CancelToken) -> None:
    def broken() -> datetime:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), RunLock(path, "r", broken, cancel=cancel):
        pass
    with lock:
        pass


def test_a_child_does_not_inherit_it(path: Path, lock: RunLock) -> None:
    look = "import pathlib; print([str(one.resolve()) for one in pathlib.Path('/proc/self/fd').iterdir()])"
    with lock:
        child = subprocess.run(
            [sys.executable, "-c", look], stdout=subprocess.PIPE, text=True, close_fds=False, check=True
        )
    assert "pipe:" in child.stdout
    assert str(path) not in child.stdout


def test_a_copy_in_a_child_that_is_being_started_does_not_keep_it(path: Path, lock: RunLock) -> None:
    """Between fork and the end of exec a child has every descriptor, whatever their flags."""
    with lock:
        assert lock._descriptor is not None
        copy = os.dup(lock._descriptor)
    with lock:
        assert json.loads(path.read_bytes())["run"] == "mine"
    os.close(copy)


GARBAGE = {
    "empty": b"",
    "noise": b"\xff\xfe\0 nonsense",
    "list": b"[1, 2]",
    "null": b"null",
    "nested": b"[" * 4096,
    "huge": b'{"pid": 1' + b"0" * 100_000 + b"}",
    "dead": json.dumps(
        {"pid": 2**22 + 1, "start": "1", "machine": socket.gethostname(), "since": "x", "run": "ghost"}
    ).encode(),
    "reused": json.dumps(
        {"pid": os.getpid(), "start": "1", "machine": socket.gethostname(), "since": "x", "run": "ghost"}
    ).encode(),
    "wrong types": b'{"pid": [], "start": {}, "machine": 1, "since": 2, "run": 3}',
    "negative": json.dumps(
        {"pid": -1, "start": None, "machine": socket.gethostname(), "since": "x", "run": "ghost"}
    ).encode(),
    "big": json.dumps(
        {"pid": 2**80, "start": None, "machine": socket.gethostname(), "since": "x", "run": "ghost"}
    ).encode(),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_in_it_names_nobody_and_hinders_nobody(path: Path, lock: RunLock, content: bytes) -> None:
    path.write_bytes(content)
    with lock:
        assert json.loads(path.read_bytes())["run"] == "mine"
    with holder(path):
        path.write_bytes(content)
        with pytest.raises(BusyError, match="a process that does not say who it is"), lock:
            pass


def test_another_machines_holder_is_believed_and_shown_harmlessly(path: Path, lock: RunLock) -> None:
    with holder(path):
        told = {"pid": 7, "start": "1", "machine": "far\x1b[31m", "since": "then\n", "run": "r\u202e"}
        path.write_text(json.dumps(told))
        with pytest.raises(BusyError, match=r"held by pid 7 on far.*since then.*run r") as caught, lock:
            pass
        assert caught.value.message.isprintable()


def test_a_symbolic_link_is_not_followed(path: Path, lock: RunLock, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(LockbotError, match="can't be taken"), lock:
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_another_name_of_its_file_is_not_written_to(path: Path, lock: RunLock, tmp_path: Path) -> None:
    """A backup made of hard links, or somebody's file; who holds it by its old name holds it still."""
    (tmp_path / "precious").write_text("precious")
    path.hardlink_to(tmp_path / "precious")
    with lock:
        assert f"{os.getpid()}" in path.read_text()
    assert (tmp_path / "precious").read_text() == "precious"
    with holder(path):
        (tmp_path / "backup").hardlink_to(path)
        with pytest.raises(BusyError), lock:
            pass


def test_eight_that_start_at_once_give_one_holder(path: Path) -> None:
    at = time.time() + 1.5
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(start_holder(path, f"r{number}", at)) for number in range(8)]
        said = [process.stdout.readline() for process in started if process.stdout is not None]
        assert sorted(line.split()[0] for line in said) == ["busy"] * 7 + ["held"]
        winner = started[said.index("held\n")].pid
        assert all(f"pid {winner} " in line for line in said if line.startswith("busy"))
        for process in started:
            assert process.stdin is not None
            process.stdin.close()


def test_waiting_tells_once_who_holds_it_and_then_goes_on(path: Path, cancel: CancelToken) -> None:
    events: list[Event] = []
    with holder(path, "r7") as process:
        killer = threading.Timer(0.8, process.kill)
        killer.start()
        with RunLock(path, "mine", clock, cancel=cancel, wait=True, progress=events.append):
            assert process.wait() == -signal.SIGKILL
        killer.join()
    (event,) = events
    assert isinstance(event, Note)
    assert f"held by pid {process.pid} since" in event.text
    assert "run r7" in event.text


def test_an_errand_is_waited_for_by_runs(path: Path, lock: RunLock) -> None:
    """As the daemon's hourly look at pull requests: the night's run is not lost to it."""
    with holder(path, ERRAND) as process:
        killer = threading.Timer(0.4, process.kill)
        killer.start()
        with lock:
            assert process.wait() == -signal.SIGKILL
        killer.join()


def test_an_errand_waits_for_nobody(path: Path, cancel: CancelToken) -> None:
    for run in (ERRAND, "r7"):
        with holder(path, run), pytest.raises(BusyError), RunLock(path, ERRAND, clock, cancel=cancel):
            pass


def test_waiting_ends_when_cancelled(path: Path, cancel: CancelToken) -> None:
    with holder(path):
        stop = threading.Timer(0.1, cancel.cancel, ["a signal"])
        stop.start()
        with pytest.raises(Cancelled), RunLock(path, "mine", clock, cancel=cancel, wait=True):
            pass
        stop.join()


def test_waiting_ends_at_the_runs_deadline(path: Path) -> None:
    cancel = CancelToken(Deadline(0.1, "the run"))
    waiting = RunLock(path, "mine", clock, cancel=cancel, wait=True)
    with holder(path), pytest.raises(LockbotError, match="the run took longer"), waiting:
        pass
    cancel.close()


def test_waiting_on_a_file_that_is_removed_ends_with_a_lock_on_the_new_one(
    path: Path, cancel: CancelToken
) -> None:
    with holder(path) as process:
        waiting = RunLock(path, "mine", clock, cancel=cancel, wait=True)

        def remove_and_end() -> None:
            path.unlink()
            process.kill()

        swap = threading.Timer(0.1, remove_and_end)
        swap.start()
        with waiting:
            assert json.loads(path.read_bytes())["run"] == "mine"
            with pytest.raises(BusyError, match="run mine"), RunLock(path, "other", clock, cancel=cancel):
                pass
        swap.join()


def test_a_file_that_is_replaced_while_it_is_being_locked_is_not_the_lock(
    path: Path, lock: RunLock, cancel: CancelToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    faults = [path.unlink]

    def flock(descriptor: int, operation: int) -> None:
        if faults:
            faults.pop()()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock:
        assert not faults
        with pytest.raises(BusyError, match="run mine"), RunLock(path, "other", clock, cancel=cancel):
            pass


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left(path: Path, lock: RunLock, cancel: CancelToken) -> None:
    with lock:
        before = descriptors()
        for _ in range(5):
            with pytest.raises(BusyError), RunLock(path, "other", clock, cancel=cancel):
                pass
        assert descriptors() == before
    assert descriptors() == before - 1


# -- the disk


def test_a_full_disk_stops_a_run_with_the_numbers(tmp_path: Path) -> None:
    free = state.free_bytes(tmp_path)
    state.check_disk([tmp_path, Path("/")], min(free, state.free_bytes(Path("/"))) // 2)
    with pytest.raises(SurroundingsError) as caught:
        state.check_disk([tmp_path], 2**60)
    assert str(tmp_path) in caught.value.message
    assert "the floor is 1048576.0 TiB" in caught.value.message
    assert caught.value.hint


def test_free_space_is_what_the_kernel_says(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m"):
        assert state.free_bytes(tmp_path / "disk") == 2**20
        (tmp_path / "disk" / "file").write_bytes(b"x" * 2**19)
        assert state.free_bytes(tmp_path / "disk" / "yet" / "to be made") == 2**19
        with pytest.raises(SurroundingsError, match=r"only 512\.0 KiB free at .*/disk, and the floor is 1\.0 MiB"):
            state.check_disk([tmp_path, tmp_path / "disk"], 2**20)
        state.check_disk([tmp_path / "disk"], 2**19)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (2**50, "1024.0 TiB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert state.human_size(size) == text


# -- run ids


def test_ids_sort_by_time_in_any_zone() -> None:
    tokyo = timezone(timedelta(hours=9))
    first = state.new_run_id(datetime(2026, 11, 22, 23, 59, 59, tzinfo=tokyo))
    second = state.new_run_id(datetime(2026, 11, 22, 15, 47, 3, tzinfo=UTC))
    assert first < second
    assert second.startswith("20261122-154703-")
    assert len(second) == 20
    assert len({state.new_run_id(NOON) for _ in range(20)}) > 10


def test_the_holder_knows_itself() -> None:
    me = state.Holder(os.getpid(), process_start(os.getpid()), socket.gethostname(), "now", "r")
    assert not me.dead
