"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockbot import systemd
from lockbot.systemd import Notify


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(5)
        yield link


def test_without_systemd_nobody_is_told() -> None:
    assert Notify.of({}) == Notify(None, None)
    assert Notify.of({}).send("READY=1") is False


def test_one_datagram_holds_all(listener: socket.socket) -> None:
    assert Notify.of({"NOTIFY_SOCKET": listener.getsockname()}).send("READY=1", systemd.status("next: é\nREADY=1"))
    assert listener.recv(4096).decode() == "READY=1\nSTATUS=next: é READY=1", "a status is one line"


def test_an_abstract_address() -> None:
    name = f"lockbot-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind("\0" + name)
        link.settimeout(5)
        assert Notify.of({"NOTIFY_SOCKET": "@" + name}).send("WATCHDOG=1")
        assert link.recv(100) == b"WATCHDOG=1"


def test_a_full_queue_holds_up_nobody_for_long(listener: socket.socket) -> None:
    notify = Notify(listener.getsockname())
    begun = time.monotonic()
    sent = 0
    while notify.send("STATUS=again"):
        sent += 1
        assert sent < 100_000
    assert 0.9 < time.monotonic() - begun < 10
    listener.recv(4096)
    assert notify.send("STATUS=there is room again")


@pytest.mark.parametrize("address", ["/nowhere/at/all", "x" * 300, "@" + "y" * 300])
def test_a_socket_that_is_not_there(address: str) -> None:
    assert Notify(address).send("READY=1") is False


def test_the_watchdog_is_this_process_s_own() -> None:
    usec = {"WATCHDOG_USEC": "60000000"}
    assert Notify.of(usec).watchdog == 60.0
    assert Notify.of(usec | {"WATCHDOG_PID": str(os.getpid())}).watchdog == 60.0
    assert Notify.of(usec | {"WATCHDOG_PID": "1"}).watchdog is None
    for nonsense in ("", "-1", "0", "soon"):
        assert Notify.of({"WATCHDOG_USEC": nonsense}).watchdog is None


def test_reloading_says_when() -> None:
    name, moment = systemd.reloading().split("\n")
    assert name == "RELOADING=1"
    assert abs(int(moment.removeprefix("MONOTONIC_USEC=")) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 1


def test_children_do_not_speak_for_the_daemon() -> None:
    given = {
        "NOTIFY_SOCKET": "/run/x",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "PATH": "/bin",
        "LISTEN_FDS": "1",
    }
    assert systemd.without(given) == {"PATH": "/bin"}
