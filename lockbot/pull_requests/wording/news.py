"""What becomes of a pull request, in sentences: for its one comment, the history and the log alike.

Plain text: names of branches, inputs and checks are in it as they are, and who shows it escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockbot.model import Move
from lockbot.report import words
from lockbot.report.escape import name

_MOVES = 5


def replaced(commit: str, moves: Sequence[Move]) -> str:
    """`moves`: from what the request asked for before to what it asks for now."""
    told = f": {_moves(moves)}" if moves else ", with the same inputs"
    return f"a newer candidate took its place, {words.short(commit)}{told}"


def judged_anew(base: str, commit: str, moves: Sequence[Move]) -> str:
    """`moves`: as in `replaced`; none where the inputs stand as they did."""
    moved = f": {_moves(moves)}" if moves else ", with the same inputs"
    return f"{name(base)} has moved; it was judged again on top of it, and is {words.short(commit)} now{moved}"


def between(old: Sequence[Move], new: Sequence[Move]) -> tuple[Move, ...]:
    """From what was asked for to what is; an input that is not asked for any more goes back to where it was."""
    was, now = ({move.input: move.new for move in moves} for moves in (old, new))
    stays = {move.input: move.old for move in (*old, *new)}
    moved = (Move(one, was.get(one, stays[one]), now.get(one, stays[one])) for one in sorted(stays))
    return tuple(move for move in moved if move.old != move.new)


def _moves(moves: Sequence[Move]) -> str:
    told = [f"{name(one.input)} {_revision(one.old)} → {_revision(one.new)}" for one in moves[:_MOVES]]
    left = len(moves) - len(told)
    return ", ".join([*told, *([f"and {words.count(left, 'more input')}"] if left else [])])


def _revision(revision: str | None) -> str:
    return words.short(revision) if revision is not None else "nothing"


def left_alone(branch: str, tip: str) -> str:
    return (
        f"{name(branch)} has a commit that is not lockbot's ({words.short(tip)}): lockbot leaves it alone, and"
        " proposes nothing else until this request is merged or closed, and the branch deleted"
    )


def retargeted(wanted: str, base: str) -> str:
    return f"it asks to be merged into {name(base)} now, not into {name(wanted)}: lockbot leaves it alone"


def branch_deleted(branch: str) -> str:
    return f"its branch {name(branch)} was deleted: lockbot takes that for a no to these revisions"


def closed() -> str:
    return "it was closed: lockbot does not propose these revisions again"


def landed(base: str, commit: str) -> str:
    return f"it has landed: {name(base)} is at {words.short(commit)}, the very commit that was judged"


def merged_as(commit: str, other: str | None) -> str:
    """`other`: the commit that came of it; None: that is not known."""
    became = f"as {words.short(other)}" if other else "as another commit"
    judged = f"not as {words.short(commit)}, which was judged"
    return f"it was merged {became}, {judged}: the next run judges what came of it"


def overtaken(by: str) -> str:
    """`by`: the other request as its forge writes it, `#12` or `!12`."""
    return f"{by} has taken its place"


def held(inputs: Sequence[str]) -> str:
    return f"{words.listed([name(one) for one in inputs])} is held by hand: this is closed, and not merged"


def empty(base: str, inputs: Sequence[str]) -> str:
    return f"{name(base)} has moved {words.listed([name(one) for one in inputs])} itself: nothing of it is left"
