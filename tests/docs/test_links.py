"""Links between the pages, and what they say of files, lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, EVERY_PAGE, README, Page, coded
from tests.nixes import PROJECT

_PATH = re.compile(r"(?:lockbot|tests|config|systemd|docs|nix)/(?:[\w./-]*(?:\.\w+|/))?")
"""A file, or a directory with a slash at its end."""


@pytest.mark.parametrize("page", EVERY_PAGE, ids=str)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        assert target.is_relative_to(PROJECT), link
        assert not anchor or anchor in Page(target).anchors, link


def test_a_dead_link_would_be_found() -> None:
    assert sum(len(page.links) for page in EVERY_PAGE) > 60
    assert "the-state-directory" in DOCS["operating"].anchors and "inputname" in DOCS["configuration"].anchors


@pytest.mark.parametrize("page", EVERY_PAGE, ids=str)
def test_files_that_are_named_are_there(page: Page) -> None:
    for path in {one for one in coded(page.prose) if _PATH.fullmatch(one)}:
        assert (PROJECT / path).exists() or (page.path.parent / path).exists(), path


def test_every_page_is_in_the_index_and_begins_with_a_sentence() -> None:
    index = DOCS["README"]
    for name in DOCS:
        assert name == "README" or f"{name}.md" in index.links, name
    for page in EVERY_PAGE:
        assert re.match(r"# [^\n]+\n\n\w[^\n]+", page.text), page


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= 200
