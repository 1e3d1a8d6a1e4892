"""Every test that docs/security.md names is there, and every threat has one."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import DOCS
from tests.nixes import PROJECT

PAGE = DOCS["security"]
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows() -> list[list[str]]:
    """The table of threats, without its head."""
    lines = [line for line in PAGE.section("What is promised").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def functions(path: str) -> set[str]:
    tree = ast.parse((PROJECT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_is_there() -> None:
    named = _TEST.findall(PAGE.text)
    assert len(named) > 50
    for path, name in named:
        assert (PROJECT / path).is_file(), path
        assert any(one.startswith("test_") for one in functions(path)), path
        assert not name or name in functions(path), f"{path}::{name}"


def test_every_threat_has_a_test() -> None:
    assert len(rows()) > 20
    for threat, done, tests in rows():
        assert done and _TEST.search(tests), threat
