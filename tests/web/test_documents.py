"""docs/json.md against the pages: what each one has is named there, and what is named there each one has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.docs.pages import DOCS, coded, rows
from tests.web.world import Served

ROWS = {row[0].strip("`"): coded(row[1]) for row in rows(DOCS["json"].text.split("## The pages")[1])}
NAMES = {"NAME": "one", "RUN": "latest", "HOST": "one", "ATTRIBUTE": "one"}
OF_A_COMMAND = ("/runs/RUN.json", "/lint.json")
"""The rest of these stands in tables of their own, which are compared with what the commands print."""


@pytest.mark.parametrize("page", ROWS)
def test_a_page_is_what_the_documentation_says(service: Served, page: str) -> None:
    address = page
    for part, name in NAMES.items():
        address = address.replace(part, name)
    answer = service.ask(address)
    assert answer.status in (200, 503), "of /healthz, too"
    document = json.loads(answer.body)
    if page not in OF_A_COMMAND:
        assert document.keys() <= {*ROWS[page]}, "named"
    assert {name.partition("=")[0] for name in ROWS[page]} - {"before"} <= {*_words(document), "before"}, "there"


def _words(value: object) -> Iterator[str]:
    """Every key and text in a document."""
    match value:
        case dict():
            yield from value
            for inner in value.values():
                yield from _words(inner)
        case list():
            for inner in value:
                yield from _words(inner)
        case str():
            yield value
