"""Whether pull requests will work, before the first night: by which way, and what of the rights is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lockbot.app import App, Place
from lockbot.commands.pull_requests.publishing import publisher, site_of
from lockbot.errors import LockbotError
from lockbot.forge.requests.interface import Right
from lockbot.forge.responses import NoResponse
from lockbot.git.clone import Clone
from lockbot.git.push import try_push
from lockbot.git.sync import Base
from lockbot.history.store import History
from lockbot.model import Landing
from lockbot.pull_requests.branches import destination
from lockbot.pull_requests.settings import Way
from lockbot.pull_requests.site import Site


@dataclass(frozen=True)
class Found:
    """`given` None: it can't be known beforehand."""

    given: bool | None
    text: str
    advice: str = ""


_WAYS = {
    Way.API: "they are opened by {host}'s API",
    Way.PUSH_OPTIONS: "without a token for {host}, they are opened by pushing; how they stand is hardly known",
    Way.AGIT: "without a token for {host}, they are opened by pushing to refs/for; none is ever closed",
    Way.BRANCH: "a branch is pushed, and you open them yourself",
}
_PAGE = "see docs/forges.md"
_HOW = 'give lockbot a token: [forge."HOST"] token (docs/forges.md)'


def rights(app: App, place: Place, clone: Clone, base: Base) -> Iterator[Found]:
    """Raises LockbotError where nothing can be known at all. Changes nothing."""
    way, site = site_of(app, place)
    host = site.place.host if site is not None else ""
    yield Found(True if way is Way.API else None, _WAYS[way].format(host=host), _HOW)
    with app.history() as history:
        yield _base(app, place, clone, base, history)
    yield _push(app, place, clone, base)
    if site is not None:
        yield from _forge(site, base)
    if app.settings.publish.merge is Landing.WHEN_CHECKS_PASS and (site is None or not site.writes):
        yield Found(False, "publish.merge = when-checks-pass: nobody can be asked for checks", _HOW)


def _base(app: App, place: Place, clone: Clone, base: Base, history: History) -> Found:
    refusal = publisher(app, place, clone, history).refusal(base)
    if refusal is not None:
        return Found(False, refusal.message, refusal.hint)
    return Found(True, f"{base.branch} is where its remote has it")


def _push(app: App, place: Place, clone: Clone, base: Base) -> Found:
    remote, _ = destination(clone, place.source, base)
    branch = f"{app.settings.publish.branches}check"
    try:
        try_push(clone, remote, branch, base.commit)
    except LockbotError as error:
        clone.cancel.check()
        return Found(False, f"git can't push to {remote.shown_for_push}: {error.message}", error.hint)
    return Found(True, f"git gets in to push to {remote.shown_for_push}")


def _forge(site: Site, base: Base) -> Iterator[Found]:
    host = site.place.host
    try:
        repository = site.repository
    except NoResponse as error:
        # Without a token only public ones are seen, and nothing depends on it.
        yield Found(False if site.writes else None, f"can't read the repository: {error.message}", _HOW)
        return
    finally:
        notes = tuple(site.notes)
    yield from (Found(None, note, "") for note in notes)
    yield Found(True, f"{host} lets the repository {'/'.join(repository.path)} be read")
    if not site.writes:
        return
    for right in site.forge.rights(site.api, repository.path, repository):
        yield _right(right, host)
        if right.note:
            yield Found(None, right.note, _PAGE)
    try:
        site.forge.checks(site.api, repository.path, base.branch, base.commit)
    except NoResponse as error:
        yield Found(
            None, f"checks can't be read: {error.message}", "only publish.merge = when-checks-pass needs them"
        )


def _right(right: Right, host: str) -> Found:
    match right.given:
        case True:
            return Found(True, f"the token can {right.what}")
        case False:
            return Found(False, f"the token can't {right.what} at {host}: it lacks {right.lacks}", _PAGE)
        case None:
            needs = f": it needs {right.lacks}" if right.lacks else ""
            return Found(None, f"nobody says beforehand whether the token can {right.what}{needs}", _PAGE)
