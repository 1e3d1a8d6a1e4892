"""The JSON that other tools rely on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from lockbot.model import Answer, CulpritCommit, HostStatus, Judgement, Outcome
from lockbot.report.document import dump, history_document, run_document
from tests.report.examples import (
    FOLLOWED,
    HELD,
    HELLO,
    HELLO_FAILED,
    HOME_OLD,
    HOSTILE,
    MORNING,
    NIXPKGS,
    NIXPKGS_NEW,
    NIXPKGS_OLD,
    NOW,
    RUN_ID,
    built,
)

CULPRIT = CulpritCommit(HOME_OLD, "break it", "Eve", 1_786_680_000, "https://example.org/c", ("web",), "1" * 40)
RUN = replace(
    MORNING,
    changes=(NIXPKGS, FOLLOWED),
    hosts=(
        replace(
            built("mail", HostStatus.FAILED, HELLO_FAILED),
            here=Judgement(Answer.BAD, "build"),
            base=Judgement(Answer.GOOD, "present"),
        ),
    ),
    held=(replace(MORNING.held[0], culprit=CULPRIT),),
    flake="/etc/nixos?ref=main",
)


def test_a_run() -> None:
    assert json.loads(dump(run_document(RUN))) == {
        "run": RUN_ID,
        "repository": "/etc/nixos",
        "flake": "/etc/nixos?ref=main",
        "outcome": "partly published",
        "branch": "main",
        "base": "b" * 40,
        "candidate": "c" * 40,
        "commit": "c" * 40,
        "parked": None,
        "pushed": True,
        "dry_run": False,
        "started": "2026-08-14T05:00:00Z",
        "finished": "2026-08-14T05:05:03Z",
        "changes": [
            {
                "input": "nixpkgs",
                "kind": "updated",
                "old": NIXPKGS_OLD,
                "new": NIXPKGS_NEW,
                "old_date": "2026-08-09T04:00:00Z",
                "new_date": "2026-08-14T04:00:00Z",
                "old_url": f"github:NixOS/nixpkgs/{NIXPKGS_OLD}",
                "new_url": f"github:NixOS/nixpkgs/{NIXPKGS_NEW}",
                "old_original": "github:NixOS/nixpkgs",
                "new_original": "github:NixOS/nixpkgs",
                "old_follows": None,
                "new_follows": None,
                "commits": 1234,
            },
            {
                "input": "home-manager/nixpkgs",
                "kind": "re-followed",
                "old": NIXPKGS_OLD,
                "new": None,
                "old_date": "2026-08-09T04:00:00Z",
                "new_date": None,
                "old_url": f"github:NixOS/nixpkgs/{NIXPKGS_OLD}",
                "new_url": None,
                "old_original": "github:NixOS/nixpkgs",
                "new_original": None,
                "old_follows": None,
                "new_follows": "nixpkgs",
                "commits": None,
            },
        ],
        "hosts": [
            {
                "name": "mail",
                "status": "failed",
                "answer": "bad",
                "evidence": "build",
                "candidate": {"answer": "bad", "evidence": "build"},
                "base": {"answer": "good", "evidence": "present"},
                "failure": "build",
                "culprit": HELLO,
                "failure_detail": {"message": HELLO_FAILED.message, "tail": list(HELLO_FAILED.tail)},
                "drv": None,
                "out": None,
                "system": None,
                "kind": "nixosConfigurations",
                "attribute": ["nixosConfigurations", "mail"],
                "evaluate_only": False,
            }
        ],
        "held": [
            {
                "input": "nixos-hardware",
                "reason": "breaks-host",
                "revision": HOME_OLD,
                "detail": "host web does not build with a newer one",
                "culprit": {
                    "revision": HOME_OLD,
                    "subject": "break it",
                    "author": "Eve",
                    "date": "2026-08-14T04:00:00Z",
                    "link": "https://example.org/c",
                    "hosts": ["web"],
                    "after": "1" * 40,
                    "exact": True,
                },
            }
        ],
        "differences": [],
        "upstream": [],
        "pull_requests": [],
        "notes": ["web is built by hand since May"],
        "error": None,
        "hint": None,
        "seconds": {"sync": 1.2, "judge": 290.0, "publish": 0.1},
    }


def test_a_run_that_is_not_over() -> None:
    document = run_document(replace(RUN, outcome=None, finished=None, commit=None, branch=""))
    for key in ("outcome", "finished", "commit", "branch"):
        assert document[key] is None


def test_times_are_utc() -> None:
    vienna = datetime(2026, 8, 14, 7, tzinfo=timezone(timedelta(hours=2)))
    assert run_document(replace(RUN, started=vienna))["started"] == "2026-08-14T05:00:00Z"
    naive = datetime(2026, 8, 14, 5)  # noqa: DTZ001  # what a caller's mistake looks like
    assert run_document(replace(RUN, started=naive))["started"] == "2026-08-14T05:00:00Z"


def test_history() -> None:
    failed = replace(
        MORNING, outcome=Outcome.FAILED, hosts=(), held=(), changes=(), error="no network", commit=None
    )
    document = json.loads(dump(history_document([MORNING, failed])))
    first, second = document["runs"]
    assert first["changed"] == ["nixpkgs", "home-manager", "home-manager/nixpkgs"]
    assert first["held"] == ["nixos-hardware"]
    assert first["hosts"]["built"] == 2
    assert "failed" not in first["hosts"]
    assert (second["outcome"], second["error"], second["commit"]) == ("failed", "no network", None)


@given(st.text(st.characters(exclude_categories=())) | st.sampled_from(HOSTILE), st.floats(), st.integers())
def test_hostile_values_are_always_valid_json(text: str, seconds: float, moment: int) -> None:
    old = replace(NIXPKGS.old, url=text, rev=text, last_modified=moment) if NIXPKGS.old else None
    failure = replace(HELLO_FAILED, message=text, culprit=text, tail=(text,))
    run = replace(
        RUN,
        id=text,
        changes=(replace(NIXPKGS, input=text, old=old),),
        hosts=(built(text, HostStatus.FAILED, failure),),
        held=(replace(HELD[0], input=text, detail=text),),
        notes=(text,),
        error=text,
        seconds={text: seconds},
        started=NOW,
    )
    printed = dump(run_document(run))
    assert set(printed) - {"\n"} <= set(map(chr, range(0x20, 0x7F)))
    read = json.loads(printed)
    assert read["notes"] == [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")]
    read["notes"][0].encode()
    json.loads(dump(history_document([run])))
