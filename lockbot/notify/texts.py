"""Notices as a message that is harmless wherever it is read: plain text of bounded length. Pure.

Who reads it may be a terminal, a browser or a chat that acts upon what it finds: nothing in it mentions anybody,
moves a cursor or hides what it is. The last line has the message's reference, by which it is known on its way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lockbot.model import Notice, NoticeKind, Run
from lockbot.redact import redact
from lockbot.report import grouping, words
from lockbot.report.escape import block, shortened
from lockbot.report.escape import name as shown
from lockbot.report.review.grouping import side_by_side
from lockbot.report.review.sentences import when_you_switch
from lockbot.report.terminal import headline

TITLE, BODY = 120, 3500
"""Characters of a message."""
_LINE = 400
_SHORTEST = 40
"""A body shorter than this tells nothing: only the reference is left."""

_ACTS = re.compile(r"@|!(?=\S)|(?<=\])(?=\()")
"""What a chat may act upon in plain text: mentions, Slack's `<!here>`, and a link under another's name."""


@dataclass(frozen=True)
class Message:
    """What is sent. `reference` is letters and digits, and stands in the body."""

    title: str
    body: str
    reference: str
    kind: NoticeKind


def message(notices: Sequence[Notice], about: str, reference: str, limit: int = BODY) -> Message:
    """One message of them all, the first of which names its kind. `about` is the flake; `limit`: characters of the
    body, as the service takes them."""
    first = notices[0]
    title = first.title if len(notices) == 1 else f"{len(notices)} messages: {first.title}"
    body = first.body if len(notices) == 1 else "\n\n".join(_whole(one) for one in notices)
    runs = list(dict.fromkeys(one.run for one in notices if one.run))
    foot = "\n".join([*(f"lockbot show {run}" for run in runs[:3]), f"{about}, message {reference}"])
    return Message(
        _line(title, TITLE),
        _within(_lines(body), _lines(foot), reference, min(limit, BODY)),
        reference,
        first.kind,
    )


def _whole(notice: Notice) -> str:
    return "\n".join(filter(None, [notice.title, notice.body]))


def _line(text: str, limit: int) -> str:
    return shortened(harmless(" ".join(text.split())), limit)


def _lines(text: str) -> list[str]:
    """Secrets are taken out of the whole, before it is cut into lines."""
    return [shortened(harmless(one.rstrip()), _LINE) for one in redact(text).strip().split("\n")]


def harmless(text: str) -> str:
    """`plain`, and nothing that a chat acts upon."""
    return _ACTS.sub(lambda match: f"{match[0]}\u200b", block(text))


def _within(lines: Sequence[str], foot: Sequence[str], reference: str, limit: int) -> str:
    """As many whole lines as have room above the foot, and how many more there are."""
    end = "\n".join(foot)
    if len(end) + _SHORTEST > limit:
        end = reference
    room = limit - len(end) - len(_more(len(lines))) - 3
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    if left and limit > len(end) + len(_more(left)):
        kept.append(_more(left))
    text = "\n".join(kept).strip()
    return f"{text}\n\n{end}" if text else end


def _more(lines: int) -> str:
    return f"… and {words.count(lines, 'more line')}"


# -- what was published

MOST_CHANGES = 12


def published(run: Run) -> Notice:
    """An update that landed: what it moves, and which hosts need a reboot."""
    title, _ = headline(run)
    moved = [f"{shown(one.input)} {grouping.move(one)}" for one in grouping.in_order(run.changes)]
    more = [f"… and {words.count(len(moved) - MOST_CHANGES, 'more input')}"] if len(moved) > MOST_CHANGES else []
    held = [f"held back: {shown(one.input)}: {one.detail or one.reason}" for one in run.held]
    body = [*moved[:MOST_CHANGES], *more, *reboots(run), *held[:MOST_CHANGES]]
    return Notice(
        NoticeKind.PUBLISHED,
        title,
        "\n".join(body),
        tuple(one.input for one in run.changes),
        tuple(build.host.name for build in run.hosts if build.failure is None),
        run.id,
    )


def reboots(run: Run) -> list[str]:
    """Which hosts need one, and why."""
    told = when_you_switch(side_by_side(run.differences, run.hosts))
    return [
        f"{entry.label}: {', '.join(map(shown, entry.hosts))} ({', '.join(entry.items)})"
        for entry in told
        if entry.label == "needs a reboot"
    ]
