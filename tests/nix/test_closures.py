"""Closures and the packages in them, as real stores have them."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lockbot.closure.packages import compare
from lockbot.errors import LockbotError
from lockbot.model.closure import Closure, StorePath, split_name
from lockbot.model.difference import PackageMark
from lockbot.nix import command, installed
from lockbot.nix.closures import Pair, name_packages, read_closures
from lockbot.process import CancelToken
from tests import nixes

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"

# -- generated closures, compared with what Nix says ------------------------------------------------------


@dataclass(frozen=True)
class Registered:
    """A path as the store's database has it: that is all that is asked of it, there are no files."""

    name: str
    size: int
    references: tuple[str, ...] = ()
    salt: str = ""

    def path(self, store: Path) -> str:
        """Whatever else is different lies elsewhere, as in any store."""
        digest = hashlib.sha256(repr(self).encode()).digest()
        return f"{store}/{''.join(_ALPHABET[byte & 31] for byte in digest)}-{self.name}"


def register(nix: nixes.Nix, paths: Sequence[Registered]) -> None:
    lines = []
    for one in paths:
        path = one.path(nix.store)
        digest = hashlib.sha256(path.encode()).hexdigest()
        lines += [path, digest, str(one.size), "", str(len(one.references)), *one.references]
    text = "\n".join([*lines, ""])
    subprocess.run(["nix-store", "--load-db"], env=dict(nix.environment), input=text, text=True, check=True)


def generate(store: Path, seed: str) -> list[Registered]:
    """A closure of 2,000 paths, its root last. The first 200 are in all, and of the others most."""
    found: list[Registered] = []
    for number in range(1999):
        choose = random.Random(f"{number}")  # noqa: S311 (no secret)
        if number >= 200 and choose.random() < 0.4:
            choose = random.Random(f"{number} {seed}")  # noqa: S311
        version = f"{number % 7}.{choose.randrange(40)}"
        name = f"package{number // 2}-{version}" if choose.random() > 0.05 else f"other{choose.random()}-{version}"
        references = {one.path(store) for one in choose.sample(found[:200], min(number, 3))}
        found.append(Registered(name, choose.randrange(50_000), tuple(sorted(references)), str(choose.random())))
    root = Registered("root", 1, tuple(one.path(store) for one in found))
    return [*found, root]


def test_differences_are_those_that_nix_finds(nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> None:
    """Of what Nix tells at all: versions that came and went, and sizes that differ by 8 KiB or more."""
    old, new = (generate(nix.store, seed) for seed in ("old", "new"))
    register(nix, [*old, *new])
    roots = [side[-1].path(nix.store) for side in (old, new)]
    closures = read_closures(installed.find(nix.environment, cancel, tmp_path, {}), roots)
    assert [len(closures[root].paths) for root in roots] == [2000, 2000]

    found = compare(*(closures[root] for root in roots)).packages
    versions = {one.name: (set(one.old) - set(one.new), set(one.new) - set(one.old)) for one in found}
    growth = {one.name: (one.size[1] - one.size[0]) / 1024 for one in found}
    theirs = diff_closures(nix, *roots)
    assert len(theirs) > 300
    assert theirs.keys() == {name for name in versions if any(versions[name]) or abs(growth[name]) >= 8}
    assert {name: one[:2] for name, one in theirs.items()} == {name: versions[name] for name in theirs}
    assert [name for name, (*_, size) in theirs.items() if size and abs(size - growth[name]) > 0.051] == []
    assert {one.change for one in found} == set(PackageMark)


def diff_closures(nix: nixes.Nix, old: str, new: str) -> dict[str, tuple[set[str], set[str], float | None]]:
    """Versions gone and come, and the difference in KiB where it is told."""
    said = nix.run("nix", "store", "diff-closures", old, new).stdout
    found = {}
    for line in re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines():
        name, rest = line.split(": ", 1)
        versions, _, size = rest.rpartition(", ") if " KiB" in rest and ", " in rest else (rest, "", "")
        if versions.endswith("KiB"):
            versions, size = "", versions
        gone, _, come = versions.partition(" → ")
        found[name] = (_versions(gone), _versions(come), float(size.removesuffix(" KiB")) if size else None)
    return found


def _versions(text: str) -> set[str]:
    return set(text.split(", ")) - {"∅", "ε", ""}


def test_what_is_read_of_a_path(nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> None:
    """As Nix says it in JSON."""
    leaf = Registered("leaf-1.0", 123)
    root = Registered("root", 456, (leaf.path(nix.store),))
    register(nix, [leaf, root])
    place = root.path(nix.store)
    lockbot = installed.find(nix.environment, cancel, tmp_path, {})
    found = read_closures(lockbot, [place, leaf.path(nix.store), place])
    assert found.keys() == {place, leaf.path(nix.store)}
    said = json.loads(nix.run("nix", "path-info", "-r", "--json", place).stdout)
    assert {
        path: (one["narSize"], frozenset(one["references"]), one["deriver"]) for path, one in said.items()
    } == {path: (one.nar_size, one.references, one.deriver) for path, one in found[place].paths.items()}
    assert [found[place].paths[path].name for path in sorted(said)] == [
        path[len(str(nix.store)) + 34 :] for path in sorted(said)
    ]
    assert found[place].nar_size == 579
    assert read_closures(lockbot, []) == {}


NO_PATHS = {
    "not there": "STORE/00000000000000000000000000000000-x",
    "not in the store": "/etc/passwd",
    "an option": "--version",
    "in a path": "STORE/00000000000000000000000000000000-x/bin",
    "the store": "STORE",
    "above": "STORE/..",
    "no text": "STORE/00000000000000000000000000000000-x\0",
    "nothing": "",
}


@pytest.mark.parametrize("root", NO_PATHS.values(), ids=NO_PATHS.keys())
def test_what_is_no_valid_path_is_told(root: str, one_nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> None:
    lockbot = installed.find(one_nix.environment, cancel, tmp_path, {})
    with pytest.raises(LockbotError, match=r"is no path in Nix's store|cannot ask the store what .* need"):
        read_closures(lockbot, [root.replace("STORE", str(one_nix.store))])


def test_names_are_split_as_nix_does(one_nix: nixes.Nix) -> None:
    names = [
        "hello-2.12",
        "python3.12-foo-1.0",
        "foo-2-1.0",
        "foo-unstable-2026-01-01",
        "tool",
        "a-b-c",
        "a--1",
        "-1",
    ]
    names += [
        "a-",
        "a-_b",
        "a-B1",
        "1-2",
        "linux-6.12.3-modules",
        "nixos-system-web-25.11.20260101.abc",
        "x-?1",
        "",
    ]
    expression = f"map builtins.parseDrvName (builtins.fromJSON ''{json.dumps(names)}'')"
    said = json.loads(one_nix.run("nix", "eval", "--json", "--expr", expression).stdout)
    assert [split_name(name) for name in names] == [(one["name"], one["version"]) for one in said]


# -- names, by real derivations ---------------------------------------------------------------------------

DERIVATIONS = r"""
let
  plain = attributes@{ outputs ? [ "out" ], ... }: derivation ({
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "for path; do echo x >$path; done" "sh" ] ++ map builtins.placeholder outputs;
    salt = "SALT";
  } // attributes);
  package = pname: version: attributes:
    plain ({ name = "${pname}-${version}"; inherit pname version; } // attributes);
  all = [
    (package "foo-2" "1.0" { })
    (package "bar" "unstable-2026-01-01" { })
    (package "requests" "2.31" { name = "python3.12-requests-2.31"; })
    (package "vim" "9.1" { name = "vim-wrapped"; })
    (package "nvidia-x11" "550.1" { name = "nvidia-x11-550.1-6.12.3"; })
    (package "multi" "1.0-lib" { outputs = [ "out" "lib" "man" ]; })
    (package "small" "HUGE" { name = "small-1"; })
    (package "quo\"te\\d\n" "2" { name = "quoted-1.0"; text = "(\"pname\",\"evil\")"; })
    (package "attrs-3" "1.0" { __structuredAttrs = true; })
    (package "floating-2" "1.0" {
      outputs = [ "out" "doc" ];
      __contentAddressed = true;
      outputHashMode = "recursive";
      outputHashAlgo = "sha256";
    })
    (plain { name = "only-pname-7"; pname = "only-pname"; })
    (plain { name = "only-2-7"; version = "7"; })
    (plain { name = "tool"; })
    (plain { name = "old-style-4.2-rc1"; })
  ];
  outputsOf = one: map (name: one.${name}) (one.outputs or [ "out" ]);
  split = package "split-2" "1.0" { outputs = [ "out" "lib" ]; };
in plain {
  name = "top";
  needs = builtins.concatMap outputsOf all ++ [ split.lib ];
  args = [ "-c" "echo $needs >$out" ];
}
"""
EXPECTED = {
    "foo-2-1.0": ("foo-2", "1.0", "out"),
    "bar-unstable-2026-01-01": ("bar", "unstable-2026-01-01", "out"),
    "python3.12-requests-2.31": ("python3.12-requests", "2.31", "out"),
    "only-pname-7": ("only-pname", "7", "out"),
    "only-2-7": ("only-2", "7", "out"),
    "tool": ("tool", None, "out"),
    "old-style-4.2-rc1": ("old-style", "4.2-rc1", "out"),
    "vim-wrapped": ("vim", "9.1", "out"),
    "nvidia-x11-550.1-6.12.3": ("nvidia-x11", "550.1", "out"),
    "multi-1.0-lib": ("multi", "1.0-lib", "out"),
    "multi-1.0-lib-lib": ("multi", "1.0-lib", "lib"),
    "multi-1.0-lib-man": ("multi", "1.0-lib", "man"),
    "split-2-1.0-lib": ("split-2", "1.0", "lib"),
    "small-1": ("small", "1", "out"),
    "quoted-1.0": ('quo"te\\d\n', "2", "out"),
    "attrs-3-1.0": ("attrs-3", "1.0", "out"),
    "floating-2-1.0": ("floating-2", "1.0", "out"),
    "floating-2-1.0-doc": ("floating-2", "1.0", "doc"),
    "top": ("top", None, "out"),
}
UNFORESEEN = {"floating-2-1.0", "floating-2-1.0-doc", "top"}
"""No derivation knows where these will lie."""


@dataclass(frozen=True)
class Built:
    nix: command.Nix
    drv: str
    closure: Closure


@pytest.fixture
def built(nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> Built:
    file = tmp_path / "all.nix"
    file.write_text(DERIVATIONS.replace("SALT", str(tmp_path)).replace("HUGE", "1" * 1000))
    features = ("--option", "extra-experimental-features", "ca-derivations")
    drv = nix.run("nix-instantiate", *features, file).stdout.strip()
    root = nix.run("nix-store", *features, "--realise", drv).stdout.strip()
    lockbot = installed.find(nix.environment, cancel, tmp_path / "data", {})
    return Built(lockbot, drv, read_closures(lockbot, [root])[root])


def test_names_are_those_of_the_derivations(built: Built) -> None:
    """By derivers, and where these are not known or gone, by what the host's derivation needs."""
    empty = Closure(built.closure.root, {})
    assert _names(name_packages(built.nix, [(built.closure, empty)])) == EXPECTED

    foreseen = EXPECTED | dict.fromkeys(UNFORESEEN, (None, None, None))
    gone = f"{built.nix.store_directory}/{'0' * 32}-gone.drv"
    for deriver in (None, gone, "/proc/self/mem", "/dev/zero", "\0"):
        closure = _with_derivers(built.closure, deriver)
        assert _names(name_packages(built.nix, [(empty, closure)], [built.drv])) == foreseen
        assert _is_unnamed(name_packages(built.nix, [(empty, closure)]))
        assert _is_unnamed(name_packages(built.nix, [(empty, closure)], [built.drv, gone]))


def test_a_deriver_that_cannot_have_made_it_is_not_believed(built: Built) -> None:
    """Who made a path is whatever a cache says of it."""
    (tool,) = (one for one in built.closure.paths.values() if one.name == "tool")
    found = name_packages(built.nix, [(_with_derivers(built.closure, tool.deriver), Closure("", {}))])
    assert {name for name, label in _names(found).items() if label[0] is not None} == {"tool"}


def test_only_what_may_be_of_a_package_that_differs_is_named(built: Built) -> None:
    """By its name foo-2-1.0 might be of foo, too."""
    paths = dict(built.closure.paths)
    for name in ("foo-1-1.0", "vim-9.0"):
        path = f"{built.nix.store_directory}/{'0' * 32}-{name}"
        paths[path] = StorePath(path, name, 1)
    found = name_packages(built.nix, [(built.closure, Closure(built.closure.root, paths))])
    named = {name for name, label in _names(found).items() if label[0] is not None}
    assert named == {"foo-2-1.0"}


def _with_derivers(closure: Closure, deriver: str | None) -> Closure:
    return Closure(closure.root, {path: replace(one, deriver=deriver) for path, one in closure.paths.items()})


def _names(pairs: Sequence[Pair]) -> Mapping[str, tuple[str | None, str | None, str | None]]:
    paths = [one for pair in pairs for side in pair for one in side.paths.values()]
    return {one.name: (one.pname, one.version, one.output) for one in paths}


def _is_unnamed(pairs: Sequence[Pair]) -> bool:
    return set(_names(pairs).values()) == {(None, None, None)}
