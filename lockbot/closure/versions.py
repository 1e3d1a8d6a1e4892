"""Which of two versions is newer, where that can be said: Nix's order, and where it errs, what upstreams mean.

Nix's own (`builtins.compareVersions`, the manual's "nix-env --upgrade") takes a version for a list of numbers and
words. It has 6.18-rc7 above 6.18, and finds an order between two git revisions. Versions are anybody's words, of
any length: all here takes time in proportion to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest

from lockbot.model.difference import PackageMark

_COMPONENT = re.compile(r"[0-9]+|[^0-9.\-]+")
_PIECE = re.compile(r"[^.\-_+]+")
_PRERELEASES = frozenset({"rc", "alpha", "beta", "dev", "preview"})
"""Words that come before the version that they are appended to, as Nix has it for `pre` alone."""

_PRE, _PRERELEASE, _END, _WORD, _NUMBER = range(5)
"""What may stand at one place of a version, the oldest first. Nix: 2.3pre1 < 2.3 < 2.3a < 2.3.1."""

_DATE = re.compile(
    r"(?:[A-Za-z]+-)?((?:19|20)[0-9]{2})"
    r"(?:[.-](0?[1-9]|1[0-2])(?![0-9])(?:[.-](0?[1-9]|[12][0-9]|3[01])(?![0-9]))?"
    r"|(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])(?![0-9]))"
)
"""2026-01-31, 2026.1, 20260131, unstable-2026-01-31."""
_REVISION = re.compile(r"g?[0-9a-f]{7,64}")
_DAY = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")

_Component = tuple[int, int, str]
_Key = tuple[_Component, ...]
_LAST: _Component = (_END, 0, "")


def direction(old: str, new: str) -> PackageMark:
    """UP, DOWN, or CHANGED where neither is newer. Of two that are the same: CHANGED."""
    if _has_no_order(old, new):
        return PackageMark.CHANGED
    before, after = _key(old), _key(new)
    if before == after:
        return PackageMark.CHANGED
    return PackageMark.UP if before < after else PackageMark.DOWN


def sort(versions: Iterable[str]) -> tuple[str, ...]:
    """Each once, the oldest first; what has no order, by its letters."""
    return tuple(sorted(set(versions), key=lambda version: (_key(version), version)))


def _has_no_order(old: str, new: str) -> bool:
    """A date beside a number that somebody chose, and git's revisions: whole, or where two versions part."""
    return (
        (_DATE.match(old) is None) != (_DATE.match(new) is None)
        or _is_revision(old)
        or _is_revision(new)
        or _part_at_revisions(old, new)
    )


def _is_revision(text: str) -> bool:
    return _looks_like_revision(text) and not text.isdigit()


def _looks_like_revision(text: str) -> bool:
    """Digits alone may be one, too: ask what stands at its place in the other version."""
    return _REVISION.fullmatch(text) is not None and _DAY.match(text) is None


def _part_at_revisions(old: str, new: str) -> bool:
    for before, after in zip_longest(_PIECE.findall(old), _PIECE.findall(new), fillvalue=""):
        if before != after:
            both = _looks_like_revision(before) and _looks_like_revision(after)
            return both and (_is_revision(before) or _is_revision(after))
    return False


def _key(version: str) -> _Key:
    """What versions are sorted by. A date's parts come first, in whichever way they are written."""
    if (date := _DATE.match(version)) is None:
        return (*map(_component, _COMPONENT.findall(version)), _LAST)
    year, *parts = (part or "" for part in date.groups())
    numbers = (year, parts[0] or parts[2], parts[1] or parts[3])
    rest = _COMPONENT.findall(version, date.end())
    return (*(_number(number or "0") for number in numbers), *map(_component, rest), _LAST)


def _component(text: str) -> _Component:
    if text[0] in "0123456789":
        return _number(text)
    word = text.strip("_~+").lower()
    if word == "pre":
        return (_PRE, 0, "")
    return (_PRERELEASE, 0, word) if word in _PRERELEASES else (_WORD, 0, text)


def _number(digits: str) -> _Component:
    """By length, then by digits: as the number, however long it is."""
    digits = digits.lstrip("0")
    return (_NUMBER, len(digits), digits)
