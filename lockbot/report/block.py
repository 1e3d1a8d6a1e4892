"""The block that Nix itself writes under a lock file's commit: `Flake lock file updates:`.

Byte for byte as Nix 2.26 and 2.34 print it, for harmless names; scripts and people know it by sight.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.report import words
from lockbot.report.escape import commit, distinct
from lockbot.report.grouping import in_order

TITLE = "Flake lock file updates:"
_NAME, _URL = 200, 500


def lock_block(changes: Sequence[InputChange], *, limit: int | None = None) -> str:
    """Title, empty line, one entry per change; no newline at its end.

    With `limit`, at most about so many bytes; what is left out is counted.
    """
    entries = [_entry(change) for change in in_order(changes)]
    shown, room = [], limit
    for entry in entries:
        if room is not None and (room := room - len(entry.encode()) - 1) < 0:
            break
        shown.append(entry)
    if left := len(entries) - len(shown):
        shown.append(f"({words.count(left, 'more input')} left out here)")
    return "\n".join([TITLE, "", *shown])


def _entry(change: InputChange) -> str:
    name = commit(distinct(change.input, _NAME))
    old, new = _side(change.old, change.old_follows), _side(change.new, change.new_follows)
    match change.kind:
        case ChangeKind.ADDED:
            return f"• Added input '{name}':\n    {new}"
        case ChangeKind.REMOVED:
            return f"• Removed input '{name}'"
        case ChangeKind.UPDATED | ChangeKind.REFOLLOWED:
            return f"• Updated input '{name}':\n    {old}\n  → {new}"


def _side(locked: Locked | None, follows: str | None) -> str:
    if follows is not None or locked is None:
        return f"follows '{commit(distinct(follows or '', _NAME))}'"
    when = words.date(locked.last_modified)
    return f"'{commit(locked.url, _URL)}'" + (f" ({when})" if when else "")
