"""What systemd is told: sd_notify(3). Nothing of it fails: where there is no systemd, or it hangs, nobody is told.

Credentials are read where the configuration is (config.sources).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

_PATIENCE = 1.0
"""Seconds: a full queue must not hold up the caller."""
_LONGEST_STATUS = 500


@dataclass(frozen=True)
class Notify:
    """systemd's socket. `watchdog`: seconds within which WATCHDOG=1 is awaited; None: it is not."""

    address: str | None = None
    watchdog: float | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Notify:
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
        meant = usec.isdecimal() and int(usec) > 0 and pid == str(os.getpid())
        return cls(environ.get("NOTIFY_SOCKET") or None, int(usec) / 1e6 if meant else None)

    def send(self, *assignments: str) -> bool:
        """`READY=1`, `STATUS=…`, in one datagram. Whether it was taken."""
        if self.address is None:
            return False
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link,
        ):
            link.settimeout(_PATIENCE)
            link.connect(address)
            link.sendall("\n".join(assignments).encode(errors="replace"))
            return True
        return False


def status(text: str) -> str:
    return "STATUS=" + "".join(one if one.isprintable() else " " for one in text)[:_LONGEST_STATUS]


def reloading() -> str:
    """Type=notify-reload needs the moment, too."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def without(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child, which must not speak to systemd in this process's name."""
    names = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
    return {name: value for name, value in environ.items() if name not in names}
