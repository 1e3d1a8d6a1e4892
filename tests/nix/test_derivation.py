"""Where Nix puts an input's source."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.nix.derivation import source_path
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
