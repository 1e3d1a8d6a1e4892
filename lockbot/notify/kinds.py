"""How a dead man's switch is asked, and what a hook is. Light: the configuration is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PingStyle(StrEnum):
    HEALTHCHECKS = "healthchecks"
    UPTIME_KUMA = "uptime-kuma"


class HookEvent(StrEnum):
    PUBLISHED = "published"
    FAILED = "failed"
    ALARM = "alarm"


@dataclass(frozen=True)
class Hook:
    """What to run (an argv list) for which event, and the seconds that it may take."""

    event: HookEvent
    command: tuple[str, ...]
    timeout: float = 60.0
