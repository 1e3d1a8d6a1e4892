"""The lock file block, held against what real Nix commits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.report.block import lock_block
from tests.nixes import Nix
from tests.report.examples import ADDED, FOLLOWED, HOSTILE, NIXPKGS, REMOVED

DAY = 86400


def test_every_kind_of_change() -> None:
    later = InputChange("home-manager/x", ChangeKind.REFOLLOWED, old_follows="a/x", new_follows="b/x")
    new = InputChange("disko/nixpkgs", ChangeKind.ADDED, new_follows="nixpkgs")
    assert lock_block([NIXPKGS, FOLLOWED, new, ADDED, REMOVED, later]) == (
        "Flake lock file updates:\n"
        "\n"
        "• Removed input 'agenix'\n"
        "• Added input 'disko':\n"
        "    'github:nix-community/disko/77aa0e2333333333333333333333333333333333' (2026-08-13)\n"
        "• Added input 'disko/nixpkgs':\n"
        "    follows 'nixpkgs'\n"
        "• Updated input 'home-manager/nixpkgs':\n"
        "    'github:NixOS/nixpkgs/33ddeb9000000000000000000000000000000000' (2026-08-09)\n"
        "  → follows 'nixpkgs'\n"
        "• Updated input 'home-manager/x':\n"
        "    follows 'a/x'\n"
        "  → follows 'b/x'\n"
        "• Updated input 'nixpkgs':\n"
        "    'github:NixOS/nixpkgs/33ddeb9000000000000000000000000000000000' (2026-08-09)\n"
        "  → 'github:NixOS/nixpkgs/a1b2c3d111111111111111111111111111111111' (2026-08-14)"
    )


def test_a_state_without_a_date() -> None:
    tarball = Locked(
        "tarball", "https://example.org/x.tar.gz", "https://example.org/x.tar.gz", nar_hash="sha256-x"
    )
    assert lock_block([InputChange("x", ChangeKind.ADDED, new=tarball)]).endswith(
        "• Added input 'x':\n    'https://example.org/x.tar.gz'"
    )


def test_hostile_names_stay_within_their_line() -> None:
    changes = [InputChange(name, ChangeKind.ADDED, new_follows=name) for name in HOSTILE]
    lines = lock_block(changes).split("\n")
    assert len(lines) == 2 + 2 * len(HOSTILE)
    assert all(line.startswith("• Added input '") for line in lines[2::2])
    assert all(line.startswith("    follows '") for line in lines[3::2])


def test_the_rest_is_counted() -> None:
    changes = [InputChange(f"input-{number:03}", ChangeKind.REMOVED) for number in range(200)]
    block = lock_block(changes, limit=1000)
    assert len(block.encode()) < 1100
    shown = block.count("• Removed")
    assert 0 < shown < 200
    assert block.endswith(f"\n({200 - shown} more inputs left out here)")


class Scratch:
    """Flakes in git repositories, locked and committed by Nix itself."""

    def __init__(self, nix: Nix, directory: Path) -> None:
        self.nix = nix
        self.directory = directory
        self.commits = 0

    def flake(self, name: str, inputs: str = "") -> None:
        place = self.directory / name
        if not place.exists():
            place.mkdir()
            self.git(name, "init", "--quiet", "--initial-branch=main")
        self.commits += 1
        (place / "flake.nix").write_text(f"# {self.commits}\n{{ {inputs} outputs = _: {{ }}; }}\n")
        self.git(name, "add", "flake.nix")
        when = f"@{1_700_000_000 + self.commits * DAY} +0000"
        self.nix.run("env", f"GIT_AUTHOR_DATE={when}", f"GIT_COMMITTER_DATE={when}", *self.commit(), cwd=place)

    def commit(self) -> tuple[str, ...]:
        return ("git", "commit", "--quiet", "-m", f"commit {self.commits}")

    def git(self, name: str, *argv: str) -> str:
        return self.nix.run("git", *argv, cwd=self.directory / name).stdout

    def url(self, name: str) -> str:
        return f"git+file://{self.directory}/{name}"

    def update(self) -> tuple[str, dict[str, Any]]:
        """What Nix's own commit says from the title on, and the nodes of its lock."""
        self.nix.run("nix", "flake", "update", "--commit-lock-file", cwd=self.directory / "top")
        said = self.git("top", "log", "-1", "--format=%B")
        nodes: dict[str, Any] = json.loads((self.directory / "top" / "flake.lock").read_text())["nodes"]
        return said[said.index("Flake lock file updates:") :].rstrip("\n"), nodes


def locked(nodes: dict[str, Any], node: str) -> Locked:
    entry = nodes[node]["locked"]
    url = f"git+{entry['url']}?ref={entry['ref']}&rev={entry['rev']}"
    return Locked("git", url, "", rev=entry["rev"], last_modified=entry["lastModified"])


def test_as_nix_writes_it(nix: Nix, tmp_path: Path) -> None:
    scratch = Scratch(nix, tmp_path)
    scratch.flake("base")
    base = f'inputs.base.url = "{scratch.url("base")}";'
    for name in ("a", "a-c"):
        scratch.flake(name, base)
    inputs = f'inputs."a".url = "{scratch.url("a")}"; inputs."a-c".url = "{scratch.url("a-c")}";'
    scratch.flake("top", f'{inputs} inputs.gone.url = "{scratch.url("base")}";')
    said, before = scratch.update()
    added = {"a": "a", "a/base": "base", "a-c": "a-c", "a-c/base": "base_2", "gone": "gone"}
    changes = [InputChange(path, ChangeKind.ADDED, new=locked(before, node)) for path, node in added.items()]
    assert lock_block(changes) == said

    scratch.flake("a", base + " ")
    scratch.flake(
        "top", f'{inputs} inputs."new one".follows = "a/base"; inputs."a-c".inputs.base.follows = "a/base";'
    )
    said, after = scratch.update()
    changes = [
        InputChange("a", ChangeKind.UPDATED, locked(before, "a"), locked(after, "a")),
        InputChange("a-c/base", ChangeKind.REFOLLOWED, locked(before, "base_2"), new_follows="a/base"),
        InputChange("gone", ChangeKind.REMOVED, locked(before, "gone")),
        InputChange("new one", ChangeKind.ADDED, new_follows="a/base"),
    ]
    assert lock_block(changes) == said
