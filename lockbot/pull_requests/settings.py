"""What is wanted of pull requests, and by which way they come to be: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lockbot.forge.place import Account, Kind, Place
from lockbot.forge.pull_requests.interface import Limits, People
from lockbot.model import HostStatus, Landing


class Way(StrEnum):
    """How a request comes to be."""

    API = "api"
    """By the forge's API, with a token."""
    PUSH_OPTIONS = "push options"
    """By a push to GitLab that says so."""
    AGIT = "agit"
    """By a push to Forgejo's or Gitea's `refs/for/BRANCH`."""
    BRANCH = "branch"
    """A person opens it: the branch is pushed, and where to open it is told."""


def way_of(place: Place | None, account: Account) -> Way:
    """`place` None: on no forge that is known."""
    if place is None:
        return Way.BRANCH
    if account.token is not None:
        return Way.API
    return {Kind.GITLAB: Way.PUSH_OPTIONS, Kind.FORGEJO: Way.AGIT, Kind.GITHUB: Way.BRANCH}[place.kind]


USUAL_LIMITS = Limits(title=200, body=60_000, comment=60_000)
"""Where it is not known what the forge takes."""


PUSHED = 40_000
"""Bytes of a text that a push hands on: its lines' ends take two there, and an option has an end
(`push_options.LONGEST`)."""


@dataclass(frozen=True)
class RequestSettings:
    """What the configuration says about them. `committer`: the mail address of who makes lockbot's commits."""

    landing: Landing
    committer: str
    people: People = field(default_factory=People)
    auto_merge: bool = False
    draft: bool = True
    prefix: str = "lockbot/"

    def holds(self, hosts: Mapping[str, str]) -> bool:
        """Whether a request waits for people because of how hosts fared (`hosts`: name → HostStatus). One that was
        broken before is none of the update's."""
        return self.draft and any(status in HELD for status in hosts.values())


HELD = frozenset({HostStatus.FAILED, HostStatus.NEW_AND_BROKEN, HostStatus.UNJUDGED})
