"""The documentation's pages, taken apart: headings, tables, blocks, links, command lines. Knows Markdown only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.nixes import PROJECT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RUNNABLE = re.compile(r"(?:sudo -u lockbot )?lockbot +[^`]+")


@dataclass(frozen=True)
class Page:
    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(PROJECT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """Without what stands in blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[str]:
        """What stands in blocks of these languages; "" is that of pictures."""
        return [match[2] for match in _FENCE.finditer(self.text) if match[1] in languages]

    def section(self, title: str) -> str:
        """From its heading to the next one of the same rank, or a higher one."""
        heading = re.search(rf"^(#+) {re.escape(title)}\n", self.text, re.MULTILINE)
        assert heading is not None, f"{self} has no section {title!r}"
        rest = self.text[heading.end() :]
        end = re.search(rf"^#{{1,{len(heading[1])}}} ", _FENCE.sub(_blank, rest), re.MULTILINE)
        return rest[: end.start()] if end else rest

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)

    @property
    def anchors(self) -> set[str]:
        """What a link may name behind `#`, as forges make it of headings."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)]+)\)", self.prose)

    def command_lines(self) -> Iterator[str]:
        """Every line that a reader may copy: those of sh blocks, and `lockbot …` in the text."""
        for block in self.blocks("sh"):
            yield from (line for line in block.replace("\\\n", "").splitlines() if line.strip())
        for span in re.findall(r"`([^`\n]+)`", self.prose):
            # A command's name by itself, and one with a part left out, is no command line.
            if _RUNNABLE.fullmatch(span) and "…" not in span and not re.fullmatch(r"lockbot \w+", span):
                yield span


def _blank(block: re.Match[str]) -> str:
    """As long as the block, and no heading in it."""
    return " " * len(block[0])


def rows(text: str) -> list[list[str]]:
    """The cells of the first table's rows, without its header."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None, "there is a table"
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in lines]


def coded(text: str) -> list[str]:
    """What stands in `…`."""
    return re.findall(r"`([^`]+)`", text)


README = Page(PROJECT / "README.md")
_DOCS = PROJECT / "docs"
DOCS = {str(path.relative_to(_DOCS).with_suffix("")): Page(path) for path in sorted(_DOCS.rglob("*.md"))}
FOR_USERS = [README, *DOCS.values()]
EVERY_PAGE = [
    *FOR_USERS,
    *(Page(PROJECT / name) for name in ("CONTRIBUTING.md", "SECURITY.md", "tests/README.md")),
]
EXAMPLE_DIRECTORY = "/tmp/demo"  # noqa: S108 -- what the pages call the demo's
