"""A fleet, its surroundings, and lockbot as a child process; what must hold after any run; ways to kill it.

Run as a program (`python -m tests.update.world RECORD WHEN …`) it is lockbot itself with an observer: it records
each step that could be the last (a child about to start, a transaction about to be committed), and dies by SIGKILL
at the one it was told (or runs the script AT_STEP there). Nothing of lockbot is replaced.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import forked
from tests.faults import invariants
from tests.fleet import Fleet, HostSpec, Upstream
from tests.nixes import Nix
from tests.upstream import run_git

_TIMEOUT = 120


@dataclass(frozen=True)
class Result:
    """How one `lockbot update --json` ended. `document` is empty when stdout was."""

    code: int
    document: Mapping[str, Any]
    stderr: str

    def __getitem__(self, key: str) -> Any:
        return self.document[key]

    @property
    def statuses(self) -> dict[str, str]:
        return {host["name"]: host["status"] for host in self.document["hosts"]}

    @property
    def held(self) -> list[str]:
        return [held["input"] for held in self.document["held"]]


@dataclass
class World:
    """One repository and one lockbot that looks after it. `environment` is all that lockbot is given."""

    nix: Nix
    fleet: Fleet
    upstreams: Mapping[str, Upstream]
    directory: Path
    environment: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    """Lines of lockbot.toml by section."""
    remote: Path | None = None
    bare: Path | None = None
    theirs: invariants.Theirs | None = None
    """What the user has beside a clean tree, where that is looked after."""
    broken: set[str] = field(default_factory=set)
    """Revisions of inputs with which hosts break."""
    secret: str = ""
    """Words that must be nowhere."""
    unread: bool = False
    """An object of lockbot's clone is damaged that no step may have read by now: it is mended when one does."""
    torn: bool = False
    """A git may have been ended in the middle of its work."""
    forgotten: set[str] = field(default_factory=set)
    """Commits of lockbot's whose record was lost, with all of the history."""
    looked_at: set[str] = field(default_factory=set)
    """Commits that are known to be fit for the branch."""

    @classmethod
    def create(
        cls,
        nix: Nix,
        directory: Path,
        *,
        inputs: str = "a",
        hosts: Sequence[HostSpec] | None = None,
        kind: str = "local",
        **fleet: Any,
    ) -> World:
        """`inputs`: one upstream for each letter. `kind`: local, remote (with an origin), bare."""
        upstreams = {name: Upstream.create(directory, name) for name in inputs}
        specs = [HostSpec("web", list(inputs))] if hosts is None else hosts
        made = Fleet.create(directory / "fleet", nix, inputs=list(upstreams.values()), hosts=specs, **fleet)
        environment = {
            **nix.environment,
            "XDG_STATE_HOME": str(directory / "state"),
            "TMPDIR": str(directory / "tmp"),
        }
        (directory / "tmp").mkdir()
        world = cls(nix, made, upstreams, directory, environment)
        world.settings = {
            "repository": "",
            "state": 'min_free = "0"',
            "build": "retries = 1\nretry_delay = 0.1",
        }
        if kind == "remote":
            world.remote = made.add_remote()
        elif kind == "bare":
            world.bare = directory / "bare.git"
            made.git("clone", "--quiet", "--bare", str(made.path), str(world.bare))
            world.git("remote", "remove", "origin")
        return world

    # -- lockbot ------------------------------------------------------------------------------------------

    @property
    def repository(self) -> Path:
        return self.bare or self.fleet.path

    @property
    def config(self) -> Path:
        path = self.directory / "lockbot.toml"
        text = ""
        for section, lines in self.settings.items():
            text += f"[{section}]\n{lines}\n"
            if section == "repository" and "path" not in lines and "url" not in lines:
                text += f'path = "{self.repository}"\n'
        path.write_text(text)
        return path

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "lockbot", "--config", str(self.config), *arguments]

    def start(
        self, *arguments: str, argv: Sequence[str] = (), cwd: Path | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        words = list(argv) or self.argv("update", "--json", *arguments)
        return forked.start(words, {**self.environment, **variables}, cwd or self.directory)

    def update(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Result:
        """`lockbot update --json`, to its end."""
        return finish(self.start(*arguments, cwd=cwd, **variables))

    def update_with(self, config: Path) -> Result:
        """The same, with a configuration as it lies there."""
        argv = [sys.executable, "-m", "lockbot", "--config", str(config), "update", "--json"]
        return finish(self.start(argv=argv))

    def show(self, run: str) -> dict[str, Any]:
        """What `lockbot show` says of a run."""
        done = self.start(argv=self.argv("show", run, "--json"))
        result = finish(done)
        assert result.code == 0, result.stderr
        return dict(result.document)

    def observed(self, die_at: int | str | None = None) -> list[str]:
        """An update that dies before a step (from 1), or before the first record after a step that holds these
        words; None: that lives. The steps it came to."""
        steps, result = self._observed(die_at)
        assert result.code == (-signal.SIGKILL if die_at else 0), result.stderr
        return steps

    def at_step(self, step: int, script: Path) -> tuple[list[str], Result]:
        """An update during which a shell script is run before a step (from 1)."""
        return self._observed(step, AT_STEP=str(script))

    def _observed(self, at: int | str | None, **variables: str) -> tuple[list[str], Result]:
        record = self.directory / "steps"
        record.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "tests.update.world", str(record), str(at or "")]
        words = [*argv, "--config", str(self.config), "update", "--json"]
        result = finish(self.start(argv=words, cwd=self.directory, **variables))
        return record.read_text().splitlines(), result

    # -- what must hold -----------------------------------------------------------------------------------

    def git(self, *arguments: str, check: bool = True) -> str:
        return run_git(self.repository, self.fleet._environment, *arguments, check=check)

    def head(self, ref: str = "refs/heads/main") -> str:
        return self.git("rev-parse", ref).strip()

    def check_repository(self) -> None:
        invariants.repository(self)

    def check_state(self) -> None:
        invariants.state(self)

    def check(self) -> None:
        """All that must hold when a run has ended well."""
        invariants.check(self)

    @property
    def place(self) -> Path:
        (found,) = (self.directory / "state/lockbot/repos").iterdir()
        return found

    def published(self) -> list[str]:
        """The commits of lockbot's on the branch."""
        form = "--format=%H%x09%(trailers:key=Lockbot-Run,valueonly,separator=%x2C)"
        lines = [line.split("\t") for line in self.git("log", form, "refs/heads/main").splitlines()]
        return [commit for commit, run in lines if run]

    def runs(self) -> list[dict[str, Any]]:
        """The records, oldest first, as they lie in the database."""
        return invariants.runs(self)

    def locked(self, name: str = "a", ref: str = "refs/heads/main") -> str:
        """The revision that the branch's lock has for an input."""
        path = f"{self.fleet.flake_dir}/flake.lock".removeprefix("/")
        nodes = json.loads(self.git("show", f"{ref}:{path}"))["nodes"]
        return str(nodes[nodes["root"]["inputs"][name]]["locked"]["rev"])

    # -- interference -------------------------------------------------------------------------------------

    def wrap(self, program: str, script: str) -> None:
        """Put a shell script before a program on lockbot's PATH; `$real` is the program itself."""
        path = self.environment["PATH"]
        place = self.directory / "wrappers"
        place.mkdir(exist_ok=True)
        plain = path.removeprefix(f"{place}{os.pathsep}")
        real = next(
            str(Path(each) / program) for each in plain.split(os.pathsep) if (Path(each) / program).exists()
        )
        (place / program).write_text(f"#!/bin/sh\nreal={real}\nPATH={plain}\nhere={place}\n{script}\n")
        (place / program).chmod(0o755)
        self.environment["PATH"] = f"{place}{os.pathsep}{plain}"

    def update_while(self, act: Callable[[], object], *arguments: str) -> Result:
        """An update in the middle of whose first build something happens."""
        self.wrap(
            "nix-store",
            'case "$*" in *--keep-going*)\n'
            "  : >$here/building; while ! [ -e $here/go ]; do sleep 0.02; done;;\n"
            "esac\n"
            'exec $real "$@"',
        )
        place = self.directory / "wrappers"
        process = self.start(*arguments)
        try:
            wait_for(lambda: (place / "building").exists() or process.poll() is not None)
            act()
        finally:
            (place / "go").touch()
            result = finish(process)
        self.unwrap()
        for name in ("building", "go"):
            (place / name).unlink()
        return result

    def unwrap(self) -> None:
        place = self.directory / "wrappers"
        self.environment["PATH"] = self.environment["PATH"].removeprefix(f"{place}{os.pathsep}")


def finish(process: subprocess.Popen[str]) -> Result:
    stdout, stderr = forked.ended(process, _TIMEOUT)
    return Result(process.returncode, json.loads(stdout) if stdout else {}, stderr)


def wait_for(what: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


# -- lockbot, observed ---------------------------------------------------------------------------------------

_CONNECT = sqlite3.connect


class _Observer:
    def __init__(self, record: Path, die_at: str) -> None:
        self.record = record
        self.die_at = int(die_at) if die_at.isdigit() else 0
        self.after = "" if die_at.isdigit() else die_at
        self.count = 0
        self.script = os.environ.pop("AT_STEP", None)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            words = [str(word) for word in arguments[1]]
            words = [word for word in words if not word.startswith("--unset=")]
            self.step(" ".join(words))

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        """`sqlite3.connect`, watched: no audit event tells of statements."""
        connection: sqlite3.Connection = _CONNECT(*arguments, **options)
        connection.set_trace_callback(self.statement)
        return connection

    def statement(self, text: str) -> None:
        if text == "COMMIT":
            self.step("sqlite COMMIT")

    def step(self, what: str) -> None:
        self.count += 1
        with self.record.open("a") as record:
            record.write(what.replace("\n", " ") + "\n")
        if self.after and self.after in what:
            self.after = "sqlite COMMIT"
            if what == self.after:
                os.kill(os.getpid(), signal.SIGKILL)
        if self.count == self.die_at and self.script is not None:
            os.waitpid(os.posix_spawn("/bin/sh", ["sh", self.script], os.environ), 0)
        elif self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def observe(record: str, die_at: str) -> None:
    """From now on this process records its steps, and dies as `World.observed` says."""
    observer = _Observer(Path(record), die_at)
    sys.addaudithook(observer.audit)
    sqlite3.connect = observer.connect  # type: ignore[assignment]  # overloaded


def _observed_lockbot(record: str, die_at: str, *arguments: str) -> None:
    observe(record, die_at)
    sys.argv = ["lockbot", *arguments]
    from lockbot.cli import main

    main()


if __name__ == "__main__":
    _observed_lockbot(*sys.argv[1:])
