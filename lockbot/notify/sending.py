"""One message on its way, by Apprise. The only module that knows it, and how programs of Python's send bytes.

A message must arrive once. Python's libraries announce what they are about to send (`sys.audit`): when the bytes
come that complete a message, by which the other side takes it, that is remembered first (`mark`). Killed before,
it has not arrived and is sent again; killed after, it may have, and is not. HTTP's bytes are known by the
message's reference in them, SMTP's by the line that ends a mail. A service that uses neither (MQTT, XMPP) is not
known to have been about to, so that a kill at the worst moment makes it tell a thing twice.

Apprise's own log has addresses in it: nobody hears it but `_Heard`, which takes the reasons out of it.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

import apprise

from lockbot.model import NoticeKind
from lockbot.notify.texts import BODY, Message

CONNECTING, ANSWERING = 10.0, 13.0
"""Seconds that a service may take to let itself be connected to, and to answer."""
LONGEST_ANSWER = 256 * 1024
"""Bytes of an answer, as they come; packed, they may be a thousand times as many."""

Service = Any
"""One of Apprise's plugins, which have no types."""


class NotUnderstood(Exception):
    """Apprise knows no service by this URL."""


class Over(Exception):
    """Raised where a message is about to go out that nobody waits for any more."""


def understand(url: str) -> Service:
    """The service that a URL means. Raises NotUnderstood: it is mistyped, or its service needs what is missing."""
    _prepare()
    found = apprise.Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
    if found is None:
        raise NotUnderstood
    # The URL may say otherwise; but tries and their outcome are the outbox's.
    found.retry, found.optional = 0, False
    found.socket_connect_timeout, found.socket_read_timeout = CONNECTING, ANSWERING
    return found


def recipients(service: Service) -> int:
    """How many the URL names: where one of them fails, all are told again."""
    try:
        return len(service)
    except (TypeError, ValueError):
        return 1


def longest(service: Service) -> int:
    """Characters of a body that the service takes, beside a title."""
    most = int(getattr(service, "body_maxlen", BODY) or BODY)
    beside = (
        160
        if not getattr(service, "title_maxlen", 0) or getattr(service, "overflow_amalgamate_title", False)
        else 0
    )
    return max(min(most - beside, BODY), 1)


class Attempt:
    """One try to send one message. `mark` is called once, before its last bytes go out; it raises where they must
    not. `end` is when the last of an answer must have come, by `time.monotonic`. Used from several threads: who
    waits may `close` it, and nothing goes out any more."""

    def __init__(self, reference: str, mark: Callable[[], None], end: float = float("inf")) -> None:
        self.end = end
        self.reference = reference.encode()
        self.status: int | None = None
        self.reasons: list[str] = []
        self.marked = False
        self._mark = mark
        self._closed = False
        self._lock = threading.Lock()

    def about_to_send(self) -> None:
        with self._lock:
            if self._closed:
                raise Over
            if not self.marked:
                self._mark()
                self.marked = True

    def close(self) -> None:
        with self._lock:
            self._closed = True

    @property
    def why(self) -> str:
        """Why it did not arrive, in words without an address."""
        if self.status is not None and not 200 <= self.status < 300:
            return f"it answered {self.status}{_phrase(self.status)}"
        if self.reasons:
            return self.reasons[-1]
        if self.marked and self.status is None:
            return "it took the message, and gave no answer that could be understood"
        return "it was refused" if self.status is not None else "it can't be reached"


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""


def send(service: Service, message: Message, attempt: Attempt) -> bool:
    """Whether the service took it. Never raises; may take long, or for ever."""
    sender = apprise.Apprise(asset=service.asset)
    sender.add(service)
    token = _current.set(attempt)
    try:
        return bool(
            sender.notify(
                body=message.body,
                title=message.title,
                notify_type=_TYPES[message.kind],
                body_format=apprise.NotifyFormat.TEXT,
                interpret_escapes=False,
            )
        )
    except Exception as error:  # noqa: BLE001 -- a hundred plugins' boundary: none of them may end the others' way
        attempt.reasons.append(f"Apprise failed ({type(error).__name__})")
        return False
    finally:
        _current.reset(token)


_TYPES = {
    NoticeKind.BROKE: apprise.NotifyType.FAILURE,
    NoticeKind.FAILED: apprise.NotifyType.FAILURE,
    NoticeKind.RECOVERED: apprise.NotifyType.SUCCESS,
    NoticeKind.HELD: apprise.NotifyType.WARNING,
    NoticeKind.SILENT: apprise.NotifyType.WARNING,
    NoticeKind.PUBLISHED: apprise.NotifyType.INFO,
    NoticeKind.REQUESTED: apprise.NotifyType.INFO,
}


def _asset() -> Any:
    """Nothing on disk, no pictures from elsewhere, no other place than the one that is configured."""
    asset = apprise.AppriseAsset(
        app_id="lockbot",
        app_desc="lockbot",
        app_url="",
        async_mode=False,
        image_url_mask="",
        image_url_logo="",
        interpret_emojis=False,
        interpret_escapes=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        secure_logging=True,
    )
    asset.http_redirects = False  # older ones know no such thing: see `_follow_nothing`
    return asset


# -- what is announced

_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def _announced(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's audit hook: of every event there is, so it looks at the name first."""
    if event not in ("http.client.send", "smtplib.send"):
        return
    attempt = _current.get()
    if attempt is not None and _completes(event, arguments[1], attempt):
        attempt.about_to_send()


def _completes(event: str, data: object, attempt: Attempt) -> bool:
    content = data.encode(errors="replace") if isinstance(data, str) else data
    if not isinstance(content, (bytes, bytearray, memoryview)):
        return event == "http.client.send"  # a stream of unknown content: the message may be in it
    if event == "smtplib.send":
        return bytes(content[-5:]) == b"\r\n.\r\n"
    return attempt.reference in bytes(content)


class _Bounded(io.RawIOBase):
    """What a service says, as long as it is neither too long nor too late."""

    def __init__(self, inner: io.RawIOBase, attempt: Attempt) -> None:
        self._inner = inner
        self._attempt = attempt
        self._left = LONGEST_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._attempt.end:
            raise TimeoutError("timed out")
        if self._left <= 0:
            raise OSError(_TOO_LONG)
        number = self._inner.readinto(buffer)
        self._left -= number or 0
        return number

    def close(self) -> None:
        self._inner.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An HTTP answer whose status the attempt hears of, and that has an end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        attempt = _current.get()
        if attempt is not None and isinstance(self.fp, io.BufferedReader):
            self.fp = io.BufferedReader(_Bounded(self.fp.detach(), attempt))

    def begin(self) -> None:
        super().begin()
        attempt = _current.get()
        if attempt is not None:
            attempt.status = self.status


# -- what Apprise says

_TOO_LONG = "the answer is too long"
_NO_ANSWER = "it ended the connection without an answer that can be understood"
_REASONS = (
    ("name or service not known", "the name of its host is not known"),
    ("name resolution", "the name of its host is not known"),
    ("nodename nor servname", "the name of its host is not known"),
    ("getaddrinfo failed", "the name of its host is not known"),
    (_TOO_LONG, "its answer has no end"),
    ("connection refused", "it refuses connections"),
    ("certificate", "its certificate can't be trusted"),
    ("ssl", "no secure connection to it can be made"),
    ("unreachable", "there is no way to its network"),
    ("no route to host", "there is no way to its network"),
    ("authentication", "it does not accept the name and the password"),
    ("read timed out", "it does not answer in time"),
    ("timed out", "it does not answer in time"),
    ("redirect", "it sends on to another address, and none is followed: configure the new one"),
    ("closed", _NO_ANSWER),
    ("aborted", _NO_ANSWER),
    ("reset by peer", _NO_ANSWER),
)


class _Heard(logging.Handler):
    """Of what Apprise logs in an attempt, the reasons that can be told: those of exceptions."""

    def emit(self, record: logging.LogRecord) -> None:
        attempt = _current.get()
        if attempt is None:
            return
        with contextlib.suppress(Exception):  # a record that can't be put together says nothing
            said = record.getMessage().lower()
            if "exception" in said:
                attempt.reasons += _reasons(said)


def _reasons(said: str) -> list[str]:
    """Of what an exception says in lower case. A mail server's own words are left out: they name people."""
    if (reply := re.search(r"\(([45]\d\d), b['\"]", said)) is not None:
        return [f"it answered {reply[1]}"]
    return [told for sign, told in _REASONS if sign in said][:1]


_prepared = threading.Lock()
_done = False


def _prepare() -> None:
    """Once in a process, which is there for nothing else."""
    global _done  # an audit hook can't be taken back, nor should it be put twice
    with _prepared:
        if _done:
            return
        sys.addaudithook(_announced)
        http.client.HTTPConnection.response_class = _Answer
        for name, handler in (("apprise", _Heard()), ("urllib3", logging.NullHandler())):
            log = logging.getLogger(name)
            log.handlers, log.propagate = [handler], False
        logging.getLogger("apprise").setLevel(logging.DEBUG)
        warnings.simplefilter("ignore")  # of certificates that the URL says not to verify: with the host's name
        os.environ["NETRC"] = os.devnull  # requests would put what it finds there in the place of the URL's token
        _follow_nothing()
        _done = True


def _follow_nothing() -> None:
    """An Apprise older than `http_redirects` takes a page that it was sent on to for success."""
    if hasattr(apprise.AppriseAsset, "http_redirects"):
        return
    import requests.sessions

    requests.sessions.DEFAULT_REDIRECT_LIMIT = 0
