"""`lockbot healthcheck` on a real repository and a real history; the clock is the test's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockbot.app import App
from lockbot.cli import cli
from lockbot.commands import healthcheck
from lockbot.config import load
from lockbot.daemon import memory
from lockbot.history.input_states import Observation, StateWord
from lockbot.model import Outcome, Run, silent
from lockbot.process import CancelToken, process_start
from tests.commands.test_status import ONE, lock
from tests.upstream import run_git

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Watched:
    """A flake in a repository, and an App upon it; `now` is its clock."""

    path: Path
    environ: Mapping[str, str]
    cancel: CancelToken
    now: datetime = NOW
    _runs: int = field(default=0)

    @property
    def app(self) -> App:
        return App(load(None, self.environ), self.environ, self.cancel, silent, lambda: self.now)

    def commit(self, text: str) -> None:
        (self.path / "flake.lock").write_text(text)
        run_git(self.path, dict(self.environ), "add", "--all")
        run_git(self.path, dict(self.environ), "commit", "--quiet", "--message", "lock")

    def ran(self, outcome: Outcome | None, ago: timedelta = HOUR, **more: object) -> Run:
        """Record a run that was begun so long before now and took a minute."""
        self._runs += 1
        started = self.now - ago
        finished = started + timedelta(minutes=1) if outcome is not None else None
        app = self.app
        place = app.place()
        run = Run(
            f"run-{self._runs:03}", place.identity, started, outcome, finished, branch="main", flake=place.flake
        )
        run = replace(run, **more)  # type: ignore[arg-type]  # each test knows which fields it gives
        with app.history() as past:
            past.start(run)
        return run

    def record(self, *observations: Observation) -> None:
        app = self.app
        with app.history() as past:
            past.ledger(app.place().flake).record(observations)

    def look(self, **limits: float) -> healthcheck.Health:
        return healthcheck.look(self.app, replace(healthcheck.Limits(), **limits))  # type: ignore[arg-type]  # its fields

    def problems(self, **limits: float) -> tuple[str, ...]:
        return self.look(**limits).problems


@pytest.fixture
def watched(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken) -> Watched:
    path = tmp_path / "flake"
    path.mkdir()
    environ = {
        **git_environment,
        "LOCKBOT_REPOSITORY__PATH": str(path),
        "LOCKBOT_STATE__DIRECTORY": str(tmp_path / "state"),
        "NIX_STORE_DIR": str(tmp_path / "store"),
    }
    run_git(path, git_environment, "init", "--quiet", "--initial-branch=main", ".")
    (path / "flake.nix").write_text("{ }")
    watched = Watched(path, environ, cancel)
    watched.commit(lock())
    return watched


def looked_after(watched: Watched, state: StateWord = StateWord.CURRENT) -> None:
    watched.record(Observation("a", state, ONE, asked=True), Observation("b", state, ONE, asked=True))


def test_all_is_well(watched: Watched) -> None:
    watched.ran(Outcome.REJECTED, ago=24 * HOUR)
    watched.ran(Outcome.PUBLISHED)
    looked_after(watched)
    found = watched.look()
    assert (found.problems, found.exit_code) == ((), 0)
    assert found.text == "2 inputs looked after, the last one ended 59 minutes ago: published"


def test_nothing_ever_ran(watched: Watched) -> None:
    (problem,) = watched.problems()
    assert "no run is recorded" in problem


def test_a_dry_run_is_no_sign_of_life(watched: Watched) -> None:
    watched.ran(Outcome.UNCHANGED, ago=72 * HOUR)
    looked_after(watched)
    watched.ran(Outcome.UNCHANGED, dry_run=True)
    (problem,) = watched.problems()
    assert problem == "the last run was 3 days ago, and 2 days is the limit"


@pytest.mark.parametrize(("ago", "well"), [(47 * HOUR, True), (49 * HOUR, False)])
def test_how_long_ago_the_last_run_may_be(watched: Watched, ago: timedelta, *, well: bool) -> None:
    watched.ran(Outcome.UNCHANGED, ago=ago)
    looked_after(watched)
    assert (not watched.problems()) is well
    assert watched.problems(max_age=46 * 3600.0)


def test_a_run_may_take_its_time_but_not_for_ever(watched: Watched) -> None:
    watched.ran(None, ago=23 * HOUR)
    looked_after(watched)
    found = watched.look()
    assert not found.problems
    assert "a run began 23 hours ago" in found.text
    watched.now += 2 * HOUR
    (problem,) = watched.problems()
    assert problem == "run run-001 began 25 hours ago and has not ended: it hangs, or was killed"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNJUDGED, Outcome.STALE, Outcome.INTERRUPTED])
def test_runs_in_a_row_that_come_to_nothing(watched: Watched, outcome: Outcome) -> None:
    watched.ran(Outcome.PUBLISHED, ago=9 * HOUR)
    looked_after(watched)
    watched.ran(outcome, ago=3 * HOUR)
    watched.ran(outcome, ago=2 * HOUR)
    assert not watched.problems()
    assert watched.problems(in_vain=2)
    watched.ran(outcome, error="no network:\nnot a bit of it")
    found = watched.look()
    assert len(found.problems) == 1
    assert healthcheck.told(found)[0].text == (
        f"lockbot: PROBLEM: the last 3 runs came to nothing, the newest {outcome}: no network: not a bit of it"
    )
    watched.ran(Outcome.REJECTED, ago=HOUR / 2)
    assert not watched.problems(), "a verdict is what a run is for"


def test_the_alarms_of_status(watched: Watched) -> None:
    looked_after(watched, StateWord.HELD)
    watched.now += 20 * 24 * HOUR
    watched.ran(Outcome.UNCHANGED)
    assert [problem.split(":")[0] for problem in watched.problems()] == ["a", "b"]


def test_a_clock_that_was_ahead_does_not_hide_that_nothing_runs(watched: Watched) -> None:
    watched.ran(Outcome.UNCHANGED, ago=-1000 * HOUR)
    looked_after(watched)
    (problem,) = watched.problems()
    assert "a clock is wrong" in problem


def test_a_daemon_where_one_is_expected(watched: Watched) -> None:
    watched.ran(Outcome.PUBLISHED)
    looked_after(watched)
    watched.environ = {**watched.environ, "LOCKBOT_SCHEDULE__WHEN": "@daily"}
    state = watched.app.settings.state.directory
    (problem,) = watched.problems()
    assert "no daemon is at work" in problem
    memory.write_service(state, memory.Service(os.getpid(), process_start(os.getpid()), "waiting"))
    assert not watched.problems()
    memory.write_service(state, memory.Service(os.getpid(), "another process's", "waiting"))
    assert watched.problems(), "its number was given to another"


def test_a_pause_is_told_and_does_not_last_unseen(watched: Watched) -> None:
    watched.ran(Outcome.PUBLISHED)
    looked_after(watched)
    memory.pause(watched.app.settings.state.directory, "the disk is being replaced", watched.now)
    found = watched.look()
    assert not found.problems
    assert found.text.endswith("the daemon is paused: the disk is being replaced")
    watched.now += 72 * HOUR
    (problem,) = watched.problems()
    assert problem.endswith("2 days is the limit; the daemon is paused: the disk is being replaced")


def test_a_lock_that_can_not_be_read_is_a_problem(watched: Watched) -> None:
    watched.ran(Outcome.PUBLISHED)
    watched.commit("<<<<<<< ours")
    (problem,) = watched.problems()
    assert "flake.lock" in problem


def test_the_command(watched: Watched) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["healthcheck", *words], env=watched.environ, standalone_mode=False)
        assert done.exception is None
        return done.return_value, done.stdout

    code, text = run()
    assert code == 1
    assert text.startswith("lockbot: PROBLEM: no run is recorded")
    assert text.count("\n") == 1
    watched.now = datetime.now(UTC)
    watched.ran(Outcome.PUBLISHED, ago=3 * HOUR)
    code, text = run()
    assert code == 0
    assert text.startswith("lockbot: ok: 2 inputs looked after")
    code, text = run("--max-age", "2h")
    assert code == 1
    refused = CliRunner().invoke(cli, ["healthcheck", "--max-age", "soon"], env=watched.environ)
    assert refused.exit_code == 2
    assert "--max-age" in refused.stderr
