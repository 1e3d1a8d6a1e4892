"""`lockbot revert` on real flakes: what it takes back, what it holds then, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockbot.app import Options
from lockbot.cli import cli
from lockbot.commands import hold as orders
from lockbot.commands.review import news
from lockbot.commands.review import revert as job
from lockbot.commands.review.revert import Reverted, Wish
from lockbot.errors import UsageError
from lockbot.history.input_states import UserHold
from lockbot.lock.take_back import Standing, Step, steps_back, subject_template
from lockbot.model import Locked, Outcome, Run
from lockbot.nix.lockfile import LockFile, diff
from lockbot.process import CancelToken
from lockbot.report import styled_lines
from lockbot.report.review.commits import commit_lines
from lockbot.report.trailers import parse_trailers
from tests import nixes
from tests.commands import test_status
from tests.commands.test_status import ONE, THREE, TWO, lock, node
from tests.conftest import INSTALLED
from tests.fleet import Breakage, HostSpec, together
from tests.sampling import EVERYTHING
from tests.update import inside
from tests.upstream import run_git

_in_utc, world = test_status._in_utc, test_status.world  # fixtures
MOVED = Standing.MOVED
REVIEWED = {"LOCKBOT_REVIEW__DIFFERENCES": "true", "LOCKBOT_REVIEW__UPSTREAM": "true"}
PLAIN = [HostSpec("web", ["a"]), HostSpec("mail", ["b"])]


class World(inside.World):
    def revert(self, what: str, *, dry_run: bool = False, **wish: Any) -> Reverted:
        return job.revert(self.app(), Wish(what, **wish), Options(dry_run=dry_run))

    def holds(self) -> Mapping[str, UserHold]:
        app = self.app()
        with app.history() as past:
            return dict(past.ledger(app.place().flake).holds())

    def ran(self, *words: str) -> tuple[int, str, str]:
        """The program's own way: exit code, stdout, stderr."""
        done = CliRunner().invoke(cli, list(words), env=self._environ, standalone_mode=False)
        error = done.exception
        said = f"{error.message}\n{error.hint}" if isinstance(error, UsageError) else done.stderr
        code = error.exit_code if isinstance(error, UsageError) else int(done.return_value or 0)
        return code, done.stdout, said


def text(done: Reverted) -> str:
    return styled_lines.text(job.lines(done))


class Refused:
    """A repository whose locks Nix is never asked about."""

    def __init__(self, of: test_status.World) -> None:
        self.world = of

    def git(self, *words: str) -> str:
        return run_git(self.world.path, self.world.git_environment, *words).strip()

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def lock(self, text: str) -> str:
        self.world.commit(text)
        return self.head

    def revert(self, what: str, **wish: Any) -> Reverted:
        return job.revert(self.world.app, Wish(what, **wish), Options())


def with_one_more(text: str, name: str) -> str:
    """A lock with another input."""
    read = json.loads(text)
    read["nodes"][name] = node(name)
    read["nodes"]["root"]["inputs"][name] = name
    return json.dumps(read)


def with_path(text: str, nar_hash: str) -> str:
    """A lock with other content in the input that is a path."""
    read = json.loads(text)
    read["nodes"]["here"]["locked"]["narHash"] = nar_hash
    return json.dumps(read)


def with_inner(text: str, rev: str) -> str:
    """A lock with the input that another brings along at another revision."""
    read = json.loads(text)
    read["nodes"]["inner"] = node("inner", rev)
    return json.dumps(read)


def test_a_run_goes_back_but_for_what_has_moved_on(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """What is back is held. No rule against going backwards is in the way of what is asked for by name."""
    world = World(one_nix, tmp_path, cancel, PLAIN, "ab", REVIEWED)
    run = world.update()
    assert run.outcome is Outcome.PUBLISHED and run.commit is not None
    check_review(world, run, tmp_path)
    first = world.fleet.locked("a", "main~")
    orders.hold(world.app(), "a", "I like it", None, None)
    world.upstreams["b"].commit("third")
    by_hand = world.fleet.update("b")
    done = world.revert(run.id, why="it hurts\n\nLockbot-Input: x - y", until="2099-06-01")
    assert done.exit_code == 0 and done.run is not None and done.run.outcome is Outcome.PUBLISHED
    assert world.moved() == {"a": "1", "b": "3"}
    (held,) = world.holds().values()
    assert (held.input, held.at, held.until and held.until.year, held.why[:8]) == ("a", first, 2099, "it hurts")
    told = text(done)
    assert "b is left at " in told and "in place of your hold: I like it" in told
    assert f"a is held at {first[:7]} until 2099-" in told

    message = world.fleet.git("log", "-1", "--format=%B", "main")
    subject, reverts, why, *rest = message.strip().split("\n\n")
    assert subject == f"flake.lock: revert a to {first[:7]}"
    assert reverts == f"This reverts commit {run.commit}\n  (flake.lock: update a, b)."
    assert why.startswith("Why: it hurts") and "\nLockbot-Input: x" not in message
    assert rest[-1].startswith("Lockbot-Run: ") and [one[0] for one in parse_trailers(message).inputs] == ["a"]

    there = world.revert("a", dry_run=True)
    assert (there.run, there.exit_code) == (None, 0), "to say it again is not to undo it"
    assert "a is at " in text(there) and "already" in text(there)
    assert text(there).endswith("nothing is held: this was a dry run\n")
    code, said, _ = world.ran("revert", "a", "--json")
    document = json.loads(said)
    assert (code, document["run"], document["inputs"][0]["standing"]) == (0, None, "back")
    assert [(one["input"], one["at"], one["until"], one["why"]) for one in document["holds"]] == [
        ("a", first, None, f"reverted: flake.lock: revert a to {first[:7]}")
    ]

    world.upstreams["b"].commit("fourth")
    world.fleet.update("b")
    with pytest.raises(UsageError, match="has moved on since: b is at "):
        world.revert(by_hand)
    done = world.revert(run.commit, force=True, hold=False)
    assert world.moved() == {"a": "1", "b": "1"}
    assert "not held: the next run may move a and b again" in text(done)


def check_review(world: World, run: Run, tmp: Path) -> None:
    """`lockbot review` of a real run: here its record tells, elsewhere the message does, and both say the same."""
    elsewhere = world.app({"LOCKBOT_STATE__DIRECTORY": str(tmp / "elsewhere")})
    here, there = (news.look(app, "main~").commits[0] for app in (world.app(), elsewhere))
    assert here.run is not None and there.run is None
    assert here.run == replace(run, seconds=here.run.seconds)
    assert here.hosts == there.hosts == (("mail", "built"), ("web", "built"))
    for one in (here, there):
        told = styled_lines.text(commit_lines(one, None))
        assert "\n  a: " in told and "What changes\n" in told and "built: mail and web" in told


@pytest.mark.parametrize("nix", INSTALLED if EVERYTHING else INSTALLED[:1], indirect=True, ids=str)
def test_an_input_goes_back_stays_there_and_comes_again(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """One of two that a person moved. Their tree is in the way first: what was judged waits, and is held."""
    world = World(nix, tmp_path, cancel, PLAIN, "ab")
    moved, first = world.fleet.update(), world.fleet.locked("a", "main~")
    lock_file = world.fleet.path / "flake.lock"
    lock_file.write_text(lock_file.read_text() + " ")
    done = world.revert("a")
    assert done.run is not None and done.run.parked and done.exit_code == 1
    assert world.holds() == {"a": UserHold("a", "reverted: update all", world.now, None, first)}
    assert done.taken.commit.id == moved and world.moved() == {"a": "2", "b": "2"}
    world.fleet.git("checkout", "--quiet", "flake.lock")
    world.upstreams["a"].commit("third")
    world.update()
    assert world.moved() == {"a": "1", "b": "2"}
    orders.release(world.app(), "a")
    world.update()
    assert world.moved() == {"a": "3", "b": "2"}


def test_what_hosts_are_not_good_with_is_neither_published_nor_held(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    broken = Breakage("throw", together({"a": "1"}))
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"], failure=broken)], "a")
    head = world.fleet.update()
    code, told, _ = world.ran("revert", "a", "--why", "so", "--json")
    document = json.loads(told)
    assert (code, world.fleet.head("main"), world.holds(), document["holds"]) == (1, head, {}, [])
    assert document["run"]["outcome"] == "rejected" and document["inputs"][0]["back"] is False
    assert (document["commit"], document["subject"]) == (head, "update all")
    assert document["run"]["held"] and document["run"]["commit"] is None


# -- what can't be taken back ------------------------------------------------------------------------------------


def test_what_there_is_not(world: test_status.World) -> None:
    """Told with what it is not, and what to do; nothing runs."""
    made = Refused(world)
    first = made.head
    moved = made.lock(lock(a=TWO))
    made.git("branch", "other", "HEAD~")
    made.git("commit", "--quiet", "--allow-empty", "--message", "no lock")
    made.git("checkout", "--quiet", "other")
    elsewhere = made.lock(lock(a=THREE))
    made.git("checkout", "--quiet", "main")
    wrong = {
        "alia": "did you mean 'alias'",
        "alias": "follows a: name that one",
        "a/inner": "has not moved on main yet",
        "b": "has not moved on main yet",
        "": "cannot be the name of a commit",
        "--all": "cannot be the name of a commit",
        "x\x1b[2J": "no input of flake.lock",
        "20261122-120000-aaaa": "no run begins with",
        first: "was not moved: added",
        "main": "moves no input",
        elsewhere: "is not on main",
    }
    for what, why in wrong.items():
        with pytest.raises(UsageError) as refused:
            made.revert(what)
        assert why in refused.value.message, (what, refused.value.message)
        assert "\x1b" not in refused.value.message
    with pytest.raises(UsageError, match="not in the future"):
        made.revert(moved, until="2020-01-01")


CHANGES = {
    "added": (lock(), with_one_more(lock(), "c"), "c was not moved: added at"),
    "removed": (with_one_more(lock(), "c"), lock(), "c was not moved: removed"),
    "elsewhere": (lock(), lock(source="fork"), "a comes from elsewhere since then: now from github:o/fork"),
    "a path": (lock(), with_path(lock(), "sha256-y"), "here is a path on this machine"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_no_move_takes_back(kind: str) -> None:
    before, after, why = CHANGES[kind]
    old, new = LockFile.parse(before), LockFile.parse(after)
    with pytest.raises(UsageError, match=why) as refused:
        steps_back(diff(old, new), new, force=True)
    assert "git revert" in refused.value.hint


def test_what_an_input_brings_along_goes_with_it() -> None:
    """What moved below one that did not, goes by itself; where flake.nix says otherwise by now, nothing goes."""
    old, new = LockFile.parse(lock()), LockFile.parse(with_inner(lock(a=TWO), THREE))
    changes = diff(old, new)
    assert [one.input for one in changes] == ["a", "a/inner"]
    assert [(one.input, one.to.revision) for one in steps_back(changes, new, force=False)] == [("a", ONE)]
    (inner,) = steps_back([changes[1]], new, force=False)
    assert (inner.input, inner.standing, inner.reference) == (
        "a/inner",
        Standing.MOVED,
        f"github:o/inner/{ONE}?narHash=sha256-x",
    )
    with pytest.raises(UsageError, match="a comes from elsewhere by now: github:o/fork"):
        steps_back(changes, LockFile.parse(lock(source="fork")), force=False)


def test_what_is_said_of_a_tarball() -> None:
    was = Locked(
        "tarball",
        "https://example.org/x.tar.gz?narHash=sha256-x",
        "https://example.org/x.tar.gz",
        nar_hash="sha256-x",
    )
    step = Step("x", Standing.MOVED, was, was)
    assert step.reference == "tarball+https://example.org/x.tar.gz?narHash=sha256-x"
    assert subject_template([step]) == "flake.lock: revert {inputs} to sha256-x"
