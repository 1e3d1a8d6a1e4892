"""What git's word about a push does not settle is asked of the remote; and why a push failed is told as it was."""

from __future__ import annotations

import pytest

from lockbot.errors import CommandError, SurroundingsError
from lockbot.git.failure import RemoteError
from lockbot.git.push import Pushed, contains, push_commit, try_push
from lockbot.git.source import remote_at
from lockbot.model import FailureKind
from tests.git.test_last_moment import just_before
from tests.git.test_own_branches import BRANCH, Pushing
from tests.git.world import World, script


@pytest.fixture
def pushing(world: World) -> Pushing:
    return Pushing(world)


@pytest.mark.parametrize("since", ["moved", "deleted", "built upon"])
def test_a_branch_that_is_elsewhere_by_now_is_left_there(pushing: Pushing, since: str) -> None:
    remote = pushing.world.remote
    match since:
        case "moved":
            pushing.world.colleague()
        case "deleted":
            pushing.world.git(remote, "update-ref", "-d", "refs/heads/main")
        case _:
            pushing.world.git(pushing.clone.directory, "push", "--quiet", str(remote), f"{pushing.made}:main")
            pushing.world.colleague()
    before = pushing.world.git(remote, "for-each-ref")
    pushed = push_commit(pushing.clone, pushing.remote, "main", seen=pushing.base.commit, commit=pushing.made)
    assert pushed is (Pushed.DONE if since == "built upon" else Pushed.MOVED)
    assert pushing.world.git(remote, "for-each-ref") == before


def test_what_git_says_is_done_needs_no_remote_any_more(pushing: Pushing) -> None:
    remote, away = pushing.world.remote, pushing.world.root / "away"
    pushing.hook("post-receive", f"mv '{remote}' '{away}'")
    pushed = push_commit(pushing.clone, pushing.remote, "main", seen=pushing.base.commit, commit=pushing.made)
    assert pushed is Pushed.DONE and pushing.world.tip(away) == pushing.made


def test_a_branch_that_goes_while_the_remote_is_asked_has_nothing(pushing: Pushing) -> None:
    remote = pushing.world.remote
    pushing.world.colleague()
    just_before(pushing.world, " fetch ", f"--git-dir={remote} update-ref -d refs/heads/main")
    assert contains(pushing.world.open(), pushing.remote, "main", pushing.base.commit) is None
    assert (pushing.world.root / "done").exists()


def test_a_branch_that_somebody_puts_back_is_not_gone_and_nobody_refused(pushing: Pushing) -> None:
    pushing.put(pushing.made, None)
    pushing.hook("post-receive", f"git update-ref refs/heads/{BRANCH} {pushing.made}")
    assert pushing.delete(pushing.made) is False
    assert pushing.tip == pushing.made


def test_only_where_there_is_no_repository_it_is_told_how_not_to_push(pushing: Pushing) -> None:
    with pytest.raises(RemoteError) as away:
        try_push(pushing.clone, remote_at("http://127.0.0.1:9/x.git"), "main", pushing.made)
    assert (away.value.kind, away.value.hint) == (FailureKind.NETWORK, "try again later")
    with pytest.raises(RemoteError) as nowhere:
        try_push(pushing.clone, remote_at(str(pushing.world.root / "nowhere")), "main", pushing.made)
    assert nowhere.value.kind is FailureKind.NOT_FOUND and "set push = false" in nowhere.value.hint
    with pytest.raises(CommandError, match="git push failed"):  # of this machine's doing
        try_push(pushing.clone, pushing.remote, "main", "gone")


def server(pushing: Pushing, said: str) -> None:
    """What a push comes back with from now on (JGit's servers, Gerrit among them, have words of their own)."""
    world, real = pushing.world, pushing.world.environ["PATH"]
    says = rf"printf '!\tx:refs/heads/main\t[remote rejected]{said}\n'; exit 1"
    script(world.root / "wrap" / "git", f'case "$*" in *" push "*) {says};; esac; PATH="{real}" exec git "$@"')
    world.environ["PATH"] = f"{world.root / 'wrap'}:{real}"


def test_a_server_that_says_no_and_not_why(pushing: Pushing) -> None:
    server(pushing, "")
    with pytest.raises(CommandError, match="refuses the push to main: remote rejected"):
        try_push(pushing.world.open(), pushing.remote, "main", pushing.made)


def test_a_server_that_could_not_lock_the_branch_is_busy(pushing: Pushing) -> None:
    server(pushing, " (failed to lock)")
    with pytest.raises(SurroundingsError, match=r"is busy: failed to lock"):
        try_push(pushing.world.open(), pushing.remote, "main", pushing.made)
