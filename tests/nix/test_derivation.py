"""Where Nix puts an input's source, and what `.drv` files say, whatever is in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockbot.nix.derivation import LABEL_BYTES, Label, read_label, source_path
from tests import nixes
from tests.fleet import Fleet, HostSpec, Upstream


def test_it_is_where_nix_put_it(nix: nixes.Nix, tmp_path: Path) -> None:
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=[Upstream.create(tmp_path, "a")], hosts=[HostSpec("x")])
    found = source_path(fleet.lock()["nodes"]["a"]["locked"]["narHash"], str(nix.store))
    assert found is not None
    assert (Path(found) / "flake.nix").is_file()


@pytest.mark.parametrize("text", ["", "sha256-", "sha256-AAAA", "sha512-" + "A" * 86 + "==", "sha256-\x00", "x"])
def test_what_is_no_such_hash(text: str) -> None:
    assert source_path(text) is None


_NAME = f"{'0' * 32}-foo-2-1.0.drv"
_OUT = "/nix/store/00000000000000000000000000000000-foo-2-1.0"
_START = f'Derive([("out","{_OUT}","","")],[("/nix/store/a.drv",["out"])],[],"x","/bin/sh",["-c"],['
_GUESS = ("foo", "2-1.0")
_WORDS = '("pname","foo-2"),("version","1.0")'

CONTENTS = {
    "its own words": (_START + _WORDS + "])", ("foo-2", "1.0")),
    "dynamic": (_START.replace("Derive(", 'DrvWithVersion("xp-dyn-drv",') + _WORDS + "])", ("foo-2", "1.0")),
    "structured": (_START + r'("__json","{\"pname\":\"foo-2\",\"version\":\"1.0\"}")])', ("foo-2", "1.0")),
    "structured beside others": (_START + r'("__json","{}"),' + _WORDS + "])", _GUESS),
    "structured, no names": (_START + r'("__json","{\"pname\":7,\"version\":[1]}")])', _GUESS),
    "structured, no object": (_START + r'("__json","[1]")])', _GUESS),
    "structured, no JSON": (_START + r'("__json","{")])', _GUESS),
    "structured, too deep": (_START + f'("__json","{"[" * 100_000}")])', _GUESS),
    "words in a value": (_START + r'("a","(\"pname\",\"evil\")")])', _GUESS),
    "a name too long": (_START + f'("pname","{"x" * 300}")])', _GUESS),
    "an empty version": (_START + '("pname","foo-2"),("version","")])', ("foo-2", "1.0")),
    "cut short": (_START + '("pname","foo', _GUESS),
    "very large": (_START + f'("a","{"x" * LABEL_BYTES}"),' + _WORDS + "])", _GUESS),
    "the same again and again": (_START + '("pname","' * 400_000, _GUESS),
    "no outputs": ("Derive([],[],[],", _GUESS),
    "no derivation": ("#!/bin/sh", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "found"), CONTENTS.values(), ids=CONTENTS.keys())
def test_what_a_derivation_calls_its_package(text: str, found: tuple[str, str] | None, tmp_path: Path) -> None:
    file = tmp_path / _NAME
    file.write_text(text)
    label = read_label(str(file))
    assert (label and (label.package, label.version)) == found
    if label is not None and label.outputs:
        assert label.output_at(_OUT, "foo-2-1.0") == "out"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "file.drv"
    file.write_bytes(_START.encode() + b'("pname","\xff")])')
    assert read_label(str(file)) is not None
    for name in ("fifo", "link", "directory", "absent"):
        place = tmp_path / name
        {"fifo": os.mkfifo, "link": lambda at: at.symlink_to(file), "directory": Path.mkdir}.get(name, Path)(place)
        assert read_label(str(place)) is None


def test_outputs_are_told_by_name_where_the_path_is_not_known() -> None:
    label = Label("foo-1", "foo", "1", {"out": "", "dev": "", "man": "/nix/store/m-foo-1-man"})
    names = ["foo-1", "foo-1-dev", "foo-1-man", "foo-1-doc", "foo"]
    assert [label.output_at(f"/nix/store/x-{name}", name) for name in names] == ["out", "dev", None, None, None]
    assert [label.fits(name) for name in names] == [True, True, True, True, False]
    assert label.output_at("/nix/store/m-foo-1-man", "foo-1-man") == "man"
