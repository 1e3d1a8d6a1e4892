"""Every write below the user's .git failing: nothing of theirs is damaged, and the next run ends well."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockbot.errors import CommandError, LockbotError
from lockbot.git.busy import catching_up
from lockbot.git.clone import Mark, mark, marked
from lockbot.git.landing import BaseMoved
from lockbot.git.publish import Moved, Parked, Published, publish
from lockbot.git.recovery import Recovery, finish_earlier
from lockbot.git.source import LocalSource
from lockbot.git.sync import look, sync
from lockbot.git.userfiles import backed_up
from lockbot.git.worktree import Authorship, commit, worktree
from tests.git.world import LOCK, LOCKBOT, MESSAGE, WHEN, World, script
from tests.sampling import EVERYTHING, some

Fault = Callable[["Form"], AbstractContextManager[None]]


# -- forms of repositories -------------------------------------------------------------------------------------


@dataclass
class Form:
    """A user's repository, with work of theirs lying in it, and how lockbot is told of it."""

    world: World
    kind: str
    push: bool
    tree: Path | None
    """Where the branch is checked out."""
    repository: Path
    before: dict[Path, bytes]
    status: str = ""

    @property
    def source(self) -> LocalSource:
        return LocalSource(self.tree or self.repository, "main", push=self.push)

    @property
    def common(self) -> Path:
        return self.repository if self.kind == "bare" else self.repository / ".git"

    def look(self) -> str:
        """What `git status` says wherever something is checked out."""
        places = [] if self.kind == "bare" else [self.repository, *([self.tree] if self.tree else [])]
        return "".join(map(self.world.status, places))


def form(world: World, kind: str, *, push: bool) -> Form:
    """The lock is incompressible, so that it takes several blocks of a disk."""
    world.write(noise(1))
    world.user_commit("a long lock")
    world.with_remote()
    repository, tree = world.user, None
    if kind == "bare":
        repository = world.root / "bare.git"
        world.git(world.root, "clone", "--quiet", "--bare", str(world.user), str(repository))
        world.git(repository, "remote", "set-url", "origin", str(world.remote))
        world.git(repository, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
        world.git(repository, "fetch", "--quiet")
        world.git(repository, "branch", "--quiet", "--set-upstream-to", "origin/main", "main")
    elif kind == "elsewhere":
        world.git(world.user, "switch", "--quiet", "--create", "work")
    elif kind == "linked":
        world.git(world.user, "switch", "--quiet", "--create", "work")
        tree = world.root / "linked"
        world.git(world.user, "worktree", "add", "--quiet", str(tree), "main")
    else:
        tree = world.user
    before = {}
    for place in {world.user, tree or world.user}:
        for name, content in (("flake.nix", b"half \xff written"), ("staged", b"s\r\n"), ("untracked", b"\0\1")):
            (place / name).write_bytes(content)
            before[place / name] = content
        world.git(place, "add", "staged")
    made = Form(world, kind, push, tree, repository, before)
    made.status = made.look()
    return made


def noise(seed: int) -> str:
    return "".join(f"{value:08x}" for value in _numbers(seed, 8000))


def _numbers(seed: int, count: int) -> Iterator[int]:
    value = seed
    for _ in range(count):
        value = (value * 1664525 + 1013904223) % 2**32
        yield value ^ (value >> 13)


# -- what must hold --------------------------------------------------------------------------------------------


def undamaged(form: Form) -> None:
    """Whatever happened: nothing of the user's is lost, nothing is torn, and nothing lies about half-done."""
    world, repository = form.world, form.repository
    world.git(repository, "fsck", "--full", "--strict", "--no-dangling")
    for ref in world.git(repository, "for-each-ref", "--format=%(refname)").splitlines():
        world.git(repository, "rev-list", "--objects", "--quiet", ref)
    kinds = world.git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)")
    commits = [name for kind, name in map(str.split, kinds.splitlines()) if kind == "commit"]
    world.git(repository, "rev-list", "--objects", "--quiet", *commits)  # those that no ref is at, too
    assert form.look() == form.status
    assert {path: path.read_bytes() for path in form.before} == form.before
    if form.tree is not None:
        lock = world.git(form.tree, "rev-parse", f"HEAD:{LOCK}")
        assert world.git(form.tree, "hash-object", LOCK) == lock


def updates(world: World, place: Path) -> list[str]:
    return world.git(place, "log", "--format=%H", "--grep=^Lockbot-Run: ", "main").splitlines()


@dataclass
class Ended:
    """How a run ended, and whether it says that all is well."""

    result: Published | Recovery | LockbotError
    said: str
    well: bool


def run(form: Form, text: str = "") -> Ended:
    """One cycle of the part that knows git, as the update's cycle walks through it."""
    clone = form.world.open()
    try:
        base = sync(clone, form.source)
        recovery = finish_earlier(clone, form.source, base)
        if recovery.moved:
            base = sync(clone, form.source)
        lock = form.world.git(clone.directory, "show", f"{base.commit}:{LOCK}", check=False)
        if f'"lock": "{text or noise(2)}"' in lock:
            return Ended(recovery, " ".join([*recovery.notes, recovery.trouble or ""]), recovery.trouble is None)
        made = form.world.candidate(clone, form.source, base, text or noise(2))
        result = publish(clone, form.source, base, made, run="r1")
    except LockbotError as error:
        return Ended(error, f"{error.message} {error.hint}", well=False)
    match result:
        case Moved():
            trouble = result.trouble.message if result.trouble else ""
            return Ended(result, " ".join([*result.notes, trouble]), well=result.trouble is None)
        case Parked() | BaseMoved():
            return Ended(result, result.why, well=False)


def honest(form: Form, ended: Ended) -> None:
    """Who says that all is well has moved the branch; who says that it was pushed has pushed; and it tells why."""
    world = form.world
    local, remote = updates(world, form.repository), updates(world, world.remote)
    pushed = isinstance(ended.result, Moved) and ended.result.pushed
    assert len(local) <= 1 and len(remote) <= 1
    assert not pushed or len(remote) == 1
    if ended.well:
        assert local and (remote or not form.push), ended
    else:
        assert ended.said.strip(), ended
        assert pushed or not remote or isinstance(ended.result, Recovery), ended


def healed(form: Form) -> None:
    """The fault is gone: the next run ends well, with exactly one update."""
    ended = run(form)
    assert ended.well, ended
    undamaged(form)
    assert len(updates(form.world, form.repository)) == 1
    if form.push:
        assert form.world.tip(form.repository) == form.world.tip(form.world.remote)
        assert form.world.tip(form.repository, "refs/remotes/origin/main") == form.world.tip(form.world.remote)
    again = run(form)
    assert again.well and isinstance(again.result, Recovery) and not again.said.strip(), again


def faced(form: Form, fault: Fault, times: int = 2) -> Ended:
    """Runs with the fault there, then one without."""
    clone = form.world.open()
    sync(clone, form.source)
    with fault(form):
        ended = [run(form) for _ in range(times)]
    undamaged(form)
    honest(form, ended[-1])
    healed(form)
    return ended[0]


# -- faults ----------------------------------------------------------------------------------------------------


def lock_file(name: str) -> Fault:
    """Another git holds a lock, or one that died has left it."""

    @contextmanager
    def fault(form: Form) -> Iterator[None]:
        git_dir = Path(form.world.git(form.tree or form.repository, "rev-parse", "--absolute-git-dir"))
        place = (git_dir if name in ("index", "HEAD", "ORIG_HEAD") else form.common) / f"{name}.lock"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("theirs")
        yield
        assert place.read_text() == "theirs"
        place.unlink()

    return fault


def read_only(name: str) -> Fault:
    """A directory that nothing can be written in, not by root either."""

    @contextmanager
    def fault(form: Form) -> Iterator[None]:
        place = form.common / name if name != "tree" else form.tree or form.repository
        place.mkdir(parents=True, exist_ok=True)
        mounted(["--bind", str(place), str(place)])
        try:
            mounted(["-o", "remount,bind,ro", str(place)])
            yield
        finally:
            subprocess.run(["umount", str(place)], check=True)

    return fault


def in_the_way(name: str) -> Fault:
    """A directory where git keeps a file."""

    @contextmanager
    def fault(form: Form) -> Iterator[None]:
        place, aside = form.common / name, form.world.root / "aside"
        if place.is_file():
            place.rename(aside)
        place.mkdir(parents=True)
        (place / "theirs").touch()
        yield
        shutil.rmtree(place)
        if aside.exists():
            aside.rename(place)

    return fault


def mounted(how: list[str]) -> None:
    if subprocess.run(["mount", *how], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount")


@contextmanager
def wrapped(form: Form, text: str) -> Iterator[None]:
    """A script before the user's git; `$real` is git itself, `$mine` not empty in the user's repository."""
    world = form.world
    path = world.environ["PATH"]
    real = shutil.which("git", path=path)
    places = "|".join(f"'{place}'" for place in {form.repository, form.tree or form.repository})
    head = f"real={real} here='{world.root}' mine=\ncase \"$2\" in {places}) mine=1;; esac"
    script(world.root / "wrap" / "git", f'{head}\n{text}\nexec $real "$@"')
    world.environ["PATH"] = f"{world.root / 'wrap'}:{path}"
    yield
    world.environ["PATH"] = path


def no_larger_than(blocks: int, step: str = "") -> Fault:
    """No file of the user's can get larger (in this step): a quota, a disk that fills up."""
    limit = f"trap '' XFSZ; ulimit -f {blocks}"
    return lambda form: wrapped(form, f'[ $mine ] && case " $* " in *"{step}"*) {limit};; esac')


def full(room: int) -> Fault:
    """The disk with the user's repository has so many bytes left."""

    @contextmanager
    def fault(form: Form) -> Iterator[None]:
        disk = form.world.root / "user"
        whole = form.world.root / "whole"
        shutil.copytree(disk, whole, symlinks=True)
        mounted(["-t", "tmpfs", "-o", "size=3M", "tmpfs", str(disk)])
        try:
            shutil.copytree(whole, disk, symlinks=True, dirs_exist_ok=True)
            found = os.statvfs(disk)
            with (disk / ".git" / "filler").open("wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, found.f_bavail * found.f_frsize - room)
            yield
            (disk / ".git" / "filler").unlink()
            shutil.rmtree(whole)
            shutil.copytree(disk, whole, symlinks=True)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        shutil.rmtree(disk)
        whole.rename(disk)

    return fault


def killed(step: str, when: str) -> Fault:
    """git is killed before or after it does this."""
    done = {"before": "", "after": '$real "$@";'}[when]
    return lambda form: wrapped(form, f'[ $mine ] && case " $* " in *" {step} "*) {done} kill -9 $$;; esac')


LOCKS = ["index", "HEAD", "ORIG_HEAD", "refs/heads/main", "refs/remotes/origin/main", "packed-refs", "config"]
READ_ONLY = [
    "objects",
    "objects/pack",
    "refs",
    "refs/heads",
    "refs/remotes/origin",
    "logs",
    "logs/refs/heads",
    ".",
    "tree",
]
IN_THE_WAY = [
    "logs/refs/heads/main",
    "logs/refs/remotes/origin/main",
    "refs/heads/main.lock",
    "ORIG_HEAD",
    "index.lock",
]
LIMITS = [0, 16, 96]
LIMITED = {"fetch": 8, "lockbot-fast-forward": 96, "read-tree": 0, "update-ref": 0}
ROOMS = [0, 40960, 49152, 65536]
STEPS = ["fetch", "lockbot-fast-forward", "update-ref", "rev-list", "diff", "worktree"]

FAULTS: dict[str, Fault] = {
    **{f"lock {name}": lock_file(name) for name in LOCKS},
    **{f"read-only {name}": read_only(name) for name in READ_ONLY},
    **{f"in the way {name}": in_the_way(name) for name in IN_THE_WAY},
    **{f"limit {blocks}": no_larger_than(blocks) for blocks in LIMITS},
    **{f"limit of {step}": no_larger_than(blocks, f" {step} ") for step, blocks in LIMITED.items()},
    **{f"full but for {room}": full(room) for room in ROOMS},
    **{f"killed {when} {step}": killed(step, when) for step in STEPS for when in ("before", "after")},
}
KINDS = ["checked out", "elsewhere", "bare", "linked"]
FORMS = [(kind, push) for kind in KINDS for push in (True, False)]


def chosen() -> list[tuple[str, str, bool]]:
    """Every other fault in one form, by turns; what the work tree meets in the form where most is written, too."""
    every = [(fault, kind, push) for fault in FAULTS for kind, push in FORMS]
    if EVERYTHING:
        return every
    most = [(fault, *FORMS[0]) for fault in ("lock refs/heads/main", "lock index", "limit 96", "limit of fetch")]
    return sorted(
        {*most, *((fault, *FORMS[at // 2 * 3 % len(FORMS)]) for at, fault in some(enumerate(FAULTS), 2))}
    )


@pytest.mark.parametrize(("fault", "kind", "push"), chosen())
def test_nothing_is_damaged_and_the_next_run_ends_well(world: World, fault: str, kind: str, push: bool) -> None:
    faced(form(world, kind, push=push), FAULTS[fault])


# -- what lockbots before this one have left ---------------------------------------------------------------------


def torn(form: Form, what: str) -> str:
    """The ref that follows the remote is at a commit of which this is missing."""
    world = form.world
    clone = world.open()
    made = world.candidate(clone, form.source, sync(clone, form.source), noise(2))
    world.git(clone.directory, "push", "--quiet", str(world.remote), f"{made}:refs/heads/main")
    world.git(form.repository, "fetch", "--quiet", "origin")
    names = {
        "tree": [f"{made}^{{tree}}"],
        "blob": [f"{made}:{LOCK}"],
        "both": [f"{made}^{{tree}}", f"{made}:{LOCK}"],
    }
    for missing in [world.tip(form.repository, name) for name in names[what]]:
        (form.common / "objects" / missing[:2] / missing[2:]).unlink()
    assert "missing" in world.git(form.repository, "fsck", "--full", check=False)
    return made


@pytest.mark.parametrize("what", ["tree", "blob", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_torn_repository_is_made_whole(world: World, kind: str, what: str) -> None:
    made = form(world, kind, push=True)
    torn(made, what)
    clone = world.open()
    recovery = finish_earlier(clone, made.source, sync(clone, made.source))
    assert any("whole again" in note for note in recovery.notes)
    undamaged(made)
    world.git(made.repository, "fetch", "--quiet", "origin", "main")
    ended = run(made, "later")
    assert ended.well, ended
    assert world.tip(made.repository) == world.tip(world.remote)
    undamaged(made)


def test_an_update_arrives_on_top_of_a_torn_commit(world: World) -> None:
    made = form(world, "checked out", push=True)
    old = torn(made, "both")
    clone = world.open()
    base = sync(clone, made.source)
    commit = world.candidate(clone, made.source, base, f"{noise(2)} and more")  # git sends it as a difference
    assert publish(clone, made.source, base, commit, run="r2") == Moved(pushed=True)
    undamaged(made)
    assert world.tip(made.repository, "main~") == old


def test_what_cannot_be_made_whole_is_told(world: World) -> None:
    made = form(world, "checked out", push=True)
    old = torn(made, "blob")
    world.git(world.remote, "update-ref", "refs/heads/main", world.tip(made.repository))
    shutil.rmtree(world.root / "state")
    for command in (["reflog", "expire", "--expire=now", "--all"], ["gc", "--quiet", "--prune=now"]):
        world.git(world.remote, *command)
    clone = world.open()
    recovery = finish_earlier(clone, made.source, sync(clone, made.source))
    assert len(recovery.notes) == 1 and "fetch --refetch origin" in recovery.notes[0], recovery
    assert world.tip(made.repository, "refs/remotes/origin/main") == old
    assert recovery.trouble is None


def staged(form: Form, *, where: str) -> str:
    """Index and files have an update, and the branch has not."""
    world, tree = form.world, form.tree
    assert tree is not None
    clone, base, made = world.proposed(form.source)
    world.git(form.repository, "fetch", "--quiet", str(clone.directory), f"{made}:refs/heads/{where}")
    if form.push:
        world.git(form.repository, "push", "--quiet", "origin", f"{made}:refs/heads/main")
        world.git(form.repository, "branch", "--quiet", "-D", where)
    world.git(tree, "read-tree", "-m", "-u", base.commit, made)
    assert f"M  {LOCK}" in form.look()
    return made


@pytest.mark.parametrize("kind", ["checked out", "linked"])
@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("where", ["lockbot/update-main", "lockbot/update-main+hosts", "lockbot-update-r1"])
def test_an_update_that_the_user_has_staged_is_theirs(world: World, kind: str, push: bool, where: str) -> None:
    """To look at it, perhaps: nobody said that the branch should have it."""
    made = form(world, kind, push=push)
    base = world.tip(made.repository)
    staged(made, where=where)
    before = made.look()
    clone = world.open()
    assert finish_earlier(clone, made.source, sync(clone, made.source)) == Recovery()
    assert made.look() == before and world.tip(made.repository) == base


@pytest.mark.parametrize("push", [True, False])
def test_what_the_user_has_staged_stays_staged(world: World, push: bool) -> None:
    made = form(world, "checked out", push=push)
    staged(made, where="lockbot/update-main")
    world.write("mine")
    world.git(world.user, "add", LOCK)
    before = made.look()
    clone = world.open()
    recovery = finish_earlier(clone, made.source, sync(clone, made.source))
    assert not recovery.moved
    run(made)
    assert made.look() == before and "mine" in (world.user / LOCK).read_text()
    assert len(updates(world, made.repository)) == 0


@pytest.mark.parametrize("how", ["squash", "alone", "with more", "on an older commit"])
def test_a_parked_update_that_the_user_is_at_work_with_is_theirs(world: World, how: str) -> None:
    made = form(world, "checked out", push=False)
    world.git(world.user, "stash", "--quiet")
    clone, _, commit = world.proposed(made.source)
    world.git(world.user, "fetch", "--quiet", str(clone.directory), f"{commit}:refs/heads/lockbot/update-main")
    if how == "on an older commit":
        world.user_commit("mine")
    if how == "squash":
        world.git(world.user, "merge", "--quiet", "--squash", "lockbot/update-main")
    else:
        world.git(world.user, "checkout", "--quiet", "lockbot/update-main", "--", LOCK)
    if how == "with more":
        (world.user / "more").touch()
        world.git(world.user, "add", "more")
    before, tip = world.status(), world.tip(world.user)
    assert finish_earlier(clone, made.source, sync(clone, made.source)) == Recovery()
    assert (world.status(), world.tip(world.user)) == (before, tip)


HALVES = {"nothing": 0.0, "the beginning": 0.5, "all": 1.0}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("new_file", [False, True])
def test_what_a_killed_git_has_half_written_is_taken_back(world: World, half: str, new_file: bool) -> None:
    made = form(world, "checked out", push=False)
    if new_file:
        world.git(world.user, "rm", "--quiet", LOCK)
        world.git(world.user, "commit", "--quiet", "-m", "no lock yet", LOCK)
        made.status = made.look()
    clone, base, commit = world.proposed(made.source)
    content = world.git(clone.directory, "show", f"{commit}:{LOCK}") + "\n"
    mark(clone, Mark.TOUCHING, "main", commit)
    (world.user / LOCK).unlink(missing_ok=True)
    if half != "nothing":
        (world.user / LOCK).write_text(content[: int(len(content) * HALVES[half])])
    else:
        (world.user / ".git" / "index.lock").touch()  # git holds it at that point
    there = half != "nothing" or not new_file
    assert (made.look() != made.status) is there
    clone = world.open()
    recovery = finish_earlier(clone, made.source, sync(clone, made.source))
    assert recovery.trouble is None and [LOCK in note for note in recovery.notes] == [True] * there
    assert made.look() == made.status
    (world.user / ".git" / "index.lock").unlink(missing_ok=True)
    assert world.tip(world.user) == base.commit
    healed(made)


def test_what_the_user_wrote_since_is_not_taken_back(world: World) -> None:
    made = form(world, "checked out", push=False)
    clone, _, commit = world.proposed(made.source)
    mark(clone, Mark.TOUCHING, "main", commit)
    world.write("mine")
    recovery = finish_earlier(clone, made.source, sync(clone, made.source))
    assert recovery.trouble is not None and LOCK in recovery.trouble
    assert "mine" in (world.user / LOCK).read_text()
    world.git(world.user, "checkout", "--quiet", "--", LOCK)
    healed(made)


def several(form: Form) -> tuple[str, str]:
    """An update that changes three files and adds one, and what it is built on."""
    world = form.world
    for name in ("a", "b"):
        (world.user / name).write_text("old\n")
    world.git(world.user, "add", "a", "b")
    world.git(world.user, "commit", "--quiet", "-m", "more files", "a", "b")
    form.status = form.look()
    clone = world.open()
    base = sync(clone, form.source)
    with worktree(clone, base.commit, form.source) as tree:
        names = ("a", "added", "b", LOCK)
        for name in names:
            (tree.path / name).write_bytes(b"new \xff\n" if name == "a" else b"new\n")
        made = commit(clone, tree, names, MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    return base.commit, made


def test_what_the_user_took_away_since_is_not_taken_for_gits(world: World) -> None:
    made = form(world, "checked out", push=False)
    _, new = several(made)
    clone = world.open()
    mark(clone, Mark.TOUCHING, "main", new)
    (world.user / "a").unlink()
    (world.user / "b").write_text("")
    (world.user / "added").touch()
    before = made.look()
    recovery = finish_earlier(clone, made.source, sync(clone, made.source))
    assert recovery.trouble is not None and all(name in recovery.trouble for name in ("a", "added", "b"))
    assert made.look() == before and (world.user / "b").read_bytes() == b""


def test_nothing_is_taken_back_through_a_link(world: World) -> None:
    made = form(world, "checked out", push=False)
    clone = world.open()
    base = sync(clone, made.source)
    with worktree(clone, base.commit, made.source) as tree:
        (tree.path / "hosts" / "two.nix").write_text("new\n")
        new = commit(clone, tree, ["hosts/two.nix"], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    mark(clone, Mark.TOUCHING, "main", new)
    (world.user / "hosts").rename(world.root / "mine")
    (world.user / "hosts").symlink_to(world.root / "mine")
    (world.root / "mine" / "two.nix").write_text("new\n")
    assert finish_earlier(clone, made.source, sync(clone, made.source)).trouble is not None
    assert (world.root / "mine" / "two.nix").read_text() == "new\n"


def test_a_filter_that_is_too_slow_leaves_nothing_half_written(world: World) -> None:
    made = form(world, "checked out", push=False)
    old, new = several(made)
    (world.user / ".git" / "info" / "attributes").write_text("b filter=slow\n")
    world.git(world.user, "config", "filter.slow.smudge", "sleep 8; cat")
    before = {name: (world.user / name).read_bytes() for name in ("a", "b", LOCK)}
    world.timeout = 3.0
    clone = world.open()
    base = sync(clone, made.source)
    with pytest.raises(CommandError, match="git lockbot-fast-forward"):
        publish(clone, made.source, base, new, run="r1")
    assert {name: (world.user / name).read_bytes() for name in before} == before
    assert made.look() == made.status and world.tip(world.user) == old
    assert marked(clone, Mark.TOUCHING, "main") is None
    world.git(world.user, "config", "filter.slow.smudge", "cat")
    assert publish(clone, made.source, base, new, run="r1") == Moved(pushed=False)


def test_copies_are_made_of_files_only_and_take_little_room(world: World) -> None:
    made = form(world, "checked out", push=False)
    (world.user / "b").write_bytes(b"\0" * (2 << 20))
    world.git(world.user, "add", "b")
    world.git(world.user, "commit", "--quiet", "-m", "large", "b")
    old, new = several(made)
    world.git(world.user, "fetch", "--quiet", str(world.open().directory), new)
    large = world.tip(world.user, "main~")
    there = world.open().checkout(world.user, world.user)
    world.git(world.user, "update-index", "--skip-worktree", "a")
    (world.user / "a").unlink()
    with backed_up(there, old, new, wanted=True) as copies:
        assert set(copies) == {"b", LOCK}
    (world.user / "b").write_bytes(b"\0" * (2 << 20))
    with backed_up(there, large, new, wanted=True) as copies:
        assert set(copies) == {LOCK}


def test_copies_do_not_fill_the_disk(world: World) -> None:
    made = form(world, "checked out", push=False)
    old, new = several(made)
    clone = world.open()
    world.git(world.user, "fetch", "--quiet", str(clone.directory), new)
    there = clone.checkout(world.user, world.user)
    with full(8192)(made), backed_up(there, old, new, wanted=True) as copies:  # the small ones would fit
        found = os.statvfs(world.user)
        assert copies == {} and found.f_bavail * found.f_frsize == 8192


def test_what_takes_too_long_to_mend_is_told(world: World) -> None:
    made = form(world, "checked out", push=True)
    with lock_file("index")(made):
        assert isinstance(run(made).result, Moved)
    base = sync(world.open(), made.source)
    world.timeout = 3.0
    with wrapped(made, '[ $mine ] && case " $* " in *" worktree list "*) sleep 9;; esac'):
        recovery = finish_earlier(world.open(), made.source, base)
    assert recovery.trouble is not None and "git worktree" in recovery.trouble
    world.timeout = 30.0
    assert finish_earlier(world.open(), made.source, base).moved


def test_a_name_that_is_not_utf8_is_left_to_git(world: World) -> None:
    made = form(world, "checked out", push=False)
    clone = world.open()
    base = sync(clone, made.source)
    name = os.fsdecode(b"caf\xe9")
    with worktree(clone, base.commit, made.source) as tree:
        (tree.path / name).write_text("new\n")
        new = commit(clone, tree, [name], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    (world.user / name).write_text("mine\n")
    before = made.look()
    assert isinstance(publish(clone, made.source, base, new, run="r1"), Parked)
    assert made.look() == before and (world.user / name).read_text() == "mine\n"


# -- a branch that went another way ------------------------------------------------------------------------------


def test_a_branch_that_diverged_from_the_push_gets_no_second_update(world: World) -> None:
    made = form(world, "checked out", push=True)
    with lock_file("index")(made):
        assert isinstance(run(made).result, Moved)
    world.git(world.user, "commit", "--quiet", "--message", "mine", "staged")
    for text in ("later", "later still"):
        clone = world.open()
        base = sync(clone, made.source)
        assert base.overtaken is not None and not finish_earlier(clone, made.source, base).moved, text
    world.git(world.user, "stash", "--quiet")
    subprocess.run(
        shlex.split((base.overtaken or "").strip("`")), env=world.environ, check=True, capture_output=True
    )
    world.git(world.user, "push", "--quiet")
    world.git(world.user, "stash", "pop", "--quiet")
    assert run(made, "later still").well
    assert world.tip(world.user) == world.tip(world.remote)
    assert len(updates(world, world.user)) == 2


@pytest.mark.parametrize("where", ["linked", "elsewhere"])
@pytest.mark.parametrize("rebase", [False, True])
def test_the_advice_is_for_where_the_branch_is(world: World, where: str, rebase: bool) -> None:
    made = form(world, where, push=True)
    world.colleague()
    clone = world.open()
    advice = catching_up(clone.user, look(clone, made.source), rebase=rebase)
    if where == "elsewhere" and rebase:
        assert advice == "check main out, then `git pull --rebase origin main` there"
        return
    world.git(made.tree or world.user, "stash", "--quiet")
    subprocess.run(shlex.split(advice.strip("`")), env=world.environ, check=True, capture_output=True)
    assert world.tip(world.user) == world.tip(world.remote)


def test_a_branch_that_diverged_from_other_peoples_work_is_updated(world: World) -> None:
    world.with_remote()
    world.colleague()
    world.user_commit("mine")
    assert sync(world.open(), world.source()).overtaken is None
