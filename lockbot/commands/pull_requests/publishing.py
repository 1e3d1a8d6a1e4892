"""From the settings to what publishes by pull requests, and by which way that goes."""

from __future__ import annotations

from lockbot.app import App, Place
from lockbot.config.sections import Mode
from lockbot.errors import UsageError
from lockbot.forge import place as places
from lockbot.forge.clients import Clients
from lockbot.forge.http import Patience
from lockbot.forge.place import Account
from lockbot.forge.pull_requests.forges import REQUESTS_AT
from lockbot.forge.pull_requests.interface import People
from lockbot.git.clone import Clone
from lockbot.git.source import remote_of
from lockbot.history.store import History
from lockbot.pull_requests.publisher import Publisher
from lockbot.pull_requests.settings import RequestSettings, Way, way_of
from lockbot.pull_requests.site import Site
from lockbot.redact import redact_url

_PATIENCE = Patience(timeout=30.0)


def wanted(app: App) -> bool:
    return app.settings.publish.mode is Mode.REQUEST


def publisher(app: App, place: Place, clone: Clone, history: History) -> Publisher:
    """Raises UsageError where the settings contradict each other."""
    way, site = site_of(app, place)
    return Publisher(clone, place.source, history, place.flake, request_settings(app), way, site, app.clock)


def request_settings(app: App) -> RequestSettings:
    publish, commit = app.settings.publish, app.settings.commit
    return RequestSettings(
        landing=publish.merge,
        committer=(commit.committer or commit.author).email,
        people=People(publish.labels, publish.reviewers, publish.assignees),
        auto_merge=publish.auto_merge,
        draft=publish.draft,
        prefix=publish.branches,
    )


def site_of(app: App, place: Place) -> tuple[Way, Site | None]:
    """Where on which forge the repository is, and by which way requests come to be there."""
    accounts = {host: account.account() for host, account in app.settings.forge.items()}
    address = _address(app, place)
    found = places.place_of_git(address, accounts) if address is not None else None
    if found is None and app.settings.publish.repository is not None:
        shown = redact_url(app.settings.publish.repository)
        raise UsageError(
            f"publish.repository ({shown}) is on no forge that is known",
            'say which runs there: [forge."HOST"] kind = "github", "gitlab" or "forgejo"',
        )
    account = accounts.get(found.host, Account()) if found is not None else Account()
    way = way_of(found, account)
    if found is None:
        return way, None
    _, api = Clients(accounts, app.cancel, app.clock, _PATIENCE).of(found, "repository or pull request")
    return way, Site(found, REQUESTS_AT[found.kind], api, request_settings(app), account.token is not None)


def _address(app: App, place: Place) -> str | None:
    if app.settings.publish.repository is not None:
        return app.settings.publish.repository
    if place.repository is None:
        return place.identity
    return remote_of(place.repository).url if place.repository.remote is not None else None
