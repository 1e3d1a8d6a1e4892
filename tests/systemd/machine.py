"""A machine with a real systemd and a real Nix daemon, lockbot installed in it: booted by boot.sh, in namespaces.

Knows how to get in, and how to ask systemd. It must not know what lockbot does there.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.nixes import PROJECT, Installed

HERE = Path(__file__).parent
SYSTEMD = Path("/lib/systemd/systemd")
PROGRAMS = ("unshare", "nsenter", "pivot_root", "ip", "systemctl", "systemd-analyze", "systemd-run", "useradd")
HIDDEN = ("/root/", "/home/")
"""What ProtectHome= keeps a service from seeing."""
_PROBE = """
  set -e
  mount --make-rprivate /
  mount -t tmpfs tmpfs "$0"
  mkdir "$0/files" "$0/work" "$0/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$0/files,workdir=$0/work" "$0/root"
  mount -t cgroup2 cgroup2 "$0/root/sys"
"""


_HIDDEN = Path("/tmp")  # noqa: S108 -- nothing is written there


def why_not(directory: Path) -> str | None:
    """Why no systemd can be booted here; None when it can. `directory` is for a probe, and empty."""
    if os.geteuid() != 0:
        return "that needs root"
    if not SYSTEMD.exists():
        return f"there is no {SYSTEMD}"
    search = os.pathsep.join(["/usr/sbin", "/sbin", os.environ.get("PATH", "")])
    if PROJECT.is_relative_to(_HIDDEN):
        return f"the checkout lies below {_HIDDEN}, and a booted machine has one of its own"
    absent = [name for name in PROGRAMS if shutil.which(name, path=search) is None]
    if absent:
        return f"there is no {', '.join(absent)}"
    groups = Path("/sys/fs/cgroup")
    if not any((place / "cgroup.controllers").exists() for place in (groups, groups / "unified")):
        return "there is no cgroup v2 below /sys/fs/cgroup"
    namespaces = ["--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
    done = subprocess.run(
        ["unshare", *namespaces, "sh", "-c", _PROBE, directory],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return f"namespaces and mounts are not allowed: {done.stderr.strip()}" if done.returncode else None


@dataclass(frozen=True)
class Machine:
    """One that runs. `pid` is its init's, as seen from outside."""

    pid: int

    def run(
        self, *argv: str, user: str = "root", check: bool = True, timeout: float = 60, cwd: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside, as one of its users."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]
        who = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        home = "/root" if user == "root" else f"/srv/{user}"
        done = subprocess.run(
            [*enter, f"--wdns={cwd}", "--", *who, *argv],
            env=environment | {"HOME": home, "NIX_REMOTE": "daemon"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def shell(self, script: str, *arguments: str, user: str = "root", timeout: float = 60) -> str:
        return self.run("sh", "-euc", script, "sh", *arguments, user=user, timeout=timeout).stdout

    def write(self, path: str, text: str) -> None:
        self.shell('mkdir -p "$(dirname "$1")"; printf %s "$2" >"$1"', path, text)

    def systemctl(self, *words: str, check: bool = True, timeout: float = 120) -> str:
        return self.run("systemctl", *words, check=check, timeout=timeout).stdout.strip()

    def property(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", unit)

    def drop_in(self, unit: str, text: str) -> None:
        """What `systemctl edit` makes, until the next boot."""
        self.write(f"/run/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def journal(self, unit: str) -> str:
        """What a unit has said, and systemd of it."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def processes(self, user: str) -> list[str]:
        """The command lines of a user's processes."""
        done = self.run("ps", "-u", user, "-o", "pid=,args=", check=False)
        return [line.strip() for line in done.stdout.splitlines()]

    def wait(self, what: str, condition: Callable[[], object], seconds: float = 90) -> float:
        """Until the condition holds; how long that took."""
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds, f"not after {seconds} s: {what}"
            time.sleep(0.1)
        return time.monotonic() - begun


@contextlib.contextmanager
def booted(directory: Path, nix: Installed) -> Iterator[Machine]:
    """Boot a machine whose Nix daemon is of this version. It ends with the context, or with this process."""
    python = Path(sys.base_prefix)
    shown = {"checkout": PROJECT, "python": python, "packages": Path(sysconfig.get_path("purelib"))}
    reader, writer = os.pipe()
    try:
        booting = subprocess.run(
            [HERE / "boot.sh", directory, "/run/checkout/tests/systemd/prepare.sh", nix.bin],
            env={"PATH": os.environ["PATH"], "BIND": " ".join(f"{path}:{name}" for name, path in shown.items())},
            stdin=reader,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        os.close(reader)
        assert booting.returncode == 0, booting.stderr
        machine = Machine(int((directory / "pid").read_text()))
        for line in installation(PROJECT / "README.md"):
            machine.run("bash", "-euc", line, cwd="/run/checkout")
        machine.systemctl("start", "nix-daemon.socket", "nix-daemon.service")
        yield machine
    finally:
        os.close(writer)


def installation(readme: Path) -> list[str]:
    """The README's lines for Debian that do not download: each is run as it stands, by root."""
    block = re.search(r"^On Debian.*?^```sh\n(.*?)^```", readme.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None, "the README does not say how to install the service on Debian"
    lines = [line.removeprefix("sudo ").replace("&& sudo ", "&& ") for line in block.group(1).splitlines()]
    return [line for line in lines if "pip install" not in line and "enable --now" not in line]
