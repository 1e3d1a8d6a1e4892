"""What is told of upstream's commits, on real repositories."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from lockbot.errors import Cancelled
from lockbot.git.clone import Clone
from lockbot.git.inputs import changed_files
from lockbot.history.ledger import Ledger
from lockbot.model import ChangeKind, InputChange, Locked, UpstreamChanges
from lockbot.policy.upstream_log import UpstreamLog
from lockbot.process import CancelToken, Deadline
from lockbot.review import upstream
from lockbot.review.upstream import MOST_SUBJECTS, reads, upstream_changes, with_counts
from tests.git.upstream_repo import START, Repo

OLD, NEW = "1" * 40, "2" * 40


@dataclass
class World:
    """One upstream, and who asks about it."""

    repo: Repo
    log: UpstreamLog
    url: str

    @classmethod
    def create(cls, root: Path, environ: dict[str, str], cancel: CancelToken) -> World:
        repo = Repo(root, environ, cancel)
        repo.git("config", "uploadpack.allowFilter", "true")
        url = f"git+{repo.ssh()}"
        clone = Clone(root / "clone", root, environ, environ, cancel, timeout=30)
        return cls(repo, UpstreamLog(repo.state, clone, cast(Ledger, None)), url)

    def locked(self, rev: str, url: str | None = None) -> Locked:
        url = url or self.url
        return Locked("git", f"{url}?rev={rev}", url, rev, last_modified=START)

    def change(self, old: str, new: str, name: str = "up", url: str | None = None) -> InputChange:
        return InputChange(name, ChangeKind.UPDATED, self.locked(old), self.locked(new, url))

    def told(
        self,
        *changes: InputChange,
        packages: Collection[str] = (),
        files: Mapping[str, Collection[str]] | None = None,
        seconds: float = 30,
    ) -> tuple[UpstreamChanges, ...]:
        return upstream_changes(self.log, changes, packages, files, Deadline(seconds, "upstream's commits"))

    def subjects(self, told: UpstreamChanges) -> list[str]:
        return [commit.subject for commit in told.commits]

    def many(
        self,
        after: str,
        count: int = 30,
        files: Callable[[int], Sequence[str]] = lambda number: [f"pkgs/{number}/default.nix"],
    ) -> list[str]:
        """More commits than are shown, about `pkg00x`, `pkg01x` and so on, each with a file of its own."""
        commits = [(f"pkg{number:02}x: update", files(number)) for number in range(count)]
        return self.repo.series(commits, after)


@pytest.fixture
def world(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken) -> World:
    return World.create(tmp_path, git_environment, cancel)


def test_all_of_a_few(world: World) -> None:
    base = world.repo.commit()
    line = world.repo.line(2, base)
    side = world.repo.commit(base, subject="aside: new", branch="side")
    tip = world.repo.commit(line[-1], side, subject="Merge branch")
    (told,) = world.told(world.change(base, tip), packages=["aside"], files={"up": ["x.nix"]})
    assert (told.input, told.count, told.chosen, told.note) == ("up", 4, False, None)
    assert world.subjects(told) == ["aside: new", "change", "change"]
    first = told.commits[0]
    assert (first.revision, first.author, first.date) == (side, "Test Person", START + 4 * 3600)
    assert world.repo.called() == 1, "nobody asks which files changed"


def test_of_many_those_that_name_a_package_or_change_a_file_that_was_read(world: World) -> None:
    base = world.repo.commit()
    tip = world.many(base)[-1]
    change = world.change(base, tip)
    (told,) = world.told(change, packages=["pkg07x", "pkg29x"], files={"up": ["pkgs/3/default.nix"], "b": ["y"]})
    assert (told.count, told.chosen, told.note) == (30, True, None)
    assert world.subjects(told) == [f"pkg{number:02}x: update" for number in (29, 7, 3)]
    (told,) = world.told(change, files={"up": ["pkgs/other.nix"]})
    assert (told.count, told.chosen, told.commits, told.note) == (30, True, (), None)
    # Without files, that no subject names a package says nothing.
    (told,) = world.told(change, packages=["other"])
    assert (told.count, told.chosen, told.note) == (30, False, None)
    assert world.subjects(told) == [f"pkg{number:02}x: update" for number in range(29, 9, -1)]
    (told,) = world.told(change, packages=["pkg07x"])
    assert (told.chosen, world.subjects(told)) == (True, ["pkg07x: update"])


def test_what_everybody_changes_says_nothing_of_a_host(world: World) -> None:
    base = world.repo.commit()
    tip = world.many(base, 30, lambda n: ["all.nix", "pkgs/5.nix"] if n == 5 else ["all.nix"])[-1]
    (told,) = world.told(world.change(base, tip), files={"up": ["all.nix", "pkgs/5.nix"]})
    assert world.subjects(told) == ["pkg05x: update"]


def test_no_more_than_fit_and_packages_first(world: World) -> None:
    base = world.repo.commit()
    tip = world.many(base, 40)[-1]
    files = {"up": [f"pkgs/{number}/default.nix" for number in range(40)]}
    (told,) = world.told(world.change(base, tip), packages=["pkg00x"], files=files)
    assert world.subjects(told) == [f"pkg{number:02}x: update" for number in (*range(39, 20, -1), 0)]
    assert len(told.commits) == MOST_SUBJECTS
    assert told.note == "20 more touch these hosts"


def test_each_range_of_a_repository_is_asked_for_once(world: World) -> None:
    line = world.repo.line(4)
    changes = (
        world.change(line[0], line[3], "b"),
        world.change(line[0], line[3], "a/b"),
        world.change(line[1], line[3], "c", f"{world.url}?ref=main"),
    )
    told = world.told(*changes)
    assert [(one.input, one.count, len(one.commits)) for one in told] == [("b", 3, 3), ("a/b", 3, 0), ("c", 2, 2)]
    assert [one.note for one in told] == [None, "the same commits as of b", None]
    assert world.repo.called() <= 2
    assert [change.commits for change in with_counts(changes, told)] == [3, 3, 2]


def test_back_aside_and_gone(world: World) -> None:
    line = world.repo.line(4)
    other = world.repo.commit(line[0], subject="rewritten")
    back, aside, gone = world.told(
        world.change(line[3], line[1], "back"),
        world.change(line[3], other, "aside"),
        world.change(OLD, other, "gone"),
    )
    assert (back.count, len(back.commits)) == (2, 2)
    assert back.note == "it moves back: these commits are taken back"
    assert (aside.count, world.subjects(aside)) == (1, ["rewritten"])
    assert "only the new commits" in str(aside.note)
    assert (gone.count, gone.commits) == (None, ())
    assert "no longer upstream" in str(gone.note)


def state(type: str, original: str, rev: str | None = None) -> Locked:
    return Locked(type, original, original, rev)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, state("git", "git+file:///x", NEW)),
        (state("git", "git+file:///x", OLD), None),
        (state("path", "path:/x"), state("path", "path:/x")),
        (state("tarball", "https://x.org/x.tar.gz", OLD), state("tarball", "https://x.org/x.tar.gz", NEW)),
        (state("git", "git+file:///x", NEW), state("git", "git+file:///x?ref=y", NEW)),
    ],
)
def test_what_has_no_history_or_does_not_move(world: World, old: Locked | None, new: Locked | None) -> None:
    change = InputChange("a", ChangeKind.UPDATED, old, new)
    assert world.told(change) == ()
    assert with_counts([change], ()) == (change,)


def test_a_history_that_cannot_be_had_stops_nothing(world: World) -> None:
    line = world.repo.line(3)
    nowhere = replace(world.change(line[0], line[2], "no", f"git+file://{world.repo.root}/no.git"), commits=2)
    fine = world.change(line[0], line[2])
    missing, told, odd = world.told(nowhere, fine, world.change(line[0], "a" * 64, "sha256"))
    assert (missing.count, missing.commits) == (2, ())
    assert str(missing.note).startswith("its history could not be read: ")
    assert told.count == 2
    assert "not a commit" in str(odd.note)


def test_a_server_that_cannot_leave_files_out(world: World) -> None:
    base = world.repo.commit()
    tip = world.many(base)[-1]
    world.repo.git("config", "uploadpack.allowFilter", "false")
    (told,) = world.told(world.change(base, tip), packages=["pkg07x"], files={"up": ["pkgs/3/default.nix"]})
    assert (told.count, world.subjects(told)) == (30, ["pkg07x: update"])
    assert str(told.note).startswith("which files its commits changed is not known: ssh://")


def test_says_how_far_it_looked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    base = world.repo.commit()
    tip = world.many(base)[-1]
    for module in (changed_files, upstream):
        monkeypatch.setattr(module, "MOST_COMMITS", 25)
    (told,) = world.told(world.change(base, tip), files={"up": ["pkgs/3/default.nix", "pkgs/9/default.nix"]})
    assert world.subjects(told) == ["pkg09x: update"]
    assert told.note == "which files were changed was looked up for the newest 25 commits only"


def test_no_longer_than_there_is_time(world: World) -> None:
    line = world.repo.line(3)
    change = replace(world.change(line[0], line[2]), commits=7)
    (told,) = world.told(change, seconds=0)
    assert told == UpstreamChanges("up", 7, note="its history was not looked at: the time was up")
    world.repo.ssh("sleep 60")
    (told,) = world.told(change, seconds=0.5)
    assert (told.count, told.commits) == (7, ())
    assert "did not answer within" in str(told.note)
    assert "30 s" not in str(told.note)


def test_the_run_can_be_ended_meanwhile(world: World) -> None:
    line = world.repo.line(3)
    world.repo.cancel.cancel("SIGTERM")
    with pytest.raises(Cancelled):
        world.told(world.change(line[0], line[2]))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pkgs/a/default.nix", True),
        ("pkgs/a/fix.patch", True),
        ("flake.nix", True),
        ("pkgs/a/other.nix", False),
        ("pkgs/a/deep/fix.patch", False),
        ("pkgs/fix.patch", False),
        ("README.md", False),
        ("", False),
    ],
)
def test_what_an_evaluation_depends_on(path: str, *, expected: bool) -> None:
    assert reads(["flake.nix", "pkgs/a/default.nix"])(path) is expected
