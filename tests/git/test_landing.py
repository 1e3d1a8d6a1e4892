"""Files of a work tree, as the branch there moves: what is written, what comes back, and what is not touched."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lockbot.errors import Cancelled, CommandError
from lockbot.git.clone import Clone, Mark, mark, marked
from lockbot.git.landing import BaseMoved, uncancelled
from lockbot.git.publish import Moved, Parked, publish
from lockbot.git.recovery import Recovery, finish_earlier, was_published
from lockbot.git.source import LocalSource
from lockbot.git.sync import sync
from lockbot.git.worktree import Authorship, commit, worktree
from lockbot.process import CancelToken
from tests.git.test_last_moment import just_before, release
from tests.git.world import LOCK, LOCKBOT, MESSAGE, WHEN, World, script


def test_a_branch_that_is_checked_out_twice_is_left_alone(world: World) -> None:
    """Moved with the files of one, it would look changed in the other."""
    world.git(world.user, "worktree", "add", "--quiet", "--force", str(world.root / "twin"), "main")
    clone, base, made = world.proposed(world.source())
    result = publish(clone, world.source(), base, made, run="r1")
    assert isinstance(result, Parked)
    assert all(str(place) in result.why for place in (world.user, world.root / "twin"))
    assert world.tip(world.user) == base.commit
    assert world.status() == world.status(world.root / "twin") == ""


def test_a_separate_git_directory_seen_from_another_work_tree_parks(world: World) -> None:
    """git does not say where the branch's files lie: nothing is guessed."""
    world.git(world.root, "init", "--quiet", "--separate-git-dir", str(world.root / "apart"), str(world.user))
    world.git(world.user, "worktree", "add", "--quiet", "-b", "aside", str(world.root / "linked"))
    result, made = world.cycle(LocalSource(world.root / "linked", "main"))
    assert isinstance(result, Parked) and "separate git directory" in result.why
    for command in result.advice:
        subprocess.run(["sh", "-c", command], cwd=world.user, env=world.environ, check=True)
    assert world.tip(world.user, "main") == made and world.status() == ""


@pytest.mark.parametrize("to", ["release", "--detach release"])
def test_a_work_tree_that_has_left_the_branch_is_not_written_to(world: World, to: str) -> None:
    release(world)
    source = world.source(branch="main")
    _, base, made = world.proposed(source)
    just_before(world, "symbolic-ref --quiet HEAD", f"switch -q {to}")
    before = (world.user / LOCK).stat()
    assert isinstance(publish(world.open(), source, base, made, run="r1"), BaseMoved)
    after = (world.user / LOCK).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("mine", ["", "half", "whole"])
def test_what_the_user_wrote_is_not_taken_for_what_git_left_half_written(world: World, mine: str) -> None:
    clone, base, made = world.proposed(world.source())
    whole = world.git(clone.directory, "show", f"{made}:{LOCK}") + "\n"
    text = {"half": whole[:5], "whole": whole}.get(mine, "")
    (world.user / LOCK).write_text(text)
    assert isinstance(publish(clone, world.source(), base, made, run="r1"), Parked)
    assert (world.user / LOCK).read_text() == text
    assert marked(clone, Mark.TOUCHING, "main") is None


def writing(world: World, text: str) -> None:
    """This runs as git writes the lock into the user's work tree."""
    (world.user / ".git" / "info" / "attributes").write_text(f"{LOCK} filter=odd\n")
    world.git(world.user, "config", "filter.odd.smudge", str(script(world.root / "smudge", text)))


def test_what_may_lie_half_written_is_marked_as_long_as_it_is_written(world: World) -> None:
    clone, base, made = world.proposed(world.source())
    refs = f"git -C {clone.directory} for-each-ref --format='%(objectname) %(refname)' refs/lockbot/touching"
    writing(world, f"unset $(git rev-parse --local-env-vars); {refs} >{world.root / 'marks'}; cat")
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    assert (world.root / "marks").read_text().startswith(made)
    assert marked(clone, Mark.TOUCHING, "main") is None


def test_a_file_that_git_took_away_and_did_not_write_comes_back(world: World) -> None:
    before = (world.user / LOCK).read_bytes()
    clone, base, made = world.proposed(world.source())
    writing(world, f"rm -f {world.user / LOCK}; kill -9 $PPID")
    with pytest.raises(CommandError, match="main was not moved") as refused:
        publish(clone, world.source(), base, made, run="r1")
    assert "taken back" not in refused.value.message, "it was"
    assert (world.user / LOCK).read_bytes() == before and world.status() == ""
    assert marked(clone, Mark.TOUCHING, "main") is None


def test_what_could_not_be_taken_back_is_told_and_not_forgotten(world: World) -> None:
    clone, base, made = world.proposed(world.source())
    writing(world, f"echo mine >{world.user / LOCK}; kill -9 $PPID")
    with pytest.raises(CommandError, match=r"could not be taken back: flake\.lock \(") as refused:
        publish(clone, world.source(), base, made, run="r1")
    assert "main was not moved: git refuses in" in refused.value.message
    assert (world.user / LOCK).read_text() == "mine\n"
    assert marked(clone, Mark.TOUCHING, "main") == made


def test_what_a_killed_run_left_half_written_is_not_forgotten_by_the_next(world: World) -> None:
    clone, base, made = world.proposed(world.source())
    mark(clone, Mark.TOUCHING, "main", made)
    (world.user / LOCK).write_text("{")
    assert isinstance(publish(clone, world.source(), base, made, run="r1"), Parked)
    assert marked(clone, Mark.TOUCHING, "main") == made


@pytest.mark.parametrize("step", ["diff-index", "diff-tree"])
def test_a_git_that_fails_is_no_choice_of_the_users(world: World, step: str) -> None:
    _, base, made = world.proposed(world.source())
    real = world.environ["PATH"]
    fails = f'case "$*" in "-C {world.user} {step} "*) echo odd >&2; exit 5;; esac'
    script(world.root / "wrap" / "git", f'{fails}\nPATH="{real}" exec git "$@"')
    world.environ["PATH"] = f"{world.root / 'wrap'}:{real}"
    with pytest.raises(CommandError, match=r"main was not moved: .*odd"):
        publish(world.open(), world.source(), base, made, run="r1")
    world.environ["PATH"] = real
    assert world.git(world.user, "branch", "--list", "lockbot/*") == ""
    assert (world.tip(world.user), world.status()) == (base.commit, "")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_file_that_was_only_touched_is_in_nobodys_way(world: World, when: str) -> None:
    _, base, made = world.proposed(world.source())
    if when == "before":
        os.utime(world.user / LOCK, (1, 1))
    else:
        just_before(world, "--diff-filter=A", f"-c alias.aged='!touch -d @1 {LOCK}' aged")
    assert publish(world.open(), world.source(), base, made, run="r1") == Moved(pushed=False)
    assert world.status() == ""


def test_what_another_branch_has_of_its_own_is_not_taken_back(world: World) -> None:
    """HEAD goes to a branch that has the very same lock."""
    clone, base, made = world.proposed(world.source())
    world.git(world.user, "switch", "--quiet", "--create", "release")
    (world.user / LOCK).write_text(world.git(clone.directory, "show", f"{made}:{LOCK}") + "\n")
    world.user_commit("the same")
    world.git(world.user, "switch", "--quiet", "main")
    just_before(world, "lockbot-fast-forward", "switch -q release")
    publish(world.open(), world.source(branch="main"), base, made, run="r1")
    assert (world.root / "done").exists()
    assert world.git(world.user, "symbolic-ref", "--short", "HEAD") == "release" and world.status() == ""


def test_what_the_user_has_staged_stays_though_the_branch_cannot_move(world: World) -> None:
    """What they have staged is what the update has, too."""
    clone, base, made = world.proposed(world.source())
    (world.user / LOCK).write_text(world.git(clone.directory, "show", f"{made}:{LOCK}") + "\n")
    world.git(world.user, "add", LOCK)
    before = world.status()
    (world.user / ".git" / "refs" / "heads" / "main.lock").touch()
    publish(clone, world.source(), base, made, run="r1")
    assert (world.status(), world.tip(world.user, "HEAD")) == (before, base.commit)


def test_a_name_that_is_not_utf8_does_not_keep_the_rest_from_coming_back(world: World) -> None:
    """That file is told; and one whose name looks like it is nobody's but the user's."""
    name, like = os.fsdecode(b"caf\xe9"), world.user / "caf\ufffd"
    (world.user / name).write_text("old\n")
    world.user_commit("a name of another time")
    like.touch()
    inode, before, clone = like.stat().st_ino, (world.user / LOCK).read_bytes(), world.open()
    base = sync(clone, world.source())
    with worktree(clone, base.commit, world.source()) as tree:
        for each in (name, LOCK):
            (tree.path / each).write_text("new\n")
        made = commit(clone, tree, [name, LOCK], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    writing(world, f"rm -f {world.user / LOCK}; kill -9 $PPID")
    with pytest.raises(CommandError, match="could not be taken back: caf"):
        publish(clone, world.source(), base, made, run="r1")
    assert (world.user / LOCK).read_bytes() == before
    assert like.stat().st_ino == inode
    assert marked(clone, Mark.TOUCHING, "main") == made


# -- a run that is stopped ---------------------------------------------------------------------------------------


def test_a_run_that_is_stopped_begins_no_move(world: World) -> None:
    clone = world.open()
    world.cancel.cancel("SIGTERM")
    with pytest.raises(Cancelled), uncancelled(clone, clone.user):
        pytest.fail("begun")


@pytest.mark.parametrize("checked_out", [True, False])
def test_a_run_that_is_stopped_is_not_told_as_a_fault(world: World, checked_out: bool) -> None:
    if not checked_out:
        world.git(world.user, "switch", "--quiet", "--create", "work")
    _, base, made = world.proposed(world.source(branch="main"))
    step, real = ("diff-index" if checked_out else "worktree"), world.environ["PATH"]
    stops = f'case "$*" in "-C {world.user} {step} "*) kill -USR1 {os.getpid()}; sleep 20;; esac'
    script(world.root / "wrap" / "git", f'{stops}\nPATH="{real}" exec git "$@"')
    world.environ["PATH"] = f"{world.root / 'wrap'}:{real}"
    before = signal.signal(signal.SIGUSR1, lambda *_: world.cancel.cancel("SIGTERM"))
    try:
        with pytest.raises(Cancelled):
            publish(world.open(), world.source(branch="main"), base, made, run="r1")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert world.tip(world.user) == base.commit


def test_nothing_is_left_open_by_what_is_not_to_be_stopped(world: World) -> None:
    clone, kept = world.open(), list[CancelToken]()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with uncancelled(clone, clone.user) as sure:
            assert sure.cancel is not clone.cancel
            kept.append(sure.cancel)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


# -- a power cut -------------------------------------------------------------------------------------------------


def test_what_a_move_wrote_is_on_the_disk_before_it_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """git syncs no files of a work tree: until somebody does, they are empty after a power cut."""
    synced: dict[str, bytes] = {}
    sync_one = os.fsync

    def seen(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        if place.is_relative_to(world.user):
            assert marked(clone, Mark.TOUCHING, "main") == made
            synced[str(place.relative_to(world.user))] = place.read_bytes()
        sync_one(descriptor)

    clone, base, made = world.proposed(world.source())
    monkeypatch.setattr(os, "fsync", seen)
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    assert synced.keys() == {LOCK, ".git/index"}
    assert synced[LOCK] == (world.user / LOCK).read_bytes()
    assert (
        world.git(clone.directory, "for-each-ref", "refs/lockbot/touching", "refs/lockbot/touching-before") == ""
    )


CUT = {"empty": "", "half": "{"}


def cut(path: Path, text: str) -> None:
    """As after a power cut: the time of a file is on the disk before all of its content is."""
    found = path.stat()
    path.write_text(text)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("lost", CUT)
@pytest.mark.parametrize("moved", [True, False], ids=["the branch has moved", "it has not"])
@pytest.mark.parametrize("pushed", [True, False])
def test_what_a_power_cut_took_of_a_move_comes_back(world: World, lost: str, moved: bool, pushed: bool) -> None:
    """The index is on the disk, the files that it tells of are not."""
    world.with_remote()
    clone, made = killed_in_a_move(world, moved=moved)
    if pushed:
        mark(clone, Mark.PUSHED, "main", made)
        world.git(clone.directory, "push", "--quiet", str(world.remote), f"{made}:refs/heads/main")
    cut(world.user / LOCK, CUT[lost])
    clone = world.open()
    assert was_published(clone, world.source(), made), "what lies there is all that a move writes"
    finish_earlier(clone, world.source(), sync(clone, world.source()))
    assert world.tip(world.user) == made and world.status() == ""
    assert (world.user / LOCK).read_text().strip() == world.git(world.user, "show", f"{made}:{LOCK}")
    assert marked(clone, Mark.TOUCHING, "main") is None


def killed_in_a_move(world: World, *, moved: bool) -> tuple[Clone, str]:
    """When git had written files and index, and perhaps the branch; before it was known to be on the disk."""
    clone, base, made = world.proposed(world.source())
    mark(clone, Mark.TOUCHING, "main", made, before=base.commit)
    world.git(world.user, "fetch", "--quiet", str(clone.directory), made)
    world.git(world.user, "read-tree", "-m", "-u", base.commit, made)
    if moved:
        world.git(world.user, "update-ref", "refs/heads/main", made)
    return clone, made


@pytest.mark.parametrize("lost", CUT)
def test_of_a_move_that_nobody_asks_for_any_more_nothing_is_left(world: World, lost: str) -> None:
    base = world.tip(world.user)
    clone, _ = killed_in_a_move(world, moved=False)
    cut(world.user / LOCK, CUT[lost])
    clone = world.open()
    recovery = finish_earlier(clone, world.source(), sync(clone, world.source()))
    assert recovery.trouble is None and f"taken back: {LOCK}" in " ".join(recovery.notes)
    assert world.tip(world.user) == base and world.status() == ""


THEIRS: dict[str, Callable[[Path], object]] = {
    "gone": lambda lock: lock.unlink(),
    "emptied": lambda lock: lock.write_text(""),
    "without its end": lambda lock: lock.write_text(lock.read_text()[:-3]),
    "other": lambda lock: lock.write_text("mine"),
    "may be run": lambda lock: lock.chmod(0o755),
}


@pytest.mark.parametrize("moved", [True, False], ids=["the branch has moved", "it has not"])
@pytest.mark.parametrize("theirs", THEIRS)
def test_what_the_user_does_after_a_kill_stays(world: World, theirs: str, moved: bool) -> None:
    clone, made = killed_in_a_move(world, moved=moved)
    THEIRS[theirs](world.user / LOCK)
    before, text = world.status(), (world.user / LOCK).read_bytes() if theirs != "gone" else b""
    clone = world.open()
    was_published(clone, world.source(), made)
    assert LOCK in world.status() and (theirs == "gone" or (world.user / LOCK).read_bytes() == text)
    recovery = finish_earlier(clone, world.source(), sync(clone, world.source()))
    assert recovery.trouble is None
    if moved:
        assert world.status() == before
    assert marked(clone, Mark.TOUCHING, "main") is None


@pytest.mark.parametrize("theirs", sorted(THEIRS.keys() - {"gone"}))
def test_what_the_user_did_of_a_move_that_nobody_asks_for_any_more_stays(world: World, theirs: str) -> None:
    killed_in_a_move(world, moved=False)
    THEIRS[theirs](world.user / LOCK)
    before = world.status()
    clone = world.open()
    recovery = finish_earlier(clone, world.source(), sync(clone, world.source()))
    assert recovery.trouble is not None and LOCK in recovery.trouble
    assert world.status() == before


def test_a_staged_update_of_the_users_is_not_written_to(world: World) -> None:
    """Nothing says that lockbot began a move: what looks cut off is as somebody left it."""
    clone, base, made = world.proposed(world.source())
    world.git(world.user, "fetch", "--quiet", str(clone.directory), made)
    world.git(world.user, "read-tree", "-m", "-u", base.commit, made)
    cut(world.user / LOCK, "")
    was_published(world.open(), world.source(), made)
    assert (world.user / LOCK).read_text() == ""


def test_what_cannot_be_written_again_is_told_until_it_can(world: World) -> None:
    _, made = killed_in_a_move(world, moved=True)
    cut(world.user / LOCK, "")
    (world.user / ".git" / "info" / "attributes").write_text(f"{LOCK} filter=odd\n")
    world.git(world.user, "config", "filter.odd.smudge", "false")
    world.git(world.user, "config", "filter.odd.clean", "cat")
    world.git(world.user, "config", "filter.odd.required", "true")
    clone = world.open()
    recovery = finish_earlier(clone, world.source(), sync(clone, world.source()))
    assert (
        recovery.trouble is not None
        and f"power cut took what lockbot had written, and it can't be written again: {LOCK} (" in recovery.trouble
    )
    assert marked(clone, Mark.TOUCHING, "main") == made


@pytest.mark.parametrize("broken", ["its index", "its .git"])
def test_a_second_checkout_that_git_cannot_work_in_stops_nothing(world: World, broken: str) -> None:
    twin = world.root / "twin"
    world.git(world.user, "worktree", "add", "--quiet", "--force", str(twin), "main")
    clone, _ = killed_in_a_move(world, moved=True)
    if broken == "its .git":
        (twin / ".git").unlink()
    else:
        (world.user / ".git" / "worktrees" / "twin" / "index").write_text("no index")
    clone = world.open()
    assert finish_earlier(clone, world.source(), sync(clone, world.source())).trouble is None
    assert marked(clone, Mark.TOUCHING, "main") is None


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_move_that_is_not_known_to_be_on_the_disk_stays_marked(
    world: World, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    clone, base, made = world.proposed(world.source())

    def fails(_: int) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fails)
        assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
        assert marked(clone, Mark.TOUCHING, "main") == made
        assert finish_earlier(clone, world.source(), sync(clone, world.source())) == Recovery()
        assert marked(clone, Mark.TOUCHING, "main") == made
    cut(world.user / LOCK, "")
    assert finish_earlier(clone, world.source(), sync(clone, world.source())) == Recovery()
    assert world.status() == "" and marked(clone, Mark.TOUCHING, "main") is None


def test_a_file_system_that_syncs_nothing_is_no_trouble(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clone, base, made = world.proposed(world.source())

    def fails(_: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fails)
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    assert marked(clone, Mark.TOUCHING, "main") is None


def test_a_git_that_fails_when_the_branch_has_moved_is_no_refusal(world: World) -> None:
    _, base, made = world.proposed(world.source())
    path = world.environ["PATH"]
    moved = f'[ "$(git -C {world.user} rev-parse main)" = {made} ]'
    text = f'case "$*" in *" diff-tree "*) PATH="{path}"; {moved} && exit 9;; esac\nPATH="{path}" exec git "$@"'
    script(world.root / "wrap" / "git", text)
    world.environ["PATH"] = f"{world.root / 'wrap'}:{path}"
    clone = world.open()
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    assert marked(clone, Mark.TOUCHING, "main") == made, "who knows whether it is on the disk"
