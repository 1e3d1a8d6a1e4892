"""Run inside the machine: make a fleet that the service can work on, and print what a test needs to know of it.

    python -m tests.systemd.fleets /srv/NAME [--seconds 600] [--served]

The inputs `a` and `b` have commits that the fleet is not locked at: their branch gets them one by one (`advance`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.fleet import Fleet, HostSpec, Input, Upstream
from tests.nixes import Nix, git_environment

AHEAD = 8
"""How many commits each input has waiting."""


def make(directory: Path, seconds: float, *, served: bool) -> dict[str, list[str]]:
    """Make DIRECTORY/fleet, locked at the inputs' first commits; the revisions of each input, oldest first."""
    environment = git_environment(directory / "home") | {"NIX_REMOTE": "daemon"}
    nix = Nix(Path("/usr/local/bin"), "", environment)
    upstreams = [Upstream.create(directory / "upstream", name) for name in ("a", "b")]
    revisions = {}
    for one in upstreams:
        first = one.head()
        revisions[one.name] = [first, *one.history(f"{one.name} {number}" for number in range(AHEAD))]
        one.reset(first)
    inputs = [Input(one, url=f"git://127.0.0.1/{one.name}" if served else None) for one in upstreams]
    hosts = [HostSpec("web", uses=["a"], seconds=seconds), HostSpec("mail", uses=["a", "b"], seconds=seconds)]
    Fleet.create(directory / "fleet", nix, inputs=inputs, hosts=hosts)
    return revisions


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--served", action="store_true")
    given = parser.parse_args()
    json.dump(make(given.directory, given.seconds, served=given.served), sys.stdout)


if __name__ == "__main__":
    main()
