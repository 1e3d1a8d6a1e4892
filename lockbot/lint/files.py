"""Whether there is a flake.lock, where git has it, and whether it can be read."""

from __future__ import annotations

from enum import StrEnum

from lockbot.errors import LockbotError
from lockbot.lint.finding import Finding, Kind, error

_COMMIT = "git add flake.lock\ngit commit -m 'flake.lock: add' -- flake.lock"


class Presence(StrEnum):
    """Where a flake.lock is."""

    THERE = "there"
    NOWHERE = "nowhere"
    NOT_COMMITTED = "not committed"
    IGNORED = "ignored"


def absent(presence: Presence, *, needed: bool) -> tuple[Finding, ...]:
    """What is wrong where none is committed. `needed`: flake.nix has inputs, as far as is known."""
    match presence:
        case Presence.NOT_COMMITTED:
            message = "flake.lock is not committed: every machine locks its own"
            return (error(Kind.NOT_COMMITTED, None, message, _COMMIT),)
        case Presence.IGNORED:
            message = "git ignores flake.lock: it can't be committed, and every machine locks its own"
            fix = f"# take it out of .gitignore: `git check-ignore -v flake.lock` says where that is\n{_COMMIT}"
            return (error(Kind.IGNORED, None, message, fix),)
        case Presence.NOWHERE if needed:
            message = "there is no flake.lock: each command locks the inputs anew"
            return (error(Kind.NO_LOCK, None, message, f"nix flake lock\n{_COMMIT}"),)
        case _:
            return ()


def unreadable(problem: LockbotError) -> Finding:
    return error(Kind.UNREADABLE, None, problem.message, problem.hint)
