"""What somebody put in a place of lockbot's, by kind: it is neither followed nor replaced, and it is named."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockbot import files
from lockbot.cli import cli
from lockbot.daemon import memory
from lockbot.errors import LockbotError
from tests import nixes
from tests.cli.test_cli import lockbot, own_environment, plain_fleet, said
from tests.commands.test_status import World, _in_utc, world  # noqa: F401 -- fixtures
from tests.history.samples import NOON

SOMEBODY = 12345
Intruder = Callable[[Path, Path], None]

ADVICE = "which lockbot did not make: move it away|run it as that user"


def _owned(kind: Callable[[Path], object]) -> Intruder:
    def make(path: Path, precious: Path) -> None:  # noqa: ARG001 -- an intruder's shape
        kind(path)
        os.chown(path, SOMEBODY, -1)

    return make


INTRUDERS: dict[str, Intruder] = {
    "a symbolic link to a directory": lambda path, precious: path.symlink_to(precious),
    "a symbolic link to a file": lambda path, precious: path.symlink_to(precious / "file"),
    "a relative symbolic link": lambda path, precious: path.symlink_to(os.path.relpath(precious, path.parent)),
    "a symbolic link to nothing": lambda path, precious: path.symlink_to(precious / "nothing"),
    "a symbolic link to itself": lambda path, precious: path.symlink_to(path),  # noqa: ARG005
    "a FIFO": lambda path, precious: os.mkfifo(path),  # noqa: ARG005
    "another user's directory": _owned(Path.mkdir),
    "another user's file": _owned(Path.touch),
    "a directory": lambda path, precious: path.mkdir(),  # noqa: ARG005
    "a file": lambda path, precious: path.touch(),  # noqa: ARG005
}
FOR_DIRECTORIES = sorted(INTRUDERS.keys() - {"a directory"})
FOR_FILES = sorted(INTRUDERS.keys() - {"a file"})


def intrude(kind: str, path: Path, precious: Path) -> None:
    """Put something else into a place, whatever is there. `precious` is a directory that nothing may happen to."""
    if kind.startswith("another") and os.geteuid() != 0:
        pytest.skip("only root may give something away")
    (precious / "tree-oak").mkdir(parents=True)
    (precious / "file").write_text("mine")
    (precious / "tree-oak" / "leaf").write_text("mine")
    put_there(kind, path, precious)


def put_there(kind: str, path: Path, precious: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    INTRUDERS[kind](path, precious)


def everything(place: Path) -> dict[str, tuple[int, int, str]]:
    """Each entry's kind, number and content: what must stay the same."""
    return {
        str(path.relative_to(place)): (path.lstat().st_mode, path.lstat().st_ino, _content(path))
        for path in sorted(place.rglob("*"))
    }


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return path.read_text() if path.is_file() else ""


# -- one by one ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FOR_DIRECTORIES)
def test_a_directory_is_lockbots_own_or_refused(kind: str, tmp_path: Path) -> None:
    intrude(kind, tmp_path / "mine", tmp_path / "precious")
    before = everything(tmp_path)
    for use in (files.directory, files.check_directory):
        with pytest.raises(files.NotOurs, match=ADVICE):
            use(tmp_path / "mine")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", FOR_FILES)
def test_a_file_is_lockbots_own_or_refused(kind: str, tmp_path: Path) -> None:
    intrude(kind, tmp_path / "mine", tmp_path / "precious")
    before = everything(tmp_path)
    for use in (lambda path: files.replace(path, b"new"), files.check_file):
        with pytest.raises(files.NotOurs, match=ADVICE):
            use(tmp_path / "mine")
    with pytest.raises(OSError):
        files.read(tmp_path / "mine")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", FOR_FILES)
def test_what_lies_where_a_file_is_written_beside_is_not_followed(kind: str, tmp_path: Path) -> None:
    """A process that was killed left it there, or somebody made it."""
    precious = tmp_path / "precious"
    intrude(kind, tmp_path / f".mine.{os.getpid()}", precious)
    before = everything(precious)
    try:
        files.replace(tmp_path / "mine", b"new")
    except OSError:
        assert not (tmp_path / "mine").exists()
    else:
        assert (tmp_path / "mine").read_bytes() == b"new"
    assert everything(precious) == before


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    files.replace(path, b"one")
    (tmp_path / "other").hardlink_to(path)
    files.replace(path, b"two", durable=True)
    assert (files.read(path), (tmp_path / "other").read_bytes(), files.read(path, 1)) == (b"two", b"one", b"t")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "other"]


# -- --textfile ------------------------------------------------------------------------------------------------


def test_a_fifo_for_metrics_stays_for_who_reads_it(world: World, tmp_path: Path) -> None:  # noqa: F811
    """Nor is it waited for."""
    os.mkfifo(tmp_path / "pipe")
    done = lockbot("metrics", "--textfile", str(tmp_path / "pipe"), env=world.environ, cwd=tmp_path, timeout=30)
    assert "is a FIFO" in said(done, 2)
    assert (tmp_path / "pipe").is_fifo()


# -- the state directory ---------------------------------------------------------------------------------------

DIRECTORIES = ["repos", "logs", "nix-data", "repos/*", "repos/*/worktrees", "repos/*/roots", "repos/*/clone.git"]
DIRECTORIES += ["repos/*/upstreams"]
FILES = ["repos/*/lock", *(f"history.sqlite{end}" for end in ("", "-wal", "-shm", "-journal"))]
COMMANDS = [["status"], ["history"], ["inputs"], ["hold", "a", "--why", "so"], ["healthcheck"], ["metrics"]]


def in_state(world: World, place: str) -> Path:  # noqa: F811
    """The place in the state directory, which has been used before."""
    world.run("inputs")
    state = Path(world.environ["LOCKBOT_STATE__DIRECTORY"])
    (repository,) = (state / "repos").iterdir()
    return state / place.replace("*", repository.name)


@pytest.mark.parametrize("kind", FOR_DIRECTORIES)
@pytest.mark.parametrize("place", DIRECTORIES)
def test_a_directory_that_was_replaced_is_refused_by_every_command(
    world: World,  # noqa: F811
    tmp_path: Path,
    place: str,
    kind: str,
) -> None:
    path = in_state(world, place)
    intrude(kind, path, tmp_path / "precious")
    refused(world, tmp_path, COMMANDS)


@pytest.mark.parametrize("kind", FOR_FILES)
@pytest.mark.parametrize("place", FILES)
def test_a_file_that_was_replaced_is_refused_by_who_needs_it(
    world: World,  # noqa: F811
    tmp_path: Path,
    place: str,
    kind: str,
) -> None:
    path = in_state(world, place)
    intrude(kind, path, tmp_path / "precious")
    refused(world, tmp_path, [["inputs"]] if place.endswith("lock") else COMMANDS[:2] + COMMANDS[3:4])


def refused(world: World, tmp_path: Path, commands: list[list[str]]) -> None:  # noqa: F811
    """In words that say what it is, where, and what to do; and nothing anywhere is another than it was."""
    state = Path(world.environ["LOCKBOT_STATE__DIRECTORY"])
    before = everything(tmp_path / "precious")
    entries = {path for path in state.rglob("*") if "clone.git/" not in str(path)}
    for words in commands:
        done = CliRunner().invoke(cli, words, env=world.environ, standalone_mode=False)
        if words == ["metrics"]:
            assert "lockbot_repository_readable" in done.stdout
            continue
        if words == ["healthcheck"]:
            assert done.return_value == 1 and re.search(ADVICE, done.stdout)
            continue
        assert isinstance(done.exception, LockbotError), (words, done.exception, done.stdout)
        assert done.exception.exit_code in (2, 3)
        assert re.search(ADVICE, done.exception.message)
        assert str(state) in done.exception.message
    assert everything(tmp_path / "precious") == before
    assert {path for path in state.rglob("*") if "clone.git/" not in str(path)} == entries


@pytest.mark.parametrize("place", ["repos/*/worktrees", "repos/*/clone.git", "repos/*/roots", "repos/*/upstreams"])
def test_an_update_removes_nothing_behind_a_link(one_nix: nixes.Nix, tmp_path: Path, place: str) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    environment = own_environment(one_nix, tmp_path)
    assert lockbot("inputs", env=environment, cwd=fleet.path).returncode == 0
    state = tmp_path / "lockbot-state"
    (repository,) = (state / "repos").iterdir()
    intrude("a symbolic link to a directory", state / place.replace("*", repository.name), tmp_path / "precious")
    before = everything(tmp_path / "precious")
    done = lockbot("update", env=environment, cwd=fleet.path)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert "a symbolic link to" in done.stderr
    assert everything(tmp_path / "precious") == before


@pytest.mark.parametrize("place", ["repos/*/clone.git/worktrees", "repos/*/worktrees/tree-old", "logs/old"])
def test_a_fifo_where_an_update_clears_up_is_not_waited_for(
    one_nix: nixes.Nix, tmp_path: Path, place: str
) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    environment = own_environment(one_nix, tmp_path)
    assert lockbot("inputs", env=environment, cwd=fleet.path).returncode == 0
    state = tmp_path / "lockbot-state"
    (repository,) = (state / "repos").iterdir()
    path = state / place.replace("*", repository.name)
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    os.mkfifo(path)
    os.utime(path, (0, 0))
    done = lockbot("update", env=environment, cwd=fleet.path)  # it would never end
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", FOR_FILES)
def test_nothing_is_removed_that_lockbot_did_not_make(kind: str, tmp_path: Path) -> None:
    intrude(kind, tmp_path / memory.PAUSED, tmp_path / "precious")
    put_there(kind, tmp_path / memory.DAEMON, tmp_path / "precious")
    before = everything(tmp_path)
    with pytest.raises(files.NotOurs):
        memory.resume(tmp_path)
    memory.forget_service(tmp_path)
    files.remove(tmp_path / memory.PAUSED)
    assert everything(tmp_path) == before
    files.remove(tmp_path / "nothing")
    (tmp_path / "mine").touch()
    files.remove(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_the_state_directory_itself_may_be_a_link(world: World, tmp_path: Path) -> None:  # noqa: F811
    """Moved to another disk, by its owner."""
    state = Path(world.environ["LOCKBOT_STATE__DIRECTORY"])
    world.run("hold", "a", "--why", "kept")
    state.rename(tmp_path / "elsewhere")
    state.symlink_to(tmp_path / "elsewhere")
    assert "kept" in world.run("status")


def test_a_link_to_a_disk_that_is_not_there_is_no_new_state_directory(world: World, tmp_path: Path) -> None:  # noqa: F811
    state = Path(world.environ["LOCKBOT_STATE__DIRECTORY"])
    state.symlink_to(tmp_path / "not-mounted" / "state")
    done = CliRunner().invoke(cli, ["status"], env=world.environ, standalone_mode=False)
    assert isinstance(done.exception, LockbotError)
    assert "is its disk mounted?" in done.exception.hint
    assert not (tmp_path / "not-mounted").exists()


@pytest.mark.parametrize("kind", FOR_FILES)
@pytest.mark.parametrize("name", [memory.SCHEDULE, memory.DAEMON, memory.PAUSED])
def test_what_the_daemon_remembers_is_read_from_its_own_files_only(name: str, kind: str, tmp_path: Path) -> None:
    intrude(kind, tmp_path / name, tmp_path / "precious")
    before = everything(tmp_path)
    assert memory.read_done(tmp_path) == {}
    assert memory.read_service(tmp_path) is None
    assert (memory.paused(tmp_path) is not None) == (name == memory.PAUSED), "somebody meant to"
    service = memory.Service(1, None, "")
    for write in (
        partial(memory.write_done, tmp_path, {}),
        partial(memory.write_service, tmp_path, service),
        partial(memory.pause, tmp_path, "so", NOON),
    ):
        try:
            write()
        except OSError as error:
            assert re.search(ADVICE, str(error))
    assert {path: told for path, told in everything(tmp_path).items() if path in before} == before


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "[" * 99999, '{"pid": "me"}', '{"pid": 1e400}', '{"pid": 1, "start": 1, "status": 1}']
    + [
        f'{{"pid": 1, "start": null, "status": "", "running": {one}, "waiting": {one}, "next": {one}}}'
        for one in "15"
    ]
    + ['{"a": {"last": "2026-11-22T12:00:00+00:00", "lost": 1e400}}', '{"a": {"last": 1, "lost": 0}}'],
)
def test_what_the_daemon_remembers_may_be_anything(text: str, tmp_path: Path) -> None:
    for name in (memory.SCHEDULE, memory.DAEMON, memory.PAUSED):
        (tmp_path / name).write_text(text)
    assert (memory.read_done(tmp_path), memory.read_service(tmp_path)) == ({}, None)
    assert memory.paused(tmp_path) == memory.Pause(None, ""), "somebody meant to"
