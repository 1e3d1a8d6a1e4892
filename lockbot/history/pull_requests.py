"""One flake's pull requests, as rows and back. Knows SQL; not when one is opened, or what follows from it.

Each method is one transaction of the History that it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from lockbot.history import codec, damage, texts
from lockbot.history.ledger import Transact
from lockbot.history.rows import Row
from lockbot.model import Comment, Move, News, PullRequest, PullRequestState, Text

KEEP_DAYS = 400
"""For so long it is known that a person closed one: its revisions are not proposed again."""
_LONGEST_BODY = 256 * 1024


class PullRequests:
    """`flake` is its key (`app.Place.flake`), storable already; made by `History.pull_requests`."""

    def __init__(self, flake: str, read: Transact, write: Transact, clock: Callable[[], datetime]) -> None:
        self._flake = flake
        self._read = read
        self._write = write
        self._clock = clock

    def all(self, base: str | None = None) -> tuple[PullRequest, ...]:
        """Every one that is remembered, the oldest first; with `base`, those that ask to move that branch."""
        query = "SELECT * FROM pull_requests WHERE flake = ? AND (? IS NULL OR base = ?) ORDER BY opened, id"
        key = None if base is None else texts.exact(base)
        return self._read(
            lambda connection: tuple(map(read, connection.execute(query, (self._flake, key, key)).fetchall()))
        )

    def save(self, request: PullRequest) -> None:
        """Keep it as it is now, in place of what was kept of it."""
        columns = _columns(self._flake, request)
        self._write(lambda connection: codec.insert(connection, "pull_requests", columns, replacing="id"))

    def forget(self, identity: str) -> None:
        """One of which nothing ever reached the forge."""
        key = texts.storable(identity)
        self._write(lambda connection: connection.execute("DELETE FROM pull_requests WHERE id = ?", (key,)))

    def prune(self) -> None:
        """Forget those that were over long ago, of every flake: of one that is gone nobody else would."""
        oldest = texts.moment(self._clock() - timedelta(days=KEEP_DAYS))
        active = (PullRequestState.PENDING, PullRequestState.OPEN)
        query = "DELETE FROM pull_requests WHERE changed < ? AND state NOT IN (?, ?)"
        self._write(lambda connection: connection.execute(query, (oldest, *active)))


@damage.reading("a pull request")
def read(row: Row) -> PullRequest:
    return PullRequest(
        id=row["id"],
        flake=row["flake"],
        base=row["base"],
        group=row["inputs"],
        branch=row["branch"],
        run=row["run"],
        commit=row["revision"],
        parent=row["parent"],
        opened=damage.moment(row["opened"]),
        changed=damage.moment(row["changed"]),
        state=codec.word(PullRequestState, row["state"]),
        pushed=row["pushed"],
        number=row["number"],
        url=row["url"],
        moves=tuple(Move(*one) for one in _lists(row["moves"], 3)),
        hosts=dict(json.loads(row["hosts"])),
        text=Text(row["title"], row["body"], _flag(row["draft"]), row["text_written"]),
        comment=Comment(
            tuple(News(damage.moment(moment), text) for moment, text in _lists(row["news"], 2)),
            row["comment"],
            row["comment_written"],
        ),
        filed=_flag(row["filed"]),
        left_alone=row["left_alone"],
        waits=row["waits"],
        merged_as=row["merged_as"],
        tidied=_flag(row["tidied"]),
    )


def _lists(text: str, length: int) -> list[list[str]]:
    found = json.loads(text)
    if not isinstance(found, list) or any(not isinstance(one, list) or len(one) != length for one in found):
        raise ValueError(f"{text[:80]!r} is no list of lists of {length}")
    return found


def _flag(value: object) -> bool:
    if value not in (0, 1):
        raise ValueError(f"{value!r} is neither yes nor no")
    return bool(value)


def _columns(flake: str, one: PullRequest) -> dict[str, codec.Value]:
    body = texts.storable(one.text.body)
    return {
        "id": texts.storable(one.id),
        "flake": flake,
        "base": texts.exact(one.base),
        "inputs": texts.exact(one.group),
        "branch": texts.exact(one.branch),
        "run": texts.storable(one.run),
        "revision": texts.storable(one.commit),
        "parent": texts.storable(one.parent),
        "opened": texts.moment(one.opened),
        "changed": texts.moment(one.changed),
        "state": one.state,
        "pushed": texts.optional(one.pushed),
        "number": texts.integer(one.number),
        "url": texts.optional(one.url),
        "moves": _json([[move.input, move.old, move.new] for move in one.moves]),
        "hosts": _json({texts.storable(host): status for host, status in sorted(one.hosts.items())}),
        "title": texts.storable(one.text.title),
        "body": body[:_LONGEST_BODY],
        "draft": one.text.draft,
        "text_written": one.text.written,
        "news": _json([[texts.moment(news.moment), texts.prose(news.text)] for news in one.comment.news]),
        "comment": texts.optional(one.comment.id),
        "comment_written": one.comment.written,
        "filed": one.filed,
        "left_alone": texts.prose(one.left_alone),
        "waits": texts.prose(one.waits),
        "merged_as": texts.optional(one.merged_as),
        "tidied": one.tidied,
    }


def _json(value: object) -> str:
    return texts.storable(json.dumps(value, ensure_ascii=False))
