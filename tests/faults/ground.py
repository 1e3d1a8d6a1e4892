"""Where faults happen: a fleet with a remote, a user who is in the middle of other work, and secrets lying about.

Input `a` moves well whenever it is asked to; `b` has, unless told otherwise, a newest commit that breaks the host
`db`. So each run without a fault has to judge, to leave `b` alone, and to land `a`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults import invariants
from tests.faults.shim import Shim
from tests.fleet import HostSpec
from tests.nixes import Nix
from tests.update.world import Result, World
from tests.upstream import run_git

SECRET = "c4n4ryF4ultsT0ken"  # noqa: S105 -- of nobody
HOSTS = (HostSpec("web", ["a"]), HostSpec("db", ["b"]))


@dataclass
class Ground:
    """One world in which fault after fault is met. `newest` is where `a` is; `shim`: what is before lockbot."""

    world: World
    newest: str = ""
    shim: Shim | None = None

    @classmethod
    def create(
        cls,
        nix: Nix,
        directory: Path,
        *,
        kind: str = "remote",
        breaks: bool = True,
        prepare: Callable[[World], None] | None = None,
    ) -> Ground:
        """A world in which one run has ended well. `breaks`: input `b` has a commit that does; `prepare`: what is
        to be done before all that."""
        world = World.create(nix, directory, inputs="ab", hosts=HOSTS, kind=kind)
        world.secret = SECRET
        world.environment |= {"LOCKBOT_EVAL__ACCESS_TOKENS": f"forge.invalid={SECRET}"}
        if world.bare is None:
            _in_the_middle_of_work(world)
        if prepare is not None:
            prepare(world)
        ground = cls(world)
        ground.moves()
        if breaks:
            world.broken.add(world.upstreams["b"].break_build(hosts=["db"]))
        ground.theirs_is_remembered()
        ground.lands()
        return ground

    def theirs_is_remembered(self) -> None:
        self.world.theirs = invariants.theirs(self.world)

    def moves(self) -> str:
        """Input `a` has a newer commit; its revision."""
        self.newest = self.world.upstreams["a"].commit("newer")
        return self.newest

    def met(self, *results: Result) -> None:
        """A fault has just been met. What a git that ended in the middle of it leaves is for `git gc`."""
        self.world.torn = True
        invariants.at_once(self.world, *results)

    def lands(self) -> Result:
        """With the fault gone, the next run does what is to be done, and leaves nothing behind."""
        landed = self.newest in self.landed_at()
        result = self.world.update()
        if self.world.broken:  # b is held, each time
            good = (1, "rejected") if landed else (0, "partly published")
        else:
            good = (0, "unchanged" if landed else "published")
        assert (result.code, result.document.get("outcome")) == good, (result.document, result.stderr)
        assert self.world.locked() == self.newest, (result.document, result.stderr)
        invariants.nothing_runs(self.world)
        self.world.check()
        return result

    def landed_at(self) -> set[str]:
        """At which revisions the branch has `a`, here and at the remote."""
        places = filter(None, (self.world.repository, self.world.remote))
        texts = [run_git(place, self.world.nix.environment, "show", "main:flake.lock") for place in places]
        return {json.loads(text)["nodes"]["a"]["locked"]["rev"] for text in texts}


def _in_the_middle_of_work(world: World) -> None:
    """Other branches, a tag, something stashed, something staged, something changed, something new."""
    fleet = world.fleet
    fleet.commit({"README": "a fleet\n", "notes": "one\n"}, "words")
    if world.remote is not None:
        world.git("push", "--quiet", "origin", "main")
    world.git("branch", "work", "main")
    world.git("tag", "v1", "main")
    (fleet.path / "notes").write_text("to be put off\n")
    world.git("stash", "--quiet")
    (fleet.path / "staged").write_text("staged\n")
    world.git("add", "staged")
    (fleet.path / "README").write_text("a fleet, being described\n")
    (fleet.path / "new").write_text("not known to git\n")
    world.git("config", "user.nickname", "mine")
