"""One request to a dead man's switch, and more tries where they may help: bounded in time and size.

By the standard library's client, which the daemon has in memory anyway; requests would be another 7 MB and 100 ms.
It reads no ~/.netrc; the environment's proxies hold, as for requests. Redirects stay on the host that was named.
No message holds the URL, which is the secret, nor what the server says, which may repeat it.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.error import URLError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

import lockbot
from lockbot.notify.ping_requests import PingRequest
from lockbot.process import CancelToken, Deadline

_MOVED = frozenset({301, 302, 303, 307, 308})
_REDIRECTS = 3
_READ = 4096
"""Bytes of an answer; those that mean something are short."""
_TURN = 0.05
"""Seconds between two looks at whether lockbot was told to stop."""


@dataclass(frozen=True)
class Patience:
    """Seconds that one try may take, the pauses before each further one, and seconds for it all."""

    timeout: float = 8.0
    pauses: tuple[float, ...] = (1.0, 4.0)
    whole: float = 30.0


class NotTaken(Exception):
    """Why a ping did not count. `again`: it may in a moment; `after`: not sooner than in so many seconds."""

    def __init__(self, why: str, *, again: bool = False, after: float = 0.0) -> None:
        super().__init__(why)
        self.again = again
        self.after = after


def send(
    request: PingRequest, patience: Patience, pause: Callable[[float], bool], deadline: Deadline | None = None
) -> str | None:
    """Try until it is taken; why it was not, else. `pause` waits so many seconds, and says whether to give up."""
    deadline = deadline or Deadline(patience.whole, "a ping")
    for number, seconds in enumerate((*patience.pauses, None)):
        try:
            _once(request, min(patience.timeout, max(deadline.left, 0.1)))
            return None
        except NotTaken as refused:
            wait = max(seconds or 0.0, refused.after)
            if seconds is None or not refused.again or wait >= deadline.left or pause(wait):
                tries = f" ({number + 1} tries)" if number else ""
                return f"{refused}{tries}"
    raise AssertionError("the last try returns")


class Sending:
    """A ping on its way, in a thread of its own, which is left behind when time is up: a socket hears neither
    Ctrl-C nor a deadline while a server sends a byte a minute. `first` is what must have arrived before it."""

    def __init__(self, request: PingRequest, patience: Patience, first: Sending | None = None) -> None:
        self._request = request
        self._patience = patience
        self._first = first
        self._stopped = threading.Event()
        self._deadline = Deadline(patience.whole, "a ping")
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._work, name="ping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No further try."""
        self._stopped.set()

    def wait(self, cancel: CancelToken) -> str | None:
        """Why it did not arrive; None: it did. Gives up when time is up or lockbot is told to stop."""
        while self._thread.is_alive():
            if cancel.reason is not None:
                return f"{self._request.host}: not waited for any longer ({cancel.reason})"
            if self._deadline.left <= 0:
                return f"{self._request.host} does not answer"
            self._thread.join(_TURN)
        return self._problem

    def _work(self) -> None:
        if self._first is not None:
            self._first.stop()
            self._first._thread.join(self._patience.timeout)
        try:
            self._problem = send(self._request, self._patience, self._stopped.wait, self._deadline)
        except Exception as error:  # noqa: BLE001 -- the thread's boundary; its text may hold the URL
            self._problem = f"{self._request.host}: {type(error).__name__}"


# -- one try -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    status: int
    location: str
    retry_after: str
    body: bytes


def _once(request: PingRequest, timeout: float) -> None:
    """Raises NotTaken."""
    url = request.url
    for _ in range(_REDIRECTS + 1):
        answer = _exchange(url, request.body, timeout)
        if answer.status not in _MOVED:
            return _judge(request.host, answer)
        url = _followed(request.host, url, answer.location)
    raise NotTaken(f"{request.host} redirects again and again")


def _exchange(url: str, body: bytes | None, timeout: float) -> _Answer:
    host = urlsplit(url).hostname or ""
    try:
        with _opened(url, body, timeout) as got:
            headers = got.headers
            return _Answer(
                got.status, headers.get("Location", ""), headers.get("Retry-After", ""), got.read(_READ)
            )
    except (OSError, HTTPException, ValueError) as error:
        raise _trouble(host, error) from None


def _opened(url: str, body: bytes | None, timeout: float) -> HTTPResponse:
    parts = urlsplit(url)
    headers = {"User-Agent": f"lockbot/{lockbot.__version__}"}
    user, _, place = parts.netloc.rpartition("@")
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(user).encode()).decode()
    if body is not None:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    opener = OpenerDirector()  # with no handler for redirects, files or errors
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    bare = urlunsplit((parts.scheme, place, parts.path, parts.query, ""))
    found = opener.open(Request(bare, body, headers), timeout=timeout)  # noqa: S310  # http and https only
    if found is None:
        raise ValueError("no handler for this scheme")
    return cast(HTTPResponse, found)


def _followed(host: str, url: str, location: str) -> str:
    """Where a redirect leads, if that is the same host: by TLS from then on, or as before."""
    try:
        before, after = urlsplit(url), urlsplit(urljoin(url, location))
        same = before.hostname == after.hostname and (
            (after.scheme, after.port) == (before.scheme, before.port)
            or (before.scheme, after.scheme, after.port) == ("http", "https", None)
        )
    except ValueError:
        raise NotTaken(f"{host} redirects to something that is no address") from None
    if not location or not same:
        raise NotTaken(f"{host} redirects to another host, which is not followed: give the address it has now")
    user = before.netloc.rpartition("@")
    netloc = "".join((*user[:2], after.netloc.rpartition("@")[2]))
    return urlunsplit((after.scheme, netloc, after.path, after.query, ""))


_MEANINGS = {
    400: "takes the request for a wrong one (400): see whether the address is whole",
    401: "wants a user name and a password (401)",
    403: "refuses it (403)",
    404: "knows no such check (404): see whether the address is whole",
    405: "takes no such request (405): is `ping.style` right?",
    409: "has more than one check of that name (409): take the address with its UUID",
    410: "no longer knows such a check (410)",
}


def _judge(host: str, answer: _Answer) -> None:
    if 200 <= answer.status < 300:
        return _read(host, answer.body)
    if answer.status == 429:
        later = answer.retry_after if answer.retry_after.isascii() and answer.retry_after.isdigit() else "0"
        raise NotTaken(f"{host} was asked too often (429)", again=True, after=float(later))
    if answer.status >= 500:
        raise NotTaken(f"{host} is in trouble itself ({answer.status})", again=True)
    raise NotTaken(f"{host} {_MEANINGS.get(answer.status, f'answers {answer.status}')}")


def _read(host: str, body: bytes) -> None:
    """What a success says may be that it is none: `OK (not found)`, `{"ok": false}`."""
    if body.startswith(b"OK (not found)"):
        raise NotTaken(f"{host} knows no such check: see whether the address is whole")
    if body.startswith(b"OK (rate limited)"):
        raise NotTaken(f"{host} was asked too often", again=True)
    if body.lstrip().startswith(b"{"):
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return
        if isinstance(said, dict) and said.get("ok") is False:
            raise NotTaken(f"{host} says that it was not taken")


def _trouble(host: str, error: Exception) -> NotTaken:
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    match cause:
        case ssl.SSLCertVerificationError():
            return NotTaken(f"{host} has no certificate that can be trusted: {cause.verify_message}")
        case ssl.SSLError():
            return NotTaken(f"{host} does not speak TLS as it should")
        case TimeoutError():
            return NotTaken(f"{host} does not answer", again=True)
        case OSError() if cause.strerror:
            return NotTaken(f"{host} can't be reached: {cause.strerror}", again=True)
        case OSError():
            return NotTaken(f"{host} can't be reached: the connection was refused or closed", again=True)
        case _:
            return NotTaken(f"{host} can't be asked: no valid request, or no valid answer")
