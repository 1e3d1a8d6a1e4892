"""What goes wrong in a night, by chance: each fault is made for real, and what it was is told."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.soak.services import Daemon, Lockbot
from benchmarks.soak.world import World
from lockbot import process

_FREE = 16 * 1024
"""Bytes that are left on a full disk."""


class Faults:
    """`before` the night's run begins, `during` it, `after` it: what each fault does then."""

    def __init__(self, world: World, lockbot: Lockbot, daemon: Daemon) -> None:
        self.world, self.lockbot, self.daemon = world, lockbot, daemon
        self._hidden: list[tuple[Path, Path]] = []
        self._filler = world.state / "filler"
        self.before: dict[str, Callable[[], None]] = {
            "remote unreachable": lambda: self._hide(world.remote),
            "upstream unreachable": lambda: self._hide(world.chance.choice(world.inputs).upstream.path),
            "clone damaged": lambda: self._damage("clone.git"),
            "cache damaged": lambda: self._damage("upstreams"),
            "a night is left out": world.clock.to_the_next_night,
            "clock a day back": lambda: world.clock.move(-86400),
        }
        if os.path.ismount(world.state):
            self.before["disk full"] = self._fill
        self.during: dict[str, Callable[[], None]] = {
            "run killed": lambda: self._kill(group=False),
            "run and its children killed": lambda: self._kill(group=True),
            "ten starts": self._ten_starts,
            "daemon reloads": lambda: daemon.process.send_signal(signal.SIGHUP),
        }
        if os.path.ismount(world.state):
            self.during["disk full meanwhile"] = self._fill_meanwhile

    @property
    def names(self) -> list[str]:
        return [*self.before, *self.during]

    def heal(self) -> None:
        """All that lies in the way is cleared; what was broken stays broken."""
        for was, hidden in self._hidden:
            hidden.rename(was)
        self._hidden.clear()
        self._filler.unlink(missing_ok=True)

    def _hide(self, path: Path) -> None:
        hidden = path.with_name(f"{path.name}.hidden")
        path.rename(hidden)
        self._hidden.append((path, hidden))

    def _damage(self, part: str) -> None:
        """One file of it is cut off, or has something else in its middle, or is gone."""
        places = [place / part for place in (self.world.state / "repos").iterdir()]
        everything = [path for place in places for path in sorted(place.rglob("*"))]
        found = [path for path in everything if path.is_file() and path.stat().st_size]
        if not found:
            return
        path, chance = self.world.chance.choice(found), self.world.chance
        path.chmod(0o600)
        match chance.choice(["cut", "other", "gone"]):
            case "cut":
                os.truncate(path, path.stat().st_size // 2)
            case "other":
                with path.open("r+b") as file:
                    file.seek(path.stat().st_size // 2)
                    file.write(b"\0\xff" * 8)
            case _:
                path.unlink()

    def _fill(self, left: int = _FREE) -> None:
        with self._filler.open("wb") as file:
            size = os.statvfs(self.world.state)
            os.posix_fallocate(file.fileno(), 0, max(size.f_bavail * size.f_frsize - left, 1))

    def _fill_meanwhile(self) -> None:
        if self._work_for(self.world.chance.uniform(0, 2)):
            with contextlib.suppress(OSError):
                self._fill(0)
            self.daemon.wait(lambda: not self.daemon.running)

    def _kill(self, *, group: bool) -> None:
        if not self._work_for(self.world.chance.uniform(0, 2.5)):
            return
        pid = self.daemon.run_child()
        if pid is None:
            return
        family = [one for one, _ in process.descendants(pid)] if group else []
        for one in (pid, *family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)

    def _work_for(self, seconds: float) -> bool:
        """Let the run work for so long; whether it is still at it."""
        self.daemon.wait(lambda: self.daemon.run_child() is not None or self.daemon.begun, patience=20)
        time.sleep(seconds)
        return self.daemon.run_child() is not None

    def _ten_starts(self) -> None:
        started: list[subprocess.Popen[bytes]] = [self.lockbot.start("--quiet", "update") for _ in range(10)]
        for one in started:
            one.wait(300)
