"""Commits by the names that people give them, and what commits say of themselves."""

from __future__ import annotations

import subprocess

import pytest

from lockbot.errors import LockbotError, UsageError
from lockbot.git.commits.described import describe, signature
from lockbot.git.commits.named import commit_named, commits_between, split_range
from lockbot.git.sync import sync
from tests.git.world import LOCK, World


def test_every_name_that_git_knows_leads_to_its_commit(world: World) -> None:
    first = world.tip(world.user)
    world.git(world.user, "tag", "--annotate", "--message", "v1", "v1")
    world.git(world.user, "tag", "main..else", check=False)
    second = world.user_commit("an odd word")
    clone, source = world.open(), world.source()
    for name in ("v1", "HEAD~1", first, first[:9], "main^", "v1^{}", ":/start"):
        assert commit_named(clone, source, name) == first, name
    for name in ("HEAD", "main", "refs/heads/main", "@", ":/an odd"):
        assert commit_named(clone, source, name) == second, name


def test_a_commit_that_no_branch_has_is_brought_along_with_all_it_reaches(world: World) -> None:
    clone, source = world.open(), world.source()
    sync(clone, source)
    world.git(world.user, "checkout", "--quiet", "--detach")
    world.write("aside")
    aside = world.user_commit("aside")
    world.git(world.user, "checkout", "--quiet", "main")
    assert commit_named(clone, source, aside[:10]) == aside
    assert clone.read_file(aside, LOCK) == b'{ "lock": "aside" }\n'
    assert clone.git.run("fsck", "--full", check=False).code == 0


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "--all",
        "^main",
        "main..main",
        "no",
        "f" * 40,
        "a\nb",
        "\0",
        "main:flake.nix",
        ":/never",
        "x" * 5000,
    ],
)
def test_what_is_no_commits_name_is_refused(world: World, name: str) -> None:
    with pytest.raises(UsageError, match="commit"):
        commit_named(world.open(), world.source(), name)


def test_of_a_url_its_branch_is_known_by_name_and_the_rest_by_hash(world: World) -> None:
    first = world.tip(world.user)
    second = world.user_commit("second")
    world.with_remote()
    world.git(world.remote, "config", "uploadpack.allowAnySHA1InWant", "true")
    clone = world.open()
    for name in ("HEAD", "main", "@", second):
        assert commit_named(clone, world.url(), name) == second, name
    assert commit_named(clone, world.url(), "main~1") == first
    hidden = world.git(world.remote, "commit-tree", "-m", "hidden", f"{second}^{{tree}}")
    assert commit_named(clone, world.url(), hidden) == hidden
    with pytest.raises(UsageError, match="no commit"):
        commit_named(clone, world.url(), "other")
    with pytest.raises(LockbotError, match="remote"):
        commit_named(clone, world.url(), "e" * 40)


def test_a_range_follows_the_first_parents_oldest_first(world: World) -> None:
    start = world.tip(world.user)
    world.git(world.user, "checkout", "--quiet", "-b", "side")
    world.user_commit("on the side")
    world.git(world.user, "checkout", "--quiet", "main")
    one = world.user_commit("one")
    world.git(world.user, "merge", "--quiet", "--no-ff", "-m", "merge", "side")
    merge = world.tip(world.user)
    clone = world.open()
    commit_named(clone, world.source(), "main")
    assert commits_between(clone, start, merge) == (one, merge)
    assert commits_between(clone, merge, merge) == ()
    about = describe(clone, merge)
    assert (about.parent, len(about.parents), about.files, about.subject) == (one, 2, (), "merge")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a..b", ("a", "b")), ("a..", ("a", "HEAD")), ("..b", ("HEAD", "b")), ("v1.2..v1.3", ("v1.2", "v1.3"))],
)
def test_a_range_has_two_ends(text: str, expected: tuple[str, str]) -> None:
    assert split_range(text) == expected


@pytest.mark.parametrize("text", ["a", "a...b", "a..b..c", ""])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="range"):
        split_range(text)


def test_a_commit_tells_its_files_whatever_they_are_called(world: World) -> None:
    root = world.tip(world.user)
    for name in ("ü\tx", 'q"uote', "new\nline"):
        world.write("x", name)
    (world.user / "flake.nix").rename(world.user / "moved.nix")
    world.git(world.user, "config", "core.quotePath", "true")
    made = world.user_commit("files\n\nKey: value")
    clone = world.open()
    about = describe(clone, commit_named(clone, world.source(), made))
    assert set(about.files) == {"ü\tx", 'q"uote', "new\nline", "flake.nix", "moved.nix"}
    assert about.message == "files\n\nKey: value\n"
    first = describe(clone, root)
    assert (first.parent, set(first.files)) == (None, {LOCK, "flake.nix", "hosts/one.nix"})


def test_a_signature_is_told_in_gits_words(world: World) -> None:
    key = world.root / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    allowed = world.root / "allowed"
    allowed.write_text(f"me@example.org {key.with_suffix('.pub').read_text()}")
    plain = world.tip(world.user)
    for name, value in {"gpg.format": "ssh", "user.signingKey": str(key), "commit.gpgSign": "true"}.items():
        world.git(world.user, "config", name, value)
    signed = world.user_commit("signed")
    git = world.open().reading.at(world.user)
    assert signature(git, plain) is None
    assert "good" not in (signature(git, signed) or "")
    world.git(world.user, "config", "gpg.ssh.allowedSignersFile", str(allowed))
    assert signature(git, signed) == "git finds it good (me@example.org)"
    forged = world.git(world.user, "cat-file", "commit", signed).replace("\n\nsigned", "\n\nforged") + "\n"
    made = subprocess.run(
        ["git", "-C", str(world.user), "hash-object", "-t", "commit", "-w", "--stdin"],
        input=forged, env=world.environ, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert "BAD" in (signature(git, made) or "")
