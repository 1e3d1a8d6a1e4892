"""Whole runs with somebody who follows them: a switch on loopback, and hooks that call lockbot."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lockbot.app import App
from lockbot.commands.after_run import Followers, after_run
from lockbot.config import load
from lockbot.history.store import History
from lockbot.model import Run, silent
from lockbot.process import CancelToken
from tests import nixes
from tests.cli.test_cli import lockbot, own_environment, plain_fleet
from tests.fleet import HostSpec
from tests.history.samples import NOON
from tests.landlock import needs_landlock
from tests.notify.switch import CHECK, Healthchecks, Reply, Switch, switch  # noqa: F401 -- a fixture
from tests.report.examples import MORNING
from tests.sampling import UNREVIEWED

SECRET = f"{CHECK}?key=hunter2"


class Followed:
    """A flake of one host, a configuration with a switch and hooks, and what was heard of its runs."""

    def __init__(self, nix: nixes.Nix, tmp_path: Path, switch: Switch) -> None:  # noqa: F811
        self.directory = tmp_path
        self.switch = switch
        self.check = switch.answer = Healthchecks()
        self.readable: list[str] = []
        """What hooks may read besides."""
        self.fleet, self.packages = plain_fleet(nix, tmp_path, [HostSpec("web", ["packages"])])
        self.environ = own_environment(nix, tmp_path) | UNREVIEWED | {"NO_PROXY": "*"}
        self.config = self.fleet.path / "lockbot.toml"
        (tmp_path / "url").write_text(f"{switch.url}/{SECRET}\n")

    def configure(self, *hooks: tuple[str, str], more: str = "") -> None:
        """`hooks`: the event, and a shell script that is told of it."""
        text = f'[ping]\nurl = {{ file = "{self.directory}/url" }}\n{more}\n'
        if self.readable:
            text += f"[security]\nreadable = {json.dumps(self.readable)}\n"
        for event, script in hooks:
            text += f"[[hook]]\nevent = {json.dumps(event)}\ncommand = {json.dumps(['/bin/sh', '-c', script])}\n"
        self.config.write_text(text)

    def after_update(self, script: str, *hooks: tuple[str, str]) -> None:
        """A run does this while it holds the lock."""
        command = json.dumps(["/bin/sh", "-c", script])
        self.configure(*hooks, more=f'[after_update]\ncommands = [{command}]\npaths = ["*"]\n')

    @property
    def again(self) -> str:
        """An update, in a shell's words, for who has no environment of lockbot's."""
        environ = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.environ.items())
        return f"cd {self.fleet.path} && env {environ} {sys.executable} -m lockbot update --json"

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start it, and wait until something of it has made the file `begun`."""
        child = subprocess.Popen(
            [sys.executable, "-m", "lockbot", *words],
            env=self.environ,
            cwd=self.fleet.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not (self.directory / "begun").exists() and child.poll() is None:
            time.sleep(0.01)
        return child

    def run(self, *words: str, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        self.switch.asked.clear()
        done = lockbot(*words, env=self.environ | environ, cwd=self.fleet.path)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    @property
    def heard(self) -> list[str]:
        """What the switch heard of the last command: `start`, `fail`, `success`."""
        return [path.removeprefix(f"/{CHECK}").strip("/") or "success" for path in self.switch.paths]

    def told(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.directory / name).read_text())
        return document

    def recorded(self, run: str) -> Run:
        with History.read_only(self.directory / "lockbot-state" / "history.sqlite", lambda: NOON) as past:
            return past.get(run)


@pytest.fixture
def followed(one_nix: nixes.Nix, tmp_path: Path, switch: Switch) -> Followed:  # noqa: F811
    return Followed(one_nix, tmp_path, switch)


def test_a_run_is_followed_from_its_beginning_to_its_end(followed: Followed) -> None:
    place = followed.directory
    followed.readable = [f"{place}/lockbot-state", f"{place}/url"]  # for a lockbot that a hook starts
    followed.configure(
        ("published", f"cat > {place}/published; {followed.again} > {place}/again"),
        ("published", "echo oh no >&2; exit 7"),
        ("failed", f"cat > {place}/failed"),
    )
    followed.packages.commit("second")
    done = followed.run("update", "--json")
    run = json.loads(done.stdout)
    assert (run["outcome"], run["notes"]) == ("published", []), "as before anybody followed it"
    assert followed.told("published") == {"event": "published", "run": run, "error": None, "hint": None}
    assert followed.heard[:2] == ["start", "start"] or followed.heard[:2] == ["start", "success"]
    assert sorted(followed.heard) == ["start", "start", "success", "success"], "the hook's own run was a run"
    assert (followed.check.state, followed.check.running) == ("up", set())
    assert followed.told("again")["outcome"] == "unchanged", "the repository was free; and nobody ran hooks for it"
    problem = "the hook /bin/sh (published) ended with code 7: oh no"
    assert f"note: {problem}" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert followed.recorded(run["run"]).notes == (problem,)

    back = json.loads(followed.run("revert", "packages", "--json").stdout)["run"]
    assert back["outcome"] == "published"
    assert followed.told("published")["run"] == back, "it is a run like any other"
    assert followed.heard[0] == "start" and followed.check.state == "up"

    followed.run("update", "--dry-run")
    assert followed.heard == []
    assert not (place / "failed").exists()
    secret = [one for one in place.rglob("*") if one.is_file() and b"hunter2" in one.read_bytes()]
    assert secret == [place / "url"], "the address is nowhere else"


@needs_landlock
def test_a_lockbot_that_a_hook_starts_is_told_what_it_may_not_read(followed: Followed) -> None:
    """Neither the state nor the secret that the configuration points at: the one thing after the other."""
    place = followed.directory
    asked = followed.again.replace("update --json", "history")
    followed.configure(("published", f"{asked} 2> {place}/said; echo $? >> {place}/said"))
    followed.packages.commit("second")
    followed.run("update")
    said = (place / "said").read_text()
    assert f"cannot read the secret {place}/url: Permission denied" in said and said.endswith("\n2\n")
    followed.readable = [f"{place}/url"]
    followed.configure(("published", f"{asked} 2> {place}/said; echo $? >> {place}/said"))
    followed.packages.commit("third")
    followed.run("update")
    state = f"{place}/lockbot-state"
    assert (place / "said").read_text().splitlines() == [
        f"lockbot: error: the state directory {state} can't be read: Permission denied",
        f'  a hook may not read it, unless the configuration says so: `[security] readable = ["{state}"]`',
        "2",
    ]


def test_a_run_that_fails_or_can_not_begin(followed: Followed) -> None:
    alarm = '[[hook]]\nevent = "alarm"\ncommand = ["no-such-program", "hunter2"]\n'
    followed.configure(("failed", f"cat > {followed.directory}/failed"), more=alarm)
    followed.run("update", code=3, LOCKBOT_STATE__MIN_FREE="4000T")
    assert (followed.heard, followed.check.state) == (["start", "fail"], "down")
    failed = followed.told("failed")
    assert failed["run"]["outcome"] == "failed"
    assert failed["error"] == failed["run"]["error"] == followed.recorded(failed["run"]["run"]).error
    assert failed["error"].encode() in followed.check.bodies[-1]

    refused = followed.run("update", "--override-input", "packages", "x y", code=2)
    assert followed.heard == ["start", "fail"]
    failed = followed.told("failed")
    assert failed["run"] is None and failed["error"] in refused.stderr
    assert followed.check.bodies[-1].startswith(b"Not run: ")
    followed.run("revert", "nothing-of-that-name", code=2)
    assert followed.heard == [], "a mistake of who sits there, and no run"

    checked = followed.run("check")
    assert "ok      ping: 127.0.0.1 (healthchecks)" in checked.stdout
    assert "ok      hook (failed): /bin/sh can be run" in checked.stdout
    assert "warning hook (alarm): there is no program no-such-program on PATH: it will not" in checked.stdout
    assert "hunter2" not in checked.stdout
    assert followed.heard == [], "nobody is told of what did not happen"


def test_a_switch_that_is_down_changes_nothing(followed: Followed) -> None:
    """Nor is it told that a run found another at work: that one will be heard of."""
    followed.readable = [f"{followed.directory}/lockbot-state", f"{followed.directory}/url"]
    other = f"{followed.again} 2> {followed.directory}/busy; echo $? >> {followed.directory}/busy"
    followed.after_update(other)
    followed.switch.answer = lambda _: Reply(404)
    followed.packages.commit("second")
    done = followed.run("--log-format", "json", "update", "--json")
    run = json.loads(done.stdout)
    assert run["outcome"] == "published"
    busy = (followed.directory / "busy").read_text()
    assert "another run works on this repository" in busy and busy.endswith("\n3\n")
    assert followed.heard == ["start", "success"], "the start did not keep it from being tried"
    (note,) = (one for line in done.stderr.splitlines() if (one := json.loads(line))["event"] == "note")
    assert "a ping did not arrive: 127.0.0.1 knows no such check (404)" in note["text"]
    assert note["run"] == run["run"]
    assert followed.recorded(run["run"]).notes == (note["text"],)


def test_a_signal_ends_a_hook_and_not_the_run_before_it(followed: Followed) -> None:
    followed.configure(
        ("published", f"echo > {followed.directory}/begun; exec sleep 600"),
        ("published", f"echo > {followed.directory}/next"),
    )
    followed.packages.commit("second")
    child = followed.begin("update", "--json")
    child.send_signal(signal.SIGTERM)
    out, told = child.communicate(timeout=120)
    assert (child.returncode, json.loads(out)["outcome"]) == (0, "published"), told
    assert told.count("was not run to its end: stopped: SIGTERM") == 2
    assert not (followed.directory / "next").exists()


def test_a_run_that_is_stopped_says_nothing(followed: Followed) -> None:
    """Whoever stops it knows; and the switch hears of it when nothing comes any more."""
    followed.packages.commit("second")
    script = f"echo > {followed.directory}/begun; exec sleep 600"
    followed.after_update(script, ("failed", f"echo > {followed.directory}/failed"))
    child = followed.begin("--quiet", "update")
    child.send_signal(signal.SIGTERM)
    _, told = child.communicate(timeout=120)
    assert child.returncode == 130, told
    assert followed.heard == ["start"]
    assert not (followed.directory / "failed").exists()


@pytest.mark.parametrize("by_a_hook", [False, True])
def test_a_lockbot_that_a_hook_has_started_runs_none(tmp_path: Path, cancel: CancelToken, by_a_hook: bool) -> None:
    """They would start each other for ever."""
    config = tmp_path / "lockbot.toml"
    command = json.dumps(["/bin/sh", "-c", f"echo > {tmp_path}/begun"])
    config.write_text(f'[[hook]]\nevent = "published"\ncommand = {command}\n')
    environ = {"HOME": str(tmp_path)} | ({"LOCKBOT_EVENT": "published"} if by_a_hook else {})
    app = App(load(config, environ), environ, cancel, silent)
    after_run(app, MORNING, Followers.of(app.settings))
    assert (tmp_path / "begun").exists() == (not by_a_hook)
