"""What lockbot keeps, damaged while it does not look: cut, flipped, removed, replaced, somebody else's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind, plain

_STATE = "state/lockbot"
THINGS = {
    "the history": f"{_STATE}/history.sqlite",
    "the lock": f"{_STATE}/repos/*/lock",
    "the clone": f"{_STATE}/repos/*/clone.git",
    "the clone's configuration": f"{_STATE}/repos/*/clone.git/config",
    "the clone's HEAD": f"{_STATE}/repos/*/clone.git/HEAD",
    "the clone's objects": f"{_STATE}/repos/*/clone.git/objects",
    "an object of the clone": f"{_STATE}/repos/*/clone.git/objects/??/*",
    "a reference of the clone": f"{_STATE}/repos/*/clone.git/refs/lockbot/*",
    "the worktrees": f"{_STATE}/repos/*/worktrees",
    "the upstreams' repositories": f"{_STATE}/repos/*/upstreams",
    "an upstream's repository": f"{_STATE}/repos/*/upstreams/a-*.git",
    "an upstream's configuration": f"{_STATE}/repos/*/upstreams/a-*.git/config",
    "the roots": f"{_STATE}/repos/*/roots",
    "the repository's place": f"{_STATE}/repos/*",
    "all places": f"{_STATE}/repos",
    "the state directory": _STATE,
    "the configuration": "lockbot.toml",
}


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), max(1, len(data) // 20)):
        data[at] ^= 0x5A
    path.write_bytes(data)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _link_away(path: Path) -> None:
    _remove(path)
    path.symlink_to(path.with_name("nowhere"))


def _link_to_mine(path: Path) -> None:
    mine = _mine(path)
    if path.is_dir():
        mine.mkdir(parents=True)
        (mine / "tree-oak").mkdir()
        (mine / "tree-oak/precious").write_text("mine\n")
    else:
        mine.write_text("mine\n")
    _remove(path)
    path.symlink_to(mine)


def _mine(path: Path) -> Path:
    """Not in a place of lockbot's."""
    place = next(parent for parent in path.parents if (parent / "fleet").is_dir())
    return place / "mine"


def _other_kind(path: Path) -> None:
    """A file where a directory was, and the other way round."""
    directory = path.is_dir()
    _remove(path)
    path.write_text("") if directory else path.mkdir()


def _give_away(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, 65534, 65534, follow_symlinks=False)


_FILE: dict[str, Callable[[Path], None]] = {"cut in half": _cut, "emptied": _empty, "with flipped bits": _flip}
_ANY: dict[str, Callable[[Path], None]] = {
    "removed": _remove,
    "replaced by a link to nowhere": _link_away,
    "replaced by a link to what is mine": _link_to_mine,
    "of another kind": _other_kind,
    "somebody else's": _give_away,
}


_REFUSED = (
    "replaced by a link to nowhere",
    "replaced by a link to what is mine",
    "of another kind",
    "somebody else's",
)
_USERS = ("the configuration", "the state directory")
"""What of all that is for its owner to put right; the rest lockbot makes anew."""
_MAY_BE_A_LINK = "the state directory"
"""Its owner may have it elsewhere: lockbot goes there, and touches nothing that it has not made."""


def _found(ground: Ground, thing: str) -> Path:
    """Where it is; what the fault before this one took away is made anew when the next update needs it."""
    for again in (False, True):
        if again:
            ground.moves()
            ground.lands()
        for path in sorted(ground.world.directory.glob(THINGS[thing])):
            if path.name not in ("info", "pack"):
                return path
    raise AssertionError(f"{thing} is nowhere")


def _places(ground: Ground) -> Sequence[str]:
    assert ground.world.config.exists()
    return [
        f"{thing} {how}" for thing in THINGS for how in ({} if _found(ground, thing).is_dir() else _FILE) | _ANY
    ]


def _inject(ground: Ground, case: Case) -> None:
    world = ground.world
    how = next(how for how in (_FILE | _ANY) if case.label.endswith(f" {how}"))
    path, config = _found(ground, case.label.removesuffix(f" {how}")), world.config
    ground.moves()
    spare, directory = world.directory / "spare", path.is_dir()
    shutil.rmtree(spare, ignore_errors=True)
    shutil.copytree(path, spare, symlinks=True) if directory else shutil.copyfile(path, spare)
    (_FILE | _ANY)[how](path)
    mine = _mine(path)
    before = _content(mine)
    results = [world.update_with(config)]
    if results[0].code != 0:  # it may be told once, and be made anew
        results.append(world.update_with(config))
    now = _content(mine)
    followed = case.label.startswith(_MAY_BE_A_LINK) and path.is_symlink() and results[-1].code == 0
    assert now == before or (followed and before.items() <= now.items()), "what lies behind a link was touched"
    if results[-1].code != 0 or followed:
        assert how in _REFUSED or case.label.startswith(_USERS), (results[-1].document, results[-1].stderr)
        _remove(path) if os.path.lexists(path) else None
        _back(spare, path)
    for gone in (mine, spare):
        _remove(gone) if gone.exists() else None
    world.forgotten |= {*world.published()}
    world.unread = case.label.startswith("an object of the clone")
    ground.met(*results)
    ground.lands()
    if world.unread:  # the next fault finds a clone that is whole
        for clone in world.directory.glob(THINGS["the clone"]):
            shutil.rmtree(clone)
        world.unread = False
    elif how in _REFUSED and _is_not_lockbots(path, directory=directory):
        _remove(path)  # lockbot did without, and said what is to be moved away


def _is_not_lockbots(path: Path, *, directory: bool) -> bool:
    foreign = path.is_symlink() or (path.exists() and path.lstat().st_uid != os.geteuid())
    return foreign or (path.exists() and path.is_dir() != directory)


def _content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    return {str(each): each.read_bytes() for each in files}


def _back(spare: Path, path: Path) -> None:
    """What was damaged is restored from a backup."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(spare, path, symlinks=True) if spare.is_dir() else shutil.copyfile(spare, path)


def not_root() -> str | None:
    return None if os.geteuid() == 0 else "only root may give files away"


KINDS = (
    Kind("damage", "what lockbot keeps is cut, flipped, removed, replaced by a link or given to somebody else",
         "what lies behind a link is as it was", plain(breaks=False), _places, _inject, unless=not_root),
)  # fmt: skip
