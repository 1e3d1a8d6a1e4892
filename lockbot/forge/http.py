"""Asking one host over HTTP: JSON, bounded in time and size; its limits are respected, its token stays with it.

It must not know what is asked, nor which forge it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Thread
from urllib.parse import urljoin, urlsplit

import requests

import lockbot
from lockbot.forge.responses import (
    ApiResponse,
    NoResponse,
    NoRight,
    NotThere,
    Refused,
    Renamed,
    Uncertain,
    words,
)
from lockbot.process import CancelToken, Deadline
from lockbot.report.escape import plain

_TURN = 0.1
"""Seconds between two looks at whether the run was cancelled."""
_LONGEST_WAIT = timedelta(days=1)
_REDIRECTS = 3
_MOVED = frozenset({301, 302, 307, 308})
_DONE = frozenset({200, 201, 202, 204})
_NOT_THERE = frozenset({400, 404, 410, 422})
"""Also where a forge takes the name of what is not there for a bad request, as GitLab does."""


@dataclass(frozen=True)
class Patience:
    """Seconds that one request may take, how often it is tried where trying again may help, the wait before that
    (which doubles), and how many bytes are read."""

    timeout: float = 30.0
    tries: int = 3
    delay: float = 1.0
    size: int = 8 * 1024 * 1024
    between: float | None = None
    """Seconds between two requests that change something; None: as many as the forge asks for."""


class Pace:
    """When one host was asked last to change something, and how many seconds are to be between."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = float("-inf")

    def keep(self, cancel: CancelToken) -> None:
        """Wait until it may be asked again."""
        left = self._last + self._seconds - time.monotonic()
        if left > 0:
            cancel.sleep(left)
        self._last = time.monotonic()


@dataclass(frozen=True)
class Response:
    """What came back; `body` is empty unless it succeeded, or something was to be changed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    next: str | None


class _TryAgain(NoResponse):
    """What may be gone in a second."""


class Client:
    """One host's API, from `base` on. `headers` go with every request, and to no other host. `what` it is asked
    about, for who reads that there is none."""

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str],
        cancel: CancelToken,
        clock: Callable[[], datetime],
        patience: Patience,
        what: str,
        pace: Pace | None = None,
    ) -> None:
        self.base = base.rstrip("/")
        self._headers = dict(headers)
        self._cancel = cancel
        self._clock = clock
        self._patience = patience
        self._what = what
        self._pace = pace or Pace(patience.between or 0.0)
        self.host = urlsplit(base).netloc

    def __call__(self, path: str) -> ApiResponse:
        """Raises NoResponse, Cancelled, and DeadlineExceeded for the whole run's."""
        url = path if "://" in path else self.base + path
        for _ in range(_REDIRECTS + 1):
            response = self._patiently(url)
            if response.status not in _MOVED:
                return self._answer(response)
            # As GitHub does where a repository was renamed.
            url = urljoin(url, response.headers.get("Location", ""))
        raise NoResponse(f"{self.host} redirects again and again", everywhere=False)

    def send(self, method: str, path: str, document: object = None) -> ApiResponse:
        """Change something, once: whoever asks finds out whether it was done where no answer came (Uncertain).

        Raises Refused (its words say why), Renamed, NoRight, NotThere, NoResponse, Cancelled, DeadlineExceeded.
        """
        url = path if "://" in path else self.base + path
        if _origin(url) != _origin(self.base):
            raise NoResponse(f"{self.host} points to another host, which is not asked", everywhere=False)
        self._pace.keep(self._cancel)
        try:
            response = self._once(url, method, document)
        except NoResponse as error:
            raise Uncertain(error.message) from None
        if response.status in _MOVED:
            where = urljoin(url, response.headers.get("Location", ""))
            raise Renamed(f"{self.host} says that the repository has moved: {plain(where, 200)}", where)
        return self._answer_to_change(response)

    def _patiently(self, url: str) -> Response:
        if _origin(url) != _origin(self.base):
            raise NoResponse(f"{self.host} points to another host, which is not asked", everywhere=False)
        for tried in range(self._patience.tries):
            try:
                return self._once(url)
            except _TryAgain:
                if tried + 1 == self._patience.tries:
                    raise
                self._cancel.sleep(self._patience.delay * 2**tried)
        raise AssertionError("a request is tried at least once")

    def _once(self, url: str, method: str = "GET", document: object = None) -> Response:
        """In a thread of its own, which is left behind when time is up: a socket hears neither Ctrl-C nor a
        deadline while a server sends a byte a minute."""
        future: Future[Response] = Future()
        deadline = Deadline(self._patience.timeout, f"a request to {self.host}")

        def work() -> None:
            try:
                future.set_result(self._request(url, deadline, method, document))
            except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
                future.set_exception(error)

        Thread(target=work, daemon=True).start()
        while not future.done():
            self._cancel.check()
            if deadline.left <= 0:
                raise NoResponse(f"{self.host} does not answer")
            wait([future], timeout=_TURN)
        response = future.result()
        if response.status >= 500:
            raise _TryAgain(f"{self.host} answers {response.status}")
        return response

    def _request(self, url: str, deadline: Deadline, method: str, document: object) -> Response:
        # A session for each: nothing is shared with a thread that was left behind, no cookie is kept.
        with requests.Session() as session:
            session.auth = self._sign  # a callable: else an entry of ~/.netrc would take the header's place
            try:
                with session.request(
                    method,
                    url,
                    json=document,
                    headers={"User-Agent": f"lockbot/{lockbot.__version__}", "Accept-Encoding": "identity"},
                    timeout=max(0.1, deadline.left),
                    allow_redirects=False,
                    stream=True,
                ) as got:
                    # Why something was not changed stands in the answer.
                    wanted = got.status_code == 200 or (method != "GET" and got.status_code not in _MOVED)
                    body = self._read(got, deadline) if wanted else b""
                    return Response(got.status_code, got.headers, body, got.links.get("next", {}).get("url"))
            except requests.Timeout:
                raise NoResponse(f"{self.host} does not answer") from None
            except requests.exceptions.SSLError:
                raise NoResponse(f"{self.host} has no certificate that can be trusted") from None
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                raise _TryAgain(f"{self.host} can't be reached") from None
            except (requests.RequestException, ValueError):  # ValueError: a header that can't be sent
                raise NoResponse(f"{self.host} can't be asked: no valid request, or no valid answer") from None

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request

    def _read(self, got: requests.Response, deadline: Deadline) -> bytes:
        if got.headers.get("Content-Encoding", "identity") != "identity":
            raise NoResponse(f"{self.host} packs its answers, though it was asked not to", everywhere=False)
        body = bytearray()
        for chunk in got.iter_content(64 * 1024):
            body += chunk
            if len(body) > self._patience.size:
                raise NoResponse(f"{self.host} answers more than {self._patience.size} bytes", everywhere=False)
            if deadline.left <= 0:
                raise NoResponse(f"{self.host} does not answer")
        return bytes(body)

    def _answer(self, response: Response) -> ApiResponse:
        if response.status == 200:
            headers = response.headers
            total, scopes = _number(headers.get("X-Total-Count")), _listed(headers.get("X-OAuth-Scopes"))
            return ApiResponse(self._document(response), response.next, total, scopes)
        self._refuse_limited(response)
        if response.status in (401, 403):
            raise self._no_right(response, "read that")
        if response.status in _NOT_THERE:
            raise self._not_there(response)
        raise NoResponse(f"{self.host} answers {response.status}", everywhere=False)

    def _answer_to_change(self, response: Response) -> ApiResponse:
        if response.status in _DONE:
            # What it is now is told by some, and by some not.
            return ApiResponse(self._document(response) if response.body else None)
        self._refuse_limited(response)
        try:
            told = self._without_token(words(json.loads(response.body)))
        except (ValueError, RecursionError):
            told = ""
        if response.status in (401, 403):
            raise self._no_right(response, "do that", told)
        if response.status in (404, 410):
            raise self._not_there(response)
        why = f": {told}" if told else ""
        raise Refused(f"{self.host} refuses ({response.status}){why}", response.status, told)

    def _without_token(self, text: str) -> str:
        """Whatever the host repeats of what it was sent."""
        secret = self._headers.get("Authorization", "").rpartition(" ")[2]
        return text.replace(secret, "***") if secret else text

    def _refuse_limited(self, response: Response) -> None:
        if (until := self._limited(response)) is not None:
            raise NoResponse(f"{self.host} answers no more for now (its limit of requests)", until=until)

    def _no_right(self, response: Response, do: str, told: str = "") -> NoRight:
        """401 and 403, with the right that is missing, where the forge says which."""
        signed = "Authorization" in self._headers
        if response.status == 401:
            what = "does not accept the token" if signed else "wants a token"
            return NoRight(f"{self.host} {what} (see [forge] in the configuration)")
        what = f"does not let this token {do}" if signed else "wants a token for that"
        lacking = plain(response.headers.get("X-Accepted-GitHub-Permissions") or told, 200)
        why = f": {lacking}" if lacking else ""
        message = f"{self.host} {what}{why} (see [forge] in the configuration)"
        return NoRight(message, everywhere=False, lacks=lacking)

    def _not_there(self, response: Response) -> NotThere:
        private = "for this token" if "Authorization" in self._headers else "without a token"
        return NotThere(f"{self.host} has no such {self._what} {private} ({response.status})", everywhere=False)

    def _document(self, response: Response) -> object:
        try:
            document: object = _unicode(json.loads(response.body.decode("utf-8-sig")))
        except (ValueError, RecursionError):
            raise NoResponse(f"{self.host} answers with something that is no JSON", everywhere=False) from None
        return document

    def _limited(self, response: Response) -> datetime | None:
        """Until when a host refuses to answer because it was asked too much; None: that is not the reason."""
        headers, now = response.headers, self._clock()
        after = _after(headers.get("Retry-After"), now)
        spent = headers.get("X-RateLimit-Remaining", headers.get("RateLimit-Remaining")) == "0"
        if response.status != 429 and not (response.status == 403 and (after is not None or spent)):
            return None
        reset = _number(headers.get("X-RateLimit-Reset", headers.get("RateLimit-Reset")))
        if after is None and reset is not None and reset < 2**33:
            after = datetime.fromtimestamp(reset, UTC)
        return min(max(after or now + timedelta(minutes=1), now), now + _LONGEST_WAIT)


def _after(text: str | None, now: datetime) -> datetime | None:
    """`Retry-After`: seconds, or a date."""
    if text is None:
        return None
    if (seconds := _number(text)) is not None:
        return now + min(timedelta(seconds=min(seconds, 10**9)), _LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _unicode(document: object) -> object:
    """Without lone surrogates (`"\\ud83d"`: half of a character that was cut), which nothing can store."""
    match document:
        case str():
            return document.encode(errors="replace").decode()
        case list():
            return [_unicode(one) for one in document]
        case dict():
            return {_unicode(name): _unicode(one) for name, one in document.items()}
        case _:
            return document


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(one.strip() for one in text.split(",") if one.strip())


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme.lower(), parts.netloc.lower()
