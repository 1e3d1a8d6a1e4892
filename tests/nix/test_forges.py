"""The forges' table: which pages a reference leads to, and which it does not."""

from __future__ import annotations

import pytest

from lockbot.model import Locked
from lockbot.nix import forges
from lockbot.nix.flakeref import FORGE_TYPES, Attr, FlakeRef

REV, OTHER = "0123456789" * 4, "a" * 40


@pytest.mark.parametrize(
    ("url", "compare", "commit"),
    [
        ("github:o/r", "https://github.com/o/r/compare/OLD...NEW", "https://github.com/o/r/commit/NEW"),
        ("github:o/r?host=ghe.example", "https://ghe.example/o/r/compare/OLD...NEW", "https://ghe.example/o/r/commit/NEW"),
        ("gitlab:o/r", "https://gitlab.com/o/r/-/compare/OLD...NEW", "https://gitlab.com/o/r/-/commit/NEW"),
        ("gitlab:g%252Fs/r", "https://gitlab.com/g/s/r/-/compare/OLD...NEW", "https://gitlab.com/g/s/r/-/commit/NEW"),
        ("sourcehut:~o/r", "https://git.sr.ht/~o/r/log/NEW", "https://git.sr.ht/~o/r/commit/NEW"),
        ("git+https://codeberg.org/o/r.git", "https://codeberg.org/o/r/compare/OLD...NEW", "https://codeberg.org/o/r/commit/NEW"),
        ("git+ssh://git@github.com/o/r", "https://github.com/o/r/compare/OLD...NEW", "https://github.com/o/r/commit/NEW"),
        ("git+https://gitlab.gnome.org/a/b/c", "https://gitlab.gnome.org/a/b/c/-/compare/OLD...NEW", "https://gitlab.gnome.org/a/b/c/-/commit/NEW"),
        ("git+https://git.sr.ht/~o/r", "https://git.sr.ht/~o/r/log/NEW", "https://git.sr.ht/~o/r/commit/NEW"),
        ("git+https://git.kernel.org/pub/scm/git/git.git",
         "https://git.kernel.org/pub/scm/git/git.git/log/?qt=range&q=OLD..NEW",
         "https://git.kernel.org/pub/scm/git/git.git/commit/?id=NEW"),
        ("git+https://cgit.example.org/r", "https://cgit.example.org/r/log/?qt=range&q=OLD..NEW", "https://cgit.example.org/r/commit/?id=NEW"),
        ("git+https://gitlab.example.org/g/s/r.git", "https://gitlab.example.org/g/s/r/-/compare/OLD...NEW", "https://gitlab.example.org/g/s/r/-/commit/NEW"),
        ("git+https://gitea.example.org:3000/o/r.git", "https://gitea.example.org:3000/o/r/compare/OLD...NEW", "https://gitea.example.org:3000/o/r/commit/NEW"),
        ("git+ssh://git@forgejo.example.org:2222/o/r.git", "https://forgejo.example.org/o/r/compare/OLD...NEW", "https://forgejo.example.org/o/r/commit/NEW"),
    ],
)  # fmt: skip
def test_links_to_the_forge(url: str, compare: str, commit: str) -> None:
    ref = FlakeRef.parse(url)
    assert forges.range_link(ref, OTHER, REV) == compare.replace("OLD", OTHER).replace("NEW", REV)
    assert forges.commit_link(ref, REV) == commit.replace("NEW", REV)
    assert forges.range_link(ref, "main", REV) is None


@pytest.mark.parametrize(
    "attrs",
    [
        {"type": "git", "url": "https://example.org/o/r"},
        {"type": "git", "url": "https://github.com.evil.example/o/r"},
        {"type": "git", "url": "https://github.com/o/r/x"},
        {"type": "git", "url": "https://github.example.org/o/r"},
        {"type": "git", "url": "https://notgitlab.example/o/r"},
        {"type": "git", "url": "https://gitlab.example.org<b>/o/r"},
        {"type": "git", "url": "https://cgit.example.org/o/../r"},
        {"type": "git", "url": "file:///gitlab.example.org/o/r"},
        {"type": "github", "owner": "o", "repo": "r", "host": "evil.example/x?"},
        {"type": "github", "owner": "..", "repo": "r"},
        {"type": "github", "owner": "o", "repo": "r\n"},
        {"type": "path", "path": "/github.com/o/r"},
    ],
)
def test_makes_no_link_of_what_it_does_not_know(attrs: dict[str, Attr]) -> None:
    assert forges.range_link(FlakeRef.from_attrs(attrs), OTHER, REV) is None


def test_links_hold_no_markup() -> None:
    ref = FlakeRef.from_attrs({"type": "github", "owner": 'o"><script>', "repo": "r](javascript:x)"})
    link = forges.range_link(ref, OTHER, REV)
    assert link is not None
    assert link.startswith("https://github.com/")
    assert not set(link) & set("\"'<>()[] ")


def test_compares_two_states_of_one_source_only() -> None:
    def locked(url: str, rev: str) -> Locked:
        return Locked("github", f"{url}/{rev}?narHash=sha256-AAAA", url, rev=rev)

    link = forges.compare_link(locked("github:o/r", OTHER), locked("github:o/r", REV))
    assert link == f"https://github.com/o/r/compare/{OTHER}...{REV}"
    assert forges.compare_link(locked("github:o/r", OTHER), locked("github:fork/r", REV)) is None
    assert forges.compare_link(Locked("x", "\n", ""), Locked("x", "", "")) is None


def test_every_type_that_names_a_forge_is_in_the_table() -> None:
    assert set(forges.FORGES) >= FORGE_TYPES
    assert all(forge.hosts for forge in forges.FORGES.values()), "the first is the one by default"
