"""The real Nix versions that the tests run on, each with stores, configuration and caches of its own.

Knows where `make test` put them. It must not know lockbot: an oracle that used lockbot would agree with its bugs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[1]
SUITES = ("trixie", "sid")
"""Debian's suites whose Nix `.ci/nix-from-debian` unpacks; each should be there."""
OLDEST = (2, 19)
"""The oldest Nix that lockbot supports: one on PATH that is older is not tested with."""

_CONFIGURATION = """\
build-users-group =
sandbox = false
experimental-features = nix-command flakes
substituters =
flake-registry =
connect-timeout = 2
download-attempts = 1
fsync-metadata = false
"""
_GIT_CONFIGURATION = """\
[user]
\tname = Test Person
\temail = person@example.org
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""


@dataclass(frozen=True)
class Installed:
    """A Nix that is on this machine. `bin` holds `nix`, `nix-store`, `nix-instantiate`."""

    bin: Path
    version: str

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(int(number) for number in re.findall(r"\d+", self.version)[:3])

    def __str__(self) -> str:
        return f"nix-{self.version}"


@dataclass(frozen=True)
class Nix:
    """One version with its own store. `environment` is complete: pass it as a child's whole environment."""

    bin: Path
    version: str
    environment: Mapping[str, str] = field(repr=False)

    def run(
        self, *argv: str | Path, cwd: Path | None = None, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a program (`nix`, `nix-store`, `git`) to its end; a failure shows its stderr."""
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{[str(word) for word in argv]} ended with {done.returncode}:\n{done.stderr}")
        return done

    @property
    def store(self) -> Path:
        return Path(self.environment["NIX_STORE_DIR"])


def discover() -> tuple[Installed, ...]:
    """The versions on this machine, oldest first: Debian's, and the machine's own where it is another."""
    places = [PROJECT / ".nix-versions" / suite / "bin" for suite in SUITES]
    own = shutil.which("nix")
    if own is not None:
        places.append(Path(own).parent)
    found: dict[str, Installed] = {}
    for place in places:
        version = version_of(place / "nix")
        if version is not None:
            installed = Installed(place, version)
            if installed.order >= OLDEST:
                found.setdefault(version, installed)
    return tuple(sorted(found.values(), key=lambda installed: installed.order))


def missing() -> tuple[str, ...]:
    """Debian's suites whose Nix should be there and does not run."""
    return tuple(
        suite for suite in SUITES if version_of(PROJECT / ".nix-versions" / suite / "bin" / "nix") is None
    )


def version_of(program: Path) -> str | None:
    """`2.34.8`; None when the program is not there or does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return words[-1] if done.returncode == 0 and words else None


def prepare(installed: Installed, directory: Path) -> Nix:
    """A new, empty store in a directory, and the environment that leads there."""
    home = directory / "home"
    configuration = directory / "etc"
    for path in (home, configuration):
        path.mkdir(parents=True)
    (configuration / "nix.conf").write_text(_CONFIGURATION)
    environment = git_environment(home)
    environment["PATH"] = os.pathsep.join([str(installed.bin), "/usr/bin", "/bin"])
    if shutil.which("git", path=environment["PATH"]) is None and (git := shutil.which("git")):
        environment["PATH"] += os.pathsep + str(Path(git).parent)  # NixOS and macOS keep git elsewhere
    for variable, name in {
        "NIX_STORE_DIR": "store",
        "NIX_STATE_DIR": "state",
        "NIX_LOG_DIR": "log",
        "NIX_CONF_DIR": "etc",
        "XDG_CACHE_HOME": "home/.cache",
        "XDG_CONFIG_HOME": "home/.config",
        "XDG_DATA_HOME": "home/.local/share",
        "XDG_STATE_HOME": "home/.local/state",
    }.items():
        environment[variable] = str(directory / name)
    made = Nix(installed.bin, installed.version, environment)
    made.run("nix-store", "--init")  # two at once that find no store get in each other's way making it
    return made


def git_environment(home: Path) -> dict[str, str]:
    """An environment for git that knows nothing of this machine's user: the identity is in `home`'s .gitconfig."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text(_GIT_CONFIGURATION)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
