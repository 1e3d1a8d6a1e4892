"""docs/json.md against what the program prints: every field is there, and none but those."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lockbot.commands import after_run, status
from lockbot.commands.notify import hooks, send
from lockbot.commands.pull_requests import requests
from lockbot.commands.review import news, revert, verified
from lockbot.commands.review.bisected import bisected_document
from lockbot.commands.review.taken_back import TakenBack
from lockbot.commands.review.verify import Verified
from lockbot.commands.status.text import hold_document
from lockbot.daemon.memory import Pause, Service
from lockbot.errors import LockbotError
from lockbot.git.commits.file_history import FileCommit
from lockbot.history.input_states import StateWord, UserHold
from lockbot.history.notices.values import Delivery
from lockbot.history.summaries.unjudged import Unjudged
from lockbot.lint import Kind, Severity, examine
from lockbot.lock import unmovable
from lockbot.lock.take_back import Standing, Step
from lockbot.model import (
    CommandSaid,
    DerivationStarted,
    DerivationStopped,
    Event,
    HookSaid,
    HostDecided,
    HostEvaluated,
    HostEvaluating,
    Looking,
    Note,
    Notice,
    NoticeKind,
    PackageMark,
    Phase,
    PhaseStarted,
    PullRequest,
    PullRequestState,
    RequestDone,
    RequestStep,
    Retrying,
    UntilIn,
    UntilMerged,
    UntilVersion,
)
from lockbot.notify import delivery
from lockbot.policy.decisions import HoldReason
from lockbot.policy.rules import InputRules
from lockbot.report import events
from lockbot.report.document import dump, run_document
from lockbot.report.review.commits import ReviewedCommit
from lockbot.review.bisect.result import Blame, Result
from lockbot.review.claims import Finding, FindingKind, Found, HostRow, Judged
from lockbot.search.interface import FindingReason
from lockbot.update import votes
from tests.docs.house import House
from tests.docs.pages import DOCS, EXAMPLE_DIRECTORY, coded, rows
from tests.docs.test_pictures import timeless
from tests.history.samples import DIFFERENCE, UPSTREAM
from tests.lint.test_checks import FOUND
from tests.report.examples import HELLO_FAILED, MORNING, NEW_NIXPKGS, OLD_NIXPKGS, built
from tests.review.bisect.test_lines import BISECTED

PAGE = DOCS["json"]

OPENED = RequestDone(RequestStep.OPENED, "lockbot/update-main", "c" * 40, 5)

MORE = {
    "History": "lockbot history --json",
    "A comparison": "lockbot diff $(git rev-list --max-parents=0 main) main --json",
    "Inputs": "lockbot inputs --outdated --json",
    "Hosts": "lockbot hosts --json",
    "Checks": "lockbot check --json",
    "Lint": "lockbot lint --json",
}


def fields(document: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """`run`, `changes[]`, `changes[].input`, … of a document."""
    for name, value in document.items():
        if isinstance(value, list) and not prefix:
            yield f"{name}[]"
            for one in value:
                if isinstance(one, dict):
                    yield from fields(one, f"{name}[].")
        else:
            yield f"{prefix}{name}"


def told(title: str) -> list[str]:
    return [name for cells in rows(PAGE.section(title)) for name in coded(cells[0])]


def test_every_field_of_a_run_is_explained() -> None:
    assert len(told("A run")) == len(set(told("A run")))
    asked = RequestDone(RequestStep.OPENED, "lockbot/update-main")
    whole = replace(MORNING, differences=(DIFFERENCE,), upstream=(UPSTREAM,), requests=(asked,))
    assert set(told("A run")) == set(fields(run_document(whole)))


def test_every_field_of_pull_requests_is_explained() -> None:
    request = PullRequest("1", "f", "main", "", "lockbot/update-main", "r", "c" * 40, "p" * 40, NOW, NOW)
    assert set(told("Pull requests")) == set(fields(requests.document(requests.Requests((request,)))))
    cells = {name: row[1] for row in rows(PAGE.section("Pull requests")) for name in coded(row[0])}
    assert set(coded(cells["pull_requests[].state"])) == set(PullRequestState)
    steps = {name: row[1] for row in rows(PAGE.section("A run")) for name in coded(row[0])}
    assert set(coded(steps["pull_requests[].step"])) == set(RequestStep)


def test_every_field_of_a_packages_changes_is_explained(house: House) -> None:
    document = house.json("lockbot history --package webserver --json")
    nested = {
        "packages[].changes[]": document["packages"][0]["changes"][0],
        "packages[].changes[].hosts[]": document["packages"][0]["changes"][0]["hosts"][0],
        "packages[].changes[].inputs[]": document["packages"][0]["changes"][0]["inputs"][0],
    }
    flat = {*document, "packages[].name", "packages[].older"} - {"packages"} | {"packages[]"}
    flat |= {f"{where}.{name}" for where, one in nested.items() for name in one} | {"packages[].changes[]"}
    table = PAGE.section("History").split("With `--package`")[1]
    told = {name for cells in rows(table) for name in coded(cells[0])}
    assert told == flat - {"packages[].changes[].hosts", "packages[].changes[].inputs"}


@pytest.mark.parametrize(("title", "line"), MORE.items(), ids=MORE)
def test_every_field_is_explained(title: str, line: str, house: House) -> None:
    assert set(told(title)) == set(fields(house.json(line)))


def test_every_field_of_a_difference_is_explained(house: House) -> None:
    (first, *_) = house.json("lockbot diff $(git rev-list --max-parents=0 main) main --json")["differences"]
    cells = {name: row[1] for row in rows(PAGE.section("Differences")) for name in coded(row[0])}
    names = set(first) | {f"packages[].{name}" for name in first["packages"][0]}
    assert set(cells) == names | {f"switch.{name}" for name in first["switch"]}
    for name in ("configuration", "closure", "warnings"):
        assert set(first[name]) <= set(coded(cells[name])), name
    assert set(coded(cells["packages[].change"])) == set(PackageMark)


NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_every_field_of_the_status_is_explained() -> None:
    found = status.Status(
        NOW,
        (status.Row("nixpkgs", InputRules()),),
        (),
        service=Service(1, "2", "at work"),
        pause=Pause(NOW, "a new disk"),
        unjudged=(Unjudged("host", "web", 3, NOW, "the network"),),
        deliveries=(Delivery("phone"),),
    )
    document = status.document(found)
    assert set(told("Status")) == set(fields(document))
    cells = {name: row[1] for row in rows(PAGE.section("Status")) for name in coded(row[0])}
    for name in ("daemon", "paused"):
        inner = document[name]
        assert isinstance(inner, dict) and set(inner) <= set(coded(cells[name])), name
    assert set(coded(cells["inputs[].state"])) == set(StateWord)
    ends = (UntilMerged("u"), UntilIn("b", "c"), UntilVersion(("p",), "v"))
    for one in ends:
        hold = hold_document(UserHold("nixpkgs", "so", NOW, ends=one))
        assert hold is not None and isinstance(hold["ends"], dict)
        assert {*hold, *hold["ends"]} <= set(coded(cells["inputs[].held_by_user"]))


def test_every_field_of_a_notification_is_explained() -> None:
    news = Notice(NoticeKind.BROKE, "web does not build", hosts=("web",))
    sent = send.Sent(True, (news,), (delivery.Result("phone", "a word"),), (Delivery("phone"),))
    assert set(told("Notifications")) == set(fields(send.document(sent)))
    cells = {name: row[1] for row in rows(PAGE.section("Notifications")) for name in coded(row[0])}
    assert set(coded(cells["news[].kind"])) == set(NoticeKind)


def test_every_field_of_a_verified_commit_is_explained() -> None:
    found = Found((Finding(FindingKind.LOCK, "it lacks a"),), ("a merge",), ("the network",))
    judged = Judged("b" * 40, "20261126-183856-94dc", ("README",))
    document = verified.document(Verified("a" * 40, "update", found, (HostRow("web", "built", None),), judged))
    assert set(told("A verified commit")) == set(fields(document))
    (cell,) = [row[1] for row in rows(PAGE.section("A verified commit")) if coded(row[0]) == ["judged"]]
    assert isinstance(document["judged"], dict) and set(document["judged"]) <= set(coded(cell))
    table = rows(DOCS["how-it-works"].section("Is a commit what it says"))
    assert sorted(kind for cells in table for kind in coded(cells[0])) == sorted(FindingKind)


def test_every_field_of_a_bisection_is_explained() -> None:
    document = bisected_document(BISECTED)
    assert set(told("A bisection")) == set(fields(document))
    cells = {name: row[1] for row in rows(PAGE.section("A bisection")) for name in coded(row[0])}
    for name in ("first_bad", "input"):
        inner = document[name]
        assert isinstance(inner, dict) and set(inner) <= set(coded(cells[name])), name
    assert set(coded(cells["blame"])) >= set(Blame)
    assert set(coded(cells["tried[].result"])) == set(Result)


def test_every_field_of_a_review_is_explained() -> None:
    commit = ReviewedCommit("c" * 40, "x", "me", 1, MORNING.changes, by_lockbot=True, run=MORNING)
    found = news.News(None, "c" * 40, (commit,), (status.Row("nixpkgs", InputRules()),), notes=("so",))
    assert set(told("A review")) == set(fields(news.document(found)))


def test_every_field_of_a_revert_is_explained() -> None:
    taken = TakenBack(
        FileCommit("c" * 40, None, "x", "me", 1),
        (Step("nixpkgs", Standing.MOVED, OLD_NIXPKGS, NEW_NIXPKGS),),
    )
    done = revert.Reverted(taken, MORNING, (UserHold("nixpkgs", "so", NOW),))
    assert set(told("A revert")) == set(fields(revert.document(done)))
    cells = {name: row[1] for row in rows(PAGE.section("A revert")) for name in coded(row[0])}
    assert set(coded(cells["inputs[].standing"])) == set(Standing)


def test_every_reason_is_explained() -> None:
    known = {
        *HoldReason,
        *(reason.value.replace(" ", "-") for reason in FindingReason),
        *(votes.UNJUDGED, votes.ONLY_BROKEN),
        *(unmovable.FETCH_FAILED, unmovable.UNLOCKED, unmovable.CANNOT_LOCK),
    }
    assert set(told("Why an input is held")) == known


def test_every_kind_of_finding_is_explained_with_its_severity() -> None:
    table = {coded(cells[0])[0]: set(coded(cells[1])) for cells in rows(PAGE.section("What lint looks for"))}
    assert set(table) == set(Kind)
    found = {(one.kind, one.severity) for subject, _ in FOUND.values() for one in examine(subject)}
    for kind in Kind:
        severities = {severity for of, severity in found if of is kind}
        assert severities <= table[kind] <= set(Severity), kind


EVENTS: tuple[Event, ...] = (
    PhaseStarted(Phase.SYNC, "of main", 3),
    HostEvaluating("web"),
    HostEvaluated("web"),
    HostDecided(built("web", failure=HELLO_FAILED)),
    DerivationStarted("/nix/store/x-hello.drv", "builder"),
    DerivationStopped("/nix/store/x-hello.drv"),
    Looking("which input", ("nixpkgs",), 1, 2),
    Retrying("fetching", "no network", 5.0),
    Note("a word"),
    CommandSaid("a line"),
    HookSaid("/bin/deploy", "a line"),
)


def test_every_event_is_explained() -> None:
    real = {one["event"]: set(one) - {"level", "event"} for one in map(events.record, EVENTS)}
    failed = events.failure(LockbotError("no", "do"))
    real[events.FAILED] = set(failed) - {"level", "event"}
    real[events.NOTIFIED] = set(events.notified(1, ["phone"], NOW)) - {"level", "event"}
    table = PAGE.section("Progress as JSON").split("A field that would be empty is left out.")[1]
    explained = {event: coded(cells[1]) for cells in rows(table) for event in coded(cells[0])}
    assert {*real, events.STARTED, events.ENDED} == set(explained)
    for event, names in real.items():
        assert names <= set(explained[event]), event


def test_what_a_hook_gets_is_explained() -> None:
    of_runs, of_alarms = PAGE.section("What a hook gets").split("`alarm`, with")
    told = [field for cells in rows(of_runs) for field in coded(cells[0])]
    assert told == ["event", *after_run.hook_document(MORNING, None, None)]
    told = [field for cells in rows(of_alarms) for field in coded(cells[0])]
    (notice,) = hooks.alarm_document([Notice(NoticeKind.BROKE, "web broke")])["notices"]
    assert told == ["event", "notices", *(f"notices[].{name}" for name in notice)]


def test_what_a_run_writes_is_explained(house: House) -> None:
    lines = house.sh(f"lockbot logs {house.rejected} --json").stdout.splitlines()
    table = PAGE.section("Progress as JSON").split("A field that would be empty is left out.")[1]
    explained = {event: set(coded(cells[1])) for cells in rows(table) for event in coded(cells[0])}
    for one in map(json.loads, lines):
        assert set(one) - {"time", "level", "event", "run"} <= explained[one["event"]]
    assert {json.loads(line)["event"] for line in lines} >= {events.STARTED, events.ENDED, "host decided"}


def test_the_example_is_what_the_demo_says(house: House) -> None:
    (text,) = PAGE.blocks("json")
    real = house.json(f"lockbot show {house.rejected} --json")
    real["hosts"] = [host for host in real["hosts"] if host["status"] == "failed"]
    assert comparable(json.loads(text)) == comparable(json.loads(dump(real)), str(house.directory))


def comparable(document: dict[str, object], directory: str = EXAMPLE_DIRECTORY) -> object:
    """Without times, and what takes its name from them."""
    varying = ("run", "base", "candidate", "started", "finished", "seconds")
    text = json.dumps(document | dict.fromkeys(varying, "?"), indent=1)
    return json.loads(timeless(text, directory).replace("COMMIT", ""))
