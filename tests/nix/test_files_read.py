"""Which files an evaluation read, by what Nix says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockbot.model import Locked
from lockbot.nix import blame
from lockbot.nix.derivation import source_path
from lockbot.nix.evaluate import files_read
from lockbot.nix.evaluate.files_read import FilesRead
from tests.fleet import Fleet, HostSpec, Upstream
from tests.nixes import Nix

REV = "0123456789" * 4
STORE = "/nix/store"
# Of an empty directory, whose name in /nix/store `nix-store --print-fixed-path -r sha256` gives, too.
HASH = "sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo="


def heard(read: FilesRead, *lines: str) -> list[bool]:
    return [read.take(event) for line in lines if (event := blame.event(line)) is not None]


def said(text: object, level: object = 4) -> str:
    return f"@nix {json.dumps({'action': 'msg', 'level': level, 'msg': text})}"


def locked(rev: str | None = REV, nar_hash: str | None = HASH) -> Locked:
    return Locked("git", "", "", rev, nar_hash=nar_hash)


def test_what_nix_says(nix: Nix, tmp_path: Path) -> None:
    inputs = [Upstream.create(tmp_path, name, flake=name != "c") for name in "abc"]
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=inputs, hosts=[HostSpec("web", uses=["a", "c"])])
    lock = json.loads((fleet.path / "flake.lock").read_text())["nodes"]
    attribute = ".".join(HostSpec("web").attribute)
    command = ("nix", "eval", "--json", "-v", "--log-format", "internal-json", f"{fleet.path}#{attribute}.drvPath")
    read = FilesRead()
    heard(read, *nix.run(*command).stderr.splitlines())

    def of(name: str) -> frozenset[str] | None:
        node = lock[name]["locked"]
        return read.of(Locked("git", node["url"], node["url"], node["rev"], nar_hash=node["narHash"]))

    assert of("a") == frozenset({"flake.nix", "part.nix", "breakage.nix"})
    assert of("b") is None, "nobody uses it"
    assert of("c") == frozenset({"part.nix", "breakage.nix"})


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"«github:NixOS/nixpkgs/{REV}»/lib/default.nix", "lib/default.nix"),
        (f"«git+https://x.org/r?ref=main&rev={REV}»/a'b»/c.nix", "a'b»/c.nix"),
        (f"{source_path(HASH, STORE)}/lib/x.nix", "lib/x.nix"),
        (f"{source_path(HASH, '/gnu/other/store')}/lib/x.nix", "lib/x.nix"),
        (f"{STORE}/{Path(source_path(HASH, '/gnu/other/store') or '').name}/lib/x.nix", None),
        (f"{STORE}/{'a' * 32}-source/lib/x.nix", None),
        (f"«github:NixOS/nixpkgs/{'f' * 40}»/lib/default.nix", None),
        ("«nix-internal»/call-flake.nix", None),
        ("<nix/derivation-internal.nix>", None),
        (f"«{REV}", None),
        (f"«{REV}»/", None),
        ("", None),
    ],
)
def test_paths(text: str, path: str | None) -> None:
    read = FilesRead()
    assert heard(read, said(f"evaluating file '{text}'")) == [True]
    assert read.of(locked()) == (frozenset({path}) if path else None)
    assert read.of(locked(None, None)) is None
    assert read.of(locked(None, "sha256-é")) is None


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (said(f"evaluating file '«{REV}»/x.nix'", level=0), False),
        (said(f"evaluating file '«{REV}»/x.nix'", level="4"), False),
        (said(f"trace: evaluating file '«{REV}»/x.nix'", level=0), False),
        (said(f"warning: evaluating file '«{REV}»/x.nix'", level=4), True),
        (said(f"evaluating file '«{REV}»/{'x' * 5000}'"), True),
        (said(["evaluating file '"]), True),
        (said(f"«{REV}»/evaluating file 'x.nix'"), True),
        (said("instantiated 'x' -> 'y'", level=5), True),
        ('@nix {"action":"start","level":4,"id":1,"text":"evaluating file"}', False),
        ("@nix {}", False),
    ],
)
def test_what_is_no_file(line: str, *, taken: bool) -> None:
    read = FilesRead()
    assert heard(read, line) == [taken]
    assert read.of(locked()) is None


def test_keeps_so_many_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_read, "MOST_FILES", 3)
    read = FilesRead()
    heard(read, *(said(f"evaluating file '«{REV}»/{number}.nix'") for number in range(9)))
    assert read.of(locked()) == frozenset({"0.nix", "1.nix", "2.nix"})
