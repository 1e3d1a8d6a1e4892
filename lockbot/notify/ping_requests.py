"""What a dead man's switch is asked, in each service's own way. Pure.

https://healthchecks.io/docs/http_api/ and Uptime Kuma's `/api/push/TOKEN`. The URL is a secret (whoever knows it
may ping): no value here shows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

from lockbot.notify.kinds import PingStyle

LONGEST_PING = 24 * 3600.0
"""Seconds; Uptime Kuma refuses to hear of more."""


class Signal(StrEnum):
    START = "start"
    SUCCESS = "success"
    FAILURE = "fail"


@dataclass(frozen=True)
class Target:
    """Whom to ask."""

    url: str = field(repr=False)
    style: PingStyle = PingStyle.HEALTHCHECKS

    @property
    def host(self) -> str:
        """All that may be told of it."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class Heartbeat:
    """A target, and every how many seconds it is told that all is well."""

    target: Target
    every: float


@dataclass(frozen=True)
class Told:
    """What is known of a run: `line` in short, `text` in full (as it is sent), how long it took, and a UUID by
    which its beginning and its end belong together."""

    line: str = ""
    text: bytes = b""
    seconds: float | None = None
    rid: str | None = None


@dataclass(frozen=True)
class PingRequest:
    """`body` None: it is a GET."""

    url: str = field(repr=False)
    body: bytes | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


def check(url: str) -> None:
    """Raises ValueError, which does not repeat it, for what can't be asked."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError:
        raise ValueError("is not a URL that can be understood") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be https://HOST/…, as the service shows it")
    if not re.fullmatch("[!-~]+", url):
        raise ValueError("must hold neither a space nor a letter outside of ASCII (write %20)")


def request(target: Target, signal: Signal, told: Told = Told()) -> PingRequest | None:  # it is frozen
    """None: the service has no such signal."""
    match target.style:
        case PingStyle.HEALTHCHECKS:
            return _healthchecks(target.url, signal, told)
        case PingStyle.UPTIME_KUMA:
            return _uptime_kuma(target.url, signal, told)
        case _:
            assert_never(target.style)


def _healthchecks(url: str, signal: Signal, told: Told) -> PingRequest:
    """Always a POST: a check can be set to hear nothing else, so that no preview of a link pings it."""
    path = "" if signal is Signal.SUCCESS else f"/{signal}"
    return PingRequest(_extended(url, path, {"rid": told.rid} if told.rid else {}), told.text)


def _uptime_kuma(url: str, signal: Signal, told: Told) -> PingRequest | None:
    """Always a GET: before version 2 it hears nothing else."""
    if signal is Signal.START:
        return None
    values = {"status": "up" if signal is Signal.SUCCESS else "down", "msg": told.line or "OK", "ping": ""}
    if told.seconds is not None and 0 <= told.seconds <= LONGEST_PING:
        values["ping"] = str(round(told.seconds * 1000))
    return PingRequest(_extended(url, "", values))


def _extended(url: str, path: str, values: dict[str, str]) -> str:
    """The URL with more of a path, and with these values in place of any of the same names. The rest of its query
    stays as it was written."""
    parts = urlsplit(url)
    kept = [pair for pair in parts.query.split("&") if pair and _name(pair) not in values]
    added = [f"{name}={quote(value, safe='')}" for name, value in values.items()]
    whole = parts.path.rstrip("/") + path if path else parts.path
    return urlunsplit((parts.scheme, parts.netloc, whole, "&".join([*kept, *added]), ""))


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
