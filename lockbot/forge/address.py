"""A pull request by the address of its page, as a person copies it. Pure; it must not ask anybody.

GitLab's merge requests are called pull requests here, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from lockbot.errors import UsageError
from lockbot.forge.place import HOST, Account, Kind, Place, place_at
from lockbot.nix.forges import KIND_AT
from lockbot.report.escape import plain

LONGEST = 1000
_SHOWN = 200
_PAGE: Mapping[Kind, tuple[str, ...]] = {
    Kind.GITHUB: ("pull",),
    Kind.GITLAB: ("-", "merge_requests"),
    Kind.FORGEJO: ("pulls",),
}
"""What stands between a repository and the number."""
_OLDER: Mapping[Kind, tuple[str, ...]] = {**_PAGE, Kind.GITLAB: ("merge_requests",)}
"""The same in addresses of before, which lead there still."""
_USUAL = {"https": ":443", "http": ":80"}
_ELSE = {
    "issues": "an issue, which nobody merges",
    "work_items": "an issue, which nobody merges",
    "commit": "a commit: to wait for one there is --until-in BRANCH COMMIT",
    "commits": "a commit: to wait for one there is --until-in BRANCH COMMIT",
}
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_FORM = "write the address of its page: https://github.com/OWNER/NAME/pull/123"


@dataclass(frozen=True)
class PullRequestAddress:
    """One pull request; `url` is its page, without what may have stood behind that."""

    place: Place
    number: int
    url: str

    @classmethod
    def parse(cls, address: str, accounts: Mapping[str, Account]) -> PullRequestAddress:
        """Raises UsageError with what is wrong. `accounts` is what the configuration says, by host."""
        scheme, host, parts = _split(address)
        for length in range(2, len(parts)):
            place = place_at(host, parts[:length], accounts)
            if place is None:
                continue
            pages = (_PAGE[place.kind], _OLDER[place.kind])
            if (number := next(filter(None, (_number(parts[length:], page) for page in pages)), None)) is not None:
                page = "/".join(quote(part, safe="~") for part in (*place.path, *_PAGE[place.kind]))
                return cls(place, number, f"{scheme}://{place.host}/{page}/{number}")
        raise _refusal(address, host, parts, accounts)


def _split(address: str) -> tuple[str, str, tuple[str, ...]]:
    try:
        parts = urlsplit(address) if len(address) <= LONGEST else None
        port = f":{parts.port}" if parts is not None and parts.port is not None else ""
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("https", "http") or not re.fullmatch("[!-~]+", address):
        raise UsageError(f"not the address of a pull request: {plain(address, _SHOWN)}", _FORM)
    if "@" in parts.netloc:
        raise UsageError(
            "the address of a pull request has no user name or password in it",
            "leave them out; a token belongs into [forge.HOST] of the configuration",
        )
    # A known forge's pages are at `www.`, too, and lead to where they belong; its API is not.
    name = (parts.hostname or "").removeprefix("www.")
    host = (name if name in KIND_AT else parts.hostname or "") + (port if port != _USUAL[parts.scheme] else "")
    if not HOST.fullmatch(host):
        raise UsageError(f"not the address of a pull request: {plain(address, _SHOWN)}", _FORM)
    return parts.scheme, host, tuple(unquote(part) for part in parts.path.strip("/").split("/"))


def _number(rest: tuple[str, ...], page: tuple[str, ...]) -> int | None:
    """The number in `pull/123/files`."""
    if rest[: len(page)] != page or len(rest) == len(page):
        return None
    number = rest[len(page)]
    return int(number) if _NUMBER.fullmatch(number) else None


def _refusal(address: str, host: str, parts: tuple[str, ...], accounts: Mapping[str, Account]) -> UsageError:
    if place_at(host, ("owner", "name"), accounts) is None:
        return UsageError(
            f"which forge runs at {host} is not known",
            f'say so in the configuration: [forge."{host}"] kind = "github", "gitlab" or "forgejo"',
        )
    for part in parts[2:]:
        if part in _ELSE:
            return UsageError(f"{plain(address, _SHOWN)} is {_ELSE[part]}", _FORM)
    return UsageError(f"not the address of a pull request: {plain(address, _SHOWN)}", _FORM)
