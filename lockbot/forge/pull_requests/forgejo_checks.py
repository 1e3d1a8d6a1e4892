"""Which checks a branch requires at Forgejo and Gitea: patterns there, names here. Asks nobody.

https://codeberg.org/api/swagger#/repository, there repoGetBranch (`status_check_contexts`). They are matched by
https://codeberg.org/forgejo/forgejo/src/branch/forgejo/services/pull/commit_status.go, which is as
https://github.com/gobwas/glob says, without separators: `*` and `?` match any character, `{a,b}` either, and `\\`
takes the next character as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from lockbot.forge.responses import unexpected

_MOST = 64
"""Patterns that one with braces may stand for."""
_BRACES = re.compile(r"\{([^{}]*)\}")


def required(branch: Mapping[str, object], names: Sequence[str]) -> tuple[str, ...]:
    """The names among `names` that a branch's patterns match. A pattern that matches none of them is required
    itself: no check that is called so has passed."""
    if branch.get("enable_status_check") is not True:
        return ()
    # Without any pattern each check has to pass, and there must be one.
    found = [one for pattern in _patterns(branch) or ["*"] for one in _matched(pattern, names) or [pattern]]
    return tuple(dict.fromkeys(found))


def _patterns(branch: Mapping[str, object]) -> list[str]:
    told = branch.get("status_check_contexts")
    if told is None:
        return []
    if not isinstance(told, list):
        raise unexpected()
    patterns = [one for one in told if isinstance(one, str)]
    if len(patterns) != len(told):
        raise unexpected()
    return patterns


def _matched(pattern: str, names: Sequence[str]) -> list[str]:
    simple = list(_without_braces(_escaped(pattern)))
    return [name for name in names if any(fnmatchcase(name, one) for one in simple)]


def _escaped(pattern: str) -> str:
    """`\\*` in fnmatch's way, `[*]`. A brace is none then: it stands for itself as a private character."""
    return re.sub(r"\\(.)", lambda match: _LITERAL.get(match[1], f"[{match[1]}]"), pattern)


_LITERAL = {"{": "\ue000", "}": "\ue001", ",": "\ue002", "]": "]", "!": "!", "\\": "\\", "-": "-"}
_BACK = str.maketrans({"\ue000": "{", "\ue001": "}", "\ue002": ","})


def _without_braces(pattern: str) -> Iterator[str]:
    """What a pattern with `{a,b}` stands for, written out."""
    waiting, count = [pattern], 0
    while waiting:
        one = waiting.pop()
        braces = _BRACES.search(one)
        if braces is None:
            yield one.translate(_BACK)
            continue
        choices = braces[1].split(",")
        count += len(choices)
        if count > _MOST:
            raise unexpected()
        waiting += [one[: braces.start()] + choice + one[braces.end() :] for choice in choices]
