"""`lockbot review` on a real repository and history: which commits it tells, from what, and what it marks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lockbot.commands.committed import branch_now
from lockbot.commands.review import news
from lockbot.errors import UsageError
from lockbot.history.input_states import UserHold
from lockbot.model import ChangeKind, Held, InputChange, Outcome, Run
from lockbot.report import styled_lines
from lockbot.report.commit import commit_message
from lockbot.report.review.commits import ReviewedCommit, commit_document, commit_lines
from lockbot.state import RunLock
from tests.commands import test_status
from tests.commands.test_status import ONE, THREE, TWO, World, lock
from tests.history.samples import DIFFERENCE, UPSTREAM, built, locked
from tests.report.examples import HOSTILE

_in_utc, world = test_status._in_utc, test_status.world  # fixtures

MOVES = (("1", ONE), ("2", TWO), ("3", THREE), ("4", "4" * 40))
NEW = InputChange("a", ChangeKind.UPDATED, locked(ONE), locked(TWO))


def message(run: str, subject: str = "flake.lock: update a") -> str:
    """As lockbot writes it."""
    hosts = [built("alpha"), built("beta")]
    held = [Held("b", "breaks-host", "alpha does not build with it", ONE)]
    return commit_message(
        run, [NEW], hosts, subject_template=subject, now=datetime(2026, 11, 22, tzinfo=UTC), links={}, held=held
    )


class Branch:
    """A branch on which commits move the input a."""

    def __init__(self, of: World) -> None:
        self.world = of

    def move(self, text: str, revision: str) -> str:
        (self.world.path / "flake.lock").write_text(lock(a=revision))
        self.git("commit", "--quiet", "--all", "--allow-empty-message", "--message", text)
        return self.head

    def git(self, *words: str) -> str:
        from tests.upstream import run_git

        return run_git(self.world.path, self.world.git_environment, *words).strip()

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def look(self, since: str | None = None, *, seen: bool = False) -> news.News:
        return news.look(self.world.app, since, seen=seen)

    def told(self, since: str | None = None, *, seen: bool = False, width: int | None = None) -> str:
        return styled_lines.text(news.lines(self.look(since, seen=seen), width))


@pytest.fixture
def branch(world: World) -> Branch:
    return Branch(world)


def ids(found: news.News) -> list[str]:
    return [one.id for one in found.commits]


def test_what_came_since_the_mark_oldest_first(branch: Branch) -> None:
    first = branch.head
    branch.look(seen=True)
    ours = branch.move(message("20261122-120000-aaaa"), TWO)
    theirs = branch.move("a word by hand", THREE)
    branch.git("commit", "--quiet", "--allow-empty", "--message", "no lock in it")
    found = branch.look()
    assert (found.since, ids(found), found.seen) == (first, [ours, theirs], False)
    told = branch.told()
    assert f"{ours[:7]} " in told and "a: 1111111 (2026-11-12) → 2222222 (2026-11-12)" in told
    assert "built: alpha and beta" in told, "by its message: no run is on record here"
    assert "Held back\n  b stays at 1111111: alpha does not build with it" in told
    (line,) = [one for one in told.splitlines() if one.startswith(theirs[:7])]
    assert "a 2222222 (2026-11-12) → 3333333 (2026-11-12) (a word by hand)" in line
    assert told.splitlines()[-1] == "Not marked as looked at: `lockbot review --seen` does that."
    assert branch.told() == told, "to look marks nothing"

    assert branch.told(seen=True).splitlines()[-1] == f"Marked as looked at, up to {branch.head[:7]}."
    assert branch.told() == f"Nothing new since {branch.head[:7]}.\n"
    assert ids(branch.look("HEAD~2")) == [theirs] and ids(branch.look(first)) == [ours, theirs]


def test_the_first_look_is_at_the_last_ten(branch: Branch) -> None:
    for number in range(12):
        branch.move(f"number {number}", f"{number + 2:x}" * 40)
    told = branch.told()
    assert "(number 2)" in told and "(number 1)" not in told and "(number 11)" in told
    assert "first time" in told.splitlines()[0]


def test_only_so_many_at_once(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "MOST", 2)
    first = branch.head
    made = [branch.move(text, revision) for text, revision in MOVES[1:]]
    found = branch.look(first)
    assert ids(found) == made[1:] and found.left_out == 1
    assert "only the newest 2: 1 more came before" in branch.told(first)


def test_a_history_that_was_rewritten(branch: Branch) -> None:
    """Told, and from where it still was the same; or, where nothing of it is left, from anywhere."""
    fork = branch.head
    gone = branch.move("looked at", TWO)
    branch.look(seen=True)
    branch.git("reset", "--quiet", "--hard", fork)
    other = branch.move("in its place", THREE)
    found = branch.look()
    assert (found.since, ids(found)) == (fork, [other])
    assert f"{gone[:7]}, where you looked last (2026-11-22), is not on this branch any more" in branch.told()

    branch.git("reflog", "expire", "--expire=all", "--all")
    branch.git("gc", "--quiet", "--prune=now")
    found = branch.look()
    assert (found.since, ids(found)) == (None, [fork, other])
    assert f"{gone[:7]}, where you looked last (2026-11-22), is gone" in branch.told()


def test_from_the_record_of_the_run_where_it_made_this_commit(branch: Branch) -> None:
    branch.look(seen=True)
    name = "20261122-120000-aaaa"
    commit = branch.move(message(name), TWO)
    run = Run(
        name,
        "/srv",
        branch.world.now,
        Outcome.PARTLY_PUBLISHED,
        commit=commit,
        changes=(replace(NEW, commits=1234),),
        hosts=(built("alpha"),),
        held=(Held("b", "breaks-host", "so says the record", ONE),),
        differences=(DIFFERENCE,),
        upstream=(replace(UPSTREAM, input="a", commits=UPSTREAM.commits * 9),),
    )
    with branch.world.app.history() as past:
        past.save(run)
    told = branch.told()
    for said in ("1234 commits", "built: alpha\n", "openssl 3.0.1, 3.0.2 → 3.0.3", "needs a reboot: alpha"):
        assert said in told, said
    assert "a: 17 commits: so" in told and "so says the record" in told
    assert told.count("6666666: a subject") == 9, "what other parts leave of the screen is there for it"
    document = json.loads(branch.world.run("review", "--json"))
    assert document["commits"][0]["run"]["run"] == name
    branch.git("commit", "--quiet", "--amend", "--message", message(name) + "\n")
    branch.git("commit", "--quiet", "--amend", "--allow-empty", "--date=2026-01-01T00:00:00Z", "--no-edit")
    (one,) = branch.look().commits
    assert one.id != commit and one.run is None and one.hosts == (("alpha", "built"), ("beta", "built"))


def test_what_is_held_now_and_no_run_is_waited_for(branch: Branch) -> None:
    branch.look(seen=True)
    with branch.world.ledger() as ledger:
        ledger.hold(UserHold("b", "the new one\x1b[2J beeps", branch.world.now))
    app = branch.world.app
    place = app.place()
    with RunLock(
        place.directory / "lock", "a run", app.clock, cancel=app.cancel, wait=False, progress=app.progress
    ):
        assert "1 input held back" in branch.told()
        branch.move("by hand", TWO)
        told = branch.told(seen=True)
    line = r"  b at 1111111 (2026-11-12) since 2026-11-22: held by you: the new one\x1b[2J beeps"
    assert f"Held back now\n{line}\n" in told
    assert (
        branch.told() == f"Nothing new since {branch.head[:7]}; 1 input held back, `lockbot status` tells why.\n"
    )


def test_the_contract(branch: Branch) -> None:
    since = branch.head
    commit = branch.move(message("20261122-120000-aaaa"), TWO)
    document = json.loads(branch.world.run("review", "--since", since, "--json"))
    assert {name: document[name] for name in ("since", "tip", "seen", "left_out", "notes", "held")} == {
        "since": since, "tip": commit, "seen": False, "left_out": 0, "notes": [], "held": [],
    }  # fmt: skip
    (one,) = document["commits"]
    assert (one["commit"], one["subject"], one["run"]) == (commit, "flake.lock: update a", None)
    assert datetime.fromisoformat(one["date"]) and one["by_lockbot"]
    (moved,) = one["inputs"]
    assert (moved["input"], moved["kind"], moved["old"], moved["new"]) == ("a", "updated", ONE, TWO)
    assert one["hosts"] == [{"name": "alpha", "status": "built"}, {"name": "beta", "status": "built"}]
    nothing = json.loads(branch.world.run("review", "--seen", "--since", "main", "--json"))
    assert nothing["commits"] == [] and nothing["seen"]


NAMES = {
    "": "cannot be",
    "--upload-pack=x": "cannot be",
    "x\ny": "cannot be",
    "no-such": "no commit",
    "..": "no commit",
}


@pytest.mark.parametrize("name", NAMES)
def test_since_what_is_no_commit(branch: Branch, name: str) -> None:
    with pytest.raises(UsageError, match=NAMES[name]):
        branch.look(name)


def test_before_there_is_anything(branch: Branch) -> None:
    """No commit yet; or a URL that was never fetched. What was, is told as it was then."""
    path = branch.world.environ.pop("LOCKBOT_REPOSITORY__PATH")
    branch.world.environ["LOCKBOT_REPOSITORY__URL"] = f"file://{path}"
    app = branch.world.app
    with pytest.raises(UsageError, match="nothing is known of the branch"):
        branch.look()
    with branch_now(app, app.place()) as (_, base):
        fetched = base.commit
    branch.move("not fetched", TWO)
    assert ids(branch.look()) == [fetched] and ids(branch.look("HEAD~0")) == []
    branch.world.environ["LOCKBOT_REPOSITORY__PATH"] = path
    del branch.world.environ["LOCKBOT_REPOSITORY__URL"]
    branch.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(UsageError, match="nothing is known of the branch"):
        branch.look()


def test_what_others_wrote_is_shown_within_bounds(branch: Branch) -> None:
    """Subjects, names and locks: nothing acts upon the terminal, nothing takes more than its screen."""
    since = branch.head
    for number in range(0, len(HOSTILE), 5):
        texts = [one.replace("\0", "").encode(errors="replace").decode() for one in HOSTILE[number : number + 5]]
        branch.move("\n".join([*texts, "\nWhat changes:", *texts, f"\nLockbot-Run: {number}"]), f"{number:040}")
    (branch.world.path / "flake.lock").write_text("<<<<<<< HEAD\n")
    branch.git("commit", "--quiet", "--all", "--message", "merged badly")
    for width in (None, 40):
        told = branch.told(since, width=width)
        assert re.search(r"[^\n -~¡-\U0010ffff]", told) is None
        assert max(map(len, told.splitlines())) <= 120
        assert width or "flake.lock can't be read" in told
        assert "what is held is not known" in told
    assert len(json.loads(branch.world.run("review", "--since", since, "--json"))["commits"]) == 7


def big(hosts: int, *, record: bool) -> ReviewedCommit:
    """The largest update that there is."""
    names = [f"host{number:03}" for number in range(hosts)]
    builds = tuple(built(name) for name in names)
    differences = tuple(
        replace(DIFFERENCE, hosts=(build.host.installable,), packages=_packages(number))
        for number, build in enumerate(builds)
    )
    changes = tuple(replace(NEW, input=f"input{number}") for number in range(40))
    text = "x\n\nWhat changes:\n" + "\n".join(names * 3) + "\n\nWarnings:\n" + "\n".join(names)
    run = Run(
        "r",
        "/srv",
        datetime(2026, 11, 22, tzinfo=UTC),
        hosts=builds,
        held=tuple(Held(name, "breaks", "it breaks " * 40) for name in names),
        differences=differences,
        upstream=tuple(replace(UPSTREAM, input=one.input, commits=UPSTREAM.commits * 20) for one in changes),
    )
    told = tuple((name, "built" if number % 7 else f"word {number}") for number, name in enumerate(names))
    return ReviewedCommit("c" * 40, text, "me", 1, changes, True, run if record else None, told)


def _packages(number: int) -> Any:
    (package,) = DIFFERENCE.packages
    return tuple(replace(package, name=f"package{number % 3}-{each}") for each in range(40))


@pytest.mark.parametrize("record", [True, False], ids=["record", "message"])
@pytest.mark.parametrize("hosts", [1, 60])
def test_one_commit_is_one_screen(hosts: int, record: bool) -> None:
    one = big(hosts, record=record)
    for width in (None, 100, 60):
        told = styled_lines.text(commit_lines(one, width)).splitlines()
        assert 10 < len(told) <= 40 and max(map(len, told)) <= (width or 100)
    titles = {
        "What changes",
        "Warnings",
        *(("When you switch", "Upstream's commits", "Held back") if record else ()),
    }
    assert titles <= set(told)
    assert commit_document(one)["commit"] == "c" * 40
