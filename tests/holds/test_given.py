"""What may stand behind `lockbot hold --until-…`: every form that is one, and words for all else."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.cli import cli
from lockbot.errors import UsageError
from lockbot.forge.address import PullRequestAddress
from lockbot.forge.place import Account, Kind
from lockbot.model import UntilIn, UntilVersion
from tests.forge.server import Reply
from tests.holds.waiting import Make

ACCOUNTS = {
    "git.example.org": Account(Kind.FORGEJO),
    "ghe.example.org:8443": Account(Kind.GITHUB),
    "code.example.org": Account(Kind.GITLAB),
}
GOOD = {
    "https://github.com/NixOS/nixpkgs/pull/123": "https://github.com/NixOS/nixpkgs/pull/123",
    "https://GitHub.com/NixOS/nixpkgs/pull/123/": "https://github.com/NixOS/nixpkgs/pull/123",
    "https://github.com/NixOS/nixpkgs/pull/123/files?diff=split#r1": "https://github.com/NixOS/nixpkgs/pull/123",
    "https://gitlab.com/a/b/-/merge_requests/9": "https://gitlab.com/a/b/-/merge_requests/9",
    "https://gitlab.com/a/b/c/d/-/merge_requests/9/diffs": "https://gitlab.com/a/b/c/d/-/merge_requests/9",
    "https://gitlab.com/a/b/merge_requests/9/diffs": "https://gitlab.com/a/b/-/merge_requests/9",
    "https://www.github.com/NixOS/nixpkgs/pull/1": "https://github.com/NixOS/nixpkgs/pull/1",
    "https://github.com:443/NixOS/nixpkgs/pull/1": "https://github.com/NixOS/nixpkgs/pull/1",
    "http://git.example.org:80/a/b/pulls/7": "http://git.example.org/a/b/pulls/7",
    "https://codeberg.org/a/b/pulls/7": "https://codeberg.org/a/b/pulls/7",
    "https://git.example.org/a/b/pulls/7#issuecomment-1": "https://git.example.org/a/b/pulls/7",
    "https://ghe.example.org:8443/a/b/pull/1": "https://ghe.example.org:8443/a/b/pull/1",
    "http://code.example.org/pull/1/-/merge_requests/2": "http://code.example.org/pull/1/-/merge_requests/2",
}
BAD = {
    "": "not the address",
    "123": "not the address",
    "#123": "not the address",
    "NixOS/nixpkgs#123": "not the address",
    "ftp://github.com/a/b/pull/1": "not the address",
    "https://github.com/NixOS/nixpkgs": "not the address",
    "https://github.com/NixOS/nixpkgs/pull": "not the address",
    "https://github.com/NixOS/nixpkgs/pull/": "not the address",
    "https://github.com/NixOS/nixpkgs/pull/new": "not the address",
    "https://github.com/NixOS/nixpkgs/pull/0": "not the address",
    "https://github.com/NixOS/nixpkgs/pull/-1": "not the address",
    "https://github.com/NixOS/nixpkgs/pull/99999999999": "not the address",
    "https://github.com/NixOS/nixpkgs/pull/\u0661": "not the address",
    "https://github.com/NixOS/nixpkgs/pulls/1": "not the address",
    "https://github.com/../nixpkgs/pull/1": "not the address",
    "https://github.com/a/b/c/pull/1": "not the address",
    "https://github.com/a/b/pull/1 ": "not the address",
    "https://github.com/a/b/pull/1\n": "not the address",
    "https://github.com/a/" + "b" * 5000 + "/pull/1": "not the address",
    "https://github.com:99999/a/b/pull/1": "not the address",
    "https://[::1/a/b/pull/1": "not the address",
    "https:///a/b/pull/1": "not the address",
    "https://github.com/NixOS/nixpkgs/issues/123": "is an issue, which nobody merges",
    "https://gitlab.com/a/b/-/issues/1": "is an issue, which nobody merges",
    "https://github.com/NixOS/nixpkgs/commit/abc": "--until-in BRANCH COMMIT",
    "https://example.com/a/b/pull/1": "which forge runs at example.com is not known",
    "https://git.kernel.org/a/b/pull/1": "which forge runs at git.kernel.org is not known",
    "https://www.example.org/a/b/pull/1": "which forge runs at www.example.org is not known",
    "https://github.com:80/a/b/pull/1": "which forge runs at github.com:80 is not known",
    "https://me:s3cret@github.com/a/b/pull/1": "no user name or password",
}


@pytest.mark.parametrize("address", GOOD)
def test_a_pull_request_is_known_by_its_page(address: str) -> None:
    assert PullRequestAddress.parse(address, ACCOUNTS).url == GOOD[address]
    assert PullRequestAddress.parse(GOOD[address], ACCOUNTS).url == GOOD[address]


@pytest.mark.parametrize("address", BAD)
def test_what_is_none_is_refused_in_words(address: str) -> None:
    with pytest.raises(UsageError, match=BAD[address]) as caught:
        PullRequestAddress.parse(address, ACCOUNTS)
    assert caught.value.hint
    assert "s3cret" not in caught.value.message and len(caught.value.message) < 400


@settings(max_examples=100, deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from(["https://", "github.com", "/", "..", "%2e", "pull", "1", "@", "[", ":"])).map(
        "".join
    )
)
def test_any_text_is_a_pull_request_or_an_error(address: str) -> None:
    try:
        found = PullRequestAddress.parse(address, ACCOUNTS)
    except UsageError:
        return
    assert PullRequestAddress.parse(found.url, ACCOUNTS) == found
    assert ".." not in found.place.path


# -- branches and commits


@pytest.mark.parametrize("kind", ["github", "gitlab", "forgejo"])
def test_the_first_digits_of_a_commit_are_completed(make: Make, kind: str) -> None:
    world = make(kind)
    waited = world.upstream.commit(world.first, branch="main")
    world.wait(branch=("stable", f" {waited[:9].upper()} "))
    found = world.hold
    assert found is not None and found.ends == UntilIn("stable", waited)


NO_COMMITS = [
    ("stable", "abc123", "not a commit: abc123"),
    ("stable", "main", "not a commit: main"),
    ("stable", "-" * 40, "not a commit"),
    ("stable", "\x1b[2J", "not a commit"),
    ("stable", "a" * 41, "not a commit"),
    ("stable", "abcdef1", "which commit abcdef1 is can't be told: "),
    ("stable", "deadbee", "which commit deadbee is can't be told: "),
    ("refs/heads/stable", "1" * 40, "must be written without refs/heads/"),
    ("--upload-pack=x", "1" * 40, "is not a name that git allows"),
    ("a..b", "1" * 40, "is not a name that git allows"),
    ("x" * 5000, "1" * 40, "must not be longer than"),
    ("\ud800", "1" * 40, "is not a name that git allows"),
    ("stable", "1" * 40, "there is nothing to wait for: "),
    ("gone", "1" * 40, "there is nothing to wait for: "),
]


@pytest.mark.parametrize("kind", ["github", "forgejo"])
def test_a_commit_that_can_not_be_waited_for(make: Make, kind: str) -> None:
    world = make(kind)
    world.upstream.git("branch", "deadbee", "stable")
    for branch, commit, why in NO_COMMITS:
        with pytest.raises(UsageError) as caught:
            world.wait(branch=(branch, commit))
        assert why in caught.value.message and caught.value.hint, (branch, commit)
        assert len(caught.value.message) < 400
    assert world.hold is None


def test_first_digits_are_not_completed_where_nobody_can_be_asked(make: Make) -> None:
    world = make()
    world.server.answer = lambda _: Reply(b"oops", 500)
    with pytest.raises(UsageError, match="can't be told: "):
        world.wait(branch=("stable", world.first[:7]))
    world.lock({"type": "git", "url": world.upstream.url, "ref": "stable"})
    with pytest.raises(UsageError, match="the input is on no forge that is known"):
        world.wait(branch=("stable", world.first[:7]))


ELSEWHERE = [
    {"type": "tarball", "url": "https://example.org/a.tar.gz"},
    {"type": "path", "path": "/x"},
    {"type": "indirect", "id": "nixpkgs"},
]


def test_an_input_without_a_repository(make: Make) -> None:
    world = make()
    for original in ELSEWHERE:
        world.lock(original)
        with pytest.raises(UsageError, match="a comes from no git repository"):
            world.wait(branch=("stable", "1" * 40))
        with pytest.raises(UsageError, match="a comes from no git repository"):
            world.wait(version=("hello", "1"))


NO_VERSIONS = [
    ("", "1", "is not an attribute path"),
    ("a.${b}", "1", "is not an attribute path"),
    ('"${builtins.abort 1}"', "1", "must not interpolate"),
    ("a b", "1", "needs a dot"),
    ("#hello", "1", 'must be written without "#"'),
    ("x" * 300, "1", "must not be longer than"),
    ("hello", " ", "must not be empty"),
    ("hello", "1\x1b[2J", "must be one line without control characters"),
    ("hello", "9" * 300, "must not be longer than"),
]


def test_a_version_that_can_not_be_waited_for(make: Make) -> None:
    world = make()
    for package, version, why in NO_VERSIONS:
        with pytest.raises(UsageError) as caught:
            world.wait(version=(package, version))
        assert why in caught.value.message and caught.value.hint, (package, version)
    assert world.hold is None


NOTHING = {
    "--until": ["2099-01-01"],
    "--until-merged": ["u"],
    "--until-in": ["b", "c"],
    "--until-version": ["p", "v"],
    "--at": ["1"],
}


@pytest.mark.parametrize("one", NOTHING)
@pytest.mark.parametrize("other", NOTHING)
def test_a_hold_ends_in_one_way(one: str, other: str) -> None:
    if one == other:
        return
    words = ["hold", "a", "--why", "w", one, *NOTHING[one], other, *NOTHING[other]]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and "exclude each other" in done.output


def test_a_version_is_kept_as_nix_reads_it() -> None:
    assert UntilVersion(("a", "b.c"), "1") != UntilVersion(("a", "b", "c"), "1")
