"""Publishing, with a user who does not hold still: nothing of theirs may be lost."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lockbot.errors import CommandError, UsageError
from lockbot.git.failure import RemoteError
from lockbot.git.landing import BaseMoved
from lockbot.git.publish import Moved, Parked, parking, publish
from lockbot.git.recovery import was_published
from lockbot.git.source import LocalSource, RemoteSource
from lockbot.git.sync import last_seen, sync
from tests.git.world import LOCK, World, script


def test_checked_out_branch_moves_with_its_files(world: World) -> None:
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=False)
    assert world.tip(world.user) == made
    assert "new" in (world.user / LOCK).read_text()
    assert world.status() == ""
    assert world.git(world.user, "diff", "--name-only", "HEAD~", "HEAD") == LOCK


def test_branch_that_is_not_checked_out(world: World) -> None:
    world.git(world.user, "switch", "--quiet", "--create", "work")
    result, made = world.cycle(world.source(branch="main"))
    assert result == Moved(pushed=False)
    assert world.tip(world.user) == made
    assert "old" in (world.user / LOCK).read_text()


def test_bare_repository(world: World) -> None:
    world.with_remote()
    result, made = world.cycle(LocalSource(world.remote))
    assert result == Moved(pushed=False)
    assert world.tip(world.remote) == made


def test_linked_worktree_and_subdirectory(world: World) -> None:
    linked = world.root / "linked"
    world.git(world.user, "worktree", "add", "--quiet", "-b", "nightly", str(linked))
    source = world.source(path=linked / "hosts")
    clone, base, made = world.proposed(source)
    assert (base.branch, base.subdirectory) == ("nightly", "hosts")
    assert publish(clone, source, base, made, run="r1") == Moved(pushed=False)
    assert world.tip(linked, "HEAD") == world.tip(world.user, "nightly") == made
    assert "new" in (linked / LOCK).read_text()
    assert world.git(linked, "status", "--porcelain") == ""


def test_checked_out_in_another_worktree(world: World) -> None:
    world.git(world.user, "switch", "--quiet", "--create", "work")
    world.git(world.user, "worktree", "add", "--quiet", str(world.root / "other tree"), "main")
    result, made = world.cycle(world.source(branch="main"))
    assert result == Moved(pushed=False)
    assert world.tip(world.root / "other tree", "HEAD") == made
    assert world.git(world.root / "other tree", "status", "--porcelain") == ""


def test_unrelated_changes_stay_byte_for_byte(world: World) -> None:
    (world.user / "flake.nix").write_bytes(b"half \xff written")
    (world.user / "staged").write_bytes(b"staged\r\n")
    world.git(world.user, "add", "staged")
    (world.user / "untracked").write_bytes(b"\0\1")
    before = world.status()
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=False)
    assert world.tip(world.user) == made
    assert world.status() == before
    assert (world.user / "flake.nix").read_bytes() == b"half \xff written"
    assert (world.user / "staged").read_bytes() == b"staged\r\n"
    assert (world.user / "untracked").read_bytes() == b"\0\1"


@pytest.mark.parametrize("staged", [False, True])
def test_a_dirty_lock_parks_and_the_advice_works(world: World, staged: bool) -> None:
    world.git(world.user, "config", "merge.autoStash", "true")  # would have git meddle with the user's change
    clone, base, made = world.proposed(world.source())
    world.write("mine")
    if staged:
        world.git(world.user, "add", LOCK)
    before = world.status()
    result = publish(clone, world.source(), base, made, run="r1")
    assert isinstance(result, Parked)
    assert result.branch == "lockbot/update-main"
    assert LOCK in result.why
    assert world.status() == before
    assert "mine" in (world.user / LOCK).read_text()
    assert world.tip(world.user) == base.commit
    assert world.tip(world.user, "lockbot/update-main") == made
    for line in result.advice:
        subprocess.run(shlex.split(line), env=world.environ, check=True, capture_output=True)
    assert world.tip(world.user) == made


@pytest.mark.parametrize("how", ["intended", "renamed", "removed"])
def test_the_advice_works_however_the_lock_stands_in_the_index(world: World, how: str) -> None:
    match how:
        case "intended":  # as Nix leaves a lock that it has made
            world.git(world.user, "rm", "--quiet", "--cached", LOCK)
            world.git(world.user, "commit", "--quiet", "-m", "no lock")
            world.git(world.user, "add", "--intent-to-add", LOCK)
        case "renamed":
            world.git(world.user, "mv", LOCK, "hosts/")
        case "removed":
            world.git(world.user, "rm", "--quiet", LOCK)
    result, made = world.cycle(world.source())
    assert isinstance(result, Parked)
    for line in result.advice:
        subprocess.run(["sh", "-c", line], env=world.environ, check=True)
    assert world.tip(world.user) == made
    assert len(world.git(world.user, "stash", "list").splitlines()) == 1, "what the user had is kept"


def test_a_lock_file_is_no_choice_of_the_users(world: World) -> None:
    clone, base, made = world.proposed(world.source())
    (world.user / ".git" / "index.lock").touch()
    with pytest.raises(CommandError, match=r"index\.lock; if none is running, .* remove it"):
        publish(clone, world.source(), base, made, run="r1")
    assert (world.user / ".git" / "index.lock").exists()
    assert world.git(world.user, "branch", "--list", "lockbot/*") == ""


def test_a_work_tree_that_is_gone_parks_and_the_advice_works(world: World) -> None:
    world.git(world.user, "switch", "--quiet", "--create", "work")
    gone = world.root / "gone"
    world.git(world.user, "worktree", "add", "--quiet", str(gone), "main")
    clone, base, made = world.proposed(world.source(branch="main"))
    shutil.rmtree(gone)
    result = publish(clone, world.source(branch="main"), base, made, run="r1")
    assert isinstance(result, Parked) and f"{gone}, where it is checked out, is gone" in result.why
    for command in result.advice:
        world.git(world.user, *shlex.split(command)[1:])
    assert world.tip(world.user, "main") == made


def test_a_conflict_that_the_user_has_to_resolve_parks(world: World) -> None:
    for text in ("theirs", "mine"):
        (world.user / "flake.nix").write_text(text)
        world.git(world.user, *(["commit", "-qam", text] if text == "mine" else ["stash", "--quiet"]))
    world.git(world.user, "stash", "pop", "--quiet", check=False)
    before = world.status()
    assert "UU flake.nix" in before
    result, _ = world.cycle(world.source())
    assert isinstance(result, Parked) and "conflict" in result.why
    assert world.status() == before


def test_a_commit_while_git_moves_a_branch_that_is_not_checked_out(world: World) -> None:
    world.git(world.user, "switch", "--quiet", "--create", "work")
    clone, base, made = world.proposed(world.source(branch="main"))
    mine = world.git(world.user, "commit-tree", "-p", base.commit, "-m", "mine", f"{base.commit}^{{tree}}")
    path = world.environ["PATH"]
    real = shutil.which("git", path=path)
    commit = f"{real} -C {world.user} update-ref refs/heads/main {mine}"
    commits = f'case " $* " in *" lockbot: update "*) {commit};; esac'
    script(world.root / "wrap" / "git", f'{commits}\nexec {real} "$@"')
    world.environ["PATH"] = f"{world.root / 'wrap'}:{path}"
    clone = world.open()
    assert isinstance(publish(clone, world.source(branch="main"), base, made, run="r1"), BaseMoved)
    world.environ["PATH"] = path
    assert world.tip(world.user) == mine


def test_user_commits_meanwhile(world: World) -> None:
    clone, base, made = world.proposed(world.source())
    (world.user / "more").write_text("more")
    mine = world.user_commit("mine")
    assert isinstance(publish(clone, world.source(), base, made, run="r1"), BaseMoved)
    assert world.tip(world.user) == mine
    result, again = world.cycle(world.source())
    assert result == Moved(pushed=False)
    assert world.tip(world.user, "main~") == mine
    assert world.tip(world.user) == again


@pytest.mark.parametrize("checked_out", [True, False])
def test_a_commit_that_the_user_dropped_is_not_brought_back(world: World, checked_out: bool) -> None:
    start = world.tip(world.user)
    (world.user / "secret").write_text("oops")
    world.user_commit("oops")
    if not checked_out:
        world.git(world.user, "switch", "--quiet", "--create", "work")
    clone, base, made = world.proposed(world.source(branch="main"))
    if checked_out:
        world.git(world.user, "reset", "--quiet", "--hard", start)
    else:
        world.git(world.user, "branch", "--force", "main", start)
    assert isinstance(publish(clone, world.source(branch="main"), base, made, run="r1"), BaseMoved)
    assert world.tip(world.user) == start


def test_branch_deleted_meanwhile(world: World) -> None:
    world.git(world.user, "switch", "--quiet", "--create", "work")
    source = world.source(branch="main")
    clone, base, made = world.proposed(source)
    world.git(world.user, "branch", "-D", "main")
    result = publish(clone, source, base, made, run="r1")
    assert isinstance(result, Parked)
    assert world.git(world.user, "branch", "--list", "main") == ""
    (line,) = result.advice
    subprocess.run(shlex.split(line), env=world.environ, check=True)
    assert world.tip(world.user) == made


def conflict(world: World) -> None:
    """`theirs` contradicts main."""
    world.git(world.user, "switch", "--quiet", "--create", "theirs")
    (world.user / "flake.nix").write_text("theirs\n")
    world.user_commit("theirs")
    world.git(world.user, "switch", "--quiet", "main")
    (world.user / "flake.nix").write_text("ours\n")
    world.user_commit("ours")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (["rebase", "theirs"], ["rebase", "--abort"]),
        (["rebase", "--apply", "theirs"], ["rebase", "--abort"]),
        (["merge", "theirs"], ["merge", "--abort"]),
        (["cherry-pick", "theirs"], ["cherry-pick", "--abort"]),
        (["bisect", "start", "HEAD", "HEAD~"], ["bisect", "reset"]),
    ],
    ids=lambda value: value[0],
)
@pytest.mark.parametrize("linked", [False, True])
def test_in_the_middle_of_something(world: World, start: list[str], end: list[str], linked: bool) -> None:
    conflict(world)
    where = world.user
    if linked:
        where = world.root / "linked"
        world.git(world.user, "switch", "--quiet", "--create", "work")
        world.git(world.user, "worktree", "add", "--quiet", str(where), "main")
    source = world.source(branch="main")
    clone, base, made = world.proposed(source)
    world.git(where, *start, check=False)
    result = publish(clone, source, base, made, run="r1")
    assert isinstance(result, Parked), result
    assert world.tip(world.user, "refs/heads/main") == base.commit
    world.git(where, *end)
    assert world.tip(world.user, "refs/heads/main") == base.commit
    subprocess.run(["git", "-C", str(where), "checkout", "--quiet", "main"], env=world.environ, check=True)
    for line in result.advice:
        subprocess.run(shlex.split(line), env=world.environ, check=True, capture_output=True)
    assert world.tip(world.user, "refs/heads/main") == made


def test_parking_overwrites_only_what_lockbot_made(world: World) -> None:
    world.write("mine")
    first, _ = world.cycle(world.source())
    second, made = world.cycle(world.source())
    assert isinstance(first, Parked)
    assert isinstance(second, Parked)
    assert second.branch == "lockbot/update-main"
    assert world.tip(world.user, "lockbot/update-main") == made
    mine = world.git(world.user, "commit-tree", "-m", "mine", "-p", made, f"{made}^{{tree}}")
    world.git(world.user, "update-ref", "refs/heads/lockbot/update-main", mine)
    third, made = world.cycle(world.source())
    assert isinstance(third, Parked)
    assert third.branch == "lockbot/update-main-r1"
    assert all("lockbot/update-main-r1" in line for line in third.advice if "merge" in line)
    assert world.tip(world.user, "lockbot/update-main") == mine
    assert world.tip(world.user, "lockbot/update-main-r1") == made


FLAKES = [
    ("main", ""),
    ("main", "hosts"),
    ("main", "hosts/one"),
    ("main", "hosts,one"),
    ("main", "..x/~y/z.lock"),
    ("main", "ü @{1}"),
    ("main+hosts", ""),
    ("main%2Bhosts", ""),
    ("feature/x", ""),
    ("feature/x", "y"),
    ("feature", "x/y"),
    ("x" * 250, ""),
    ("x" * 249 + "y", ""),
    ("x" * 120 + "y" + "x" * 129, ""),
    ("main", "конфигурация/" * 20 + "один"),
    ("main", "конфигурация/" * 20 + "два"),
    ("long/" + "ü" * 120, "ü" * 120),
]


def test_every_flake_has_a_branch_to_park_on(world: World) -> None:
    names = [parking(branch, directory) for branch, directory in FLAKES]
    assert names[:3] == ["lockbot/update-main", "lockbot/update-main+hosts", "lockbot/update-main+hosts,one"]
    assert len(set(names)) == len(FLAKES)
    for name in names:
        world.git(world.user, "branch", name)


def test_two_flakes_do_not_overwrite_each_others(world: World) -> None:
    world.write("mine")
    made: dict[str, str] = {}
    for directory in ("", "hosts"):
        clone, base, commit = world.proposed(world.source())
        commit = world.candidate(clone, world.source(), base, f"of {directory}")
        result = publish(clone, world.source(), base, commit, run="r1", flake_dir=directory)
        assert isinstance(result, Parked)
        made[result.branch] = commit
    assert made.keys() == {"lockbot/update-main", "lockbot/update-main+hosts"}
    assert {name: world.tip(world.user, name) for name in made} == made


def test_the_advice_is_safe_to_paste_whatever_the_branch_is_called(world: World) -> None:
    name = "it's;touch${IFS}oops"
    world.git(world.user, "checkout", "--quiet", "-b", name)
    world.write("mine")
    clone, base, made = world.proposed(world.source())
    result = publish(clone, world.source(), base, made, run="r1")
    assert isinstance(result, Parked)
    for line in result.advice:
        subprocess.run(["sh", "-c", line], cwd=world.root, env=world.environ, check=True, capture_output=True)
    assert world.tip(world.user, f"refs/heads/{name}") == made
    assert not (world.root / "oops").exists()


def test_parking_spares_a_branch_that_is_checked_out(world: World) -> None:
    world.write("mine")
    clone, base, made = world.proposed(world.source())
    assert isinstance(publish(clone, world.source(), base, made, run="r1"), Parked)
    world.git(world.user, "worktree", "add", "--quiet", str(world.root / "look"), "lockbot/update-main")
    other = world.candidate(clone, world.source(), base, "other")
    result = publish(clone, world.source(), base, other, run="r2")
    assert isinstance(result, Parked)
    assert result.branch == "lockbot/update-main-r2"
    assert world.tip(world.root / "look", "HEAD") == made


def test_parking_beside_a_branch_called_lockbot(world: World) -> None:
    world.git(world.user, "branch", "lockbot")
    world.write("mine")
    result, made = world.cycle(world.source())
    assert isinstance(result, Parked)
    assert result.branch == "lockbot-update-r1"
    assert world.tip(world.user, "lockbot-update-r1") == made


def test_pushes_and_moves_the_local_branch(world: World) -> None:
    world.with_remote()
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert world.tip(world.remote) == world.tip(world.user) == made
    assert world.tip(world.user, "origin/main") == made
    assert world.status() == ""


def test_upstream_of_another_name(world: World) -> None:
    world.with_remote()
    world.git(world.user, "push", "--quiet", "--set-upstream", "origin", "main:refs/heads/näme/on-remote")
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert world.tip(world.remote, "näme/on-remote") == world.tip(world.user) == made
    assert world.tip(world.remote) != made


def test_local_behind_the_remote_follows(world: World) -> None:
    world.with_remote()
    theirs = world.colleague()
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert world.tip(world.remote) == world.tip(world.user) == made
    assert world.tip(world.user, "main~") == theirs
    assert (world.user / "colleague.txt").exists()


def test_unpushed_commits_are_not_pushed(world: World) -> None:
    world.with_remote()
    before = world.tip(world.remote)
    world.user_commit("unpushed")
    clone, base, made = world.proposed(world.source())
    assert not base.push_allowed
    assert "1 commit(s)" in base.notes[0]
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    assert world.tip(world.user) == made
    assert world.tip(world.remote) == before


def test_no_push(world: World) -> None:
    world.with_remote()
    before = world.tip(world.remote)
    clone, base, made = world.proposed(world.source())
    assert publish(clone, world.source(), base, made, run="r1", push=False) == Moved(pushed=False)
    assert (world.tip(world.user), world.tip(world.remote)) == (made, before)


def test_user_commits_meanwhile_with_a_remote(world: World) -> None:
    world.with_remote()
    clone, base, made = world.proposed(world.source())
    mine = world.user_commit("mine")
    assert isinstance(publish(clone, world.source(), base, made, run="r1"), BaseMoved)
    assert world.tip(world.user) == mine
    assert world.tip(world.remote) == base.commit


def test_pushed_though_the_lock_is_dirty(world: World) -> None:
    world.with_remote()
    world.write("mine")
    result, made = world.cycle(world.source())
    assert isinstance(result, Moved)
    assert result.pushed
    assert LOCK in result.notes[0]
    assert world.tip(world.remote) == made
    assert world.tip(world.user) != made
    assert "mine" in (world.user / LOCK).read_text()
    assert world.git(world.user, "branch", "--list", "lockbot/*") == ""


@pytest.mark.parametrize("kind", ["local", "url"])
def test_remote_moved_meanwhile(world: World, kind: str) -> None:
    world.with_remote()
    source = world.source() if kind == "local" else world.url()
    clone, base, made = world.proposed(source)
    theirs = world.colleague()
    assert isinstance(publish(clone, source, base, made, run="r1"), BaseMoved)
    assert world.tip(world.remote) == theirs
    assert world.tip(world.user) == base.commit
    result, again = world.cycle(source)
    assert isinstance(result, Moved)
    assert world.tip(world.remote) == again


def test_remote_rewound_meanwhile_is_not_undone(world: World) -> None:
    world.with_remote()
    start = world.tip(world.user)
    world.user_commit("oops")
    world.git(world.user, "push", "--quiet")
    clone, base, made = world.proposed(world.source())
    world.git(world.user, "push", "--quiet", "--force", "origin", f"{start}:main")
    assert isinstance(publish(clone, world.source(), base, made, run="r1"), BaseMoved)
    assert world.tip(world.remote) == start


def test_rejected_by_a_hook(world: World) -> None:
    world.with_remote()
    script(world.remote / "hooks" / "pre-receive", "echo 'main is protected: open a merge request'; exit 1")
    clone, base, made = world.proposed(world.source())
    with pytest.raises(CommandError) as caught:
        publish(clone, world.source(), base, made, run="r1")
    assert "hook declined" in caught.value.message
    assert "open a merge request" in caught.value.output
    assert world.tip(world.remote) == world.tip(world.user) == base.commit


def test_remote_that_dies_after_it_moved_the_branch(world: World) -> None:
    world.with_remote()
    # The parent of a hook is receive-pack: with it dead, the push fails though the branch was moved.
    script(world.remote / "hooks" / "post-receive", "kill -9 $PPID")
    clone, base, made = world.proposed(world.source())
    result = publish(clone, world.source(), base, made, run="r1")
    assert result == Moved(pushed=True)
    assert world.tip(world.remote) == world.tip(world.user) == made
    plain = subprocess.run(
        ["git", "-C", str(world.user), "push", "origin", f"{world.user_commit('x')}:main"],
        env=world.environ,
        check=False,
        capture_output=True,
    )
    assert plain.returncode != 0, "the hook did not break the push: this test shows nothing"


def test_remote_that_dies_before_it_moves_the_branch(world: World) -> None:
    world.with_remote()
    script(world.remote / "hooks" / "pre-receive", "kill -9 $PPID")
    clone, base, made = world.proposed(world.source())
    with pytest.raises((RemoteError, CommandError)):
        publish(clone, world.source(), base, made, run="r1")
    assert world.tip(world.remote) == world.tip(world.user) == base.commit


def test_remote_that_hangs_after_it_moved_the_branch(world: World) -> None:
    world.with_remote()
    script(world.remote / "hooks" / "post-receive", "exec sleep 60")
    _, base, made = world.proposed(world.source())
    world.timeout = 1.5
    assert publish(world.open(), world.source(), base, made, run="r1") == Moved(pushed=True)
    assert world.tip(world.remote) == made


def test_published_and_built_upon_meanwhile(world: World) -> None:
    world.with_remote()
    clone, base, made = world.proposed(world.source())
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=True)
    later = world.colleague()
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=True)
    assert world.tip(world.remote) == later


def test_url_source(world: World) -> None:
    world.with_remote()
    result, made = world.cycle(world.url())
    assert result == Moved(pushed=True)
    assert world.tip(world.remote) == made
    assert last_seen(world.open().git, world.url().branch) == made, "what is told until the next fetch"
    with pytest.raises(UsageError, match="only be published to by pushing"):
        world.cycle(world.url(push=False))


def test_settle_after_a_crash_between_push_and_local(world: World) -> None:
    world.with_remote()
    clone, _, made = world.proposed(world.source())
    assert not was_published(clone, world.source(), made)
    world.git(clone.directory, "push", "--quiet", str(world.remote), f"{made}:refs/heads/main")
    assert was_published(world.open(), world.source(), made)
    assert world.tip(world.user) == made
    assert world.status() == ""
    assert was_published(world.open(), world.url(), made)
    assert not was_published(world.open(), world.source(), "1" * 40)


def test_settle_does_not_move_a_branch_that_the_user_moved(world: World) -> None:
    start = world.tip(world.user)
    world.user_commit("second")
    world.with_remote()
    clone, _, made = world.proposed(world.source())
    world.git(clone.directory, "push", "--quiet", str(world.remote), f"{made}:refs/heads/main")
    world.git(world.user, "reset", "--quiet", "--hard", start)
    assert was_published(world.open(), world.source(), made)
    assert world.tip(world.user) == start


def test_settle_of_a_local_repository(world: World) -> None:
    clone, base, made = world.proposed(world.source())
    assert not was_published(clone, world.source(), made)
    publish(clone, world.source(), base, made, run="r1")
    world.user_commit("on top")
    assert was_published(world.open(), world.source(), made)


HOOKS = (
    "post-checkout",
    "post-merge",
    "pre-merge-commit",
    "pre-push",
    "post-commit",
    "pre-commit",
    "commit-msg",
    "prepare-commit-msg",
    "reference-transaction",
    "post-index-change",
    "post-rewrite",
    "fsmonitor",
)


def test_no_hook_of_the_user_runs(world: World) -> None:
    world.with_remote()
    everywhere = world.root / "everywhere"
    told = world.hooks(everywhere, *HOOKS)
    world.hooks(world.user / ".git", *HOOKS)
    world.git(world.user, "config", "core.fsmonitor", str(everywhere / "hooks" / "fsmonitor"))
    world.git(world.user, "config", "--global", "core.hooksPath", str(everywhere / "hooks"))
    template = world.root / "template"
    world.hooks(template, *HOOKS)
    world.git(world.user, "config", "--global", "init.templateDir", str(template))
    told.unlink(missing_ok=True)
    result, _ = world.cycle(world.source())
    assert result == Moved(pushed=True)
    world.git(world.user, "switch", "--quiet", "--create", "work")
    assert told.read_text(), "the user's own git runs them: else this test shows nothing"
    told.unlink()
    result, _ = world.cycle(world.source(branch="main", push=False))
    assert isinstance(result, Moved | Parked)
    assert not told.exists(), told.read_text()


def test_leaked_variables_change_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = world.root / "victim"
    world.git(world.root, "init", "--quiet", str(victim))
    world.user_commit("keep", victim)
    before = world.tip(victim, "HEAD")
    leaked = {
        "GIT_DIR": str(victim / ".git"),
        "GIT_WORK_TREE": str(victim),
        "GIT_INDEX_FILE": str(victim / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(victim / ".git" / "objects"),
        "GIT_COMMON_DIR": str(victim / ".git"),
        "GIT_CONFIG_PARAMETERS": "'core.bare'='nonsense'",
        "GIT_AUTHOR_NAME": "leaked",
        "GIT_NAMESPACE": "leaked",
        "GIT_CEILING_DIRECTORIES": str(world.root),
        "GIT_CONFIG_COUNT": "1",
    }
    plain = dict(world.environ)
    for name, value in leaked.items():
        monkeypatch.setenv(name, value)
    # Both ways in: this process's environment, and what lockbot is told was its environment.
    leaked.pop("GIT_CONFIG_COUNT")
    world.environ = plain | leaked
    clone = world.open()
    base = sync(clone, world.source())
    made = world.candidate(clone, world.source(), base)
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    world.environ = plain
    assert world.tip(world.user) == made
    assert world.tip(victim, "HEAD") == before
    assert world.git(victim, "status", "--porcelain") == ""
    assert world.git(world.user, "show", "-s", "--format=%an %cn", made) == "lockbot lockbot"


def test_a_token_in_the_users_remote_is_in_no_argv(world: World, tmp_path: Path) -> None:
    world.with_remote()
    wrapper = script(tmp_path / "bin" / "git-remote-https", 'echo "$@" >> "$HOME/helper"; exit 1')
    real = world.environ["PATH"]
    log = tmp_path / "argv"
    script(tmp_path / "bin" / "git", f'echo "$@" >> "{log}"; PATH="{real}" exec git "$@"')
    world.git(world.user, "remote", "set-url", "origin", "https://me:s3cret@localhost:9/x.git")
    world.environ["PATH"] = f"{wrapper.parent}:{real}"
    with pytest.raises((RemoteError, CommandError)) as caught:
        world.cycle(world.source())
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in log.read_text()
    assert "fetch" in log.read_text()


def test_url_with_a_password_is_refused(world: World) -> None:
    with pytest.raises(UsageError) as caught:
        sync(world.open(), RemoteSource("https://me:s3cret@example.org/x.git"))
    assert "s3cret" not in caught.value.message + caught.value.hint


# -- several addresses to push to --------------------------------------------------------------------------------


def mirrored(world: World, *, first: bool = False) -> Path:
    """A second push URL, before or behind the remote's own."""
    world.with_remote()
    mirror = world.root / "mirror.git"
    world.git(world.root, "clone", "--quiet", "--bare", str(world.remote), str(mirror))
    for url in [mirror, world.remote] if first else [world.remote, mirror]:
        world.git(world.user, "remote", "set-url", "--push", "--add", "origin", str(url))
    return mirror


@pytest.mark.parametrize("first", [True, False])
def test_each_address_is_pushed_to(world: World, first: bool) -> None:
    mirror = mirrored(world, first=first)
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert world.tip(world.remote) == world.tip(mirror) == made


@pytest.mark.parametrize("first", [True, False])
def test_an_address_that_is_away_is_told_and_catches_up(world: World, first: bool) -> None:
    mirror = mirrored(world, first=first)
    mirror.rename(world.root / "away")
    result, made = world.cycle(world.source())
    assert isinstance(result, Moved) and result.pushed
    (note,) = result.notes
    assert f"not pushed to remote origin ({mirror})" in note
    assert world.tip(world.remote) == world.tip(world.user) == made
    (world.root / "away").rename(mirror)
    shutil.rmtree(world.root / "state")
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert world.tip(mirror) == made


@pytest.mark.parametrize("first", [True, False])
def test_what_the_remote_refuses_reaches_no_other_address(world: World, first: bool) -> None:
    mirror = mirrored(world, first=first)
    before = world.tip(mirror)
    script(world.remote / "hooks" / "pre-receive", "exit 1")
    with pytest.raises(CommandError, match="refuses the push"):
        world.cycle(world.source())
    assert world.tip(mirror) == world.tip(world.user) == before


def test_an_address_that_went_another_way_is_left_alone(world: World) -> None:
    mirror = mirrored(world)
    other = world.root / "other"
    world.git(world.root, "clone", "--quiet", str(mirror), str(other))
    theirs = world.user_commit("theirs", other)
    world.git(other, "push", "--quiet")
    result, _ = world.cycle(world.source())
    assert isinstance(result, Moved) and len(result.notes) == 1
    assert world.tip(mirror) == theirs


def test_a_push_to_nowhere_names_that_and_says_how_not_to(world: World) -> None:
    world.with_remote()
    world.git(world.user, "remote", "set-url", "--push", "origin", "no_push")
    with pytest.raises(RemoteError, match=r"remote origin \(.*/no_push\) was not found") as raised:
        world.cycle(world.source())
    assert "push = false" in raised.value.hint


def test_a_push_goes_where_the_user_has_pushes_go(world: World) -> None:
    world.with_remote()
    mirror = world.root / "mirror.git"
    world.git(world.root, "clone", "--quiet", "--bare", str(world.remote), str(mirror))
    world.git(world.user, "config", f"url.{mirror}.pushInsteadOf", str(world.remote))
    _, made = world.cycle(world.source())
    assert world.tip(mirror) == made


def test_several_urls_are_all_pushed_to(world: World) -> None:
    world.with_remote()
    mirror = world.root / "mirror.git"
    world.git(world.root, "clone", "--quiet", "--bare", str(world.remote), str(mirror))
    world.git(world.user, "remote", "set-url", "--add", "origin", str(mirror))
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert world.tip(world.remote) == world.tip(mirror) == made
