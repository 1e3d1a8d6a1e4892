"""Which commit `lockbot revert` is to take back, from whatever names it: a run, a commit, or an input.

Asks the branch's own history of flake.lock, so that what a person moved by hand is found as well. Moves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lockbot.app import App, Place
from lockbot.commands.committed import input_names, lock_path
from lockbot.errors import UsageError
from lockbot.git.clone import Clone
from lockbot.git.commits.file_history import FileCommit, FileHistory
from lockbot.git.commits.named import commit_named
from lockbot.git.sync import Base
from lockbot.lock.take_back import Standing, Step, steps_back
from lockbot.model import ChangeKind, InputChange, Locked, Run
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile, LockFileError, diff
from lockbot.policy.rules import near_name
from lockbot.report import words
from lockbot.report.escape import name as shown

MOST_STEPS = 500
"""So many commits of flake.lock are looked through for an input's last move: some seconds."""
REVERTS = "This reverts commit"
"""How git, too, begins the line of a message that names the commit which is taken back."""
_REVERTS = re.compile(rf"^{REVERTS} [0-9a-f]{{40}}\b", re.MULTILINE)
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]+")


@dataclass(frozen=True)
class TakenBack:
    """A commit, and what taking it back means for each input that it moved."""

    commit: FileCommit
    steps: tuple[Step, ...]

    def standing(self, standing: Standing) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.standing is standing)


@dataclass(frozen=True)
class Finder:
    """Looks in the branch as it is, with all that its remote has: `clone`, at `base`."""

    app: App
    place: Place
    clone: Clone
    base: Base

    def find(self, what: str, *, force: bool) -> TakenBack:
        """Raises UsageError: there is no such thing, nothing to take back, or no way."""
        now = self._lock(self.base.commit)
        if now.input(what) is not None:
            return self._last_move(what, now)
        if _RUN.fullmatch(what):
            return self._of_commits(*self._commits_of_run(what), now, force=force)
        commit = self._commit_named(what, now)
        return self._of_commits(self.history.read(commit).parent, commit, now, force=force)

    @property
    def history(self) -> FileHistory:
        return FileHistory(self.clone.git, lock_path(self.app, self.place))

    # -- a commit, and a run ----------------------------------------------------------------------------------

    def _of_commits(self, old: str | None, new: str, now: LockFile, *, force: bool) -> TakenBack:
        if not self.clone.is_ancestor(new, self.base.commit):
            raise UsageError(f"{words.short(new)} is not on {self.base.branch}: there is nothing to take back")
        before = self._lock(old) if old is not None else EMPTY
        changes = diff(before, self._lock(new))
        if not changes:
            raise UsageError(f"{words.short(new)} moves no input", "`lockbot review` lists the commits that do")
        steps = steps_back(changes, now, force=force)
        if all(step.standing is Standing.MOVED_ON for step in steps):
            moved = "; ".join(f"{shown(one.input)} is at {words.state(one.now)} by now" for one in steps)
            raise UsageError(
                f"what {words.short(new)} moved has moved on since: {moved}",
                "with --force it goes back all the same, and so does what came after; "
                "`lockbot revert INPUT` takes back the last move only",
            )
        return TakenBack(self.history.read(new), steps)

    def _commits_of_run(self, name: str) -> tuple[str, str]:
        """The commit that a run began from, and the last that it made."""
        with self.app.history() as past:
            run = past.get(name)
        if run.flake != self.place.flake:
            raise UsageError(f"run {run.id} is one of another flake: {run.flake}")
        if run.commit is None or run.base is None:
            raise UsageError(f"run {run.id} published nothing{_instead(run)}: there is nothing to take back")
        if not self.clone.has(run.commit):
            raise UsageError(
                f"{words.short(run.commit)}, which run {run.id} made, is not on {self.base.branch} any more"
            )
        return run.base, run.commit

    def _commit_named(self, name: str, now: LockFile) -> str:
        try:
            return commit_named(self.clone, self.place.source, name)
        except UsageError as error:
            raise UsageError(
                f"{shown(name)} is no input of {LOCK_NAME}{near_name(name, input_names(now))}, and no run; "
                f"{error.message}",
                "`lockbot inputs`, `lockbot history` and `git log` list them",
            ) from None

    # -- an input ---------------------------------------------------------------------------------------------

    def _last_move(self, input: str, now: LockFile) -> TakenBack:
        """Back to before its last move, by whoever made it."""
        if (follows := now.follows(input)) is not None:
            raise UsageError(f"input {shown(input)} follows {shown(follows)}: name that one instead")
        locked = now.locked(input)
        assert locked is not None  # it is an input, and follows none
        states = self.history.steps(self.base.commit, MOST_STEPS)
        commit, was = self._before_move(input, locked, states)
        found = self.history.read(commit)
        if _is_back(found, was, locked):
            return TakenBack(found, (Step(input, Standing.BACK, locked, locked),))
        change = InputChange(input, ChangeKind.UPDATED, was, locked)
        return TakenBack(found, steps_back([change], now, force=False))

    def _before_move(self, input: str, locked: Locked, states: Sequence[str]) -> tuple[str, Locked]:
        """The commit that moved it to where it is, and where it was before."""
        for after, before in pairwise(states):
            try:
                lock = self._lock(before)
            except LockFileError:
                continue  # a merge that went wrong, say: what lies before tells
            was = lock.locked(input) if lock.follows(input) is None else None
            if was is None:
                raise UsageError(
                    f"{shown(input)} has not moved since {words.short(after)} added it",
                    "there is nothing to go back to",
                )
            if was.revision != locked.revision:
                return after, was
        span = f"in the last {MOST_STEPS} commits of {LOCK_NAME}" if len(states) == MOST_STEPS else "yet"
        raise UsageError(
            f"{shown(input)} has not moved on {self.base.branch} {span}",
            "`lockbot update --override-input` takes it to any revision",
        )

    def _lock(self, commit: str) -> LockFile:
        path = lock_path(self.app, self.place)
        text = self.history.content(commit)
        return LockFile.parse(text, f"{words.short(commit)}:{path}") if text is not None else EMPTY


def _is_back(commit: FileCommit, was: Locked, now: Locked) -> bool:
    """Whether the last move itself took it back. To do so twice is not to undo it."""
    dates = was.last_modified, now.last_modified
    older = dates[0] is not None and dates[1] is not None and dates[1] < dates[0]
    return older and _REVERTS.search(commit.message) is not None


def _instead(run: Run) -> str:
    return f" (its update waits on {run.parked})" if run.parked else " (a dry run)" if run.dry_run else ""
