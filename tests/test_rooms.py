"""The bounds that keep lockbot/ a house that one finds one's way in, and that its contracts forget no room."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "lockbot"
MODULES = sorted(PACKAGE.rglob("*.py"))

MOST_MODULES = 14
"""In one folder, `__init__.py` counted: more than that nobody takes in at a look."""
MOST_LINES = 400
MOST_PARAMETERS = 8
"""Of one function, but for `self` and `cls`: what travels together has a name, and becomes a type."""


def test_no_folder_holds_more_modules_than_one_takes_in_at_a_look() -> None:
    folders = {module.parent for module in MODULES}
    found = {str(folder.relative_to(PROJECT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: count for folder, count in found.items() if count > MOST_MODULES} == {}


def test_no_module_is_longer_than_one_reads_in_a_sitting() -> None:
    found = {str(module.relative_to(PROJECT)): len(module.read_text().splitlines()) for module in MODULES}
    assert {module: lines for module, lines in found.items() if lines > MOST_LINES} == {}


def test_no_function_asks_for_more_than_one_keeps_in_mind() -> None:
    found = dict(function for module in MODULES for function in _functions(module))
    assert len(found) > 1000, "all of them were looked at"
    assert {name: count for name, count in found.items() if count > MOST_PARAMETERS} == {}


def _functions(module: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            asked = node.args
            every = [*asked.posonlyargs, *asked.args, *asked.kwonlyargs, asked.vararg, asked.kwarg]
            count = sum(one is not None and one.arg not in ("self", "cls") for one in every)
            name = "lambda" if isinstance(node, ast.Lambda) else node.name
            yield f"{module.relative_to(PROJECT)}:{node.lineno} {name}", count


def test_the_search_is_forbidden_every_other_room() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one.get("source_modules") == ["lockbot.search"]]
    rooms = {f"lockbot.{path.stem}" for path in PACKAGE.iterdir() if path.suffix == ".py" or _is_package(path)}
    assert sorted(contract["forbidden_modules"]) == sorted(rooms - {"lockbot.search", "lockbot.__init__"})


def _is_package(path: Path) -> bool:
    return (path / "__init__.py").is_file()
