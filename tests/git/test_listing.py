"""What lies between two states of an input: the commits, what they say, and the files that they changed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lockbot.errors import LockbotError
from lockbot.git.inputs import changed_files as files_module
from lockbot.git.inputs import listing as listing_module
from lockbot.git.inputs.changed_files import changed_files
from lockbot.git.inputs.listing import Listing, list_commits
from lockbot.git.inputs.revisions import DAY, Relation
from tests.git.upstream_repo import START, Repo


def listing(repo: Repo, old: str, new: str, url: str | None = None) -> Listing:
    dates = {rev: int(repo.git("rev-list", "--no-walk", "--format=%ct", rev).split("\n")[1]) for rev in (old,)}
    with repo.open(url) as upstream:
        return list_commits(upstream, old, new, since=dates[old])


def listed(found: Listing) -> list[str]:
    return [commit.rev for commit in found.commits]


def between(repo: Repo, old: str, new: str, *options: str) -> list[str]:
    return repo.git("rev-list", *options, new, f"^{old}").split()


# -- which commits ----------------------------------------------------------------------------------------------


def test_all_that_the_new_one_has_and_the_old_one_has_not(repo: Repo) -> None:
    main = repo.line(3)
    side = repo.line(4, main[0], branch="side")
    merge = repo.commit(main[-1], side[-1], subject="Merge pull request #1")
    tip = repo.commit(merge, subject="openssl: 3.0 -> 3.1")
    found = listing(repo, main[1], tip)
    assert (found.relation, found.whole, found.gone) == (Relation.FORWARD, True, False)
    assert found.count == len(between(repo, main[1], tip)) == 7
    assert listed(found) == [tip, *reversed(side), main[2]] == between(repo, main[1], tip, "--no-merges")
    first = found.commits[0]
    assert (first.subject, first.author, first.authored) == ("openssl: 3.0 -> 3.1", "Test Person", repo.clock)


def test_nothing_lies_between_a_revision_and_itself(repo: Repo) -> None:
    one = repo.commit()
    assert listing(repo, one, one) == Listing(Relation.SAME, 0)


def test_a_downgrade_lists_what_is_taken_back(repo: Repo) -> None:
    line = repo.line(5)
    found = listing(repo, line[4], line[1])
    assert (found.relation, found.count, listed(found)) == (Relation.BACKWARD, 3, [line[4], line[3], line[2]])


def test_a_rewritten_branch_lists_what_only_the_new_one_has(repo: Repo) -> None:
    line = repo.line(3)
    other = repo.line(2, line[0])
    found = listing(repo, line[2], other[1])
    assert (found.relation, found.count, listed(found)) == (Relation.DIVERGED, 2, [other[1], other[0]])


def test_nothing_is_listed_where_the_old_one_is_gone(repo: Repo) -> None:
    line = repo.line(3)
    other = repo.commit(line[0])
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("prune", "--expire=now")
    with repo.open() as upstream:
        found = list_commits(upstream, line[2], other, since=START + 3 * 3600)
    assert found == Listing(Relation.DIVERGED, gone=True)


@pytest.mark.parametrize(("age", "whole"), [(100, True), (500, False)])
def test_what_is_merged_late_counts(repo: Repo, age: int, *, whole: bool) -> None:
    """Its commits are older than what is fetched at first. That some of them are missing still is told."""
    root = repo.commit(at=START - age * DAY)
    side = [repo.commit(root, branch="side", at=START - (age - 1) * DAY)]
    side.append(repo.commit(side[-1], branch="side", at=START - (age - 2) * DAY))
    side.append(repo.commit(side[-1], branch="side"))
    # A second way round the merge: so the old revision is found, whatever is cut off.
    old = repo.commit(root)
    fork = repo.commit(old, branch="fork")
    merge = repo.commit(fork, side[-1], branch="fork")
    tip = repo.commit(repo.commit(old), merge)
    found = listing(repo, old, tip)
    assert (found.relation, found.whole) == (Relation.FORWARD, whole)
    assert (found.count == len(between(repo, old, tip))) is whole


def test_looks_at_so_many_only_but_counts_all(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    line = repo.line(9)
    monkeypatch.setattr(listing_module, "MOST_COMMITS", 3)
    found = listing(repo, line[0], line[-1])
    assert (found.count, listed(found)) == (8, [line[8], line[7], line[6]])


def test_hostile_words(repo: Repo) -> None:
    first = repo.commit()
    at = first
    for subject in ("\x1b[2J\r\x0b\u2028\u202e", "x" * 1_000_000, "\tone\ntwo\n\nbody"):
        at = repo.commit(at, subject=subject)
    tree = repo.git("rev-parse", f"{first}^{{tree}}")
    for author in (
        b"\xff\xfe\x07 <> 1 +0000",
        b"nobody",
        b"",
        b"\xcc\x81" * 40_000 + b" <> 9" + b"9" * 30 + b" +0000",
    ):
        raw = f"tree {tree}\nparent {at}\n".encode() + b"author " + author + b"\ncommitter x\n\n\xff\xfe\n"
        at = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=raw)
    repo.git("update-ref", "refs/heads/main", at)
    found = listing(repo, first, at)
    assert found.count == len(found.commits) == 7
    assert {commit.rev for commit in found.commits} == set(between(repo, first, at))
    subjects = [commit.subject for commit in found.commits if commit.author == "Test Person"]
    assert subjects == ["one two", "x" * 200, "\x1b[2J\r\x0b\u2028\u202e"]
    assert all(len(commit.subject) <= 200 and len(commit.author) <= 200 for commit in found.commits)
    assert all(0 <= commit.authored < 10**11 for commit in found.commits)


# -- which files ------------------------------------------------------------------------------------------------


def changed(repo: Repo, old: str, new: str, *wanted: str, url: str | None = None) -> dict[str, Sequence[str]]:
    with repo.open(url) as upstream:
        commits = [commit.rev for commit in list_commits(upstream, old, new, since=START).commits]
        return dict(changed_files(upstream.cache, commits, lambda path: not wanted or path in wanted))


def test_files_that_commits_changed(repo: Repo) -> None:
    base = repo.commit(files=("pkgs/a.nix", "pkgs/b.nix", "pkgs/deep/c.patch"))
    one = repo.commit(base, files=("pkgs/a.nix",))
    side = repo.commit(base, files=("pkgs/deep/c.patch", "other"), branch="side")
    merge = repo.commit(one, side, files=("pkgs/b.nix",))
    tip = repo.commit(merge, files=('"tab\\there"', "e" * 40, ":100644 x"))
    url = repo.ssh()
    repo.git("config", "uploadpack.allowFilter", "true")
    assert changed(repo, base, tip, url=url) == {
        one: ("pkgs/a.nix",),
        side: ("other", "pkgs/deep/c.patch"),
        tip: (":100644 x", "e" * 40, '"tab\\there"'),
    }
    assert repo.called() == 2, "once for the commits, and once for their folders"
    assert changed(repo, base, tip, "pkgs/deep/c.patch", url=url) == {side: ("pkgs/deep/c.patch",)}
    kinds = ("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
    assert set(repo.git("-C", str(repo.cache), *kinds).split()) == {"commit"}, "the cache is as it was"
    assert sorted(path.suffix for path in repo.state.iterdir()) == [".git", ".lock"]


def test_no_file_comes_along(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    line = repo.line(4)
    seen: list[str] = []
    compare = files_module._compare

    def look(*arguments: object) -> object:
        kinds = ("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
        (aside,) = repo.state.glob("*.new-aside-*")
        seen.extend(repo.git("-C", str(aside), *kinds).split())
        return compare(*arguments)  # type: ignore[arg-type]  # whatever compare takes

    monkeypatch.setattr(files_module, "_compare", look)
    assert changed(repo, line[1], line[3]) == {line[3]: ("file",), line[2]: ("file",)}
    assert sorted(seen) == ["commit"] * 3 + ["tree"] * 3


def test_looks_at_the_files_of_so_many_commits_only(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    line = repo.line(6)
    monkeypatch.setattr(files_module, "MOST_COMMITS", 2)
    assert changed(repo, line[0], line[5]).keys() == {line[5], line[4]}
    tip = repo.commit(line[5], files=[f"f{number:03}" for number in range(80)])
    assert [len(files) for files in changed(repo, line[5], tip).values()] == [50]


@pytest.mark.parametrize("how", ["no filters", "branches only"])
def test_a_server_that_sends_no_folders_alone(repo: Repo, how: str) -> None:
    line = repo.line(4)
    url = repo.ssh('unset GIT_PROTOCOL; exec sh -c "$last"' if how == "branches only" else 'exec sh -c "$last"')
    if how == "branches only":
        repo.git("config", "uploadpack.allowFilter", "true")
    with repo.open(url) as upstream:
        found = list_commits(upstream, line[0], line[3], since=START)
        assert found.count == 3
        with pytest.raises(
            LockbotError, match="leave files out" if how == "no filters" else "not our ref|unadvert"
        ):
            changed_files(upstream.cache, listed(found), lambda _: True)
        assert upstream.relation(line[0], line[3]) is Relation.FORWARD
    assert not list(repo.state.glob("*.new-*"))


def test_what_a_killed_one_leaves_goes(repo: Repo) -> None:
    line = repo.line(2)
    listing(repo, line[0], line[1])
    left = repo.cache.with_name(f"{repo.cache.name}.new-aside-x")
    left.mkdir()
    listing(repo, line[0], line[1])
    assert not left.exists()
