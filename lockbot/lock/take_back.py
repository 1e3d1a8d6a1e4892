"""Taking back what a commit moved: which inputs go where, and which can't or need not. Pure.

It must not know where locks come from, nor what becomes of the hosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lockbot.errors import UsageError
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.nix.lockfile import LockFile
from lockbot.redact import without_secrets
from lockbot.report import grouping, words
from lockbot.report.escape import name as shown


class Standing(StrEnum):
    """How an input stands that is to be taken back."""

    MOVED = "moved"
    """It is where the commit put it (or is to go back all the same): a run has to take it back."""
    BACK = "back"
    """It is there already."""
    MOVED_ON = "moved-on"
    """Somebody has moved it elsewhere since: it is left alone."""


@dataclass(frozen=True)
class Step:
    """One input. `to`: where it was before the commit, which is where it is to go; `now`: where it is."""

    input: str
    standing: Standing
    now: Locked
    to: Locked

    @property
    def reference(self) -> str:
        """The flake reference that pins it to where it was."""
        return f"{self.to.type}+{self.to.url}" if self.to.type in ("file", "tarball") else self.to.url


def steps_back(changes: Sequence[InputChange], now: LockFile, *, force: bool) -> tuple[Step, ...]:
    """What taking back these changes means for a lock. What an input brings along goes with it.

    `force`: inputs that have moved on since are taken back, too. Raises UsageError where something of it can't be
    taken back by moving inputs, with each reason.
    """
    heads = [family.head for family in grouping.families(changes)]
    wrong = [why for head in heads if (why := why_not(head, now)) is not None]
    if wrong:
        raise UsageError(
            "\n".join(wrong),
            "inputs that can be taken back are by their names: `lockbot revert INPUT`; "
            "what flake.nix asks for is taken back with `git revert`",
        )
    return tuple(_step(head, now, force=force) for head in heads)


def why_not(change: InputChange, now: LockFile) -> str | None:
    """Why no input can be moved to take this back; None: one can."""
    input, old, new = shown(change.input), change.old, change.new
    if change.kind is not ChangeKind.UPDATED or old is None or new is None:
        return f"{input} was not moved: {grouping.move(change)}"
    if moved := grouping.moved_source(change):
        return f"{input} comes from elsewhere since then: {moved}"
    if old.type == "path":
        return f"{input} is a path on this machine, which has no earlier revisions"
    if not old.revision:
        return f"nothing tells the earlier state of {input}"
    return _why_no_longer(change.input, old, now)


def _why_no_longer(input: str, old: Locked, now: LockFile) -> str | None:
    locked, follows = now.locked(input), now.follows(input)
    if follows is not None:
        return f"{shown(input)} follows {shown(follows) if follows else 'the flake itself'} now"
    if locked is None:
        return f"{shown(input)} is no input any more"
    if without_secrets(locked.original) != without_secrets(old.original):
        return f"{shown(input)} comes from elsewhere by now: {locked.original}, and then from {old.original}"
    return None


def _step(change: InputChange, now: LockFile, *, force: bool) -> Step:
    locked = now.locked(change.input)
    assert locked is not None and change.old is not None and change.new is not None  # `why_not` has looked
    if locked.revision == change.old.revision:
        standing = Standing.BACK
    elif force or locked.revision == change.new.revision:
        standing = Standing.MOVED
    else:
        standing = Standing.MOVED_ON
    return Step(change.input, standing, locked, change.old)


def subject_template(steps: Sequence[Step]) -> str:
    """What the commit is called that makes these steps, as `commit.subject` is written."""
    if len(steps) == 1:
        return f"flake.lock: revert {{inputs}} to {words.short(steps[0].to.revision)}"
    return "flake.lock: revert {inputs}"
