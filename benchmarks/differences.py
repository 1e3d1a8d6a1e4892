"""What telling the differences of a fleet costs: beside `nix store diff-closures`, once for each host.

    python -m benchmarks.differences [HOSTS [PATHS]]

The closures are rows in a store's database, with no files; each host has a tenth of its paths for itself, and of
every closure a third differs. The bound for 20 hosts with 1,500 paths is 2 s. Needs `nix` on PATH.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lockbot.closure.packages import compare_all
from lockbot.nix import installed
from lockbot.nix.closures import name_packages, read_closures
from lockbot.process import CancelToken

HOSTS, PATHS = 20, 1_500
BOUND = 2.0
"""Seconds."""
_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


def main(arguments: list[str] | None = None) -> int:
    """0: the bound was kept."""
    words = sys.argv[1:] if arguments is None else arguments
    hosts, paths = (*map(int, words), *(HOSTS, PATHS)[len(words) :])
    with tempfile.TemporaryDirectory(prefix="lockbot-differences-") as place, CancelToken() as cancel:
        environment = _environment(Path(place))
        store = Path(environment["NIX_STORE_DIR"])
        sides = [
            [_register(environment, store, host, side, paths) for side in ("old", "new")] for host in range(hosts)
        ]
        nix = installed.find(environment, cancel, Path(place) / "data", {})

        def ours() -> None:
            closures = read_closures(nix, [root for pair in sides for root in pair])
            compare_all(name_packages(nix, [(closures[old], closures[new]) for old, new in sides]))

        def theirs() -> None:
            for pair in sides:
                words = ["nix", "store", "diff-closures", *pair]
                subprocess.run(words, env=environment, check=True, capture_output=True)

        theirs()  # warms up
        naive, seconds = _timed(theirs), _timed(ours)
    ratio = f"{seconds / naive:.2f} of `nix store diff-closures`"
    sys.stdout.write(f"{hosts} hosts of {paths} paths: {seconds:.2f} s, {ratio}\n")
    return 0 if seconds <= BOUND else 1


def _timed(act: Callable[[], None]) -> float:
    """Seconds: the least of three."""
    taken = []
    for _ in range(3):
        begun = time.monotonic()
        act()
        taken.append(time.monotonic() - begun)
    return min(taken)


def _register(environment: dict[str, str], store: Path, host: int, side: str, paths: int) -> str:
    """One closure; its root."""
    names: list[str] = []
    lines: list[str] = []
    for number in range(paths - 1):
        own = f"host {host}" if number % 10 == 0 else "all"
        salt = side if number % 3 == 0 else "both"
        luck = random.Random(f"{number} {own} {salt}")  # noqa: S311 -- the same each time
        name = f"package{number}-{luck.randrange(9)}.{luck.randrange(99)}"
        references = luck.sample(names[:100], min(len(names), 4))
        names.append(_add(lines, store, f"{name} {own} {salt}", name, luck.randrange(10**6), references))
    root = _add(lines, store, f"root {host} {side}", f"nixos-system-{host}", 1000, names)
    text = "\n".join([*lines, ""])
    subprocess.run(["nix-store", "--load-db"], env=environment, input=text, text=True, check=True)
    return root


def _add(lines: list[str], store: Path, salt: str, name: str, size: int, references: list[str]) -> str:
    digest = hashlib.sha256(salt.encode())
    path = f"{store}/{''.join(_ALPHABET[byte & 31] for byte in digest.digest())}-{name}"
    lines += [path, digest.hexdigest(), str(size), "", str(len(references)), *sorted(references)]
    return path


def _environment(root: Path) -> dict[str, str]:
    (root / "etc").mkdir()
    (root / "etc" / "nix.conf").write_text("experimental-features = nix-command flakes\nbuild-users-group =\n")
    places = {f"NIX_{name.upper()}_DIR": str(root / name) for name in ("store", "state", "log")}
    return {"PATH": os.environ["PATH"], "HOME": str(root), "NIX_CONF_DIR": str(root / "etc"), **places}


if __name__ == "__main__":
    sys.exit(main())
