"""What a confined program can do, and all that it starts: really tried, by programs of the system's."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lockbot import process
from lockbot.process import Access, CancelToken, Ruleset, Within
from tests.landlock import needs_landlock

pytestmark = needs_landlock
ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
SYSTEM = tuple(Path(path) for path in ("/usr", "/bin", "/lib", "/lib64", "/proc", "/dev/null", "/etc/ld.so.cache"))


class Room:
    def __init__(self, directory: Path, cancel: CancelToken) -> None:
        self.directory = directory
        self._cancel = cancel
        for name in ("open", "shut", "both"):
            (directory / name).mkdir()
            (directory / name / "file").write_text(f"{name}\n")

    def path(self, name: str) -> Path:
        return self.directory / name

    def says(self, script: str, read: tuple[str, ...] = (), write: tuple[str, ...] | None = ()) -> list[str]:
        """What a shell prints that may read these directories, and write those."""
        reading = (*SYSTEM, *(self.path(name) for name in read))
        writing = None if write is None else (Path("/dev/null"), *(self.path(name) for name in write))
        argv = ["/bin/sh", "-c", f"cd {self.directory}; {script}"]
        done = process.run(
            argv, env=ENVIRONMENT, cancel=self._cancel, within=Within(Ruleset(Access(reading, writing)))
        )
        return (done.stdout + done.stderr).splitlines()


@pytest.fixture
def room(tmp_path: Path, cancel: CancelToken) -> Room:
    return Room(tmp_path, cancel)


def test_what_is_named_can_be_read_and_nothing_else(room: Room) -> None:
    assert room.says("cat open/file; cat shut/file; ls shut", read=("open",)) == [
        "open",
        "cat: shut/file: Permission denied",
        "ls: cannot open directory 'shut': Permission denied",
    ]


@pytest.mark.parametrize(
    "way",
    [
        "ln -s ../shut/file open/link; cat open/link",
        "ln shut/file open/hard && cat open/hard",
        "mv shut/file open/moved && cat open/moved",
        "cp shut/file open/copy && cat open/copy",
        "sh -c 'cat shut/file'",
        "(setsid cat shut/file)",
        "cat open/../shut/file",
        "cat /proc/self/cwd/shut/file",
        "cat /proc/self/root$PWD/shut/file",
        "cat < shut/file",
        "find shut -type f -exec cat {} +",
    ],
)
def test_there_is_no_way_round(room: Room, way: str) -> None:
    said = room.says(way, read=("open",), write=None)
    assert "shut" not in said and said, said


@pytest.mark.parametrize(
    "way",
    [
        "echo x > shut/new",
        "echo x >> shut/file",
        ": > shut/file",
        "rm shut/file",
        "mkdir shut/new",
        "ln -s x shut/new",
        "mv shut/file shut/new",
        "mv open/file shut/new",
        "mkfifo shut/new",
        "truncate -s 0 shut/file",
    ],
)
def test_what_may_only_be_read_stays_as_it_is(room: Room, way: str) -> None:
    room.says(way, read=("shut",), write=("open",))
    assert [path.name for path in room.path("shut").iterdir()] == ["file"]
    assert room.path("shut").joinpath("file").read_text() == "shut\n"


def test_what_may_be_written_may_be_made_renamed_and_removed(room: Room) -> None:
    script = (
        "echo x > both/new; mkdir both/d; mv both/new both/d/new; rm both/file; cat both/d/new; echo y > open/z"
    )
    said = room.says(f"{script}; echo y > open/z", read=("open",), write=("both",))
    assert said[0] == "x" and "open/z" in said[1]
    assert sorted(path.name for path in room.path("both").rglob("*")) == ["d", "new"]


def test_where_writing_is_free_files_move_between_directories(room: Room) -> None:
    assert room.says("mv shut/file both/moved && echo x > shut/new; echo done", write=None) == ["done"]
    assert room.path("both").joinpath("moved").read_text() == "shut\n"


def test_neither_this_process_nor_its_threads_lose_anything(room: Room) -> None:
    heard: list[str] = []
    go = threading.Event()

    def reads() -> None:
        go.wait(10)
        heard.append(room.path("shut").joinpath("file").read_text())

    other = threading.Thread(target=reads)
    other.start()
    room.says("true")
    go.set()
    other.join()
    assert heard == ["shut\n"]
    assert room.path("shut").joinpath("file").read_text() == "shut\n"
    room.path("shut").joinpath("new").write_text("made")


def test_the_environment_of_who_started_it_is_out_of_reach(room: Room) -> None:
    said = room.says(f"cat /proc/{os.getpid()}/environ; echo $?")
    assert said[0] == "1" and "Permission denied" in said[1]


def test_no_descriptor_is_left_open(room: Room) -> None:
    room.says("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        room.says("true", read=("open",), write=("both",))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_can_not_be_started_is_told_as_ever(cancel: CancelToken) -> None:
    with pytest.raises(Exception, match="cannot start /nowhere: No such file or directory"):
        process.run(["/nowhere"], env=ENVIRONMENT, cancel=cancel, within=Within(Ruleset(Access(SYSTEM))))
