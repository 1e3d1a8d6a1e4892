"""For how long a host went unjudged, as the runs on record tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockbot.commands.status import unjudged_alarms
from lockbot.history.input_states import Observation, StateWord
from lockbot.history.store import History
from lockbot.history.summaries.unjudged import NIGHTS
from lockbot.model import (
    Answer,
    ChangeKind,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Judgement,
    Outcome,
    Run,
)

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
FLAKE = "/srv/nixos/.git?ref=main"
URL = "https://example.org/gone.tar.gz"
_ANSWERS = {
    "unjudged": (HostStatus.UNJUDGED, Answer.UNJUDGED),
    "good": (HostStatus.BUILT, Answer.GOOD),
    "bad": (HostStatus.FAILED, Answer.BAD),
    "unchanged": (HostStatus.UNCHANGED, Answer.UNJUDGED),
    "other system": (HostStatus.NOT_BUILDABLE_HERE, Answer.UNJUDGED),
}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite", lambda: NOW) as opened:
        yield opened


def build(name: str, word: str) -> HostBuild:
    status, answer = _ANSWERS[word]
    failure = Failure(FailureKind.NETWORK, f"cannot fetch {URL}") if answer is Answer.UNJUDGED else None
    host = Host(name, ("nixosConfigurations", name))
    return HostBuild(host, status, failure=failure, here=Judgement(answer, "told"))


def nights(history: History, words: Sequence[str | None], flake: str = FLAKE, hours: int = 24) -> None:
    """One run each `hours`, the newest last; None: one that judged no host."""
    for number, word in enumerate(words):
        hosts = () if word is None else (build("web", word), build("db", "good"))
        started = NOW - timedelta(hours=hours * (len(words) - number))
        run = Run(
            f"{flake[-4:]}-{number}", "/srv/nixos/.git", started, Outcome.UNJUDGED, NOW, hosts=hosts, flake=flake
        )
        history.start(run)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["unjudged"] * 3, 3),
        (["good", "unjudged", "unjudged"], 2),
        (["unjudged", "unjudged", "good"], None),
        (["unjudged", "unjudged", "bad"], None),
        (["unjudged", None, "unjudged"], 2),
        (["unjudged", "unchanged", "unjudged", "unjudged"], 3),
        (["other system"] * 5, None),
        ([], None),
    ],
)
def test_how_many_nights(history: History, words: Sequence[str | None], expected: int | None) -> None:
    nights(history, words)
    found: Mapping[str, int] = {one.name: one.nights for one in history.unjudged(FLAKE)}
    assert found == ({} if expected is None else {"web": expected})


def test_an_alarm_names_what_is_gone(history: History) -> None:
    nights(history, ["unjudged"] * NIGHTS)
    (alarm,) = unjudged_alarms(history.unjudged(FLAKE))
    assert alarm.startswith(f"web: could not be judged for {NIGHTS} nights running")
    assert URL in alarm


def test_many_runs_in_a_night_are_one_night(history: History) -> None:
    nights(history, ["unjudged"] * 4, hours=1)
    (one,) = history.unjudged(FLAKE)
    assert one.nights == 1
    assert list(unjudged_alarms([one])) == []


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (["could-not-be-judged"] * 3, 3),
        (["could-not-be-judged", "", "could-not-be-judged"], 2),
        (["could-not-be-judged", "breaks"], None),
        (["breaks", "could-not-be-judged"], 1),
        (["could-not-be-judged", "moved"], None),
    ],
)
def test_an_input_that_is_held_for_it(history: History, reasons: Sequence[str], expected: int | None) -> None:
    """Its host is not judged any more in what lands, night after night, without it."""
    for number, reason in enumerate(reasons):
        run = Run(
            f"run-{number}",
            "/srv/nixos/.git",
            NOW - timedelta(days=len(reasons) - number),
            Outcome.PARTLY_PUBLISHED,
            NOW,
            commit="1" * 40,
            changes=(InputChange("c" if reason == "moved" else "nixpkgs", ChangeKind.UPDATED),),
            hosts=(build("web", "unchanged"),),
            held=(Held("c", reason, f"cannot fetch {URL}"),) if reason not in ("", "moved") else (),
            flake=FLAKE,
        )
        history.start(run)
    ledger = history.ledger(FLAKE)
    ledger.record([Observation("c", StateWord.HELD, None, asked=True)])
    found = {one.name: one for one in history.unjudged(FLAKE)}
    assert {name: one.nights for name, one in found.items()} == ({} if expected is None else {"c": expected})
    if expected == NIGHTS:
        assert URL in next(unjudged_alarms(list(found.values())))


def test_what_is_no_longer_there_is_no_alarm(history: History) -> None:
    """The user has taken the host out, and the input."""
    nights(history, ["unjudged"] * NIGHTS)
    held = (Held("c", "could-not-be-judged", "gone"),)
    run = Run("last", "/srv/nixos/.git", NOW, Outcome.PUBLISHED, NOW, hosts=(build("db", "good"),), flake=FLAKE)
    history.start(replace(run, id="before", started=NOW - timedelta(hours=1), held=held))
    history.start(run)
    assert history.unjudged(FLAKE) == ()


def test_a_run_every_quarter_of_an_hour_is_counted_by_nights(history: History) -> None:
    for number in range(4 * 24 * NIGHTS):
        started = NOW - timedelta(minutes=15 * number)
        run = Run(f"q{number}", "/srv/nixos/.git", started, Outcome.UNJUDGED, NOW, flake=FLAKE)
        history.start(replace(run, hosts=(build("web", "unjudged"),)))
    (one,) = history.unjudged(FLAKE)
    assert one.nights >= NIGHTS


def test_other_flakes_are_not_counted(history: History) -> None:
    nights(history, ["unjudged"] * 3, flake="/srv/nixos/.git?ref=test")
    assert history.unjudged(FLAKE) == ()
