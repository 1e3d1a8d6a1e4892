"""What an input with more than 20,000 commits costs: its history for lockbot, and pins of it for Nix.

    python -m benchmarks.revisions [COMMITS]

Prints one line for each step; the bound on the listing is 0.3 s. Needs git, and `nix` on PATH for the pins.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lockbot.git.inputs.revisions import Relation, open_upstream
from lockbot.git.inputs.upstream import Origin
from lockbot.process import CancelToken

COMMITS = 22_000
FILES = 2_000
START = 1_700_000_000
STEP = 600
LISTING_BOUND = 0.3
"""Seconds."""


def main(arguments: list[str] | None = None) -> int:
    """0: the listing kept its bound."""
    words = sys.argv[1:] if arguments is None else arguments
    commits = int(words[0]) if words else COMMITS
    with tempfile.TemporaryDirectory(prefix="lockbot-revisions-") as place:
        root = Path(place)
        environment = _environment(root)
        repository = root / "big.git"
        line = _make(repository, commits, environment)
        _say(f"an input with {commits} commits and {FILES} files", None)
        listing = _histories(root, repository, line, environment)
        if shutil.which("nix", path=environment["PATH"]):
            _pins(root, repository, line, environment)
        return 0 if listing <= LISTING_BOUND else 1


def _histories(root: Path, repository: Path, line: list[str], environment: dict[str, str]) -> float:
    """Seconds that the longest listing takes."""
    origin = Origin(f"file://{repository}")

    def dated(number: int) -> int:
        return START + number * STEP

    def ask(state: str, old: int, new: int) -> int:
        with (
            CancelToken() as cancel,
            open_upstream(root / state, origin, environ=environment, cancel=cancel) as one,
        ):
            found = one.revisions(line[old], line[new], since=dated(old))
        assert found.relation is Relation.FORWARD
        assert found.commits[-1].rev == line[new]
        return found.count

    last = len(line) - 1
    week = last - 7 * 86_400 // STEP
    git = ["git", "clone", "--quiet", "--bare", f"file://{repository}", str(root / "whole.git")]
    _say("git clone --bare, for comparison", _timed(lambda: subprocess.run(git, env=environment, check=True)))
    _say(f"first fetch and list, a week ({last - week} commits)", _timed(lambda: ask("week", week, last - 10)))
    _say("the next fetch and list, 10 commits more", _timed(lambda: ask("week", last - 10, last)))
    _say(f"first fetch and list, all {last} commits", _timed(lambda: ask("all", 0, last)))
    listing = min(_timed(lambda: ask("all", 0, last)) for _ in range(5))
    _say(f"list of {last} commits, nothing to fetch", listing)
    short = min(_timed(lambda: ask("week", week, last)) for _ in range(5))
    _say(f"list of {last - week} commits, nothing to fetch", short)
    for state in ("week", "all"):
        files = [path for path in (root / state).rglob("*") if path.is_file()]
        _say(f"disk, {state}: {sum(path.stat().st_size for path in files) / 1024:.0f} KiB", None)
    return listing


def _pins(root: Path, repository: Path, line: list[str], environment: dict[str, str]) -> None:
    flake = root / "flake"
    flake.mkdir()
    url = f"git+file://{repository}"
    (flake / "flake.nix").write_text(
        f'{{ inputs.n = {{ url = "{url}"; flake = false; }}; outputs = _: {{ }}; }}\n'
    )

    def nix(*words: str) -> None:
        done = subprocess.run(
            ["nix", *words], cwd=flake, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    subprocess.run(["git", "init", "--quiet"], cwd=flake, env=environment, check=True)
    subprocess.run(["git", "add", "flake.nix"], cwd=flake, env=environment, check=True)
    _say("nix flake lock, the first time", _timed(lambda: nix("flake", "lock")))
    places = iter(range(500, len(line) - 1, len(line) // 40))
    for suffix in ("", "&shallow=1"):
        times = []
        for _ in range(7):
            pinned = f"{url}?rev={line[next(places)]}{suffix}"
            times.append(_timed(lambda: nix("flake", "update", "n", "--override-input", "n", pinned)))  # noqa: B023 -- called at once
        _say(f"pin to a new revision{', ' + suffix if suffix else ''}", statistics.median(times))
    _say(
        "pin to a revision that the store has",
        _timed(lambda: nix("flake", "update", "n", "--override-input", "n", pinned)),
    )


def _make(repository: Path, commits: int, environment: dict[str, str]) -> list[str]:
    """Revisions, oldest first."""
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", repository], env=environment, check=True)
    stream = bytearray()
    for number in range(1, commits + 1):
        who = f"A Person <a@example.org> {START + (number - 1) * STEP} +0000"
        subject = f"package-{number % 977}: {number} -> {number + 1}\n\nWhat changed, at length: {number * 7919}\n"
        stream += (
            f"commit refs/heads/main\nauthor {who}\ncommitter {who}\ndata {len(subject)}\n{subject}\n".encode()
        )
        for file in range(FILES) if number == 1 else [number % FILES]:
            stream += f"M 100644 inline pkgs/{file % 40}/{file}.nix\ndata {len(str(number))}\n{number}\n".encode()
    fast_import = ["git", "fast-import", "--quiet", "--done"]
    subprocess.run(fast_import, cwd=repository, env=environment, input=bytes(stream) + b"done\n", check=True)
    listed = subprocess.run(
        ["git", "rev-list", "--reverse", "main"],
        cwd=repository,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return listed.stdout.decode().split()


def _environment(root: Path) -> dict[str, str]:
    (root / "home").mkdir()
    settings = "build-users-group =\nsandbox = false\nexperimental-features = nix-command flakes\nsubstituters =\n"
    names = {"NIX_STORE_DIR": "store", "NIX_STATE_DIR": "state", "NIX_LOG_DIR": "log", "NIX_CONF_DIR": "etc"}
    nix = {name: str(root / "nix" / place) for name, place in names.items()}
    return nix | {"PATH": os.environ["PATH"], "HOME": str(root / "home"), "NIX_CONFIG": settings}


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _say(what: str, seconds: float | None) -> None:
    sys.stdout.write(f"{what}{'' if seconds is None else f': {seconds:.2f} s'}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
