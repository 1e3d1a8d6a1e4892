"""JSON from a stranger, read strictly, with the place of every value: so that an error can say line and column.

Knows nothing of lock files. Refused, beside what is no JSON: keys that occur twice, NaN and infinities, numbers of
more than 20 digits, nesting deeper than `DEEPEST`, more than `MOST` values, and strings that are not Unicode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from lockbot.redact import redact

DEEPEST = 32
MOST = 2_000_000
"""Values. A lock of 100,000 inputs has as many; each takes some 130 bytes of memory."""
_DIGITS = 20

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Path = tuple[str | int, ...]


class JsonError(Exception):
    """What is wrong, and where: `line` and `column` count from 1."""

    def __init__(self, problem: str, text: str, offset: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - text.rfind("\n", 0, offset)


@dataclass
class Json:
    """A document. `value` is made of dict, list, str, int, float, bool and None."""

    text: str
    value: object = None
    _sought: Path | None = None
    """The value whose place is to be found. To note the places of all would take more memory than the document."""
    _place: int = 0
    _seen: int = 0

    @classmethod
    def parse(cls, text: str) -> Json:
        """Raises JsonError."""
        document = cls(text)
        document.value, end = document._value(document._skip(0), ())
        if end != len(text):
            document._fail("there is something after the end of the JSON", end)
        return document

    def error(self, problem: str, path: Sequence[str | int]) -> JsonError:
        """An error about the value at `path`: the keys and indices that lead to it."""
        again = Json(self.text, _sought=tuple(path))
        again._value(again._skip(0), ())
        return JsonError(problem, self.text, again._place)

    def _fail(self, problem: str, at: int) -> NoReturn:
        raise JsonError("it ends too early" if at >= len(self.text) else problem, self.text, at)

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        assert match is not None, "an empty match is a match"
        return match.end()

    def _value(self, at: int, path: Path) -> tuple[object, int]:
        """The value that starts at `at`, and where the next token starts."""
        if path == self._sought:
            self._place = at
        self._seen += 1
        if self._seen > MOST:
            self._fail(f"more than {MOST} values", at)
        if len(path) > DEEPEST:
            self._fail(f"nested deeper than {DEEPEST} levels", at)
        match self.text[at : at + 1]:
            case "{":
                return self._object(at, path)
            case "[":
                return self._array(at, path)
            case _:
                value, end = self._scalar(at)
                return value, self._skip(end)

    def _object(self, at: int, path: Path) -> tuple[object, int]:
        found: dict[str, object] = {}
        at = self._skip(at + 1)
        if self.text[at : at + 1] == "}":
            return found, self._skip(at + 1)
        while True:
            if self.text[at : at + 1] != '"':
                self._fail("expected a key in double quotes", at)
            key, end = self._scalar(at)
            assert isinstance(key, str), "it starts with a quote"
            if key in found:
                self._fail(f"the key {shown(key)} occurs twice", at)
            end = self._skip(end)
            if self.text[end : end + 1] != ":":
                self._fail("expected a colon after the key", end)
            found[key], at = self._value(self._skip(end + 1), (*path, key))
            if self.text[at : at + 1] == "}":
                return found, self._skip(at + 1)
            if self.text[at : at + 1] != ",":
                self._fail("expected a comma or a closing brace", at)
            at = self._skip(at + 1)

    def _array(self, at: int, path: Path) -> tuple[object, int]:
        found: list[object] = []
        at = self._skip(at + 1)
        if self.text[at : at + 1] == "]":
            return found, self._skip(at + 1)
        while True:
            value, at = self._value(at, (*path, len(found)))
            found.append(value)
            if self.text[at : at + 1] == "]":
                return found, self._skip(at + 1)
            if self.text[at : at + 1] != ",":
                self._fail("expected a comma or a closing bracket", at)
            at = self._skip(at + 1)

    def _scalar(self, at: int) -> tuple[object, int]:
        try:
            value, end = _DECODER.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            if error.msg.startswith("Unterminated string"):
                self._fail("a string that does not end", at)
            self._fail("expected a value" if error.pos == at else error.msg, error.pos)
        except _UnwantedError as error:
            self._fail(str(error), at)
        if isinstance(value, str) and _SURROGATE.search(value):
            self._fail("a string that is not Unicode", at)
        return value, end


class _UnwantedError(Exception):
    pass


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise _UnwantedError(f"a number of more than {_DIGITS} digits")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise _UnwantedError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_constant)


def shown(text: str) -> str:
    """A stranger's string within an error: quoted, escaped and short, without secrets."""
    text = redact(text)
    return json.dumps(text if len(text) <= 60 else text[:59] + "…", ensure_ascii=not text.isprintable())
