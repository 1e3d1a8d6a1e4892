"""What becomes of a pull request, in sentences: for its one comment, the history and the log alike.

Plain text: names of branches, inputs and checks are in it as they are, and who shows it escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockbot.model import InputChange
from lockbot.report import grouping, words
from lockbot.report.escape import name

_MOVES = 5


def replaced(commit: str, changes: Sequence[InputChange]) -> str:
    """`changes`: from what the request asked for before to what it asks for now."""
    return f"a newer candidate took its place, {words.short(commit)}: {_moves(changes)}"


def judged_anew(base: str, commit: str, changes: Sequence[InputChange]) -> str:
    """`changes`: as in `replaced`; none where the inputs stand as they did."""
    moved = f": {_moves(changes)}" if changes else ", with the same inputs"
    return f"{name(base)} has moved; it was judged again on top of it, and is {words.short(commit)} now{moved}"


def _moves(changes: Sequence[InputChange]) -> str:
    heads = [family.head for family in grouping.families(changes)]
    told = [f"{name(head.input)} {grouping.move(head)}" for head in heads[:_MOVES]]
    left = len(heads) - len(told)
    return ", ".join([*told, *([f"and {words.count(left, 'more input')}"] if left else [])])


def left_alone(branch: str, tip: str) -> str:
    return (
        f"{name(branch)} has a commit that is not lockbot's ({words.short(tip)}): lockbot leaves it alone, and"
        " proposes nothing else until this request is merged or closed"
    )


def retargeted(wanted: str, base: str) -> str:
    return f"it asks to be merged into {name(base)} now, not into {name(wanted)}: lockbot leaves it alone"


def branch_deleted(branch: str) -> str:
    return f"its branch {name(branch)} was deleted: lockbot takes that for a no to these revisions"


def closed(*, by_person: bool) -> str:
    return (
        "it was closed: lockbot does not propose these revisions again" if by_person else "lockbot has closed it"
    )


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


def empty(base: str, inputs: Sequence[str]) -> str:
    return f"{name(base)} has moved {words.listed([name(one) for one in inputs])} itself: nothing of it is left"


def not_updated(why: str) -> str:
    return f"it was not updated: {why}"


def waits_for(checks: Sequence[str]) -> str:
    """`checks`: those that have not passed, by name; none: none has been reported yet."""
    missing = words.listed([name(one) for one in checks]) if checks else "its first check"
    return f"it lands when its checks have passed; it waits for {missing}"


def failed_checks(checks: Sequence[str]) -> str:
    return f"it does not land: {words.listed([name(one) for one in checks])} failed"
