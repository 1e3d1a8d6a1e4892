"""Whether pull requests will work, before the first night: by which way, and what of the rights is missing.

It must not change anything at a forge; which requests do not, each forge's own module knows (`rights`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from lockbot.app import App, Place
from lockbot.commands.pull_requests.publishing import publisher, site_of
from lockbot.errors import LockbotError
from lockbot.forge.pull_requests.interface import PUSH, Right
from lockbot.forge.responses import NoResponse, NoRight, NotThere, Refused
from lockbot.git.clone import Clone
from lockbot.git.push import try_push
from lockbot.git.source import Remote
from lockbot.git.sync import Base, heads
from lockbot.history.store import History
from lockbot.model import Landing
from lockbot.pull_requests.branches import destination
from lockbot.pull_requests.settings import Way
from lockbot.pull_requests.site import Site
from lockbot.report.escape import plain


@dataclass(frozen=True)
class Found:
    """`given` None: it can't be known beforehand, or only part of it will work. `advice`: what to do then."""

    given: bool | None
    text: str
    advice: str = ""


def rights(app: App, place: Place, clone: Clone, base: Base) -> Iterator[Found]:
    """Raises LockbotError where nothing can be known at all. Changes nothing."""
    way, site = site_of(app, place)
    with app.history() as history:
        yield _base(app, place, clone, base, history)
    if base.remote is None:
        return
    yield _way(way, site)
    remote, _ = destination(clone, place.source, base)
    by_token = site is not None and _signs_in(app, site, remote)
    yield _push(app, clone, base, remote, site, by_token=by_token)
    if way is not Way.AGIT:
        yield from _in_the_way(app, clone, remote)
    readable = site is None or (yield from _forge(site, by_token=by_token))
    if app.settings.publish.merge is Landing.WHEN_CHECKS_PASS and (readable or way is not Way.API):
        yield _checks(app, way, site, base)
    if app.settings.publish.auto_merge and readable and site is not None and not site.repository.auto_merge:
        yield Found(
            False,
            f"publish.auto_merge: {'/'.join(site.repository.path)} does not let pull requests merge by themselves",
            f"turn that on in its settings at {site.place.host}, or publish.auto_merge off (docs/forges.md)",
        )


# -- what is pushed ----------------------------------------------------------------------------------------------


def _base(app: App, place: Place, clone: Clone, base: Base, history: History) -> Found:
    refusal = publisher(app, place, clone, history).refusal(base)
    if refusal is not None:
        return Found(False, refusal.message, refusal.hint)
    return Found(True, f"{base.branch} is where its remote has it")


def _signs_in(app: App, site: Site, remote: Remote) -> bool:
    """Whether git signs in at the remote with the forge's token."""
    pair = app.settings.forge[site.place.host].account().for_git(site.place.host) if site.writes else None
    return pair is not None and remote.url.startswith(pair[0].removeprefix("http.").removesuffix(".extraHeader"))


def _push(app: App, clone: Clone, base: Base, remote: Remote, site: Site | None, *, by_token: bool) -> Found:
    branch = f"{app.settings.publish.branches}check"
    try:
        try_push(clone, remote, branch, base.commit)
    except LockbotError as error:
        clone.cancel.check()
        text = f"git can't push to {remote.shown_for_push}: {error.message}"
        return Found(False, text, _key(app, site, remote, by_token=by_token) or error.hint)
    return Found(True, f"git gets in to push to {remote.shown_for_push}")


def _key(app: App, site: Site | None, remote: Remote, *, by_token: bool) -> str:
    """Which key git wants, as far as that has to do with the token; empty: it has not."""
    if site is None or not remote.url.startswith(("http://", "https://")):
        return ""
    if by_token:
        return f"git signs in with the token, and that is refused; {_token(site)}"
    table, account = f'[forge."{site.place.host}"]', app.settings.forge.get(site.place.host)
    if site.writes:
        return f"set git = true in {table}: git takes the token then; or give git a credential helper"
    if account is not None and account.git:
        return f"git = true in {table} gives git the token, and there is none; {_token(site)}"
    return ""


def _in_the_way(app: App, clone: Clone, remote: Remote) -> Iterator[Found]:
    """Where a branch is called `a`, git can have none that is called `a/b`."""
    prefix = app.settings.publish.branches
    above = [prefix[:at] for at, letter in enumerate(prefix) if letter == "/"]
    there = heads(clone, remote, "refs/heads/*") if above else {}
    for branch in above:
        if f"refs/heads/{branch}" in there:
            text = f"the branch {plain(branch, 60)} is in the way of any that begins with {plain(prefix, 60)}"
            yield Found(False, text, "rename that branch, or set another publish.branches")


# -- by which way ------------------------------------------------------------------------------------------------


def _way(way: Way, site: Site | None) -> Found:
    if site is None:
        return Found(
            None,
            "the remote is on no forge that is known: a branch is pushed, and you open requests yourself",
            'say which forge runs there: [forge."HOST"] kind, and publish.repository where the address does not'
            " tell (docs/forges.md)",
        )
    host, without = site.place.host, f"without a token for {site.place.host}"
    match way:
        case Way.API:
            return Found(True, f"requests are opened by {host}'s API")
        case Way.PUSH_OPTIONS:
            text = f"{without}, requests are opened by pushing, and how they stand is hardly known"
        case Way.AGIT:
            text = f"{without}, requests are opened by pushing to refs/for, and none is ever closed"
        case Way.BRANCH:
            text = f"{without}, a branch is pushed, and you open requests yourself"
    return Found(None, text, _token(site))


def _token(site: Site) -> str:
    return f'give lockbot a token with {site.forge.needs}: [forge."{site.place.host}"] token (docs/forges.md)'


# -- what the forge says -----------------------------------------------------------------------------------------


def _forge(site: Site, *, by_token: bool) -> Generator[Found, None, bool]:
    """Whether it lets the repository be read."""
    try:
        repository = site.repository
    except NoResponse as error:
        yield from _notes(site)
        yield _unreadable(site, error)
        return False
    yield from _notes(site)
    yield Found(True, f"{site.place.host} lets the repository {'/'.join(repository.path)} be read")
    # Where git has another key, it is that which pushes.
    told = site.forge.rights(site.api, repository.path, repository) if site.writes else ()
    yield from (_right(right, site) for right in told if by_token or right.what != PUSH)
    return True


def _notes(site: Site) -> Iterator[Found]:
    yield from (Found(None, note) for note in site.notes)
    site.notes.clear()


def _unreadable(site: Site, error: NoResponse) -> Found:
    host, path = site.place.host, "/".join(site.place.path)
    # Without a token only public ones are seen, and nothing depends on it.
    given = False if site.writes else None
    match error:
        case NoRight():
            return Found(given, f"can't read the repository {path}: {error.message}", _token(site))
        case NotThere():
            whom = "to this token" if site.writes else "without a token"
            text = f"{host} has no repository {path}, or does not show it {whom}"
            return Found(given, text, f"is that its name (publish.repository)? Else {_token(site)}")
        case Refused():
            return Found(
                False, f"{error.message}: nothing can be pushed there", "have it opened again at its forge"
            )
        case _:
            where = f'is {site.api.base} where its API begins ([forge."{host}"] url)? Else try again later'
            return Found(given, f"can't read the repository {path}: {error.message}", where)


def _right(right: Right, site: Site) -> Found:
    wanting = f", for want of {right.lacks}" if right.lacks else ""
    match right.given:
        case _ if right.said:
            return Found(right.given, right.said, f"make another in time, and {_token(site)}")
        case True:
            return Found(True, f"the token can {right.what}")
        case False:
            return Found(False, f"the token can't {right.what} at {site.place.host}{wanting}", _token(site))
        case None:
            needs = f": it needs {right.lacks}" if right.lacks else ""
            return Found(None, f"nobody says beforehand whether the token can {right.what}{needs}", _token(site))


def _checks(app: App, way: Way, site: Site | None, base: Base) -> Found:
    """For `publish.merge = when-checks-pass`."""
    wish = "publish.merge = when-checks-pass"
    if site is None:
        return Found(
            False, f"{wish}: there is no forge to ask for checks", "set publish.merge to people or at-once"
        )
    if way is Way.PUSH_OPTIONS and app.settings.publish.auto_merge:
        return Found(None, f"{wish}: {site.place.host} merges them itself then, perhaps as other commits")
    if not site.writes:
        return Found(False, f"{wish}: without a token nobody is told how checks stand", _token(site))
    try:
        site.forge.checks(site.api, site.repository.path, base.branch, base.commit)
    except NoResponse as error:
        advice = f"the token needs {site.forge.needs_for_checks}, too"
        return Found(False, f"{wish}: checks can't be read: {error.message}", advice)
    return Found(True, f"{site.place.host} tells how checks stand")
