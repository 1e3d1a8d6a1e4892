"""The rules of each input, and what an input is by its looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockbot.model import Locked
from lockbot.policy.rules import PolicyRules, RevisionKind, revisions_of
from tests.policy.moves import (
    DEFAULT,
)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("github:NixOS/nixpkgs/nixos-unstable", RevisionKind.TIPS),
        ("github:nixos/Nixpkgs/nixpkgs-unstable", RevisionKind.TIPS),
        ("github:NixOS/nixpkgs/release-25.05", RevisionKind.TIPS),
        ("git+https://github.com/NixOS/nixpkgs.git?ref=nixos-25.05", RevisionKind.TIPS),
        ("git+https://git.example/nixpkgs/?ref=refs/heads/nixos-25.05", RevisionKind.TIPS),
        ("github:NixOS/nixpkgs/master", RevisionKind.COMMITS),
        ("github:NixOS/nixpkgs", RevisionKind.COMMITS),
        ("github:nix-community/home-manager/release-25.05", RevisionKind.COMMITS),
        ("https://channels.nixos.org/nixos-unstable/nixexprs.tar.xz", RevisionKind.TIPS),
        ("git+https://[broken", RevisionKind.COMMITS),
        ("ht!tp:", RevisionKind.TIPS),
    ],
)
def test_what_revisions_are_tried(original: str, expected: RevisionKind) -> None:
    assert revisions_of(Locked("?", original, original), DEFAULT) is expected
    for word in RevisionKind:
        assert revisions_of(Locked("?", original, original), replace(DEFAULT, revisions=word)) is word


def test_a_rule_for_no_input_is_told() -> None:
    book = PolicyRules(DEFAULT, {"nixpkg": replace(DEFAULT, minimum_age=1), "a": DEFAULT})
    assert book.unmatched(["nixpkgs", "a"]) == (
        "the configuration has rules for 'nixpkg', which is no input; did you mean 'nixpkgs'?",
    )
