"""What stood and what stands → what is told, and to whom. Pure.

A condition is told when it begins and when it ends, and never in between. Who is new is told of all that stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from lockbot.history.notices.rows import storable
from lockbot.history.notices.values import Decision, Known, Letter, Looked, key
from lockbot.history.texts import storable as storable_text
from lockbot.model import Condition, Notice, NoticeKind
from lockbot.report import words
from lockbot.schedule import Timetable


@dataclass(frozen=True)
class Target:
    """Somebody who is told. `url` is a secret, None where it is not known here; `digest`: when what was collected
    is sent, None: at once."""

    name: str
    url: str | None = field(repr=False)
    events: frozenset[NoticeKind] = frozenset(NoticeKind)
    inputs: tuple[str, ...] = ("*",)
    hosts: tuple[str, ...] = ("*",)
    digest: Timetable | None = None

    def wants(self, notice: Notice) -> bool:
        """That something is over is for who heard of it."""
        asked = notice.kind in self.events and (notice.over is None or notice.over in self.events)
        return asked and _match(notice.inputs, self.inputs) and _match(notice.hosts, self.hosts)

    def due(self, now: datetime) -> datetime:
        return self.digest.next(now) if self.digest is not None else now


def _match(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return not names or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


Ending = Callable[[Condition], str | None]
"""How something that stood has ended, in a sentence; None: that is not known."""


@dataclass(frozen=True)
class Changes:
    """What stands now, since when; and what of that is news."""

    stands: tuple[Condition, ...]
    news: tuple[Notice, ...]


def compare(known: Known, standing: Iterable[Condition], ending: Ending, now: datetime) -> Changes:
    """What changed since it was told last."""
    stands: list[Condition] = []
    news: list[Notice] = []
    found = {key(one): one for one in map(storable, standing)}
    for name, one in found.items():
        before = known.conditions.get(name)
        stands.append(replace(one, since=before.since if before is not None else one.since or now))
        if before is None:
            news.append(begun(one))
    for name, one in known.conditions.items():
        if name in found:
            continue
        over = ending(one)
        if over is None:
            stands.append(one)
        else:
            news.append(_ended(one, over, now))
    return Changes(tuple(stands), tuple(news))


def begun(one: Condition) -> Notice:
    return Notice(one.kind, one.title, one.body, one.inputs, one.hosts, one.run)


def _ended(one: Condition, over: str, now: datetime) -> Notice:
    since = f"It was so for {words.age((now - one.since).total_seconds())}: " if one.since is not None else ""
    return Notice(NoticeKind.RECOVERED, over, since + one.title, one.inputs, one.hosts, over=one.kind)


_AFTER = timedelta(microseconds=1)
"""What parts the messages of one look, so that they are sent as they are told."""


def decide(
    known: Known,
    changes: Changes,
    published: Sequence[Notice],
    targets: Sequence[Target],
    looked: Looked,
    new_id: Callable[[], str],
    requests: Mapping[str, NoticeKind],
) -> Decision:
    """What is kept of a look, with a letter for each target that wants to hear of something. `published`: what has
    happened; `requests`: what was told of each pull request, after it."""
    letters = [
        Letter(new_id(), target.name, notice, looked.moment + _AFTER * place, target.due(looked.moment))
        for target in targets
        for place, notice in enumerate(together(filter(target.wants, _for(known, changes, published, target))))
    ]
    dues = {target.name: target.due(looked.moment) for target in targets}
    return Decision(changes.stands, looked, tuple(letters), dues, requests)


def _for(known: Known, changes: Changes, published: Sequence[Notice], target: Target) -> Iterable[Notice]:
    if storable_text(target.name) in known.targets:
        return (*changes.news, *published)
    return map(begun, changes.stands)


def together(notices: Iterable[Notice]) -> Iterator[Notice]:
    """Those of one kind as one: twenty hosts that a night breaks are no twenty messages."""
    groups: dict[tuple[NoticeKind, NoticeKind | None], list[Notice]] = {}
    for one in notices:
        groups.setdefault((one.kind, one.over), []).append(one)
    for found in groups.values():
        yield found[0] if len(found) == 1 else _joined(found)


def _joined(notices: Sequence[Notice]) -> Notice:
    first = notices[0]
    return Notice(
        first.kind,
        f"{first.title}, and {len(notices) - 1} more",
        "\n\n".join("\n".join(filter(None, [one.title, one.body])) for one in notices),
        tuple(dict.fromkeys(name for one in notices for name in one.inputs)),
        tuple(dict.fromkeys(name for one in notices for name in one.hosts)),
        first.run,
        first.over,
    )
