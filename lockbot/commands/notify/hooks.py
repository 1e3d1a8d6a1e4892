"""Which hooks are run, and in what: those of a run's end, and of an alarm, which is a condition that has begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lockbot.app import App
from lockbot.config import Settings
from lockbot.model import Notice, NoticeKind
from lockbot.notify.hooks import Surroundings, run_hooks
from lockbot.notify.kinds import Hook, HookEvent
from lockbot.report.document import Document
from lockbot.surroundings import STARTED_BY_HOOK

ALARMING = frozenset({NoticeKind.BROKE, NoticeKind.HELD, NoticeKind.SILENT, NoticeKind.FAILED})


def hooks_of(settings: Settings) -> tuple[Hook, ...]:
    return tuple(hook.hook() for hook in settings.hook)


def run_those_of(app: App, hooks: Sequence[Hook], event: HookEvent, document: Document) -> tuple[str, ...]:
    """Run those of one event; what is wrong with them, as sentences.

    A lockbot that a hook has started runs none: they would start each other for ever.
    """
    if STARTED_BY_HOOK in app.environ:
        return ()
    where = Surroundings(app.environ, app.cancel, app.settings.state.directory, app.progress, app.confinement)
    return run_hooks(hooks, event, document, where)


def run_those_of_alarms(app: App, news: Sequence[Notice]) -> tuple[str, ...]:
    """The same for what has just begun; none, where all that is new is good."""
    begun = [one for one in news if one.kind in ALARMING]
    hooks = hooks_of(app.settings)
    return run_those_of(app, hooks, HookEvent.ALARM, {**alarm_document(begun)}) if begun else ()


def alarm_document(begun: Iterable[Notice]) -> dict[str, list[Document]]:
    """What hooks get of an alarm, beside the event."""
    return {"notices": [notice_document(one) for one in begun]}


def notice_document(notice: Notice) -> Document:
    return {
        "kind": notice.kind,
        "title": notice.title,
        "body": notice.body,
        "inputs": list(notice.inputs),
        "hosts": list(notice.hosts),
        "run": notice.run,
    }
