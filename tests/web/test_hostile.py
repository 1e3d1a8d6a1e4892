"""Names that strangers have written change nothing but text, on any page."""

from __future__ import annotations

import html.parser
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from lockbot.web import addresses, routes
from tests.nixes import git_environment
from tests.report.test_output import bad_characters
from tests.web.world import Served, World, served

NAMES = {
    "script": "<script>alert(1)</script>",
    "quotes": "\"' onmouseover='alert(1)' x=\"",
    "style": "</style><style>*{display:none}",
    "comment": "--><!-- ]]> &amp; &lt;b&gt;",
    "url": "javascript:alert(document.cookie)",
    "template": "{{ 7 * 7 }}{% raw %}${x}",
    "bidi": "\u202egnp.\u2066exe\u2069\u200b",
    "ansi": "\x1b[31mred\x1b]0;title\x07\x9b2J",
    "control": "a\0b\tc\rd\x7f",
    "emoji": "👩\u200d💻 e\u0301",
    "path": "../../etc/passwd?x=1#y",
    "dots": "..",
    "json": "name.json",
    "slash": "a/b%2Fc",
    "long": "x" * 10_000,
}
PLAIN = [f"name{number:02}" for number in range(len(NAMES))]


SECTIONS = addresses.firsts(routes.PAGES)


class Structure(html.parser.HTMLParser):
    """Elements with the names of their attributes, in order, but for a log's colours; and where links lead."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.shown: list[str] = []
        self.odd: list[str] = []
        self.colours: list[bool] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "span":
            self.colours.append((dict(attrs).get("class") or "").startswith("ansi-"))
        if tag != "span" or not self.colours[-1]:
            self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src", "action") and value is not None]
        self.shown += [value for _, value in attrs if value is not None]

    def handle_endtag(self, tag: str) -> None:
        if tag != "span" or not self.colours.pop():
            self.elements.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.shown.append(data)

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def unknown_decl(self, data: str) -> None:
        self.odd.append(data)


def made(directory: Path, names: Sequence[str]) -> World:
    world = World.create(directory / "flake", git_environment(directory / "home"), names)
    world.has_a_past()
    world.runs_now(os.getpid())
    world.has_a_daemon()
    return world


def pages(service: Served, start: str = "/") -> dict[str, str]:
    """Every page that links lead to, by its address."""
    found: dict[str, str] = {}
    ahead = [start]
    while ahead:
        path = ahead.pop()
        if path in found:
            continue
        answer = service.ask(path)
        if len(path) > addresses.LONGEST:
            assert answer.status == 414
            continue
        assert answer.status == 200, (path, answer.text[:500])
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        found[path] = answer.text
        for link in Structure(answer.text).links:
            parts = urlsplit(urljoin(f"http://localhost{path}", link))
            ours = parts.hostname == "localhost" and parts.path.split("/")[1] in SECTIONS
            if ours and not parts.query and parts.path not in found:
                ahead.append(parts.path)
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    """The pages of a harmless world, and of a hostile one, by their sections."""
    walks = []
    for which in (PLAIN, list(NAMES.values())):
        world = made(tmp_path_factory.mktemp("world"), which)
        with served(world.config, environ=world.environ) as service:
            walks.append(pages(service))
    return walks[0], walks[1]


def of_section(pages: dict[str, str], section: str) -> list[Structure]:
    return [Structure(text) for path, text in pages.items() if path.split("/")[1] == section]


def test_the_elements_of_every_page_are_those_of_a_harmless_one(
    both: tuple[dict[str, str], dict[str, str]],
) -> None:
    plain, hostile = both
    sections = {path.split("/")[1] for path in plain}
    assert {"", "inputs", "lint"} <= sections == {path.split("/")[1] for path in hostile}
    for section in sections:
        known = {tuple(page.elements) for page in of_section(plain, section)}
        for page in of_section(hostile, section):
            assert tuple(page.elements) in known, section
            assert page.odd == []


def test_nothing_that_cannot_be_seen_gets_into_a_page(both: tuple[dict[str, str], dict[str, str]]) -> None:
    for path, text in both[1].items():
        # An emoji's joiner is shown as what it is, too.
        assert bad_characters(text) == set(), path
        assert {one for shown in Structure(text).shown for one in bad_characters(shown)} == set(), path


def test_every_link_stays_here_or_is_of_the_web(both: tuple[dict[str, str], dict[str, str]]) -> None:
    for text in both[1].values():
        for link in Structure(text).links:
            assert re.match(r"/(?!/)|#|https://github\.com/o/r/", link), link


def test_each_hostile_input_has_a_page_that_its_link_leads_to(both: tuple[dict[str, str], dict[str, str]]) -> None:
    plain, hostile = both
    assert sum(path.startswith("/inputs/") for path in plain) == len(NAMES)
    too_long = [name for name in NAMES.values() if len(name) > addresses.LONGEST]
    assert sum(path.startswith("/inputs/") for path in hostile) == len(NAMES) - len(too_long)
