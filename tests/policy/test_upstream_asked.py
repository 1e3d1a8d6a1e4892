"""Upstream's history, as policy asks for it: of a real repository, and of the tips that were seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from lockbot.errors import Cancelled
from lockbot.git.inputs.revisions import Relation
from lockbot.history.ledger import Ledger
from lockbot.history.store import History
from lockbot.model import Locked
from lockbot.policy.rules import InputRules, PolicyRules, RevisionKind
from lockbot.policy.upstream_log import InputRevisions, UpstreamLog
from lockbot.process import CancelToken, Deadline
from lockbot.search.interface import RevisionRange
from tests.git.upstream_repo import Repo
from tests.git.world import World
from tests.policy.moves import NOW, days_ago

COMMITS, TIPS = RevisionKind.COMMITS, RevisionKind.TIPS


class Asked:
    def __init__(self, root: Path, environ: dict[str, str], cancel: CancelToken, ledger: Ledger) -> None:
        self.repo = Repo(root, environ, cancel)
        self.line = self.repo.line(5)
        self.ledger = ledger
        self.world = World(root, environ, cancel).make()
        self.clone = self.world.open()
        self.log = UpstreamLog(root / "upstreams", self.clone, ledger)

    def at(self, revision: str | None, url: str | None = None) -> Locked:
        original = f"git+{url or self.repo.url}?ref=main"
        return Locked("git", f"{original}&rev={revision}", original, revision)

    def soon(self) -> Deadline:
        return Deadline(30, "asking")


@pytest.fixture
def clock() -> list[datetime]:
    return [NOW]


@pytest.fixture
def asked(
    tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken, clock: list[datetime]
) -> Iterator[Asked]:
    with History.open(tmp_path / "history.sqlite", lambda: clock[0]) as history:
        yield Asked(tmp_path, git_environment, cancel, history.ledger("flake"))


def test_how_two_revisions_stand_to_each_other(asked: Asked) -> None:
    line, log = asked.line, asked.log
    aside = asked.repo.commit(line[1], branch="aside", subject="aside")
    relations = [log.relation(asked.at(line[2]), asked.at(to)) for to in (line[4], line[0], line[2])]
    assert relations == [Relation.FORWARD, Relation.BACKWARD, Relation.SAME]
    assert log.relation(asked.at(line[2]), asked.at(aside)) in (Relation.DIVERGED, Relation.UNKNOWN)
    away = "file:///nowhere"
    assert log.relation(asked.at(line[2]), asked.at(line[4], away)) is Relation.UNKNOWN
    assert log.relation(asked.at(line[2], away), asked.at(line[4])) is Relation.FORWARD, (
        "where the new one is from"
    )
    assert log.relation(asked.at(None), asked.at(line[4])) is Relation.UNKNOWN
    assert log.relation(asked.at(line[2]), asked.at(None)) is Relation.UNKNOWN
    tarball = Locked("tarball", "https://h/x", "https://h/x.tar.gz", line[4])
    assert log.relation(asked.at(line[2]), tarball) is Relation.UNKNOWN


def test_every_commit_up_to_the_target_or_the_target_alone(asked: Asked) -> None:
    line, log = asked.line, asked.log

    def revisions(locked: Locked, target: str) -> RevisionRange:
        return log.revisions("a", locked, target, COMMITS)

    assert revisions(asked.at(line[1]), line[4]) == RevisionRange(tuple(line[2:5]), complete=True)
    assert revisions(asked.at(line[1]), line[3]) == RevisionRange(tuple(line[2:4]), complete=True)
    alone = RevisionRange((line[4],), complete=False)
    assert revisions(asked.at(line[1], "file:///nowhere"), line[4]) == alone
    assert revisions(asked.at(None), line[4]) == alone


def test_of_tips_those_that_were_seen_after_the_locked_one(asked: Asked, clock: list[datetime]) -> None:
    line = asked.line
    locked = asked.at(line[0])
    for days, revision in ((9, line[0]), (7, line[1]), (5, line[2]), (3, line[3]), (1, line[4])):
        clock[0] = days_ago(days)
        asked.ledger.record_tip("a", locked.original, revision)

    def tips(target: str, name: str = "a") -> RevisionRange:
        return asked.log.revisions(name, locked, target, TIPS)

    assert tips(line[4]) == RevisionRange(tuple(line[1:5]), complete=False)
    assert tips(line[2]) == RevisionRange(tuple(line[1:3]), complete=False), "nothing beyond the target"
    new = "9" * 40
    assert tips(new) == RevisionRange((*line[1:5], new), complete=False)
    assert tips(line[4], "b") == RevisionRange((line[4],), complete=False), "another input's"
    rules = PolicyRules(InputRules(revisions=COMMITS), {"a": InputRules(revisions=TIPS)})
    ranges = InputRevisions(asked.log, rules)
    assert ranges.between("a", locked, line[4]).complete is False
    assert ranges.between("b", locked, line[4]) == RevisionRange(tuple(line[1:5]), complete=True)


def test_the_commits_between_and_which_files_they_change_where_there_are_many(asked: Asked) -> None:
    line, log = asked.line, asked.log
    old, new = asked.at(line[0]), asked.at(line[4])

    def between(few: int, *, ask: bool = True) -> tuple[list[str], dict[str, tuple[str, ...]] | None]:
        wanted = (lambda name: name == "file") if ask else None
        found = log.range(old, new, wanted=wanted, few=few, deadline=asked.soon())
        assert found is not None and found.listing is not None and found.problem is None
        touching = dict(found.touching) if found.touching is not None else None
        return [commit.rev for commit in found.listing.commits], touching

    commits = line[:0:-1]
    assert between(4) == (commits, None), "few enough to be read"
    assert between(3) == (commits, dict.fromkeys(commits, ("file",)))
    assert between(3, ask=False) == (commits, None)


def test_what_has_no_history_is_none_and_what_can_not_be_asked_says_why(asked: Asked) -> None:
    line, log = asked.line, asked.log

    def between(old: Locked, new: Locked) -> object:
        return log.range(old, new, wanted=None, few=1, deadline=asked.soon())

    tarball = Locked("tarball", "https://h/x", "https://h/x.tar.gz", line[4])
    assert between(asked.at(line[0]), tarball) is None
    assert between(asked.at(None), asked.at(line[4])) is None
    assert between(asked.at(line[0]), asked.at(None)) is None
    found = log.range(
        asked.at(line[0]), asked.at(line[4], "file:///nowhere"), wanted=None, few=1, deadline=asked.soon()
    )
    assert found is not None and found.listing is None and found.problem


def test_a_run_that_is_cancelled_meanwhile_ends_instead_of_taking_that_for_an_answer(asked: Asked) -> None:
    line, log = asked.line, asked.log
    old, new = asked.at(line[0]), asked.at(line[4])
    asked.world.cancel.cancel("enough")
    with pytest.raises(Cancelled):
        log.relation(old, new)
    with pytest.raises(Cancelled):
        log.range(old, new, wanted=None, few=1, deadline=asked.soon())


def test_what_is_not_known_by_the_deadline_is_left_out(asked: Asked) -> None:
    old, new = asked.at(asked.line[0]), asked.at(asked.line[4])
    found = asked.log.range(old, new, wanted=None, few=1, deadline=Deadline(0, "asking"))
    assert found is not None and found.listing is None and found.problem


def test_what_a_commit_says_of_itself(asked: Asked) -> None:
    told = asked.log.describe(asked.at(asked.line[0]), asked.line[2])
    assert told is not None and told.subject == "change"
    assert asked.log.describe(asked.at(asked.line[0], "file:///nowhere"), asked.line[2]) is None


def test_whether_only_lockbot_was_at_work_in_the_users_own_repository(asked: Asked) -> None:
    start = asked.world.tip(asked.world.user)
    _, made = asked.world.cycle(asked.world.source())
    assert asked.log.only_own_updates(made, start, made)
    assert not asked.log.only_own_updates(start, start, made)
    assert not asked.log.only_own_updates(made, made, start)
