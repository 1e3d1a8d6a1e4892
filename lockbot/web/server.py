"""The service itself: uvicorn around the application, from the first socket to the last signal.

Everything that a client can hold up has an end here: how many there are, how long one takes to say what it wants,
and how long it takes to be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lockbot.errors import UsageError
from lockbot.process import CancelToken
from lockbot.systemd import Notify
from lockbot.web import addresses, routes, sockets
from lockbot.web.application import Application
from lockbot.web.guards import OURS, Guard
from lockbot.web.sites import Sites
from lockbot.web.sockets import Listening

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

MOST_CONNECTIONS = 128
LARGEST_HEAD = 16 * 1024
"""Bytes of a request's lines."""
SPEAKING = 20.0
"""Seconds within which a client has said what it wants; also between two requests."""
LISTENING = 60.0
"""Seconds within which it has taken what it is told; longer than a page may take."""
ENDING = 5
"""Seconds that clients get when the service ends."""


def serve(sites: Sites, environ: Mapping[str, str], log: FilteringBoundLogger, stop: CancelToken) -> None:
    """Until SIGTERM or SIGINT. Raises UsageError where it can't listen."""
    _check_base(sites.root)
    with sockets.opened(sites.listen, environ) as listening:
        app = Guard(Application(sites, log), OURS | listening.hosts | frozenset(sites.hosts))
        _quiet(log)
        gc.collect()
        gc.freeze()  # what was imported stays: else a page of many objects has all of that looked at each time
        server = _Server(_config(app), Notify.of(environ), listening, stop)
        server.run(sockets=list(listening.sockets))


def _check_base(root: str) -> None:
    """An address that begins like a page's own could be meant either way."""
    first = root.split("/")[1] if root else ""
    taken = addresses.firsts([*routes.PAGES, *routes.CONTENTS, "/r", "/style.css", "/icon.svg"])
    if first and first in taken:
        raise UsageError(
            f"web.base_path can't begin with /{first}: that is the address of a page", "choose another: /lockbot"
        )


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Patient,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        backlog=sockets.BACKLOG,
        timeout_keep_alive=int(SPEAKING),
        timeout_graceful_shutdown=ENDING,
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )


class _Patient(H11Protocol):
    """uvicorn's, which waits for ever for a first request, and for whoever does not take the answer."""

    _watch: asyncio.TimerHandle | None = None
    _since = 0.0
    _waited_for: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Every few seconds: how long has it been at what it is at?"""
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete
        state = (cycle, answering)
        if state != self._waited_for:
            self._waited_for, self._since = state, self.loop.time()
        if self.loop.time() - self._since > (LISTENING if answering else SPEAKING):
            self.transport.abort()
            return
        self._watch = self.loop.call_later(SPEAKING / 8, self._look)


class _Server(uvicorn.Server):
    """Ends without an error when it is told to, and says when it listens."""

    def __init__(self, config: uvicorn.Config, notify: Notify, listening: Listening, stop: CancelToken) -> None:
        super().__init__(config)
        self._notify = notify
        self._listening = listening
        self._stop = stop

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        click.echo(f"lockbot web: {self._listening.where}", err=True)
        self._notify.send("READY=1", f"STATUS=listening at {self._listening.where}")

    async def shutdown(self, sockets: Any = None) -> None:
        self._notify.send("STOPPING=1")
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises the signal anew once it has ended, so that the process dies of it."""

        def end(number: int, frame: FrameType | None) -> None:
            self._stop.cancel(signal.Signals(number).name)
            self.handle_exit(number, frame)

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Onward(logging.Handler):
    """uvicorn's own complaints, to lockbot's log."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, h11.LocalProtocolError):
            return  # a body that is none, while its request was being refused: the client's, and it is told
        self._log.error("the server complains", text=record.getMessage()[:1000], exc_info=record.exc_info)


def _quiet(log: FilteringBoundLogger) -> None:
    """Nobody fills the log with requests that are none."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.handlers = [_Onward(log)] if name in ("uvicorn.error", "asyncio") else []
