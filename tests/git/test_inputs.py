"""Asking upstream where its branches are, and which commits lie between two states of an input."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lockbot import retention
from lockbot.errors import Cancelled, UsageError
from lockbot.git.command import Git, user_environment
from lockbot.git.failure import RemoteError
from lockbot.git.inputs import revisions
from lockbot.git.inputs.revisions import Relation
from lockbot.git.inputs.upstream import Origin, Tip, ask_tips
from lockbot.model import FailureKind
from lockbot.process import CancelToken, Deadline, descendants, kill
from tests.git.upstream_repo import START, Repo
from tests.git.world import script

NOWHERE = "1" * 40


def listed(found: revisions.Revisions) -> list[str]:
    return [commit.rev for commit in found.commits]


# -- origins and tips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c 'touch /tmp/x'",
        "--upload-pack=x",
        "-oProxyCommand=x",
        "https://example.org/a\nb",
        "relative/path",
        "fd::17/foo",
        "ftp://example.org/x",
        "ftp://user:secret@example.org/x",
    ],
)
def test_addresses_that_git_is_never_given(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Origin(url)
    assert "secret" not in caught.value.message
    assert "token" not in caught.value.message


@pytest.mark.parametrize("ref", ["-x", "a..b", "a b", "a*", "a:b", "x\n", "a\x1b[2J", "x.lock", "@{u}", "a~1", ""])
def test_names_that_git_is_never_given(ref: str) -> None:
    with pytest.raises(UsageError):
        Origin("https://example.org/x", ref)


def tips(repo: Repo, *refs: str, url: str | None = None, timeout: float = 30) -> list[Tip]:
    git = Git(repo.root, user_environment(repo.environ), repo.cancel, timeout)
    origins = {ref: Origin(url or repo.url, ref) for ref in refs}
    found = ask_tips(git, origins)
    return [found[ref] for ref in refs]


def test_tips_of_branches_tags_and_the_default_branch(repo: Repo) -> None:
    one, two, three = repo.line(3)
    repo.git("update-ref", "refs/heads/next/main", one)
    repo.git("update-ref", "refs/heads/both", two)
    repo.git("tag", "both", one)
    repo.git("tag", "-a", "-m", "v1", "v1", two)
    repo.git("tag", "light", one)
    assert tips(repo, "HEAD", "main", "both", "v1", "light", "refs/tags/v1", "refs/heads/main", "next/main") == [
        Tip(three, "refs/heads/main"),
        Tip(three, "refs/heads/main"),
        Tip(two, "refs/heads/both"),
        Tip(two, "refs/tags/v1"),
        Tip(one, "refs/tags/light"),
        Tip(two, "refs/tags/v1"),
        Tip(three, "refs/heads/main"),
        Tip(one, "refs/heads/next/main"),
    ]
    repo.git("tag", "-f", "-a", "-m", "moved", "v1", three)
    assert tips(repo, "v1") == [Tip(three, "refs/tags/v1")]


def test_tips_that_are_not_there(repo: Repo, tmp_path: Path) -> None:
    (empty,) = tips(repo, "HEAD")
    assert (empty.failure, empty.problem) == (FailureKind.NOT_FOUND, "there is no default branch upstream")
    repo.commit()
    (gone,) = tips(repo, "gone")
    assert (gone.revision, gone.failure) == (None, FailureKind.NOT_FOUND)
    assert gone.problem == "there is no branch or tag gone upstream"
    (nowhere,) = tips(repo, "main", url=f"file://{tmp_path}/nowhere.git")
    assert nowhere.failure is FailureKind.NOT_FOUND


def test_a_pinned_origin_is_not_asked(repo: Repo) -> None:
    git = Git(repo.root, user_environment(repo.environ), repo.cancel)
    origin = Origin("https://nowhere.invalid/x.git", pinned=NOWHERE)
    assert ask_tips(git, {"x": origin}) == {"x": Tip(NOWHERE)}


def test_failures_are_told_apart_and_each_origin_is_asked_once(repo: Repo) -> None:
    repo.commit()
    refused = repo.ssh('echo "Permission denied (publickey)." >&2; exit 255')
    git = Git(repo.root, user_environment(repo.environ), repo.cancel)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    closed = Origin(f"http://127.0.0.1:{port}/x.git")
    found = ask_tips(
        git, {"a": Origin(refused), "b": Origin(refused), "closed": closed, "fine": Origin(repo.url, "main")}
    )
    assert found["a"].failure is found["b"].failure is FailureKind.AUTH
    assert found["closed"].failure is FailureKind.NETWORK
    assert found["fine"].problem is None
    assert repo.called() == 1


def test_hanging_servers_end_at_the_deadline_all_together(repo: Repo) -> None:
    git = Git(repo.root, user_environment(repo.environ), repo.cancel)
    with socket.create_server(("127.0.0.1", 0), backlog=40) as server:
        port = server.getsockname()[1]
        origins = {str(n): Origin(f"http://127.0.0.1:{port}/{n}.git") for n in range(12)}
        begun = time.monotonic()
        found = ask_tips(git, origins, Deadline(1.0, "asking"))
    assert {tip.failure for tip in found.values()} == {FailureKind.NETWORK}
    assert time.monotonic() - begun < 20


def test_asking_is_cancelled(repo: Repo) -> None:
    with CancelToken() as token, socket.create_server(("127.0.0.1", 0)) as server:
        git = Git(repo.root, user_environment(repo.environ), token)
        timer = threading.Timer(0.3, lambda: token.cancel("SIGTERM"))
        timer.start()
        with pytest.raises(Cancelled):
            ask_tips(git, {"x": Origin(f"http://127.0.0.1:{server.getsockname()[1]}/x.git")})
        timer.join()


# -- revisions --------------------------------------------------------------------------------------------------


def test_a_straight_line_costs_one_fetch_of_the_range_only(repo: Repo) -> None:
    line = repo.line(80)
    url = repo.ssh()
    repo.git("config", "uploadpack.allowFilter", "true")
    with repo.open(url) as upstream:
        found = upstream.revisions(line[70], line[-1], since=START + 71 * 3600)
        assert (found.relation, listed(found)) == (Relation.FORWARD, line[71:])
        assert found.count == 9
        assert found.commits[0].committed == found.commits[0].authored == START + 72 * 3600
        assert upstream.relation(line[75], line[72]) is Relation.BACKWARD
        assert repo.called() == 1
    held = repo.git("-C", str(repo.cache), "rev-list", "--all").split()
    assert set(line[70:]) < set(held) < set(line)  # two days more
    kinds = repo.git("-C", str(repo.cache), "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
    assert set(kinds.split()) == {"commit"}


def test_later_fetches_add_what_is_new(repo: Repo) -> None:
    line = repo.line(60)
    url = repo.ssh()
    with repo.open(url) as upstream:
        assert listed(upstream.revisions(line[55], line[58], since=START + 56 * 3600)) == line[56:59]
    more = repo.line(3, line[-1])
    with repo.open(url) as upstream:
        assert repo.called() == 1
        assert listed(upstream.revisions(line[58], more[-1])) == [line[59], *more]
        assert repo.called() == 1
        # Further back than is there: it reaches back.
        assert listed(upstream.revisions(line[1], line[4], since=START + 2 * 3600)) == line[2:5]
        assert repo.called() == 1
        assert listed(upstream.revisions(line[1], more[-1])) == [*line[2:], *more]
        assert repo.called() == 1
        assert upstream.revisions(line[58], line[58]).relation is Relation.SAME
    packs = list((repo.cache / "objects" / "pack").glob("*.pack"))
    assert len(packs) <= 4


def test_a_fetch_of_what_is_young_cuts_off_nothing(repo: Repo) -> None:
    line = repo.line(200)
    url = repo.ssh()
    with repo.open(url) as upstream:
        upstream.revisions(line[2], line[150], since=START + 3 * 3600)
        upstream.revisions(line[190], line[199], since=START + 191 * 3600)
        assert repo.called() == 2
        assert listed(upstream.revisions(line[2], line[199])) == line[3:]
        assert repo.called() == 0


def test_merges_count_once_and_the_line_is_the_first_parents(repo: Repo) -> None:
    main = repo.line(3)
    side = repo.line(4, main[0], branch="side")
    merge = repo.commit(main[-1], side[-1])
    tip = repo.commit(merge)
    for since in (None, START):
        with repo.open() as upstream:
            assert listed(upstream.revisions(main[1], tip, since=since)) == [main[2], merge, tip]
            # Locked to a commit that came in by the merge: on along the side, and then the line.
            found = upstream.revisions(side[1], tip, since=since)
            assert (found.relation, listed(found)) == (Relation.FORWARD, [*side[2:], merge, tip])
            assert upstream.relation(side[1], main[2]) is Relation.DIVERGED


def test_whatever_is_listed_descends_from_the_locked_one(repo: Repo) -> None:
    """Also where upstream merged the wrong way round, again and again, and from three sides at once."""
    base = repo.commit()
    main = repo.line(4, base)
    other = repo.line(3, base, branch="other")
    foxtrot = repo.commit(other[-1], main[2])
    later = repo.commit(foxtrot)
    third = repo.line(2, base, branch="third")
    octopus = repo.commit(third[-1], other[0], later)
    tip = repo.commit(octopus)
    expected = [main[1], main[2], foxtrot, later, octopus, tip]
    for since in (None, repo.clock, START):
        with repo.open() as upstream:
            assert listed(upstream.revisions(main[0], tip, since=since)) == expected
            assert listed(upstream.revisions(main[2], foxtrot, since=since)) == [foxtrot]
            for revision in expected:
                assert upstream.relation(main[0], revision) is Relation.FORWARD


def test_a_side_branch_that_left_the_line_long_ago(repo: Repo) -> None:
    main = repo.line(200)
    side = repo.commit(main[2], branch="side")
    merge = repo.commit(main[-1], side)
    tip = repo.commit(merge)
    with repo.open() as upstream:
        found = upstream.revisions(side, tip, since=repo.clock - 3600)
        assert (found.relation, listed(found)) == (Relation.FORWARD, [merge, tip])


@pytest.mark.parametrize("skew", [10, 1000], ids=["days", "years"])
def test_clocks_that_are_wrong_do_not_hide_the_ancestor(repo: Repo, skew: int) -> None:
    first = repo.line(2)
    locked = repo.commit(first[-1], at=START + 2000 * 86_400)
    odd = repo.commit(locked, at=START + (2000 - skew) * 86_400)
    tip = repo.commit(odd, at=START + 2001 * 86_400)
    with repo.open() as upstream:
        assert upstream.relation(locked, tip, since=START + 2000 * 86_400) is Relation.FORWARD
        assert listed(upstream.revisions(locked, tip)) == [odd, tip]


@pytest.mark.parametrize("since", [None, 0, 1, START + 3 * 3600, 10**12, 10**25])
def test_a_wrong_date_in_the_lock_only_costs_time(repo: Repo, since: int | None) -> None:
    line = repo.line(5)
    with repo.open() as upstream:
        assert listed(upstream.revisions(line[1], line[4], since=since)) == line[2:]


@pytest.mark.parametrize("since", [None, START + 3 * 3600])
def test_force_pushed(repo: Repo, since: int | None) -> None:
    line = repo.line(3)
    other = repo.commit(line[0], subject="rewritten")
    with repo.open() as upstream:
        found = upstream.revisions(line[2], other, since=since)
        assert (found.relation, found.commits, found.gone) == (Relation.DIVERGED, (), False)
        assert upstream.relation(line[2], line[0]) is Relation.BACKWARD
        assert upstream.relation(line[0], line[2]) is Relation.FORWARD
        unrelated = repo.commit(subject="a new root")
        assert upstream.relation(line[2], unrelated, since=since) is Relation.DIVERGED


def test_two_pieces_of_history_are_not_taken_for_two_histories(repo: Repo) -> None:
    line = repo.line(60)
    with repo.open() as upstream:
        assert upstream.relation(line[55], line[58], since=START + 56 * 3600) is Relation.FORWARD
        assert upstream.relation(line[1], line[4]) is Relation.FORWARD
        assert upstream.relation(line[1], line[58]) is Relation.FORWARD
        assert upstream.describe(line[58]).subject == "change"


def test_describing_fetches_one_commit_only_and_cuts_nothing(repo: Repo) -> None:
    line = repo.line(60)
    with repo.open() as upstream:
        assert upstream.describe(line[30]).authored == START + 31 * 3600
        assert len(repo.git("-C", str(repo.cache), "rev-list", "--all").split()) == 1
        assert upstream.relation(line[29], line[31]) is Relation.FORWARD
        assert listed(upstream.revisions(line[20], line[40])) == line[21:41]


def test_moved_far_back(repo: Repo) -> None:
    old = repo.commit(at=START)
    middle = repo.commit(old, at=START + 900 * 86_400)
    locked = repo.commit(middle, at=START + 1800 * 86_400)
    with repo.open() as upstream:
        assert upstream.relation(locked, old, since=START + 1800 * 86_400) is Relation.BACKWARD


@pytest.mark.parametrize("known", [True, False])
def test_what_upstream_has_thrown_away(repo: Repo, *, known: bool) -> None:
    line = repo.line(3)
    other = repo.commit(line[0], subject="rewritten")
    if known:
        with repo.open() as upstream:
            upstream.relation(line[0], line[2])
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("prune", "--expire=now")
    with repo.open() as upstream:
        found = upstream.revisions(line[2], other, since=START + 3 * 3600)
        assert (found.relation, found.commits, found.gone) == (Relation.DIVERGED, (), not known)
        with pytest.raises(RemoteError) as caught:
            upstream.revisions(line[0], NOWHERE, since=START)
        assert caught.value.kind is FailureKind.NOT_FOUND
        with pytest.raises(RemoteError):
            upstream.describe(NOWHERE)


def test_a_deleted_branch_still_answers_by_its_commits(repo: Repo) -> None:
    line = repo.line(3)
    repo.git("update-ref", "refs/heads/kept", line[2])
    repo.git("update-ref", "-d", "refs/heads/main")
    with repo.open() as upstream:
        assert listed(upstream.revisions(line[0], line[2], since=START)) == line[1:]


def test_a_server_that_gives_branches_only(repo: Repo) -> None:
    line = repo.line(5)
    url = repo.ssh('unset GIT_PROTOCOL; exec sh -c "$last"')
    with repo.open(url) as upstream:
        assert listed(upstream.revisions(line[1], line[3], since=START + 2 * 3600)) == line[2:4]


def test_a_server_without_filters(repo: Repo) -> None:
    line = repo.line(90)
    with repo.open(repo.ssh()) as upstream:
        assert listed(upstream.revisions(line[85], line[-1], since=START + 86 * 3600)) == line[86:]
    kinds = repo.git(
        "-C", str(repo.cache), "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"
    ).split()
    assert "blob" in kinds  # it sends the files, but those of the range only
    assert kinds.count("commit") < 60


HOSTILE = "\x1b[2J$(reboot) <script>\u202e'; --option `x`"


def test_hostile_words(repo: Repo) -> None:
    one = repo.commit(subject=f"{HOSTILE}\nsecond line\n\nbody")
    two = repo.commit(one, subject="x" * 100_000)
    tree = repo.git("rev-parse", f"{one}^{{tree}}")
    raw = f"tree {tree}\nparent {two}\nauthor \xff\0<> zz\ncommitter nobody\n\n\xfe\n"
    odd = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=raw.encode("latin-1"))
    repo.git("update-ref", "refs/heads/main", odd)
    with repo.open() as upstream:
        said = upstream.describe(one)
        assert said.subject == f"{HOSTILE} second line"
        assert (said.author, said.authored) == ("Test Person", START + 3600)
        assert upstream.describe(two).subject == "x" * 500
        assert upstream.describe(odd).authored == 0
        found = upstream.revisions(one, odd)
        assert listed(found) == [two, odd]
        assert found.commits[-1].committed == 0


@pytest.mark.parametrize("rev", ["", "HEAD", "--all", "a" * 64, "A" * 40, NOWHERE + "\n"])
def test_only_whole_hashes_are_looked_up(repo: Repo, rev: str) -> None:
    one = repo.commit()
    with repo.open() as upstream:
        for ask in (lambda: upstream.revisions(one, rev), lambda: upstream.relation(rev, one)):
            with pytest.raises(UsageError):
                ask()
        with pytest.raises(UsageError):
            upstream.describe(rev)


def test_a_listing_in_several_pieces(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    line = repo.line(12)
    monkeypatch.setattr(revisions, "_CHUNK", 4)
    with repo.open() as upstream:
        for first in (0, 2, 3):
            assert listed(upstream.revisions(line[first], line[-1])) == line[first + 1 :]


def test_twenty_thousand_commits(repo: Repo) -> None:
    line = repo.line(20_100)
    with repo.open() as upstream:
        fetched = upstream.revisions(line[50], line[-1], since=START + 51 * 3600)
        begun = time.process_time(), os.times().children_user
        found = upstream.revisions(line[50], line[-1])
        spent = time.process_time() - begun[0] + os.times().children_user - begun[1]
        assert fetched == found
        assert listed(found) == line[51:]
        assert spent < 5  # the bound, 0.3 s of wall, is measured by benchmarks/revisions.py


# -- trouble ----------------------------------------------------------------------------------------------------


def test_a_server_that_hangs_ends_at_the_deadline(repo: Repo) -> None:
    line = repo.line(3)
    begun = time.monotonic()
    with repo.open(repo.ssh("sleep 60"), timeout=1.0) as upstream, pytest.raises(RemoteError) as caught:
        upstream.revisions(line[0], line[2], since=START)
    assert caught.value.kind is FailureKind.NETWORK
    assert time.monotonic() - begun < 20


def test_a_server_that_hangs_while_looking_further_back(repo: Repo) -> None:
    line = repo.line(200)
    other = repo.commit(line[0], subject="rewritten")
    url = repo.ssh(f'[ $(wc -l < {shlex.quote(str(repo.calls))}) -gt 1 ] && sleep 60; exec sh -c "$last"')
    with repo.open(url, timeout=4.0) as upstream:
        assert upstream.relation(line[-1], other, since=START + 200 * 3600) is Relation.UNKNOWN


def test_fetching_is_cancelled(repo: Repo) -> None:
    line = repo.line(3)
    url = repo.ssh("sleep 60")
    with CancelToken() as token:
        timer = threading.Timer(0.5, lambda: token.cancel("SIGTERM"))
        timer.start()
        with repo.open(url, cancel=token) as upstream, pytest.raises(Cancelled):
            upstream.revisions(line[0], line[2])
        timer.join()


def corrupt(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-40] + b"garbage" * 4)


def damages(place: Path) -> dict[str, Sequence[Path]]:
    return {
        "packs": list((place / "objects" / "pack").glob("*.pack")),
        "indexes": list((place / "objects" / "pack").glob("*.idx")),
        "refs": [path for path in (place / "refs").rglob("*") if path.is_file()],
        "config": [place / "config"],
        "HEAD": [place / "HEAD"],
        "shallow": [place / "shallow"],
    }


@pytest.mark.parametrize("what", ["packs", "indexes", "refs", "config", "HEAD", "shallow"])
@pytest.mark.parametrize("how", ["garbage", "empty", "gone"])
def test_a_damaged_cache_is_made_anew(repo: Repo, what: str, how: str) -> None:
    line = repo.line(80)
    with repo.open() as upstream:
        upstream.revisions(line[70], line[-1], since=START + 71 * 3600)
    paths = damages(repo.cache)[what]
    assert paths
    for path in paths:
        match how:
            case "garbage":
                corrupt(path)
            case "empty":
                path.chmod(0o600)
                path.write_bytes(b"")
            case _:
                path.unlink()
    with repo.open() as upstream:
        assert listed(upstream.revisions(line[70], line[-1], since=START + 71 * 3600)) == line[71:]
        assert upstream.relation(line[60], line[75]) is Relation.FORWARD
        assert upstream.describe(line[72]).subject == "change"


def test_a_cache_that_has_grown_is_made_anew(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    line = repo.line(60)
    monkeypatch.setattr(retention, "MOST_FETCHES", 4)
    packs = []
    for tip in range(1, 9):
        with repo.open() as upstream:
            assert listed(upstream.revisions(line[tip - 1], line[tip], since=START)) == [line[tip]]
        packs.append(len(list((repo.cache / "objects" / "pack").glob("*.pack"))))
    assert packs == [1, 2, 3, 4, 5, 1, 2, 3]


WORKER = """
import sys
from pathlib import Path
from lockbot.git.inputs.revisions import open_upstream
from lockbot.git.inputs.upstream import Origin
from lockbot.process import CancelToken
import os
root, url, old, new = sys.argv[1:]
with (
    CancelToken() as cancel,
    open_upstream(Path(root), Origin(url), environ=os.environ, cancel=cancel) as upstream,
):
    print(upstream.revisions(old, new).count)
"""


def worker(repo: Repo, url: str, old: str, new: str) -> subprocess.Popen[str]:
    environ = repo.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-c", WORKER, str(repo.state), url, old, new]
    return subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_two_processes_share_one_cache(repo: Repo) -> None:
    line = repo.line(40)
    url = repo.ssh()
    workers = [worker(repo, url, line[0], line[-1]) for _ in range(3)]
    assert [one.communicate(timeout=60)[0] for one in workers] == ["39\n"] * 3
    assert repo.called() == 1


def test_waiting_for_another_ends_at_the_deadline_too(repo: Repo) -> None:
    repo.commit()
    with repo.open(), pytest.raises(Exception, match="took longer"), repo.open(timeout=0.5):
        pass


@pytest.mark.parametrize("moment", ["before", "half"])
def test_killed_while_fetching_the_next_one_heals(repo: Repo, moment: str) -> None:
    line = repo.line(400, weight=250)  # more than one packet of git's protocol: 64 KiB
    with repo.open() as upstream:
        upstream.revisions(line[0], line[5], since=START)
    # The server stops in the middle of its answer, and lockbot, with all its children, is killed there.
    sent = 'sh -c "$last" | dd bs=1 count=80000 2>&-; ' if moment == "half" else ""
    reached = repo.root / "reached"
    url = repo.ssh(f"{sent}echo > {shlex.quote(str(reached))}; sleep 60")
    alias = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{url}.insteadOf", "GIT_CONFIG_VALUE_0": repo.url}
    repo.environ |= alias
    child = worker(repo, repo.url, line[5], line[-1])
    try:
        end = time.monotonic() + 20
        while not reached.exists() and time.monotonic() < end:
            time.sleep(0.02)
        assert reached.exists()
        time.sleep(0.1)
    finally:
        others = descendants(child.pid)
        child.kill()  # first: it would begin anew where it saw its git end
        for pid, _ in others:
            kill(pid)
        child.communicate()
    if moment == "half":
        assert list(repo.cache.rglob("tmp_*"))
    for name in alias:
        del repo.environ[name]
    if moment == "before":
        (repo.cache / "shallow.lock").touch()  # what a kill a moment later leaves
    with repo.open() as upstream:
        assert listed(upstream.revisions(line[5], line[-1])) == line[6:]
    assert not list(repo.cache.rglob("tmp_*"))
    assert not list(repo.cache.rglob("*.lock"))


def test_half_made_caches_are_cleared(repo: Repo) -> None:
    one = repo.line(2)
    with repo.open():
        place = repo.cache
    half = place.with_name(f"{place.name}.new-abc")
    half.mkdir()
    with repo.open() as upstream:
        assert upstream.revisions(*one).count == 1
    assert not half.exists()
    assert place.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_of_the_users_configuration_is_run(repo: Repo) -> None:
    one = repo.line(2)
    told = repo.root / "told"
    hook = script(repo.root / "hooks" / "reference-transaction", f"echo >> {told}")
    repo.environ |= {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(hook.parent),
        "GIT_CONFIG_KEY_1": "log.showSignature",
        "GIT_CONFIG_VALUE_1": "true",
    }
    with repo.open() as upstream:
        before = (upstream.cache.directory / "config").read_text()
        assert upstream.revisions(*one).count == 1
        assert upstream.describe(one[0]).subject == "change"
        after = (upstream.cache.directory / "config").read_text()
    assert not told.exists()
    assert "url" not in after
    assert before in after
