"""The rules of each input, and what an input is by its looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockbot.model import Locked
from lockbot.policy.rules import PolicyRules, Revisions, revisions_of
from tests.policy.moves import (
    DEFAULT,
)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("github:NixOS/nixpkgs/nixos-unstable", Revisions.TIPS),
        ("github:nixos/Nixpkgs/nixpkgs-unstable", Revisions.TIPS),
        ("github:NixOS/nixpkgs/release-25.05", Revisions.TIPS),
        ("git+https://github.com/NixOS/nixpkgs.git?ref=nixos-25.05", Revisions.TIPS),
        ("git+https://git.example/nixpkgs/?ref=refs/heads/nixos-25.05", Revisions.TIPS),
        ("github:NixOS/nixpkgs/master", Revisions.COMMITS),
        ("github:NixOS/nixpkgs", Revisions.COMMITS),
        ("github:nix-community/home-manager/release-25.05", Revisions.COMMITS),
        ("https://channels.nixos.org/nixos-unstable/nixexprs.tar.xz", Revisions.TIPS),
        ("git+https://[broken", Revisions.COMMITS),
        ("ht!tp:", Revisions.TIPS),
    ],
)
def test_what_revisions_are_tried(original: str, expected: Revisions) -> None:
    assert revisions_of(Locked("?", original, original), DEFAULT) is expected
    for word in Revisions:
        assert revisions_of(Locked("?", original, original), replace(DEFAULT, revisions=word)) is word


def test_a_rule_for_no_input_is_told() -> None:
    book = PolicyRules(DEFAULT, {"nixpkg": replace(DEFAULT, minimum_age=1), "a": DEFAULT})
    assert book.unmatched(["nixpkgs", "a"]) == (
        "the configuration has rules for 'nixpkg', which is no input; did you mean 'nixpkgs'?",
    )
