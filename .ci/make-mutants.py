"""Write down every mutant of some modules, one JSON object a line. Runs in a virtual environment of its own
(`.ci/mutants`), for lockbot and its tests need neither mutmut nor libcst.

    make-mutants.py FILE…

Mutants are made by mutmut's operators, on whole modules: mutmut itself leaves out what is not in a function, and
functions with decorators. And by four more, for what mutmut doesn't ask: is each part of a condition needed, each
branch, each statement, and what is returned?
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal


def argument(node: cst.Call) -> Iterator[cst.CSTNode]:
    """As mutmut, but that a positional argument is not left out: no call would fit any more, as mypy tells."""
    for changed in operator_arg_removal(node):
        left_out = [arg for arg in node.args if not any(arg is other for other in changed.args)]
        if len(changed.args) == len(node.args) or all(arg.keyword for arg in left_out):
            yield changed


def whole_condition(node: cst.If | cst.CompIf | cst.While) -> Iterator[cst.CSTNode]:
    """Always so, and never so."""
    if not m.matches(node.test, m.Name("True")):
        for value in ["False"] if isinstance(node, cst.While) else ["True", "False"]:
            yield node.with_changes(test=cst.Name(value))


def part_of_condition(node: cst.BooleanOperation) -> Iterator[cst.CSTNode]:
    yield from (node.left, node.right)


def statement(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    """Leave it out: what is done for its effect."""
    (only,) = node.body if len(node.body) == 1 else (None,)
    docstring = m.matches(only, m.Expr(m.SimpleString() | m.ConcatenatedString() | m.Ellipsis()))
    if isinstance(only, cst.Expr | cst.Raise | cst.AugAssign | cst.Continue | cst.Break) and not docstring:
        yield node.with_changes(body=[cst.Pass()])


def returned(node: cst.Return) -> Iterator[cst.CSTNode]:
    if node.value is not None and not m.matches(node.value, m.Name("None")):
        yield node.with_changes(value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" "))


OPERATORS = [
    *((kind, argument if one is operator_arg_removal else one) for kind, one in mutation_operators),
    (cst.If | cst.CompIf | cst.While, whole_condition),
    (cst.BooleanOperation, part_of_condition),
    (cst.SimpleStatementLine, statement),
    (cst.Return, returned),
]


_FROZEN = m.Decorator(m.Call(m.Name("dataclass")))  # what writes to a frozen one, mypy refuses
_ALL = m.Assign(targets=[m.AssignTarget(m.Name("__all__"))])


class Places(cst.CSTVisitor):
    """Every node that may be mutated, with its place. Not annotations: nobody runs them; and not imports."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[cst.CSTNode, str, int, int]] = []
        self._names: list[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom) or m.matches(node, _FROZEN | _ALL):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._names.append(node.name.value)
        place = self.get_metadata(PositionProvider, node, None)
        if place is not None:
            self.found.append((node, ".".join(self._names), place.start.line, place.end.line))
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._names.pop()


def mutants(path: Path) -> Iterator[dict[str, object]]:
    wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
    module, places = wrapper.module, Places()
    wrapper.visit(places)
    original = module.code
    before = _compiled(original)
    seen = {original}
    for node, function, first, last in places.found:
        for kind, operator in OPERATORS:
            for changed in operator(node) if isinstance(node, kind) else ():
                code = module.deep_replace(node, changed).code
                if code in seen or (after := _compiled(code)) is None or after == before:
                    continue
                seen.add(code)
                start, end, text = _edit(original, code)
                name = operator.__name__.removeprefix("operator_")
                yield {
                    "file": str(path),
                    "function": function,
                    "lines": [first, last],
                    "operator": name,
                    "edit": [start, end, text],
                    "shown": _shown(original, code),
                }


def _compiled(code: str) -> object:
    try:
        return compile(code, "mutant", "exec", optimize=0)
    except (SyntaxError, ValueError):
        return None


def _edit(old: str, new: str) -> tuple[int, int, str]:
    """What of the old text is replaced, and by what."""
    start = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest = min(len(old), len(new)) - start
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    return start, len(old) - tail, new[start : len(new) - tail]


def _shown(old: str, new: str) -> list[str]:
    """The lines that differ, before and after, each on one line."""
    one, other = old.splitlines(), new.splitlines()
    while one and other and one[0] == other[0]:
        del one[0], other[0]
    while one and other and one[-1] == other[-1]:
        del one[-1], other[-1]
    return [" ".join(" ".join(lines).split()) for lines in (one, other)]


def main(files: Iterable[str]) -> None:
    for file in files:
        for mutant in mutants(Path(file)):
            print(json.dumps(mutant))  # noqa: T201 -- that is the result


if __name__ == "__main__":
    main(sys.argv[1:])
