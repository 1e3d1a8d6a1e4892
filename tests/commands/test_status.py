"""`lockbot status`, `hold`, `release` and `accept` on a real repository and a real ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockbot.app import App
from lockbot.cli import cli
from lockbot.commands import hold as orders
from lockbot.commands import status
from lockbot.config import load
from lockbot.errors import UsageError
from lockbot.history.input_states import Acceptance, Observation, StateWord, UserHold
from lockbot.history.ledger import Ledger
from lockbot.model import CulpritCommit, Held, silent
from lockbot.nix.lockfile import LockFileError
from lockbot.process import CancelToken
from lockbot.report import styled_lines
from tests.history.samples import run
from tests.upstream import run_git

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40
LOCKED_AT = NOW - 10 * DAY


def node(name: str, rev: str = ONE) -> dict[str, Any]:
    original = {"type": "github", "owner": "o", "repo": name}
    locked = {"rev": rev, "narHash": "sha256-x", "lastModified": int(LOCKED_AT.timestamp())}
    return {"locked": original | locked, "original": original}


def lock(a: str = ONE, source: str = "a") -> str:
    """Inputs a (with a/inner), b, a path, and one that follows. `source`: the repository that a comes from."""
    path = {"type": "path", "path": "/x"}
    nodes: dict[str, Any] = {
        "a": node(source, a) | {"inputs": {"inner": "inner"}},
        "b": node("b"),
        "inner": node("inner"),
        "here": {"locked": path | {"narHash": "sha256-x"}, "original": path},
        "root": {"inputs": {"a": "a", "b": "b", "here": "here", "alias": ["a"]}},
    }
    return json.dumps({"nodes": nodes, "root": "root", "version": 7})


@dataclass
class World:
    """A flake in a repository with an App upon it; `now` is its clock."""

    path: Path
    git_environment: dict[str, str]
    cancel: CancelToken
    environ: dict[str, str]
    now: datetime = NOW
    config: dict[str, str] = field(default_factory=dict)

    @property
    def app(self) -> App:
        environ = self.environ | self.config
        return App(load(None, environ), environ, self.cancel, silent, lambda: self.now)

    def commit(self, text: str) -> None:
        (self.path / "flake.lock").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "lock")

    def git(self, *arguments: str) -> None:
        run_git(self.path, self.git_environment, *arguments)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        app = self.app
        with app.history() as past:
            yield past.ledger(app.place().flake)

    def record(self, *observations: Observation) -> None:
        with self.ledger() as ledger:
            ledger.record(observations)

    def row(self, input: str = "a") -> status.Row:
        return next(row for row in self.look().rows if row.input == input)

    def look(self) -> status.Status:
        return status.look(self.app)

    def told(self) -> str:
        return styled_lines.text(status.lines(self.look(), None))

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, words, env=self.environ | self.config, standalone_mode=False)
        assert done.exception is None, done.exception
        assert (done.return_value or 0) == code
        return done.stdout


@pytest.fixture
def _in_utc() -> Iterator[None]:
    """Dates on the command line are local."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def world(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken, _in_utc: None) -> World:
    path = tmp_path / "flake"
    path.mkdir()
    environ = {
        **git_environment,
        "LOCKBOT_REPOSITORY__PATH": str(path),
        "LOCKBOT_STATE__DIRECTORY": str(tmp_path / "state"),
    }
    world = World(path, git_environment, cancel, environ)
    world.git("init", "--quiet", "--initial-branch=main", ".")
    (path / "flake.nix").write_text("{ }")
    world.commit(lock())
    return world


def seen(state: StateWord = StateWord.CURRENT, **fields: Any) -> Observation:
    return replace(Observation("a", state, ONE, asked=True), **fields)


HELD = seen(StateWord.HELD, reason="backwards", detail="a would go back")


# -- status


def test_before_the_first_run(world: World) -> None:
    found = world.look()
    assert [(row.input, row.word, row.behind) for row in found.rows] == [
        ("a", StateWord.NEVER, None),
        ("b", StateWord.NEVER, None),
    ]
    (alarm,) = found.alarms
    assert alarm.startswith(f"no run is recorded in {world.environ['LOCKBOT_STATE__DIRECTORY']}: ")
    assert "never attempted" in world.told()
    assert world.run("status", "--check", code=1).startswith("ALARM no run is recorded")
    assert not (Path(world.environ["LOCKBOT_STATE__DIRECTORY"]) / "repositories").exists(), "nothing is cloned"


def test_a_flake_without_a_lock_or_inputs(world: World) -> None:
    world.git("rm", "--quiet", "flake.lock")
    world.git("commit", "--quiet", "--message", "no lock")
    assert world.look() == status.Status(NOW, (), ())
    assert world.told() == "flake.lock has no inputs that could be updated\n"


def test_a_run_in_progress_is_not_waited_for(world: World) -> None:
    """Nor is what it has not committed looked at: the lock is the branch's."""
    (world.path / "flake.lock").write_text("garbage")
    world.record(seen(), seen(input="b"))
    assert world.look().alarms == ()
    assert world.run("status", "--check") == "no alarm: 2 inputs looked after\n"


def test_a_broken_lock_is_an_error(world: World) -> None:
    world.commit("garbage")
    with pytest.raises(LockFileError, match=r"flake\.lock:1:1"):
        world.look()


def test_how_far_behind(world: World) -> None:
    assert world.row().behind is None
    with world.ledger() as ledger:
        ledger.record_tip("a", "github:o/a", ONE)
    assert world.row().behind == 0
    world.now += DAY
    with world.ledger() as ledger:
        ledger.record_tip("a", "github:o/a", TWO, committed=int((LOCKED_AT + 3 * DAY).timestamp()))
        ledger.record_tip("b", "github:o/b", THREE)
        ledger.record_tip("b", "github:o/elsewhere", ONE)
    assert world.row("a").behind == 3 * 86400
    assert world.row("b").behind == 11 * 86400  # by when it was seen, where its date is not known
    assert "3 days" in world.told()


def test_everything_that_is_known_is_told(world: World) -> None:
    bad = CulpritCommit(
        THREE, "drop the old name", "Eve", 1_790_000_000, "https://x/commit/3", ("web", "my host"), TWO
    )
    world.record(
        seen(
            StateWord.HELD,
            reason="breaks-hosts",
            detail="web does not build with it",
            last_good=TWO,
            culprit=bad,
            next_try=NOW + 2 * DAY,
        ),
        seen(input="b"),
    )
    world.now += 3600 * timedelta(seconds=1)
    told = world.told()
    assert "2026-11-24 12:00 UTC" in told
    assert told.endswith("""
a
  web does not build with it
  last good: 2222222
  first bad: 3333333 “drop the old name” by Eve, 2026-09-21
    breaks web, "my host"
    https://x/commit/3
""")
    document = json.loads(json.dumps(status.document(world.look())))
    row, other = document["inputs"]
    assert row["first_bad"]["revision"] == THREE
    assert row["first_bad"]["hosts"] == ["web", "my host"]
    assert (row["state"], row["reason"], row["last_good"]) == ("held", "breaks-hosts", TWO)
    assert (other["state"], other["first_bad"], other["held_by_user"]) == ("current", None, None)
    assert row.keys() == other.keys()
    world.record(seen(StateWord.HELD, culprit=replace(bad, exact=False)))
    assert "bad: somewhere after 2222222, up to 3333333 “drop" in world.told()


def test_what_strangers_wrote_does_nothing_to_a_terminal(world: World) -> None:
    evil = "\x1b[2J\u202e\r\nALARM x\udcff"
    bad = CulpritCommit(evil, evil, evil, 2**62, evil, (evil,), evil)
    world.record(seen(StateWord.HELD, reason=evil, detail=evil, last_good=evil, culprit=bad))
    world.run("hold", "b", "--why", evil.replace("\udcff", ""))
    told = world.told()
    assert all(one.isprintable() for one in told.split("\n"))
    assert not any(one.startswith("ALARM") for one in told.split("\n"))
    json.loads(world.run("status", "--json"))


# -- what lies in the lock is looked at before the ledger is repeated

CULPRIT = CulpritCommit(TWO, "break it", hosts=("web",), after=ONE)
LEFT = {
    "held": seen(StateWord.HELD, reason="breaks-hosts", detail="web does not build", culprit=CULPRIT),
    "waiting": seen(StateWord.WAITING_FOR_AGE, reason="waiting-for-age", detail="too new", next_try=NOW + DAY),
    "could not be judged": seen(StateWord.HELD, reason="could-not-be-judged", detail="no builder"),
    "current": seen(),
    "unreachable": seen(StateWord.UNREACHABLE, reason="fetch-failed", detail="no answer", asked=False),
}
SINCE = {
    "to the tip": (lock(TWO), StateWord.CURRENT),
    "to something between": (lock(THREE), StateWord.MOVED),
    "to another source": (lock(TWO, "elsewhere"), StateWord.MOVED),
    "to another source at the same revision": (lock(ONE, "elsewhere"), StateWord.MOVED),
}


def left(world: World, how: str) -> None:
    """A run has left a so, and has seen the tip TWO; that is long ago."""
    with world.ledger() as ledger:
        ledger.record_tip("a", "github:o/a", TWO)
    world.record(LEFT[how], seen(input="b"))
    world.now += 30 * DAY
    world.record(seen(input="b"))


@pytest.mark.parametrize("since", SINCE)
@pytest.mark.parametrize("how", LEFT)
def test_what_was_moved_by_hand_is_not_what_the_last_run_said(world: World, how: str, since: str) -> None:
    left(world, how)
    text, word = SINCE[since]
    if how == "unreachable" and "source" not in since:
        word = StateWord.UNREACHABLE  # of upstream, wherever the input is
    world.commit(text)
    row = world.row()
    assert row.word is word
    assert row.state is not None and row.state.stuck_since is None and row.state.culprit is None
    told, table = world.told(), world.told().partition("\na\n")[0]
    for over in ("breaks", "does not build", "too new", "no builder", "first bad", "2026-12-23"):
        assert over not in told
    assert (word in table.splitlines()[-3]) or (word in table)
    assert not any("kept back" in alarm or "judged" in alarm for alarm in world.look().alarms)
    document = json.loads(world.run("status", "--json"))["inputs"][0]
    assert (document["state"], document["first_bad"], document["culprit"]) == (word, None, None)
    measured = world.run("metrics")
    series = [one for one in measured.splitlines() if one.startswith("lockbot_input_state{")]
    assert f'state="{word}"' in next(one for one in series if 'input="a"' in one)
    assert ('reason="breaks-hosts"' in measured, 'reason="waiting-for-age"' in measured) == (False, False)
    if word is StateWord.MOVED:
        assert "moved since the last run, which left it at 1111111" in told
    with pytest.raises(UsageError, match="nothing is known to hold a back"):
        orders.accept(world.app, "a", None)


@pytest.mark.parametrize("how", LEFT)
def test_what_lies_where_the_last_run_left_it_is_as_it_said(world: World, how: str) -> None:
    left(world, how)
    world.commit(lock() + "\n")  # written anew, with the same inputs
    assert world.row().word is LEFT[how].state
    assert world.row().reason == LEFT[how].reason
    world.commit(lock(TWO))
    world.commit(lock())
    assert world.row().word is LEFT[how].state, "and taken back"


@pytest.mark.parametrize("how", LEFT)
def test_an_input_that_was_removed_is_told_of_no_more(world: World, how: str) -> None:
    left(world, how)
    nodes = json.loads(lock())
    del nodes["nodes"]["a"], nodes["nodes"]["inner"], nodes["nodes"]["root"]["inputs"]["a"]
    del nodes["nodes"]["root"]["inputs"]["alias"]
    world.commit(json.dumps(nodes))
    found = world.look()
    assert [row.input for row in found.rows] == ["b"]
    assert (found.alarms, found.notes, found.unjudged) == ((), (), ())
    assert 'input="a"' not in world.run("metrics")


def test_an_alarm_of_what_could_not_be_judged_ends_when_it_was_moved_by_hand(world: World) -> None:
    left(world, "could not be judged")
    held = (Held("a", "could-not-be-judged", "no builder", ONE),)
    with world.app.history() as past:
        for night in range(4):
            past.save(run(night * 1440, flake=world.app.place().flake, held=held))
    assert any("nights running: no builder" in alarm for alarm in world.look().alarms)
    world.commit(lock(THREE))
    assert not any("judged" in alarm for alarm in world.look().alarms)
    assert world.look().unjudged == ()


def test_a_hold_of_the_users_outlasts_a_move_of_the_users(world: World) -> None:
    left(world, "held")
    world.run("hold", "a", "--why", "mine")
    world.commit(lock(THREE))
    assert (world.row().word, world.row().reason) == (StateWord.HELD, "held-by-user")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (lock(TWO), "flake.lock in the work tree has changes of a that are not committed"),
        ("garbage", "flake.lock in the work tree can't be read"),
        (lock() + " ", None),
        (lock().replace(" ", "  \r\n"), None),
    ],
)
def test_a_lock_that_is_not_committed_is_told_and_not_meant(world: World, text: str, told: str | None) -> None:
    left(world, "held")
    (world.path / "flake.lock").write_text(text)
    found = world.look()
    assert world.row().word is StateWord.HELD
    assert found.notes == (() if told is None else (f"{told}: this is about the one that is committed on main",))
    world.git("switch", "--quiet", "--create", "other")
    world.config["LOCKBOT_REPOSITORY__BRANCH"] = "main"
    assert world.look().notes == (), "what lies there is another branch's"


# -- alarms


def alarms_at(world: World, now: datetime) -> tuple[str, ...]:
    world.now = now
    return world.look().alarms


def test_an_input_that_was_not_reached_for_too_long(world: World) -> None:
    world.record(seen(), seen(input="b"))
    world.now = NOW + 10 * DAY
    world.record(seen(StateWord.UNREACHABLE, asked=False, detail="no such host"), seen(input="b"))
    assert alarms_at(world, NOW + 14 * DAY) == ()
    (alarm,) = alarms_at(world, NOW + 14 * DAY + timedelta(seconds=1))
    assert alarm == "a: upstream was last reached 14 days ago: no such host"
    assert len(alarms_at(world, NOW + 25 * DAY)) == 2  # no run at all any more
    world.config["LOCKBOT_INPUT"] = '{"a": {"stale_after": "60d"}}'
    assert [alarm[:2] for alarm in alarms_at(world, NOW + 25 * DAY)] == ["b:"]


def test_an_input_that_was_never_reached(world: World) -> None:
    world.record(seen(StateWord.UNREACHABLE, asked=False), seen(input="b"))
    world.now = NOW + 15 * DAY
    world.record(seen(StateWord.UNREACHABLE, asked=False), seen(input="b"))
    assert world.look().alarms == ("a: upstream was never reached",)


def test_an_input_that_is_new_since_the_last_run_is_no_alarm(world: World) -> None:
    world.record(seen())
    assert world.look().alarms == ()
    assert world.row("b").word is StateWord.NEVER


def test_an_input_that_is_kept_back_for_too_long(world: World) -> None:
    for day in range(16):
        world.now = NOW + day * DAY
        world.record(HELD if day % 4 else seen(StateWord.UNREACHABLE, asked=False), seen(input="b"))
        assert bool(world.look().alarms) == (day > 15), day
    assert alarms_at(world, NOW + 16 * DAY) == ("a: kept back for 15 days: a would go back",)
    world.config["LOCKBOT_POLICY__MINIMUM_AGE"] = "30d"  # it waits as long as it was told to
    assert alarms_at(world, NOW + 16 * DAY) == ()


def test_what_the_user_holds_is_no_alarm_until_the_hold_ends(world: World) -> None:
    world.record(HELD, seen(input="b"))
    with world.ledger() as ledger:
        ledger.hold(UserHold("a", "w", NOW, until=NOW + 20 * DAY))
    world.now = NOW + 19 * DAY
    world.record(seen(input="b"))
    assert world.look().alarms == ()
    assert len(alarms_at(world, NOW + 20 * DAY)) == 1


def test_rules_and_holds_of_no_input_are_told(world: World) -> None:
    world.config["LOCKBOT_INPUT"] = '{"inner": {}, "a/inner": {}, "alias": {}}'
    with world.ledger() as ledger:
        ledger.hold(UserHold("gone", "w", NOW))
    notes = world.look().notes
    assert len(notes) == 2
    assert "'inner', which is no input" in notes[0]
    assert notes[1] == "a hold is on gone, which is no input"
    assert "note: a hold is on gone" in world.told()


# -- hold, release


def test_hold_and_release(world: World) -> None:
    world.record(seen(), seen(input="b"))
    assert world.run("hold", "a", "--why", " the new kernel ") == (
        "a is held where it is until `lockbot release a`, from the next run on\n"
    )
    row = world.row()
    assert (row.word, row.hold and row.hold.why) == (StateWord.HELD, "the new kernel")
    assert "when released" in world.told()
    assert "the new kernel" in world.told()
    assert world.run("release", "a").endswith("it was held: the new kernel\n")
    assert world.row().word is StateWord.CURRENT
    assert world.run("release", "a") == "a was not held by you\n"


def test_a_hold_until_and_at(world: World) -> None:
    orders.hold(world.app, "a", "w", "2026-12-01", None)
    assert world.row().hold == UserHold("a", "w", NOW, until=datetime(2026, 12, 1, tzinfo=UTC))
    world.now = datetime(2026, 12, 1, tzinfo=UTC)
    assert world.row().hold is None
    orders.hold(world.app, "a/inner", "w", None, TWO)
    assert world.row("a/inner").hold == UserHold("a/inner", "w", world.now, at=TWO)
    with world.ledger() as ledger:
        ledger.record_tip("a", "github:o/a", "2222" + "a" * 36)
    for text, found in ((ONE[:4], ONE), ("2222", "2222" + "a" * 36), (THREE, THREE)):
        orders.hold(world.app, "a", "w", None, text)
        hold = world.row().hold
        assert hold is not None
        assert hold.at == found


@pytest.mark.parametrize(
    ("input", "why", "until", "at", "expected"),
    [
        ("c", "w", None, None, "there is no input c in flake.lock"),
        ("alia", "w", None, None, "there is no input alia in flake.lock; did you mean 'alias'?"),
        ("alias", "w", None, None, "input alias follows a: name that one"),
        ("", "w", None, None, "there is no input"),
        ("a//inner", "w", None, None, "did you mean 'a/inner'?"),
        ("a", " ", None, None, "say why"),
        ("a", "w", "2026-11-22", None, "is not in the future"),
        ("a", "w", "tomorrow", None, "not a date: tomorrow"),
        ("a", "w", "9999-12-31T23:59:59-10:00", None, "not a date"),
        ("a", "w", "9999-12-31", None, "is too far ahead"),
        ("a", "w", "9991-01-02", None, "is too far ahead"),
        ("a", "w", "2026-02-30", None, "not a date"),
        ("a", "w", None, "22", "no known revision begins with 22"),
        ("a", "w", None, "2222", "no known revision begins with 2222"),
        ("a", "w", None, "--help", "no known revision"),
        ("\x1b[2J", "w", None, None, "there is no input"),
    ],
)
def test_a_hold_that_cannot_be(
    world: World, input: str, why: str, until: str | None, at: str | None, expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        orders.hold(world.app, input, why, until, at)
    assert expected in caught.value.message
    with world.ledger() as ledger:
        assert ledger.holds() == {}


def test_any_time_that_is_taken_can_be_read_again(world: World) -> None:
    orders.hold(world.app, "a", "w", "9990-12-31T00:00:00+00:00", None)
    with world.ledger() as ledger:
        assert ledger.holds().keys() == {"a"}


def test_a_time_is_local_where_it_says_nothing_else(_in_utc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ+5")
    time.tzset()
    assert orders.moment("2026-12-01", NOW) == datetime(2026, 12, 1, 5, tzinfo=UTC)
    assert orders.moment("2026-12-01T10:00+02:00", NOW) == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert orders.moment("2026-12-01T10:00Z", NOW) == datetime(2026, 12, 1, 10, tzinfo=UTC)


def test_a_hold_of_what_has_left_the_lock_can_be_released(world: World) -> None:
    with world.ledger() as ledger:
        ledger.hold(UserHold("gone", "w", NOW))
    assert "gone may move again" in styled_lines.text(orders.release(world.app, "gone"))
    with pytest.raises(UsageError, match="there is no input gone"):
        orders.release(world.app, "gone")


# -- accept


def test_accept_counts_until_the_input_moves(world: World) -> None:
    world.record(HELD, seen(input="b"))
    assert "when accepted" in world.told()
    assert world.run("accept", "a").startswith("the next move of a is accepted")
    with world.ledger() as ledger:
        (acceptance,) = ledger.accepted().values()
    assert (acceptance.locked, acceptance.revision) == (ONE, None)
    assert "its next move is accepted" in world.told()
    assert "when accepted" not in world.told()
    world.commit(lock(a=TWO))  # somebody moved it by hand
    assert "its next move is accepted" not in world.told()


def test_accept_one_revision_only(world: World) -> None:
    world.record(seen())
    orders.accept(world.app, "a", TWO)
    with world.ledger() as ledger:
        assert ledger.accepted() == {"a": Acceptance("a", NOW, ONE, TWO)}
    assert "its next move is accepted, if it is to 2222222" in world.told()


@pytest.mark.parametrize(
    ("observation", "config", "expected"),
    [
        (None, {}, "nothing is known to hold a back"),
        (seen(), {}, "nothing is known to hold a back"),
        (
            seen(StateWord.HELD, reason="breaks-hosts", detail="web breaks"),
            {},
            "no acceptance changes: web breaks",
        ),
        (HELD, {"LOCKBOT_POLICY__BACKWARDS": "refuse"}, "is refused, not held: a would go back"),
        (seen(StateWord.HELD, reason="new-local-path", detail="a/x"), {}, "is refused, not held: a/x"),
    ],
)
def test_an_acceptance_of_nothing_in_particular_is_refused(
    world: World, observation: Observation | None, config: Mapping[str, str], expected: str
) -> None:
    if observation is not None:
        world.record(observation)
    world.config |= config
    with pytest.raises(UsageError) as caught:
        orders.accept(world.app, "a", None)
    assert expected in caught.value.message
    with world.ledger() as ledger:
        assert ledger.accepted() == {}


def test_what_the_user_holds_is_released_not_accepted(world: World) -> None:
    world.record(HELD)
    orders.hold(world.app, "a", "w", None, None)
    with pytest.raises(UsageError) as caught:
        orders.accept(world.app, "a", TWO)
    assert "held by you: w" in caught.value.message
    assert "lockbot release a" in caught.value.hint


def test_what_waits_for_time_can_be_accepted(world: World) -> None:
    world.record(seen(StateWord.WAITING_FOR_AGE, reason="waiting-for-age"))
    orders.accept(world.app, "a", None)
    assert world.row().accepted is not None
