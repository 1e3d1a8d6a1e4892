"""`lockbot inputs`: what the lock holds of each input, and what upstream has. Writes nothing of the user's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lockbot.app import App, Place
from lockbot.commands.committed import branch_now
from lockbot.commands.status.text import hold_document, hold_words
from lockbot.git.command import Git, user_environment
from lockbot.git.inputs.upstream import Tip, ask_tips
from lockbot.history.input_states import UserHold
from lockbot.model import Locked
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile
from lockbot.policy.origin import origin_of
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.escape import name
from lockbot.report.styled_lines import Line, line
from lockbot.report.table import table


@dataclass(frozen=True)
class InputRow:
    """One input path. `tip` is what upstream says, where it was asked; `hold` an active one of the user's."""

    input: str
    locked: Locked | None
    follows: str | None
    updatable: bool
    why_not: str | None
    tip: Tip | None = None
    hold: UserHold | None = None


def inputs(app: App, *, ask: bool) -> tuple[InputRow, ...]:
    """Every input path in the lock of the branch, root inputs first; `ask`: with what upstream has."""
    place = app.place()
    with branch_now(app, place) as (clone, base):
        path = str(Path(app.flake_dir(place)) / LOCK_NAME)
        content = clone.read_file(base.commit, path)
    lock = LockFile.parse(content.decode(errors="replace"), path) if content is not None else EMPTY
    holds = _active_holds(app, place)
    rows = tuple(replace(_input_row(lock, path), hold=holds.get(path)) for path in lock.paths())
    if not ask:
        return rows
    origins = {
        row.input: origin_of(row.locked.original) for row in rows if row.updatable and row.locked is not None
    }
    deadline = Deadline(app.settings.run.fetch_timeout, "asking upstream")
    git = Git(
        place.directory,
        user_environment(app.access(place)),
        app.cancel,
        app.settings.run.fetch_timeout,
        app.confinement.for_remotes,
    )
    tips = ask_tips(git, {name: one for name, one in origins.items() if one}, deadline)
    tips |= {name: _NO_GIT for name, one in origins.items() if one is None}
    return tuple(replace(row, tip=tips.get(row.input)) for row in rows)


def _active_holds(app: App, place: Place) -> dict[str, UserHold]:
    with app.history(place) as past:
        holds = past.ledger(place.flake).holds()
    return {name: hold for name, hold in holds.items() if hold.active(app.clock())}


_NO_GIT = Tip(None, problem="only git repositories can be asked without downloading")


def _input_row(lock: LockFile, path: str) -> InputRow:
    root = lock.root_inputs.get(path)
    return InputRow(
        input=path,
        locked=lock.locked(path),
        follows=lock.follows(path),
        updatable=root is not None and root.updatable,
        why_not=root.why_not if root is not None else None,
    )


def inputs_table(rows: Sequence[InputRow], now: datetime, width: int | None, *, asked: bool) -> tuple[Line, ...]:
    if not rows:
        return (line("flake.lock has no inputs; the next update locks what flake.nix asks for"),)
    header = ["input", "revision", "age", *(["upstream"] if asked else []), "from"]
    shown = table(header, [_input_cells(row, now, asked=asked) for row in rows], width=width)
    held = [one for row in rows if row.hold is not None for one in _hold_lines(row.input, row.hold, now)]
    return (*shown, *([line(), *held] if held else []))


def _hold_lines(input: str, hold: UserHold, now: datetime) -> Iterator[Line]:
    yield line(f"{name(input)} is {hold_words(hold)}")
    if hold.ends is not None:
        yield line(f"  until {words.end(hold.ends)}{words.heard(hold.heard, now)}")
    elif hold.until is not None:
        yield line(f"  until {hold.until:%Y-%m-%d %H:%M} UTC")


def _input_cells(row: InputRow, now: datetime, *, asked: bool) -> list[str]:
    if row.follows is not None:
        return [row.input, "", "", *([""] if asked else []), f"follows {row.follows}"]
    locked = row.locked
    modified = locked.last_modified if locked is not None else None
    return [
        row.input,
        words.short(locked.revision) if locked is not None else "",
        words.age(now.timestamp() - modified) if modified is not None else "",
        *([_upstream(row)] if asked else []),
        locked.original if locked is not None else "",
    ]


def _upstream(row: InputRow) -> str:
    if row.tip is None:
        return "" if row.why_not is None else f"not asked: {row.why_not}"
    if row.tip.problem is not None:
        return f"not reached: {row.tip.problem}"
    current = row.locked is not None and row.tip.revision == row.locked.rev
    return "current" if current else f"moved to {words.short(row.tip.revision)}"


def inputs_document(rows: Sequence[InputRow]) -> Document:
    return {"inputs": [_input_document(row) for row in rows]}


def _input_document(row: InputRow) -> Document:
    locked, tip = row.locked, row.tip
    return {
        "input": row.input,
        "revision": locked.revision or None if locked is not None else None,
        "last_modified": locked.last_modified if locked is not None else None,
        "type": locked.type if locked is not None else None,
        "url": locked.url if locked is not None else None,
        "original": locked.original if locked is not None else None,
        "follows": row.follows,
        "updatable": row.updatable,
        "why_not": row.why_not,
        "held_by_user": hold_document(row.hold),
        "upstream": None if tip is None else {"revision": tip.revision, "problem": tip.problem},
        "outdated": tip.revision != locked.rev if tip is not None and tip.revision and locked else None,
    }
