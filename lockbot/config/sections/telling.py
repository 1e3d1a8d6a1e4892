"""Who is told of what, and how: notifications, pings, hooks, and the page."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from lockbot.config.sections.section import Names, Section, key
from lockbot.config.sources import ELSEWHERE
from lockbot.config.types import (
    ListenAddress,
    Secret,
    Text,
    Timeout,
    Timing,
    WebHost,
    duration,
)
from lockbot.model import NoticeKind
from lockbot.notify import kinds, ping_requests
from lockbot.notify.kinds import HookEvent, PingStyle
from lockbot.notify.ping_requests import Heartbeat, Target

TOLD = tuple(kind for kind in NoticeKind if kind not in (NoticeKind.PUBLISHED, NoticeKind.REQUESTED))


class Web(Section):
    """`lockbot web`: a page to look at."""

    listen: ListenAddress = key(
        "127.0.0.1:8465",
        "Where it listens: `HOST:PORT` (`[::1]:8465`, `:8465` for every address), or `unix:/path/to/socket`.",
    )
    hosts: tuple[WebHost, ...] = key(
        (),
        "Names by which browsers reach it, beside localhost and the address that it listens on: a proxy's.",
        example=["lockbot.example.org"],
    )
    base_path: Text = key("/", "Where it lies behind a proxy: `/lockbot` for https://example.org/lockbot/.")

    @field_validator("base_path")
    @classmethod
    def _a_path(cls, path: str) -> str:
        parts = path.strip("/").split("/") if path.strip("/") else []
        if not path.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise ValueError("must be a path such as /lockbot")
        return "/" + "/".join(parts)


class NotifyTarget(Section):
    """Somebody who is told when something changed, and only then."""

    name: Text = Field(
        description="What the target is called; no two have the same name.",
        json_schema_extra={"example": "phone"},
    )
    url: Secret = Field(
        description="Where to, as Apprise writes it (`ntfy://HOST/TOPIC`, `mailto://…`, `matrixs://…`). A secret: "
        "`{ file = … }`, or `{ credential = … }` for one of systemd's.",
        json_schema_extra={"example": {"file": "/run/secrets/lockbot-ntfy"}},
    )
    events: Annotated[tuple[NoticeKind, ...], Field(min_length=1)] = key(
        TOLD,
        "What is told: `broke`, `recovered`, `held-too-long`, `silent-too-long`, `failed`; `published`, too, for "
        "every update that lands, and `requested` for every pull request that is opened.",
    )
    inputs: Names = key(("*",), "Only what is about an input with such a name; what is about none is told anyway.")
    hosts: Names = key(("*",), "Only what is about a host with such a name; what is about none is told anyway.")
    digest: Timing | None = key(
        None,
        "Collect it, and send one message at these times, as in [schedule].",
        absent="each by itself, at once",
        example="0 8 * * *",
    )

    @property
    def address(self) -> str | None:
        """The URL; None: it is a credential, and this process has none of systemd's."""
        url = self.url.get_secret_value()
        return url if url != ELSEWHERE else None


class Ping(Section):
    """A dead man's switch: whoever is pinged raises the alarm when nothing comes any more."""

    url: Secret | None = key(
        None,
        "What is asked when a run begins and ends. A secret: `{ file = … }`, else the credential `ping.url`.",
        absent="none",
        example={"file": "/run/secrets/ping-url"},
    )
    style: PingStyle = key(
        PingStyle.HEALTHCHECKS,
        "`healthchecks`: URL/start, URL, URL/fail with the last lines; `uptime-kuma`: URL?status=up&msg=….",
    )
    heartbeat_url: Secret | None = key(
        None,
        "What `lockbot daemon` asks as long as it is well. A secret: `{ file = … }`, else the credential "
        "`ping.heartbeat_url`.",
        absent="none",
        example={"file": "/run/secrets/heartbeat-url"},
    )
    heartbeat_every: Timeout = key(duration("5m"), "How often.", ge=1)

    @field_validator("url", "heartbeat_url")
    @classmethod
    def _can_be_asked(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            ping_requests.check(url.get_secret_value())
        return url

    def target(self) -> Target | None:
        return Target(self.url.get_secret_value(), self.style) if self.url is not None else None

    def heartbeat(self) -> Heartbeat | None:
        if self.heartbeat_url is None:
            return None
        return Heartbeat(Target(self.heartbeat_url.get_secret_value(), self.style), self.heartbeat_every)


class Hook(Section):
    """A command that is run when something happened, with JSON on its standard input; it changes nothing of it."""

    event: HookEvent = Field(
        description="`published`: an update has landed; `failed`: a run did not get to its end; `alarm`: there is "
        "something that somebody must look at.",
        json_schema_extra={"example": "published"},
    )
    command: Annotated[Names, Field(min_length=1)] = Field(
        description="A program and its arguments, run without a shell, and without lockbot's secrets.",
        json_schema_extra={"example": ["/run/current-system/sw/bin/systemctl", "start", "deploy"]},
    )
    timeout: Timeout = key(duration("1m"), "The longest that it may take.")

    @field_validator("command")
    @classmethod
    def _can_be_found(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if "/" in command[0] and not command[0].startswith("/"):
            raise ValueError("must begin with an absolute path, or with a name that is on PATH")
        return command

    def hook(self) -> kinds.Hook:
        return kinds.Hook(self.event, self.command, self.timeout)
