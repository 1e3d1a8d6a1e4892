"""Files and directories that the user names: whatever lies there is not lost, nor written through."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockbot import files
from lockbot.commands import init, metrics
from lockbot.commands.demo import sample
from lockbot.errors import LockbotError, SurroundingsError, UsageError
from lockbot.git.worktree import Worktree
from tests import nixes
from tests.cli.test_cli import lockbot, own_environment, plain_fleet
from tests.end_to_end.test_files import FOR_FILES, INTRUDERS, SOMEBODY, Intruder, everything, intrude

OURS = b"# HELP lockbot_info The version of lockbot.\n"


def _socket(path: Path, precious: Path) -> None:  # noqa: ARG001 -- an intruder's shape
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(before)


def _device(path: Path, precious: Path) -> None:  # noqa: ARG001 -- the same
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))  # /dev/full
    except PermissionError:
        pytest.skip("only root may make a device")


def _hard_link(path: Path, precious: Path) -> None:
    (precious / "file").write_bytes(OURS)
    path.hardlink_to(precious / "file")


def _text(path: Path, precious: Path) -> None:  # noqa: ARG001 -- the same
    path.write_text("mine")


def _metrics(path: Path, precious: Path) -> None:  # noqa: ARG001 -- the same
    path.write_text("# HELP node_cpu Seconds.\n")


def _full_directory(path: Path, precious: Path) -> None:  # noqa: ARG001 -- the same
    (path / "sub").mkdir(parents=True)


MORE: dict[str, Intruder] = {
    "a socket": _socket,
    "a device": _device,
    "a hard link": _hard_link,
    "a text": _text,
    "other metrics": _metrics,
    "a directory with something in it": _full_directory,
}
KINDS = [*FOR_FILES, *MORE]
WORDS = {
    "a symbolic link": "is a symbolic link to ",
    "a relative symbolic link": "is a symbolic link to ",
    "a FIFO": "is a FIFO",
    "a directory": "is a directory",
    "another user's directory": "is a directory",
    "another user's file": f"is the user's with uid {SOMEBODY}",
    "a socket": "is a socket",
    "a device": "is a device",
    "a hard link": "has another name, too",
    "a text": "something else in it",
    "other metrics": "something else in it",
}


def words(kind: str) -> str:
    return next(told for start, told in WORDS.items() if kind.startswith(start))


@pytest.fixture(params=["", "linked"], ids=["here", "through a link"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory, by its own name or by that of a link to it."""
    (tmp_path / "there").mkdir()
    (tmp_path / "linked").symlink_to("there")
    return tmp_path / (request.param or "there")


@pytest.fixture(autouse=True)
def _more(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, make in MORE.items():
        monkeypatch.setitem(INTRUDERS, kind, make)


def write_metrics(path: Path) -> None:
    metrics.write(path, OURS)


def write_configuration(path: Path) -> None:
    init.write("new", path, force=True)


def write_new_configuration(path: Path) -> None:
    init.write("new", path, force=False)


def make_demo(path: Path) -> None:
    sample._empty(path)


COMMANDS: dict[str, Callable[[Path], None]] = {
    "metrics --textfile": write_metrics,
    "init --force": write_configuration,
    "init": write_new_configuration,
    "demo --directory": make_demo,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_lies_there_stays_and_is_named(place: Path, command: str, kind: str) -> None:
    path = place / "named"
    intrude(kind, path, place / "precious")
    before = everything(place.resolve())
    if command == "init --force" and kind in ("a text", "other metrics"):
        content = path.read_bytes()
        assert init.write("new", path, force=True) == place / "named.old"
        assert (path.read_text(), (place / "named.old").read_bytes()) == ("new", content)
        return
    if command == "demo --directory" and kind == "a directory":
        COMMANDS[command](path)  # it is empty, and this user's
    else:
        with pytest.raises(UsageError) as caught:
            COMMANDS[command](path)
        assert str(path) in caught.value.message or str(path.resolve()) in caught.value.message
        assert caught.value.hint or re.search("move it away|run it as that user", caught.value.message)
        if command in ("metrics --textfile", "init --force"):
            assert words(kind) in caught.value.message
    assert everything(place.resolve()) == before


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/null", "/proc/self/fd/1", "/", "/tmp/..", "/dev"])  # noqa: S108
@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_system_has(command: str, path: str) -> None:
    before = os.stat(path, follow_symlinks=False)  # noqa: PTH116 -- as it is
    with pytest.raises(UsageError):
        COMMANDS[command](Path(path))
    after = os.stat(path, follow_symlinks=False)  # noqa: PTH116 -- the same
    assert (after.st_mode, after.st_ino, after.st_rdev) == (before.st_mode, before.st_ino, before.st_rdev)


@pytest.mark.parametrize("content", [None, b"", OURS + b"old"])
def test_metrics_replace_their_own(place: Path, content: bytes | None) -> None:
    path = place / "a.prom"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    write_metrics(path)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (OURS, 0o644)
    assert os.listdir(place) == ["a.prom"]  # noqa: PTH208


def test_what_a_configuration_replaces_is_kept_each_time(place: Path) -> None:
    path = place / "lockbot.toml"
    assert init.write("1", path, force=True) is None
    path.chmod(0o640)
    for number, name in enumerate(["lockbot.toml.old", "lockbot.toml.old.2", "lockbot.toml.old.3"], 1):
        assert init.write(str(number + 1), path, force=True) == place / name
        assert (place / name).read_text() == str(number)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640, "as it was"
    with pytest.raises(UsageError, match="is there already"):
        init.write("5", path, force=False)
    assert path.read_text() == "4"


@pytest.fixture
def _full() -> Iterator[None]:
    """Not a byte more may be written to any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("content", [None, OURS + b"old"])
@pytest.mark.parametrize("write", [write_metrics, write_configuration])
def test_where_there_is_no_room(
    place: Path, content: bytes | None, write: Callable[[Path], None], request: pytest.FixtureRequest
) -> None:
    path = place / "named"
    if content is not None:
        path.write_bytes(content)
    before = everything(place.resolve())
    request.getfixturevalue("_full")
    with pytest.raises((SurroundingsError, UsageError), match="File too large"):
        write(path)
    assert everything(place.resolve()) == before


@pytest.mark.parametrize("write", [write_metrics, write_configuration])
@pytest.mark.parametrize("path", ["/proc/named", "no/such/directory", "file/named"])
def test_where_nothing_can_be_written(tmp_path: Path, path: str, write: Callable[[Path], None]) -> None:
    """/proc takes no file from anybody, root included: a file system that can't be written to."""
    (tmp_path / "file").touch()
    with pytest.raises(LockbotError, match=r"can't be written|cannot write") as caught:
        write(tmp_path / path)
    assert "its directory must exist" in caught.value.hint


# -- while somebody else is at it -------------------------------------------------------------------------------


@pytest.fixture(params=["at once", "by steps"])
def rename(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How names are exchanged: by the system, and where it can't."""
    if request.param == "by steps":
        monkeypatch.setattr(files, "_rename", files._rename_plainly)


def replaced(path: Path) -> None:
    (path.parent / "theirs").write_text("theirs")
    (path.parent / "theirs").replace(path)


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


def written(path: Path) -> None:
    with path.open("a") as file:
        file.write("theirs")


MEANWHILE: dict[str, Callable[[Path], None]] = {
    "replaced": replaced,
    "a link now": linked,
    "written to": written,
    "removed": Path.unlink,
}


@pytest.mark.usefixtures("rename")
@pytest.mark.parametrize("done", MEANWHILE)
@pytest.mark.parametrize("keep", [False, True], ids=["", "kept"])
def test_what_comes_there_meanwhile_stays(tmp_path: Path, done: str, keep: bool) -> None:
    path = tmp_path / "named"
    path.write_bytes(OURS)
    before: dict[str, tuple[int, int, str]] = {}

    def ours(_: bytes) -> bool:
        """Between the look and the exchange."""
        MEANWHILE[done](path)
        before.update(everything(tmp_path))
        return True

    with pytest.raises(OSError) as caught:
        files.put(path, b"new", ours=ours, keep=keep)
    assert "by somebody else" in str(caught.value) or done == "removed"
    assert everything(tmp_path) == before


@pytest.mark.usefixtures("rename")
@pytest.mark.parametrize("kind", [*INTRUDERS, "a text"])
def test_what_comes_to_an_empty_place_meanwhile_stays(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "named", files._write

    def late(*args: object) -> os.stat_result:
        done = write(*args)  # type: ignore[arg-type]  # what it was called with
        intrude(kind, path, tmp_path / "precious")
        return done

    monkeypatch.setattr(files, "_write", late)
    with pytest.raises(files.NotOurs, match="by somebody else"):
        files.put(path, b"new", ours=lambda _: True)
    assert os.path.lexists(path)
    assert sorted(os.listdir(tmp_path)) == ["named", "precious"]  # noqa: PTH208
    assert everything(tmp_path / "precious")["file"][2] == "mine"


@pytest.mark.usefixtures("rename")
def test_it_is_replaced_and_kept_either_way(tmp_path: Path) -> None:
    path = tmp_path / "named"
    for content in (b"one", b"two"):
        assert files.put(path, content, ours=lambda _: True) is None
        assert path.read_bytes() == content
    assert files.put(path, b"three", ours=lambda _: True, keep=True) == tmp_path / "named.old"
    assert (path.read_bytes(), (tmp_path / "named.old").read_bytes()) == (b"three", b"two")
    assert sorted(os.listdir(tmp_path)) == ["named", "named.old"]  # noqa: PTH208


# -- a flake's directory -----------------------------------------------------------------------------------------


def test_a_flake_behind_a_link_is_not_written_through_it(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """The link is committed, and leads out of lockbot's work tree: into the user's home, say."""
    directory = "linked/deep"
    fleet, packages = plain_fleet(one_nix, tmp_path)
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    for name in ("flake.nix", "flake.lock"):
        (outside / "deep" / name).write_bytes((fleet.path / name).read_bytes())
    (fleet.path / "linked").symlink_to(outside)
    fleet.git("add", "--all")
    fleet.git("commit", "--quiet", "--message", "links")
    packages.commit("second")
    before = everything(outside), fleet.git("rev-parse", "main")
    environ = own_environment(one_nix, tmp_path) | {"LOCKBOT_REPOSITORY__FLAKE_DIR": directory}
    for command in (["update"], ["verify", "--no-evaluate"]):
        done = lockbot(*command, env=environ, cwd=fleet.path)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stdout + done.stderr
        assert "linked/deep in the repository is reached by a symbolic link (linked)" in done.stderr
    assert (everything(outside), fleet.git("rev-parse", "main")) == before


@pytest.mark.parametrize(
    ("directory", "link"),
    {
        "": "",
        "real": "",
        "real/deep": "",
        "linked": "linked",
        "real/linked/x": "real/linked",
        "nothing": "",
    }.items(),
)
def test_which_directories_are_behind_a_link(tmp_path: Path, directory: str, link: str) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "real" / "linked").symlink_to("/")
    tree = Worktree(tmp_path, "c" * 40, submodules=False)
    if not link:
        assert tree.inside(directory) == tmp_path / directory
        return
    with pytest.raises(UsageError, match=re.escape(f"by a symbolic link ({link})")):
        tree.inside(directory)
