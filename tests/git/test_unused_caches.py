"""Copies of upstream histories that nobody has opened for long are removed; those that somebody needs stay."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from lockbot.git.inputs import cache
from lockbot.git.inputs.revisions import Relation
from tests.git.upstream_repo import Repo

NOW = time.time()
LONG_AGO, SINCE = NOW - 200, NOW - 100


def of(repo: Repo, url: str) -> Path:
    """The cache of this URL, opened once."""
    before = set(repo.state.glob("*.git"))
    with repo.open(url):
        pass
    (found,) = set(repo.state.glob("*.git")) - before
    return found


def age(directory: Path) -> None:
    os.utime(directory.with_suffix(".lock"), (LONG_AGO, LONG_AGO))


def test_one_that_nobody_opens_goes_with_all_that_is_its(repo: Repo) -> None:
    one, two = repo.line(2)
    gone, other = of(repo, repo.url), of(repo, f"{repo.url}/.")
    aside = gone.with_name(f"{gone.name}.new-aside-x")
    aside.mkdir()
    age(gone)
    cache.remove_unused(repo.state, SINCE)
    assert sorted(path.name for path in repo.state.iterdir()) == [other.name, other.with_suffix(".lock").name]
    with repo.open() as upstream:
        assert upstream.relation(one, two) is Relation.FORWARD


def test_to_open_it_is_to_use_it(repo: Repo) -> None:
    repo.line(1)
    used = of(repo, repo.url)
    age(used)
    with repo.open():
        pass
    cache.remove_unused(repo.state, SINCE)
    assert used.exists()


def test_one_that_is_open_stays_however_old(repo: Repo) -> None:
    one, two = repo.line(2)
    with repo.open() as upstream:
        age(repo.cache)
        cache.remove_unused(repo.state, SINCE)
        assert upstream.relation(one, two) is Relation.FORWARD


def test_one_that_is_removed_as_it_is_opened(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the lock's file and locking it. A lock on a file that is gone keeps nobody away."""
    one, two = repo.line(2)
    lock = of(repo, repo.url).with_suffix(".lock")
    flock = fcntl.flock

    def removed_meanwhile(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        age(lock)
        cache.remove_unused(repo.state, SINCE)
        assert not lock.exists()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with repo.open() as upstream:
        assert upstream.relation(one, two) is Relation.FORWARD
        assert cache._take(lock) is None, "another can't have it, too"


def test_what_lockbot_did_not_make_stays(repo: Repo, tmp_path: Path) -> None:
    repo.line(1)
    of(repo, repo.url)
    theirs = tmp_path / "theirs.lock"
    theirs.write_text("theirs")
    link = repo.state / "link.lock"
    link.symlink_to(theirs)
    fifo = repo.state / "fifo.lock"
    os.mkfifo(fifo)
    for path in (theirs, link, fifo):
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    cache.remove_unused(repo.state, SINCE)
    assert link.is_symlink()
    assert fifo.is_fifo()
    assert theirs.read_text() == "theirs"


def test_where_no_cache_was_ever_made_there_is_nothing_to_do(tmp_path: Path) -> None:
    cache.remove_unused(tmp_path / "upstreams", SINCE)
    assert list(tmp_path.iterdir()) == []
