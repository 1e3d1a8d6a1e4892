"""People who do something just before a step: commit, push, force-push, rebase, delete the branch."""

from __future__ import annotations

from pathlib import Path

from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind, plain
from tests.upstream import run_git

_COLLEAGUE = """
rm -rf "$COLLEAGUE"; git clone --quiet "$REMOTE" "$COLLEAGUE"; cd "$COLLEAGUE"
"""
_WORK = "echo $$ >theirs; git add theirs; git commit --quiet -m theirs\n"
_MINE = 'cd "$FLEET"; git commit --quiet --allow-empty --only -m mine\n'
_SAID = 'git rev-parse HEAD >"$SAID"\n'
_REBASE = "git fetch --quiet; git -c rebase.autoStash=true rebase --quiet origin/main\n"
_DELETED = "deletes the branch at the remote"
ACTS = {
    "commits in the user's tree": _MINE + _SAID,
    "pushes": f"{_COLLEAGUE}{_WORK}git push --quiet\n{_SAID}",
    "force-pushes": f"{_COLLEAGUE}git reset --quiet --hard HEAD~\n{_WORK}git push --quiet --force\n{_SAID}",
    "rebases onto the remote": f"{_COLLEAGUE}{_WORK}git push --quiet\n{_MINE}{_REBASE}{_SAID}",
    _DELETED: 'cd "$REMOTE"; git rev-parse main >"$SAID"; git update-ref -d refs/heads/main\n',
}


def _places(ground: Ground) -> list[str]:
    ground.moves()
    steps = ground.world.observed()
    return [f"{act}, before step {at}" for at in range(1, len(steps) + 1) for act in ACTS]


def _act(ground: Ground, case: Case) -> None:
    act, _, step = case.label.partition(", before step ")
    world = ground.world
    assert world.remote is not None
    ground.moves()
    said, script = world.directory / "said", world.directory / "act"
    said.unlink(missing_ok=True)
    orders = {"FLEET": world.fleet.path, "REMOTE": world.remote, "COLLEAGUE": world.directory / "colleague",
              "SAID": said, "HOME": world.nix.environment["HOME"]}  # fmt: skip
    script.write_text(
        "set -e; exec >/dev/null 2>&1\n"
        + "".join(f"export {name}='{value}'\n" for name, value in orders.items())
        + ACTS[act]
    )
    _, result = world.at_step(int(step), script)
    if not said.exists():  # this run had fewer steps
        ground.lands()
        return
    theirs = said.read_text().strip()
    ground.met(result)

    def git(where: Path, *arguments: str, check: bool = True) -> str:
        return run_git(where, world.fleet._environment, *arguments, check=check).strip()

    if act == _DELETED:
        assert git(world.remote, "for-each-ref", "refs/heads/main") == "", "what was deleted is there again"
        git(world.remote, "update-ref", "refs/heads/main", theirs)
    elif act in ("pushes", "force-pushes"):
        git(world.remote, "merge-base", "--is-ancestor", theirs, "main")
    else:
        git(world.fleet.path, "merge-base", "--is-ancestor", theirs, "main")
    _settled(ground)
    ground.lands()


def _settled(ground: Ground) -> None:
    """What people do next: where branches have gone apart, they put their own on top of the remote's, and push."""
    world = ground.world
    world.git("fetch", "--quiet", "origin")
    world.git("-c", "rebase.autoStash=true", "rebase", "--quiet", "origin/main")
    world.git("push", "--quiet", "origin", "main")
    world.forgotten |= {run["published"] for run in world.runs() if run["published"]} ^ {*world.published()}
    ground.theirs_is_remembered()


KINDS = (
    Kind("people", "people commit, push, force-push, rebase or delete the branch before a step",
         "no commit of theirs is lost, none that they dropped comes back", plain(breaks=False), _places, _act,
         most=40),
)  # fmt: skip
