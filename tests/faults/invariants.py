"""What must hold: at any moment, whatever has just gone wrong; and all of it when a run has ended well.

Every test of whole updates asks here (`World.check`), with or without a fault. It knows lockbot from outside only:
by its commits, its database and what lies on the disk.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import processes
from tests.upstream import run_git

if TYPE_CHECKING:
    from tests.update.world import Result, World

_PATIENCE = 10.0
"""Seconds that processes get to be gone: a killed one takes a moment, and others' children have work to finish."""
_GOOD = frozenset({"built", "unchanged", "evaluated", "broken-before", "new-and-broken", "not-buildable-here"})
"""What a host may be where an update was published: nothing of it is the update's fault, or unknown."""
_UNREADABLE = ("Traceback (most recent call last)", "a bug in lockbot")


@dataclass(frozen=True)
class Theirs:
    """What is the user's, and what nothing may change: see `theirs`."""

    refs: str
    """But for the branch that is kept up to date, its remote's, and lockbot's own."""
    head: str
    changed: str
    """How the files differ from HEAD; their contents are in it as hashes."""
    staged: str
    config: bytes
    hooks: tuple[str, ...]


def theirs(world: World) -> Theirs:
    common = _git_directory(world)
    refs = world.git("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    bare = world.bare is not None
    return Theirs(
        refs="\n".join(one for one in refs if not _is_lockbots(one.split()[1])),
        head=(common / "HEAD").read_text(),
        changed="" if bare else changed(world),
        staged="" if bare else world.git("diff", "--cached", "--raw", "--no-renames", "HEAD"),
        config=(common / "config").read_bytes(),
        hooks=tuple(sorted(path.name for path in (common / "hooks").glob("*"))),
    )


def _is_lockbots(ref: str) -> bool:
    moved = ("refs/heads/main", "refs/remotes/origin/main", "refs/remotes/origin/HEAD")
    return ref in moved or ref.startswith(("refs/heads/lockbot/", "refs/heads/lockbot-"))


def changed(world: World) -> str:
    """How the files of the work tree differ from HEAD, whatever the index believes. Writes nothing there."""
    objects, index = world.directory / "fresh-objects", world.directory / "fresh-index"
    objects.mkdir(exist_ok=True)
    index.unlink(missing_ok=True)
    environment = {
        **world.fleet._environment,
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(_git_directory(world) / "objects"),
    }
    run_git(world.fleet.path, environment, "add", "--all")
    return run_git(world.fleet.path, environment, "diff-index", "--cached", "-r", "--no-renames", "HEAD")


def _git_directory(world: World) -> Path:
    return world.repository if world.bare else world.repository / ".git"


# -- at any moment -------------------------------------------------------------------------------------------


def at_once(world: World, *results: Result) -> None:
    """After a fault, before anything has healed: nothing is lost, and nothing wrong is published. `results`: how
    runs that met the fault have ended."""
    for result in results:
        said = result.stderr + json.dumps(dict(result.document))
        assert not any(words in said for words in _UNREADABLE), said
        assert result.code in (0, 1, 2, 3, 130) or result.code < 0, (result.code, said)
    for path in filter(None, (world.repository, world.remote)):
        run_git(path, world.fleet._environment, "fsck", "--strict", "--no-dangling")
    _what_is_theirs_is_as_it_was(world, but="flake.lock")
    _branches_hold_only_what_was_judged(world)
    _no_secret_is_anywhere(world, results)


def _what_is_theirs_is_as_it_was(world: World, but: str | None) -> None:
    """`but`: a file that may be half moved to a newer commit."""
    if world.theirs is None:
        return
    now = theirs(world)

    def rest(text: str) -> list[str]:
        return [line for line in text.splitlines() if but is None or line.rpartition("\t")[2] != but]

    assert rest(now.changed) == rest(world.theirs.changed), (now.changed, world.theirs.changed)
    assert rest(now.staged) == rest(world.theirs.staged), (now.staged, world.theirs.staged)
    assert (now.refs, now.head) == (world.theirs.refs, world.theirs.head)
    assert (now.config, now.hooks) == (world.theirs.config, world.theirs.hooks)


def _branches_hold_only_what_was_judged(world: World) -> None:
    """Each commit is people's, or lockbot's; and lockbot's changes flake.lock only, forward only, and says of each
    host that it is none the worse."""
    for path in filter(None, (world.repository, world.remote)):
        for commit, parents, run, hosts in _commits(world, path):
            if commit in world.looked_at:
                continue
            if run:
                _is_fast_forward_of_the_lock(world, path, commit, parents)
                statuses = {line.split()[1] for line in hosts if line}
                assert statuses and statuses <= _GOOD, (commit, hosts)
            world.looked_at.add(commit)


def _commits(world: World, path: Path) -> Iterator[tuple[str, list[str], str, list[str]]]:
    """Of the branch: the commit, its parents, the run that made it and how it says that hosts are with it."""
    trailers = [f"%(trailers:key=Lockbot-{key},valueonly,separator=%x1f)" for key in ("Run", "Host")]
    form = f"--format=%H%x1e%P%x1e{trailers[0]}%x1e{trailers[1]}"
    ref = "refs/heads/main"
    if not run_git(path, world.fleet._environment, "for-each-ref", ref):
        return  # deleted, by somebody
    # not by splitlines(), to which the separators are ends of lines, too
    for line in run_git(path, world.fleet._environment, "log", form, ref).rstrip("\n").split("\n"):
        commit, parents, run, hosts = line.split("\x1e")
        yield commit, parents.split(), run, hosts.split("\x1f")


def _is_fast_forward_of_the_lock(world: World, path: Path, commit: str, parents: list[str]) -> None:
    def git(*arguments: str) -> str:
        return run_git(path, world.fleet._environment, *arguments)

    (parent,) = parents
    name = "/".join(filter(None, (world.fleet.flake_dir, "flake.lock")))
    assert git("diff", "--name-only", parent, commit).split() == [name], commit
    had_one = git("ls-tree", "--name-only", parent, "--", name)
    old = _revisions(git("show", f"{parent}:{name}")) if had_one else {}
    new = _revisions(git("show", f"{commit}:{name}"))
    assert old != new, commit
    for label, revision in new.items():
        assert revision not in world.broken, f"{commit} has {label} at {revision}, which breaks hosts"
        upstream = world.upstreams.get(label)
        if upstream is not None and old.get(label, revision) != revision:
            upstream.git("merge-base", "--is-ancestor", old[label], revision)


def _revisions(text: str) -> dict[str, str]:
    nodes: dict[str, Any] = json.loads(text)["nodes"]
    inputs = nodes["root"].get("inputs", {})
    labels = {label: node for label, node in inputs.items() if isinstance(node, str)}
    return {
        label: nodes[node]["locked"]["rev"] for label, node in labels.items() if "rev" in nodes[node]["locked"]
    }


def _no_secret_is_anywhere(world: World, results: tuple[Result, ...]) -> None:
    if not world.secret:
        return
    for result in results:
        assert world.secret not in result.stderr + json.dumps(dict(result.document))
    places = [world.directory / "state", world.directory / "tmp", world.nix.store, world.fleet.path]
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--binary-files=text", world.secret]
        + [str(place) for place in places if place.exists()],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert found == "", found


# -- when all is well again ----------------------------------------------------------------------------------


def check(world: World) -> None:
    """After a run that met no fault, whatever was before it."""
    repository(world)
    state(world)
    at_once(world)
    _what_is_theirs_is_as_it_was(world, but=None)
    if world.remote is not None:
        assert run_git(world.remote, world.fleet._environment, "rev-parse", "main").strip() == world.head()
        assert not _git_leftovers(world.remote, torn=world.torn)


def repository(world: World) -> None:
    """The user's repository is byte for byte what git says it is, and nothing of lockbot's is left there."""
    world.git("fsck", "--strict", "--no-dangling")
    common = _git_directory(world)
    left = _git_leftovers(common, torn=world.torn)
    assert not left, left
    assert not (common / "worktrees").exists()
    if world.bare is None and world.theirs is None:
        assert changed(world) == ""
        assert world.git("status", "--porcelain") == ""


def _git_leftovers(directory: Path, *, torn: bool = False) -> list[Path]:
    """What a git that was killed leaves lying about. `torn`: and what is not in anybody's way, until `git gc`."""
    # What git leaves of a pack when the disk is full is git's, and goes with `git gc`.
    forms = ("*.lock",) if torn else ("*.lock", "tmp_obj*", "incoming-*")
    return [path for form in forms for path in directory.rglob(form)]


def state(world: World) -> None:
    """Nothing is left of runs that are over, and each published commit has one record."""
    clone = world.place / "clone.git"
    assert not list((world.place / "worktrees").iterdir())
    assert not list((clone / "worktrees").glob("*"))
    assert not _git_leftovers(clone), _git_leftovers(clone)
    assert run_git(clone, world.fleet._environment, "for-each-ref", "refs/lockbot/candidate") == ""
    if not world.unread:
        run_git(clone, world.fleet._environment, "fsck", "--no-dangling")
    assert not list((world.directory / "tmp").iterdir()), list((world.directory / "tmp").iterdir())
    runs = world.runs()
    assert all(run["outcome"] for run in runs), runs
    recorded = [run["published"] for run in runs if run["published"]]
    assert sorted({*recorded} - world.forgotten) == sorted({*world.published()} - world.forgotten)
    assert len(recorded) == len({*recorded}), recorded
    kept = {path.name for path in (world.place / "roots").glob("????????/*")}
    assert world.forgotten or kept <= {run["id"] for run in runs}, kept
    dead = [link for link in (world.place / "roots").rglob("*") if link.is_symlink() and not link.exists()]
    assert not dead, dead


def nothing_runs(world: World) -> None:
    """No process of lockbot's is there, however it ended."""
    end = time.monotonic() + _PATIENCE
    while (left := _running(world)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left, left


def _running(world: World) -> set[tuple[int, str]]:
    """But for a daemon, which is the test's."""
    return {one for one in processes.naming(world.directory) if not one[1].split()[0].endswith("nix-daemon")}


def runs(world: World) -> list[dict[str, Any]]:
    """The records, oldest first, as they lie in the database."""
    with closing(sqlite3.connect(world.directory / "state/lockbot/history.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return [dict(row) for row in connection.execute("SELECT * FROM runs ORDER BY rowid")]
