"""lockbot's clone lacks what only a late step reads, or Nix: the run says so, begins anew, and lands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests import nixes
from tests.sampling import nix_by_turns
from tests.update.world import World


def _of(world: World, what: str) -> Iterator[str]:
    """Objects of the flake's own history: of a commit that is not the newest, or of all those."""
    for commit in world.fleet.git("rev-list", "main~2").split()[: 1 if what != "everything" else None]:
        named = {"commit": commit, "tree": f"{commit}^{{tree}}", "blob": f"{commit}:flake.nix"}
        for name in [named[what]] if what in named else named.values():
            yield world.fleet.git("rev-parse", name).strip()


def _cut(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:20])


HOW: dict[str, Callable[[Path], None]] = {"gone": Path.unlink, "cut": _cut}


@nix_by_turns(("what", "how"), {f"{what}-{how}": (what, how) for what in ("commit", "tree", "blob", "everything")
                                for how in HOW})  # fmt: skip
def test_it_is_made_anew(nix: nixes.Nix, tmp_path: Path, what: str, how: str) -> None:
    """Nix counts the commits of a flake, and fetches those that it has not seen."""
    world = World.create(nix, tmp_path, kind="remote")
    for number in range(3):
        world.fleet.commit({f"file{number}": "theirs"}, "of people")
        world.fleet.git("push", "--quiet")
        world.upstreams["a"].commit(f"update {number}")
        assert world.update()["outcome"] == "published"
    objects = world.place / "clone.git" / "objects"
    lost = {objects / name[:2] / name[2:] for name in _of(world, what)}
    for path in filter(Path.exists, lost):
        HOW[how](path)
    world.fleet.commit({"more": "theirs"}, "of people")
    world.fleet.git("push", "--quiet")
    new = world.upstreams["a"].commit("newest")
    run = world.update()
    assert (run["outcome"], world.locked()) == ("published", new), run.document
    world.unread = what in ("tree", "blob")
    assert [note for note in run["notes"] if "damaged" in note and "anew" in note] or world.unread
    world.check()
