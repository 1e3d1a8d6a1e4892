"""What a user waits for, as given on the command line, made into what can be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lockbot.commands.holds.tools import Tools
from lockbot.config.types import attribute_path, branch_name, plain
from lockbot.errors import LockbotError, UsageError
from lockbot.forge.address import PullRequestAddress
from lockbot.forge.place import place_of
from lockbot.model import HoldEnd, Locked, UntilIn, UntilMerged, UntilVersion
from lockbot.policy.origin import origin_of
from lockbot.report.escape import name as shown

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PREFIX = re.compile(r"[0-9a-f]{7,39}")
_WHOLE = "give all 40 digits of it"
_EXAMPLES = {"branch": "for example nixos-unstable", "version": "for example 2.12"}
_LONGEST = 200
"""Characters of a branch's name, of a package's, and of a version."""


@dataclass(frozen=True)
class GivenEnd:
    """What stood behind `--until-merged`, `--until-in` and `--until-version`; one of them at most."""

    merged: str | None = None
    branch: tuple[str, str] | None = None
    version: tuple[str, str] | None = None


def read_end(tools: Tools, input: str, locked: Locked, given: GivenEnd) -> HoldEnd | None:
    """None: none of them was given. Raises UsageError for what can't be waited for, and for a commit's first
    digits where the rest of them can't be found out."""
    if given.merged is not None:
        return UntilMerged(PullRequestAddress.parse(given.merged, tools.accounts).url)
    if given.branch is not None:
        _refuse_without_history(input, locked)
        branch, commit = given.branch
        return UntilIn(_read("branch", branch), _read_commit(tools, locked, commit))
    if given.version is not None:
        _refuse_without_history(input, locked)
        package, version = given.version
        return UntilVersion(_read_package(package), _read("version", version))
    return None


def _refuse_without_history(input: str, locked: Locked) -> None:
    if origin_of(locked.original) is None:
        raise UsageError(
            f"{shown(input)} comes from no git repository: it has no branches to look at",
            "wait for a pull request (--until-merged) or for a day (--until)",
        )


def _read(what: str, text: str) -> str:
    try:
        _bound(text)
        return branch_name(text) if what == "branch" else plain(text.strip())
    except ValueError as error:
        raise UsageError(f"the {what} {shown(text)} {error}", _EXAMPLES[what]) from None


def _read_package(text: str) -> tuple[str, ...]:
    try:
        _bound(text)
        return attribute_path(text)
    except ValueError as error:
        raise UsageError(
            f"the package {shown(text)} {error}", "for example hello, or python3Packages.numpy"
        ) from None


def _bound(text: str) -> None:
    if len(text) > _LONGEST:
        raise ValueError(f"must not be longer than {_LONGEST} characters")


def _read_commit(tools: Tools, locked: Locked, text: str) -> str:
    """A whole hash: as given, or what the input's forge completes it to."""
    digits = text.strip().lower()
    if _COMMIT.fullmatch(digits):
        return digits
    if not _PREFIX.fullmatch(digits):
        raise UsageError(f"not a commit: {shown(text)}", "give its hash, or at least the first 7 digits of that")
    place = place_of(locked, tools.accounts)
    if place is None:
        raise UsageError(
            f"which commit {digits} is can't be asked: the input is on no forge that is known", _WHOLE
        )
    try:
        return tools.repositories.commit(place, digits)
    except LockbotError as error:
        tools.app.cancel.check()
        raise UsageError(f"which commit {digits} is can't be told: {error.message}", _WHOLE) from error
