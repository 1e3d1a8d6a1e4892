"""What can't be in the history: telling a row that no lockbot wrote, whatever is wrong with it. No SQL.

SQLite opens what was restored by half, edited by hand or hit by a bad block without a word: texts that are no
dates, words that nobody knows, JSON that is none, numbers in place of texts, rows that others refer to in vain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

_P = ParamSpec("_P")
_Value = TypeVar("_Value")
_Test = Callable[[Any], bool]


class Damaged(Exception):
    """A row that no lockbot wrote. Says what can't be; never reaches a person by itself."""


def reading(what: str) -> Callable[[Callable[_P, _Value]], Callable[_P, _Value]]:
    """For what makes a value of rows: whatever goes wrong in that is the rows' fault. `what` names the value."""

    def of(read: Callable[_P, _Value]) -> Callable[_P, _Value]:
        @functools.wraps(read)
        def checked(*args: _P.args, **kwargs: _P.kwargs) -> _Value:
            try:
                value = read(*args, **kwargs)
                _check(value)
            except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
                raise Damaged(f"{what} can't be read: {str(error)[:200]}") from error
            return value

        return checked

    return of


def text(value: object) -> str:
    """A stored text that is used as it is."""
    if not isinstance(value, str):
        raise Damaged(f"{str(value)[:80]!r} is no text")
    return value


def moment(text: str) -> datetime:
    """A stored time. Raises ValueError for one that lockbot did not write: it is UTC, and says so."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or not SENSIBLE[0] <= time.year <= SENSIBLE[1]:
        raise ValueError(f"{text!r} is no time")
    return time


def moment_or_none(text: str | None) -> datetime | None:
    """A stored time, or none."""
    return None if text is None else moment(text)


SENSIBLE = (1900, 9990)
"""Years: with those outside, sums and differences of times fail."""
_LARGEST = 1e15
"""Of a number of seconds: no NaN, no infinity, and sums of them are none."""


def _check(value: Any) -> None:
    """Raise ValueError unless a value is, all through, of the type that it is declared to be."""
    kind: Any = type(value)
    if not _of(kind)(value):
        wrong = next(name for name, test in _fields(kind) if not test(getattr(value, name)))
        raise ValueError(f"its {wrong} is {str(getattr(value, wrong))[:80]!r}")


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, _Test], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, _of(hints[field.name])) for field in fields(kind))


@functools.cache
def _of(hint: Any) -> _Test:
    """A test for a type hint; of what the history's values are made of, and no more."""
    arguments = get_args(hint)
    match get_origin(hint):
        case None:
            return _plain(hint)
        case origin if origin is UnionType:
            tests = tuple(map(_of, arguments))
            return lambda value: any(test(value) for test in tests)
        case origin if origin is tuple:
            each = _of(arguments[0])
            return lambda value: isinstance(value, tuple) and all(map(each, value))
        case origin if origin is dict:
            key, content = map(_of, arguments)
            return lambda value: all(key(name) and content(one) for name, one in value.items())
        case _:
            raise NotImplementedError(f"no test for {hint}")


def _plain(kind: Any) -> _Test:
    if kind is NoneType:
        return lambda value: value is None
    if kind is float:
        return lambda value: isinstance(value, (int, float)) and abs(value) < _LARGEST
    if not is_dataclass(kind):
        return lambda value: isinstance(value, kind)
    whole: Any = kind
    return lambda value: (
        isinstance(value, whole) and all(test(getattr(value, name)) for name, test in _fields(whole))
    )
