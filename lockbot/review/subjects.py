"""Which packages the subject of a commit names, as nixpkgs' are written: `openssl: 3.0.1 -> 3.0.2`. Pure.

Attributes are not packages' names: `python312Packages.requests` is `python3.12-requests`, `linux_6_12` is `linux`.
So both are reduced to what they have in common. A hint for a person: a few too many do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

MOST_NAMES = 50
"""Of one subject: what a stranger wrote may have thousands of commas."""
_MOST_CHARACTERS = 300

_BEFORE = re.compile(r"(?:\s*\[[^\]]*\]|\s*[Rr]evert:?)*\s*[\"“']?")
"""What may stand before the subject proper: `[Backport release-25.11]`, `Revert "`."""
_BRACES = re.compile(r"([^\s,{}]*)\{([^{}]*)\}([^\s,{}]*)")
_APART = re.compile(r"[,&]|\s(?:\+|and)\s")
_LANGUAGE = re.compile(r"^(?:python|perl|ruby|lua|php|ocaml|emacs|haskell|r|luajit)[0-9.]*-(?=.)")
"""How the sets of a language name their packages: `python3.12-requests`, `perl5.40.0-URI`."""
_WRAPPED = re.compile(r"[-_](?:un)?wrapp(?:ed|er)$")
_NOISE = re.compile(r"[^0-9a-z]")
_DIGITS = "0123456789"


class PackageNames:
    """Names of packages, to be found in subjects."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(one for name in names for one in _reductions(name))

    def match(self, subject: str) -> bool:
        return any(self._is_one(name) for name in named(subject))

    def _is_one(self, name: str) -> bool:
        """`linux612` and `gcc14`, too: attributes often end with the version's beginning, and names do not."""
        while name:
            if name in self._names:
                return True
            if name[-1] not in _DIGITS:
                return False
            name = name[:-1]
        return False


def named(subject: str) -> Iterator[str]:
    """What a subject is about, reduced: what stands before its first colon, set by set, name by name."""
    subject = subject[:_MOST_CHARACTERS]
    before, colon, _ = subject[_prefix(subject) :].partition(":")
    if not colon:
        return
    for word in _APART.split(_expanded(before))[:MOST_NAMES]:
        # `nixos/nginx`, `python312Packages.requests`: the last is the thing itself.
        yield _reduced(re.split(r"[./]", word.strip(" `\"'"))[-1])


def _prefix(subject: str) -> int:
    match = _BEFORE.match(subject)
    return match.end() if match is not None else 0


def _expanded(text: str) -> str:
    """`linux_{6_1,6_6}` → `linux_6_1,linux_6_6`."""

    def spread(match: re.Match[str]) -> str:
        return ",".join(f"{match[1]}{part.strip()}{match[3]}" for part in match[2].split(",")[:MOST_NAMES])

    return _BRACES.sub(spread, text, count=4)


def _reductions(name: str) -> tuple[str, str]:
    """A package's name, and the same without its language."""
    name = name.lower()[:_MOST_CHARACTERS]
    return _reduced(name), _reduced(_LANGUAGE.sub("", name, count=1))


def _reduced(name: str) -> str:
    return _NOISE.sub("", _WRAPPED.sub("", name.lower()))
