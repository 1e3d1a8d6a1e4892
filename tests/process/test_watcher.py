"""A lockbot that is killed leaves nothing running, whatever it has started and wherever that has gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nixes import PROJECT
from tests.process.test_process import gone

PROGRAM = """\
import sys, threading
from pathlib import Path
from lockbot import process
from lockbot.process import CancelToken, Listener

def run(script):
    process.run(["/bin/sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, cancel=CancelToken(),
                listener=Listener(on_stdout=lambda line: print(line, flush=True)))

threads = [threading.Thread(target=run, args=(script,)) for script in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
CHILDREN = {
    "a child": "echo $$; exec sleep 600",
    "a grandchild": "sleep 600 & echo $!; wait",
    "in a session of its own": "setsid sleep 600 & echo $!; wait",
    "without its environment": "env -i setsid sleep 600 & echo $!; wait",
    "whose parent has ended": "(setsid sh -c 'sleep 600 & echo $!' &) ; sleep 600",
    "that ignores signals": "trap '' INT TERM HUP; echo $$; while :; do sleep 1; done",
}


class Lockbot:
    """A process of lockbot's that runs scripts, in a group of its own; `pids` are what they print."""

    def __init__(self, *scripts: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *scripts],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "LANG": "C.UTF-8"},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.pids = [int(self.process.stdout.readline()) for _ in scripts]

    def end(self) -> None:
        with self.process:
            for pid in (*self.pids, self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def started() -> Iterator[list[Lockbot]]:
    every: list[Lockbot] = []
    yield every
    for one in every:
        one.end()


@pytest.mark.parametrize("how", ["the process", "its group"])
@pytest.mark.parametrize("which", CHILDREN)
def test_children_end_with_a_lockbot_that_is_killed(started: list[Lockbot], which: str, how: str) -> None:
    started.append(lockbot := Lockbot(CHILDREN[which]))
    if how == "the process":
        lockbot.process.kill()
    else:
        os.killpg(lockbot.process.pid, signal.SIGKILL)
    lockbot.process.wait()
    assert gone(lockbot.pids[0])


def test_only_its_own_end_and_all_of_them(started: list[Lockbot]) -> None:
    killed, other = Lockbot(*CHILDREN.values()), Lockbot("echo $$; exec sleep 600")
    started += [killed, other]
    killed.process.kill()
    killed.process.wait()
    assert all(gone(pid) for pid in killed.pids)
    assert other.process.poll() is None
    assert Path(f"/proc/{other.pids[0]}").exists()


def test_who_ends_in_order_takes_nobody_along(started: list[Lockbot]) -> None:
    """What a command has left in the background on purpose, in a session of its own, stays."""
    started.append(lockbot := Lockbot("setsid sleep 600 > /dev/null 2>&1 & echo $!"))
    assert lockbot.process.wait(10) == 0
    time.sleep(0.5)
    assert Path(f"/proc/{lockbot.pids[0]}").exists()


def test_nobody_watches_any_more_afterwards(started: list[Lockbot]) -> None:
    def watchers() -> set[str]:
        found = subprocess.run(["pgrep", "-f", "process/watcher.py"], capture_output=True, text=True, check=False)
        return set(found.stdout.split())

    before = watchers()
    started += [Lockbot("echo 1"), Lockbot("echo 1; exec sleep 600")]
    started[0].process.wait()
    started[1].process.kill()
    started[1].process.wait()
    for _ in range(200):
        if watchers() <= before:
            return
        time.sleep(0.02)
    raise AssertionError("somebody still watches")
