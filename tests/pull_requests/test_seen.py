"""What people see of pull requests, night after night: what runs become when theirs land, what hooks are run for,
and what the user's own words (a revert, a hold) make of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockbot.process import CancelToken
from lockbot.state import LOCK, RunLock
from tests.pull_requests.conftest import Make
from tests.pull_requests.world import Nights
from tests.update.world import finish


@pytest.fixture
def kind() -> str:
    """Nothing of this depends on which forge it is."""
    return "forgejo"


def run(here: Nights, *words: str, code: int = 0) -> Any:
    result = finish(here.world.start(argv=here.world.argv(*words, "--json")))
    assert result.code == code, (words, result.stderr)
    return result.document


def order(here: Nights, *words: str) -> str:
    """What prints no JSON."""
    with here.world.start(argv=here.world.argv(*words)) as process:
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return stdout


def heard(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def status(here: Nights) -> dict[str, tuple[str, int | None]]:
    return {one["input"]: (one["state"], one["pull_request"]) for one in run(here, "status")["inputs"]}


def test_a_dry_run_asks_for_nothing_and_says_so(nights: Make) -> None:
    here = nights()
    here.upstream("a")
    dry = run(here, "update", "--dry-run")
    assert (dry["outcome"], dry["pull_requests"], here.forge.requests()) == ("requested", [], [])
    assert f"dry run: a pull request would ask to take {dry['candidate']} on main" in dry["notes"]
    refused = here.world.start("--no-push")
    stderr = refused.communicate()[1]
    assert (refused.returncode, here.forge.requests()) == (2, [])
    assert "there is no pull request" in stderr
    assert [one["id"] for one in here.world.runs()] == [dry["run"]]  # a mistake on the command line is no run
    assert here.night()["pull_requests"][0]["step"] == "opened"


def test_it_is_listed_with_what_it_waits_for_and_a_run_is_not_waited_for(nights: Make) -> None:
    here = nights()
    here.upstream("a")
    here.night()
    assert "waits for people" in order(here, "requests")
    lock = RunLock(here.world.place / LOCK, "another", lambda: datetime.now(UTC), cancel=CancelToken())
    with lock:
        found = here.settle()
    assert [one["state"] for one in found["pull_requests"]] == ["open"]
    assert "a run is at work" in found["notes"][0]


def test_a_landing_is_told_of_the_run_that_judged_it(nights: Make, tmp_path: Path) -> None:
    """The checks pass after the night; whoever looks then lands it, and people hear of it once."""
    here = nights(publish='merge = "when-checks-pass"')
    told, hook = tmp_path / "told", tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntr -d '\\n' >> {told}; echo >> {told}\n")
    hook.chmod(0o755)
    here.world.settings["[hook]"] = f'event = "published"\ncommand = ["{hook}"]'
    here.forge.require_check()
    here.upstream("a")
    first = here.night()
    request = here.only()
    assert status(here) == {"a": ("requested", request.number), "b": ("current", None)}
    assert heard(told) == []
    here.forge.check(request.head, "success")
    here.settle()
    (one,) = heard(told)
    assert (one["event"], one["run"]["run"], one["run"]["commit"]) == ("published", first["run"], here.tip())
    assert run(here, "show", first["run"])["outcome"] == "published"
    assert status(here)["a"] == ("current", None)
    here.settle()
    here.night()
    assert len(heard(told)) == 1

    # And by the next night, which has an update of its own.
    here.upstream("b")
    second = here.night()
    here.forge.check(here.only().head, "success")
    here.upstream("a")
    third = here.night()
    assert third["outcome"] == "requested"
    assert [one["run"]["run"] for one in heard(told)] == [first["run"], second["run"]]


def test_a_revert_is_not_overtaken_by_the_next_nights(nights: Make) -> None:
    here = nights(publish='merge = "at-once"')
    here.upstream("a")
    here.night()
    new = here.locked("a")
    here.world.settings["publish"] = 'mode = "request"'
    done = run(here, "revert", "a")
    assert (done["run"]["outcome"], [one["input"] for one in done["holds"]]) == ("requested", ["a"])
    request = here.only()
    here.upstream("a", "b")
    here.night()
    assert {one.number: one.head for one in here.open()}[request.number] == request.head
    assert len(here.open()) == 2
    here.forge.merge(request.number, "merge")
    here.settle()
    assert here.locked("a") != new
    here.night()
    assert here.locked("a", here.only().branch) == here.locked("a"), "it is held there"
    here.check()


def test_a_hold_of_what_waits_in_a_request(nights: Make) -> None:
    here = nights(publish='merge = "when-checks-pass"')
    here.upstream("a")
    here.night()
    request, before = here.only(), here.tip()
    here.forge.check(request.head, "success")
    order(here, "hold", "a", "--why", "no")
    here.settle()
    assert here.tip() == before, "nothing lands that the user holds"
    assert "held by you" in here.listed()[0]["waits"]
    here.night()
    assert (here.open(), here.tip()) == ([], before)
    assert here.listed()[0]["state"] == "held"
    order(here, "release", "a")
    here.night()
    assert here.only().number != request.number
    here.check()
