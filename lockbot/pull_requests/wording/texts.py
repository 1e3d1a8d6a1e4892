"""A pull request's title, and the one comment in which lockbot tells what became of it.

Pure: the same values, the same text. Knows what GitHub, GitLab and Forgejo make of a text, and asks none of them.
Nobody is mentioned, nothing is referred to or linked, whatever somebody wrote.

docs.gitlab.com/user/project/merge_requests/drafts, docs.gitlab.com/user/markdown; Forgejo's
`repository.pull-request.WORK_IN_PROGRESS_PREFIXES`
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from lockbot.forge.pull_requests.interface import Wording
from lockbot.model import Text
from lockbot.pull_requests.wording.parts import Part, fitted
from lockbot.report.escape import markdown, request_title

COMMENT_MARK = "<!-- lockbot: what became of this pull request -->"
"""Where it stands, the comment is lockbot's; no reader sees it."""

_NO_TITLE = "flake.lock: update"
_SENTENCE, _SHORTEST = 400, 40
"""Characters of a sentence, the first of which is shortened until it has room."""


def title(subject: str, limit: int) -> str:
    """A commit's subject, as a title of at most `limit` characters."""
    return request_title(subject, limit) or _NO_TITLE


def wording(text: Text) -> Wording:
    """What is written on the forge, as the forge is asked for it."""
    return Wording(text.title, text.body, text.draft)


def comment(news: Sequence[tuple[datetime, str]], limit: int) -> str:
    """What became of a request, the newest first, in at most `limit` bytes: when, and a sentence in plain text."""
    ordered = sorted(((_in_utc(moment), said) for moment, said in news), key=lambda one: one[0], reverse=True)
    head = f"{COMMENT_MARK}\n\nlockbot keeps this comment up to date:\n\n"
    for characters in range(_SENTENCE, _SHORTEST, -40):
        entries = tuple(f"- {moment:%Y-%m-%d %H:%M} UTC: {markdown(said, characters)}" for moment, said in ordered)
        if told := fitted([Part(entries, 1, opening=head, noun="line")], limit, ""):
            break
    return told


def _in_utc(moment: datetime) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
