"""Which git repository is behind a flake reference."""

from __future__ import annotations

import pytest

from lockbot.git.inputs.upstream import Origin
from lockbot.policy.origin import origin_of

REV = "a" * 40


@pytest.mark.parametrize(
    ("reference", "origin"),
    [
        ("github:NixOS/nixpkgs", Origin("https://github.com/NixOS/nixpkgs.git")),
        (
            "github:NixOS/nixpkgs/nixos-unstable",
            Origin("https://github.com/NixOS/nixpkgs.git", "nixos-unstable"),
        ),
        (f"github:o/r/{REV}", Origin("https://github.com/o/r.git", "HEAD", REV)),
        ("github:o/r?host=git.example.org", Origin("https://git.example.org/o/r.git")),
        ("gitlab:group%2Fsub/r/release%2F1", Origin("https://gitlab.com/group/sub/r.git", "release/1")),
        ("gitlab:o/r?host=gitlab.gnome.org", Origin("https://gitlab.gnome.org/o/r.git")),
        ("sourcehut:~rycee/nmd", Origin("https://git.sr.ht/~rycee/nmd")),
        ("git+https://example.org/x.git?ref=next&dir=a", Origin("https://example.org/x.git", "next")),
        ("git+ssh://git@example.org/x", Origin("ssh://git@example.org/x")),
        (f"git+file:///srv/x?ref=refs/tags/v1&rev={REV}", Origin("file:///srv/x", "refs/tags/v1", REV)),
        ("https://example.org/x.tar.gz", None),
        ("path:/srv/x", None),
        ("nixpkgs", None),
        ("hg+https://example.org/x", None),
        ("git+https://token@example.org/x?ref=next", Origin("https://token@example.org/x", "next")),
        ("git+https://example.org/x?ref=--upload-pack%3Dx", None),
        ("github:o/r%0A", None),
    ],
)
def test_origins(reference: str, origin: Origin | None) -> None:
    assert origin_of(reference) == origin


@pytest.mark.parametrize("reference", ["github:o/r?host=evil.example%2Fx", "github:o%2F..%2F..%2Fx/r"])
def test_no_name_leads_to_another_place_on_the_host(reference: str) -> None:
    assert origin_of(reference) is None
