"""Pull requests in the history: what is kept comes back as it was, by flake and branch, while it matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lockbot.history.pull_requests import KEEP_DAYS
from lockbot.history.store import History
from lockbot.model import News, PullRequestState
from lockbot.model.pull_request import NEWS_KEPT
from tests.history.samples import NOON, PULL_REQUEST, clock


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite", clock) as opened:
        yield opened


def test_every_field_comes_back(history: History) -> None:
    requests = history.pull_requests("FLAKE")
    requests.save(PULL_REQUEST)
    assert requests.all() == (PULL_REQUEST,)
    newer = replace(PULL_REQUEST, state=PullRequestState.CLOSED, number=None, url=None, tidied=False)
    requests.save(newer)
    assert requests.all("main") == (newer,)


def test_another_flake_and_another_branch_have_their_own(history: History) -> None:
    history.pull_requests("FLAKE").save(PULL_REQUEST)
    assert history.pull_requests("OTHER").all() == ()
    assert history.pull_requests("FLAKE").all("release") == ()


def test_what_strangers_wrote_is_stored_and_no_secret(history: History) -> None:
    strange = replace(
        PULL_REQUEST, left_alone="\udcff https://user:hunter2@example.org/x", hosts={"\udcff": "built"}
    )
    history.pull_requests("FLAKE").save(strange)
    (kept,) = history.pull_requests("FLAKE").all()
    assert "hunter2" not in repr(kept)
    assert kept.hosts == {"\\udcff": "built"}


def test_names_that_look_like_secrets_are_what_they_are(history: History) -> None:
    """A flake in the directory `secrets`: its branch is found again by its name."""
    named = replace(
        PULL_REQUEST, base="token=main", branch="lockbot/update-main+secrets=nixpkgs", group="a+token=b"
    )
    history.pull_requests("FLAKE").save(named)
    assert history.pull_requests("FLAKE").all("token=main") == (named,)


@pytest.mark.parametrize("state", PullRequestState)
def test_what_is_over_is_forgotten_in_the_end(tmp_path: Path, state: PullRequestState) -> None:
    later = NOON + timedelta(days=KEEP_DAYS + 1)
    with History.open(tmp_path / "history.sqlite", lambda: later) as history:
        requests = history.pull_requests("FLAKE")
        requests.save(replace(PULL_REQUEST, state=state))
        requests.save(replace(PULL_REQUEST, id="young", state=state, changed=later))
        gone = history.pull_requests("FLAKE?ref=gone")
        gone.save(replace(PULL_REQUEST, id="gone", state=state))
        requests.prune()
        assert [one.id for one in requests.all()] == (["full-1", "young"] if state.active else ["young"])
        assert bool(gone.all()) == state.active, "of a flake that has no runs any more"


def test_one_whose_branch_was_never_pushed_can_be_forgotten(history: History) -> None:
    requests = history.pull_requests("FLAKE")
    requests.save(PULL_REQUEST)
    requests.forget(PULL_REQUEST.id)
    assert requests.all() == ()


def test_news_are_told_once_and_the_oldest_go() -> None:
    told = PULL_REQUEST
    for number in range(NEWS_KEPT + 5):
        for _ in range(2):
            told = told.says(News(NOON, f"news {number}"))
    assert [one.text for one in told.comment.news] == [f"news {number}" for number in range(5, NEWS_KEPT + 5)]
