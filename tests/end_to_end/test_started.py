"""Where and how lockbot is started: whatever is missing there, it works, or says what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockbot import oserrors
from lockbot.config.template import toml
from lockbot.errors import LockbotError
from tests import nixes
from tests.cli.test_cli import own_environment
from tests.fleet import Fleet, HostSpec, Upstream
from tests.sampling import some

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--help",),
    ("--version",),
    ("history",),
    ("status",),
    ("inputs",),
    ("check", "--configuration-only"),
    ("check",),
    ("metrics",),
    ("update",),
)
NEED_GIT = frozenset({"history", "status", "inputs", "check", "update"})
NEED_NIX = frozenset({"check", "update"})
NEED_CONFIGURATION = NEED_GIT | {"metrics"}


@dataclass
class Start:
    """A way to start lockbot: with all as it should be, unless a defect changes that."""

    environment: dict[str, str]
    directory: Path
    prepare: Callable[[], None] | None = None
    before: tuple[str, ...] = ()
    streams: dict[str, Any] = field(default_factory=dict)


def without(*names: str) -> Callable[[Start, Path], None]:
    def change(start: Start, _: Path) -> None:
        for name in names:
            start.environment.pop(name, None)

    return change


def with_variables(**variables: str) -> Callable[[Start, Path], None]:
    return lambda start, tmp: start.environment.update(
        {name: value.replace("TMP", str(tmp)) for name, value in variables.items()}
    )


def only_necessary(start: Start, _: Path) -> None:
    kept = ("PATH", "PYTHONPATH", "LOCKBOT_CONFIG")
    start.environment = {
        name: value for name, value in start.environment.items() if name in kept or name.startswith("NIX_")
    }


def gone_directory(start: Start, tmp: Path) -> None:
    gone = tmp / "gone"
    gone.mkdir()
    start.directory = gone

    def leave() -> None:
        if gone.exists():
            gone.rmdir()

    start.prepare = leave


def before(action: Callable[[], object]) -> Callable[[Start, Path], None]:
    def change(start: Start, _: Path) -> None:
        start.prepare = lambda: (action(), None)[1]

    return change


def umask_that_locks_out(start: Start, _: Path) -> None:
    start.prepare = lambda: (os.umask(0o777), None)[1]
    if os.geteuid() == 0:  # root minds no mode, unless that power is taken away
        powers = "-dac_override,-dac_read_search"
        start.before = ("setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}")


def closed_streams(start: Start, _: Path) -> None:
    start.streams = {"stdin": None}
    start.prepare = lambda: os.close(0)


def unknown_user(start: Start, _: Path) -> None:
    del start.environment["HOME"]
    start.before = ("unshare", "--user", "--map-user=54321")


def path_with(*programs: str) -> Callable[[Start, Path], None]:
    """A PATH on which there is nothing else."""

    def change(start: Start, tmp: Path) -> None:
        place = tmp / "programs"
        place.mkdir()
        for program in programs:
            for directory in start.environment["PATH"].split(":"):
                if (Path(directory) / program).exists():
                    (place / program).symlink_to(Path(directory) / program)
                    break
        start.environment["PATH"] = str(place)

    return change


NIX = ("nix", "nix-store", "nix-instantiate", "nix-daemon")
UNKNOWN_LOCALE = {"LC_ALL": "tlh_XX.klingon", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

WORKS: dict[str, Callable[[Start, Path], None]] = {
    "the directory is gone": gone_directory,
    "no HOME": without("HOME"),
    "HOME is not there": with_variables(HOME="/proc/nobody"),
    "HOME is relative": with_variables(HOME="here"),
    "HOME is empty": with_variables(HOME=""),
    "no USER": without("USER", "LOGNAME"),
    "a user whom nobody knows": unknown_user,
    "next to no environment": only_necessary,
    "no locale": without("LANG", "LC_ALL"),
    "the POSIX locale, in ASCII": with_variables(
        LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii:strict"
    ),
    "an unknown locale": with_variables(**UNKNOWN_LOCALE),
    "TMPDIR is gone": with_variables(TMPDIR="/proc/tmp/gone"),
    "TMPDIR is a file": with_variables(TMPDIR="/proc/version"),
    "TMPDIR can't be written": with_variables(TMPDIR="/proc"),
    "TMPDIR is relative": with_variables(TMPDIR="tmp"),
    "umask 0777": umask_that_locks_out,
    "umask 0000": before(lambda: os.umask(0)),
    "stdin is closed": closed_streams,
    "SIGPIPE is ignored": before(lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)),
}


class World:
    """A fleet in a directory whose name is no ASCII, configured by absolute paths."""

    def __init__(self, nix: nixes.Nix, tmp_path: Path) -> None:
        self.packages = Upstream.create(tmp_path, "packages")
        hosts = [HostSpec("büro", ["packages"])]
        self.fleet = Fleet.create(tmp_path / "flöte", nix, inputs=[self.packages], hosts=hosts)
        self.config = tmp_path / "lockbot.toml"
        self.state = tmp_path / "zustand-ä"
        self.config.write_text(
            f"[repository]\npath = {toml(self.fleet.path)}\n[state]\ndirectory = {toml(self.state)}\n",
            encoding="utf-8",
        )
        self.environment = own_environment(nix, tmp_path) | {"LOCKBOT_CONFIG": str(self.config)}
        del self.environment["LOCKBOT_STATE__DIRECTORY"]
        self.tmp_path = tmp_path

    def start(self, change: Callable[[Start, Path], None]) -> Start:
        start = Start(dict(self.environment), self.tmp_path)
        change(start, self.tmp_path)
        return start

    def run(self, start: Start, *words: str) -> subprocess.CompletedProcess[str]:
        if start.directory != self.tmp_path:
            start.directory.mkdir(exist_ok=True)
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL} | start.streams
        return subprocess.run(
            [*start.before, sys.executable, "-m", "lockbot", *words],
            env=start.environment,
            cwd=start.directory,
            preexec_fn=start.prepare,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
            **options,
        )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What no command may say, whatever it is started with."""
    text = done.stdout + done.stderr
    return next((one for one in ("Traceback", "a bug in lockbot", "Exception ignored") if one in text), "")


@pytest.mark.parametrize("how", some(WORKS, 3))
def test_it_works_all_the_same(how: str, one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World(one_nix, tmp_path)
    world.packages.commit("second")
    start = world.start(WORKS[how])
    wrong = []
    for words in [*some(COMMANDS[:-1], 4, list(WORKS).index(how) // 3), COMMANDS[-1]]:
        done = world.run(start, *words)
        if done.returncode != 0 or complaint(done):
            wrong.append((words, done.returncode, done.stdout[-300:], done.stderr[-600:]))
    assert wrong == []
    assert world.fleet.locked("packages") == world.packages.head()
    message = world.fleet.git("log", "-1", "--format=%B")
    assert "büro" in message, "git is given UTF-8 whatever the locale is"


def nothing_configured(start: Start, tmp: Path) -> None:
    gone_directory(start, tmp)
    del start.environment["LOCKBOT_CONFIG"]


def relative_configuration(start: Start, tmp: Path) -> None:
    gone_directory(start, tmp)
    start.environment["LOCKBOT_CONFIG"] = "lockbot.toml"


def relative_variable(start: Start, tmp: Path) -> None:
    gone_directory(start, tmp)
    start.environment["LOCKBOT_STATE__DIRECTORY"] = "state"


def no_place_for_state(start: Start, tmp: Path) -> None:
    unknown_user(start, tmp)
    for name in [name for name in start.environment if name.startswith("XDG_")]:
        del start.environment[name]
    config = Path(start.environment["LOCKBOT_CONFIG"])
    config.write_text(config.read_text(encoding="utf-8").partition("[state]")[0], encoding="utf-8")


GONE = "directory in which lockbot was started is gone"
NAMED: dict[str, tuple[Callable[[Start, Path], None], str, frozenset[str]]] = {
    "no directory, no configuration": (nothing_configured, GONE, NEED_CONFIGURATION),
    "no directory, a relative one": (relative_configuration, GONE, NEED_CONFIGURATION),
    "no directory, a relative state": (relative_variable, GONE, NEED_CONFIGURATION),
    "no home, no user": (no_place_for_state, "HOME is not set", NEED_CONFIGURATION),
    "no git": (path_with("env", *NIX), "git", NEED_GIT),
    "no nix": (path_with("env", "git"), "no `nix` on PATH", NEED_NIX),
    "nothing on PATH": (path_with(), "git", NEED_GIT),
}


@pytest.mark.parametrize("how", NAMED)
def test_what_is_missing_is_named(how: str, one_nix: nixes.Nix, tmp_path: Path) -> None:
    change, missing, concerned = NAMED[how]
    world = World(one_nix, tmp_path)
    start = world.start(change)
    wrong = []
    for words in some(COMMANDS, 3):
        done = world.run(start, *words)
        told = missing in done.stdout + done.stderr
        # What looks at the configuration alone needs no program.
        fails = words[0] in concerned and (not words[1:] or concerned == NEED_CONFIGURATION)
        if complaint(done) or (done.returncode in (2, 3)) != fails or told != fails:
            wrong.append((words, done.returncode, done.stdout[-300:], done.stderr[-600:]))
    assert wrong == []


def test_bytes_that_are_no_text_in_a_path(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """git and Linux allow them; Nix can't name such a flake: so an update says so, and nothing else breaks."""
    world = World(one_nix, tmp_path)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd-\xff"))
    world.fleet.path.rename(odd)
    start = world.start(without("LOCKBOT_CONFIG"))
    start.environment["LOCKBOT_STATE__DIRECTORY"] = str(world.state)
    start.directory = odd
    for words in COMMANDS[::2]:
        done = world.run(start, *words)
        assert not complaint(done), (words, done.stderr)
        assert done.returncode in (0, 2, 3), words
        assert "\udcff" not in done.stdout + done.stderr, "what is printed is UTF-8"


# -- files ---------------------------------------------------------------------------------------------------


def a_directory(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


ODD_FILES = (a_directory, a_pipe, a_link_to_nowhere, a_link_to_itself, endless, not_text)


def fails_with_2(path: Path, cwd: Path, *words: str, environment: Mapping[str, str]) -> str:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "lockbot", *words],
        env={**environment, "PYTHONPATH": str(nixes.PROJECT)},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert time.monotonic() - begun < 50
    assert not complaint(done), done.stderr
    assert done.returncode == 2, done.stderr
    assert str(path) in done.stderr
    return done.stderr


@pytest.mark.parametrize("odd", ODD_FILES)
@pytest.mark.parametrize("found", ["given", "found here"])
def test_a_configuration_that_cannot_be_read(odd: Callable[[Path], None], found: str, tmp_path: Path) -> None:
    path = tmp_path / "lockbot.toml"
    odd(path)
    words = ["--config", str(path), "history"] if found == "given" else ["history"]
    fails_with_2(path, tmp_path, *words, environment={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})


@pytest.mark.parametrize("odd", [*ODD_FILES[:4], not_text])
def test_a_secret_that_cannot_be_read(odd: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "token"
    odd(path)
    config = tmp_path / "lockbot.toml"
    config.write_text(f"[eval]\naccess_tokens = {{ file = {toml(path)} }}\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    assert "eval.access_tokens" in fails_with_2(path, tmp_path, "history", environment=environment)


def test_a_configuration_may_come_from_a_pipe(tmp_path: Path) -> None:
    generate = "sleep 0.3; echo '[build]'; sleep 0.3; echo 'gate = 1'"
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m lockbot --config <({generate}) check --configuration-only"],
        env={**os.environ, "PYTHONPATH": str(nixes.PROJECT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ":2: build.gate: " in done.stdout, done.stderr


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.symlink_to("/dev/full")
    with pytest.raises(LockbotError) as raised, oserrors.explaining(), oserrors.naming(path):
        path.write_bytes(b"text")
    assert raised.value.message == f"cannot write {path}: No space left on device"
    assert raised.value.hint


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda path: path.read_text(), "cannot find {}: No such file or directory"),
        (lambda path: path.parent.read_text(), "cannot use {.parent}: Is a directory"),
        (lambda path: path.parent.mkdir(), "cannot make {.parent}: File exists"),
        (lambda path: (path.write_text(""), (path / "more").touch()), "cannot use {}/more: Not a directory"),
        (lambda path: (path.symlink_to(path), path.stat()), "cannot use {}: Too many levels of symbolic links"),
        (lambda path: path.rename(path / "x"), "cannot find {} and {}/x: No such file or directory"),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_one_sentence(act: Callable[[Path], object], told: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(LockbotError) as raised, oserrors.explaining():
        act(path)
    assert raised.value.message == told.format(path, path)
    assert raised.value.hint
    assert raised.value.exit_code == 3


def test_a_bug_stays_a_bug() -> None:
    """A descriptor that was closed twice, say, is nobody's file."""
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor") as raised, oserrors.explaining():
        os.close(writer)
    assert not isinstance(raised.value, LockbotError)


STATE_FILES = ("worktrees", "roots", "lock")


@pytest.mark.parametrize("odd", [a_link_to_itself, not_text])
@pytest.mark.parametrize("name", STATE_FILES)
def test_what_lies_in_the_state_directory_is_named_or_mended(
    name: str, odd: Callable[[Path], None], one_nix: nixes.Nix, tmp_path: Path
) -> None:
    world = World(one_nix, tmp_path)
    start = world.start(without())
    assert world.run(start, "update").returncode == 0
    (path,) = world.state.glob(f"repos/*/{name}")
    path.rename(tmp_path / "moved")
    odd(path)
    for words in (("status",), ("check",), ("update", "--json")):
        done = world.run(start, *words)
        assert not complaint(done), (words, done.stderr, done.stdout)
        assert done.returncode in (0, 1, 3), words
        if words[0] == "update" and done.returncode == 3:
            told = json.loads(done.stdout)["error"] if done.stdout else done.stderr
            assert str(path.parent) in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be who sudo makes one")
@pytest.mark.parametrize("words", [("update",), ("status",)])
def test_sudo_leaves_nothing_of_roots_in_the_users_repository(words: tuple[str, ...], tmp_path: Path) -> None:
    fleet, owner = tmp_path / "fleet", 12345
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "root"), "SUDO_UID": str(owner)}
    subprocess.run(["git", "init", "--quiet", str(fleet)], env=environment, check=True)
    for place in (fleet, *fleet.rglob("*")):
        os.chown(place, owner, owner)
    told = fails_with_2(fleet, fleet, *words, environment=environment)
    assert "run lockbot without sudo" in told
    assert all(place.stat().st_uid == owner for place in fleet.rglob("*"))
