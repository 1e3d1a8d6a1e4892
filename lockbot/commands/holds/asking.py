"""Asking whether what a user waits for has come: one question for each kind of end.

Whatever goes wrong is an answer: that nobody could say, and why. It must not know what follows from one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from lockbot import oserrors
from lockbot.closure.versions import direction
from lockbot.commands.holds.answer import Answer
from lockbot.commands.holds.containing import branch_contains, contains, tip_of
from lockbot.commands.holds.tools import Tools
from lockbot.errors import Cancelled, DeadlineExceeded, LockbotError
from lockbot.forge.address import PullRequestAddress
from lockbot.forge.responses import NotThere, PullRequestStatus, RequestState
from lockbot.model import Heard, HoldEnd, Locked, PackageMark, UntilIn, UntilMerged, UntilVersion
from lockbot.model.host import written
from lockbot.nix.flakeref import FlakeRef
from lockbot.policy.origin import origin_of
from lockbot.report import words
from lockbot.report.escape import name as shown


@dataclass(frozen=True)
class Question:
    """Whether a hold on an input has ended. `before`: what was heard of that last."""

    input: str
    locked: Locked
    ends: HoldEnd
    before: Heard | None = None


def ask(tools: Tools, question: Question) -> Answer:
    """Raises Cancelled, and DeadlineExceeded for the whole run's."""
    try:
        with oserrors.explaining():
            return _ask(tools, question)
    except Cancelled:
        raise
    except DeadlineExceeded:
        tools.app.cancel.check()
        return Answer("there was no time left for an answer", known=False)
    except NotThere as error:
        return Answer(error.message, known=False, vain=True)
    except LockbotError as error:
        return Answer(error.message, known=False)


def _ask(tools: Tools, question: Question) -> Answer:
    match question.ends:
        case UntilMerged():
            return _ask_merged(tools, question, question.ends)
        case UntilIn(branch, commit):
            which = words.short(commit)
            if branch_contains(tools, question.locked, branch, commit):
                return Answer(f"{branch} has {which}", over=True)
            return Answer(f"{which} is not in {branch} yet")
        case UntilVersion():
            return _ask_version(tools, question, question.ends)
        case _:
            assert_never(question.ends)


# -- a pull request --------------------------------------------------------------------------------------------


def _ask_merged(tools: Tools, question: Question, ends: UntilMerged) -> Answer:
    request = PullRequestAddress.parse(ends.url, tools.accounts)
    status = tools.repositories.pull_request(request)
    match status.state:
        case RequestState.OPEN:
            return Answer("it is still open")
        case RequestState.CLOSED:
            advice = f"`lockbot release {shown(question.input)}` ends the hold"
            return Answer("it was closed, and nobody will merge it", vain=True, advice=advice)
        case RequestState.MERGED:
            return _ask_arrived(tools, question, ends.url, status)
        case _:
            assert_never(status.state)


def _ask_arrived(tools: Tools, question: Question, url: str, status: PullRequestStatus) -> Answer:
    """Of one that is merged: whether what the input follows has it. That may take days."""
    locked = question.locked
    day = f" on {status.date}" if status.date else ""
    ref = _followed(locked)
    branch = _named(ref)
    if status.commit is None:
        return Answer(f"{url} was merged{day}; as which commit is not told, so {branch} may lack it", over=True)
    try:
        arrived = contains(tools, locked, ref, status.commit)
    except NotThere:
        unknown = f"whether what {shown(question.input)} follows has it can't be told"
        return Answer(f"{url} was merged{day}; {unknown}", over=True)
    except (Cancelled, DeadlineExceeded):
        raise
    except LockbotError as error:
        why = f"merged{day}; whether {branch} has it could not be asked: {error.message}"
        return Answer(why, known=False)
    if arrived:
        return Answer(f"{url} was merged{day}, and {branch} has it", over=True)
    return Answer(f"merged{day}; not yet in {branch}")


def _followed(locked: Locked) -> str:
    """The branch that an input follows, as git takes it; a tag or a commit, where it follows that."""
    ref = FlakeRef.read(locked.original)
    return ref.rev or ref.ref or "HEAD"


def _named(ref: str) -> str:
    if ref == "HEAD":
        return "the default branch"
    return words.short(ref.removeprefix("refs/heads/").removeprefix("refs/tags/"))


# -- a package -------------------------------------------------------------------------------------------------


def _ask_version(tools: Tools, question: Question, ends: UntilVersion) -> Answer:
    origin, before = origin_of(question.locked.original), question.before
    if origin is None:
        raise NotThere("it comes from no git repository, and its newest revision can't be asked for")
    tip = tip_of(tools, origin)
    if before is not None and before.revision == tip:
        return Answer(before.answer, revision=tip)
    found = _version(tools, question.locked, tip, ends)
    return _compare(found, ends, f"{_named(origin.ref)} ({words.short(tip)})", tip)


def _version(tools: Tools, locked: Locked, tip: str, ends: UntilVersion) -> str | None:
    """The package's version at the tip; None: there is no such package."""
    from lockbot.commands.run_config import evaluating
    from lockbot.nix.evaluate.package_version import CannotEvaluate, package_version

    flake = str(FlakeRef.read(locked.original).with_rev(tip))
    limits = evaluating(tools.app.settings)
    try:
        found = package_version(tools.nix, flake, ends.package, limits, tools.deadline)
    except CannotEvaluate as error:
        raise NotThere(error.message) from error
    return found.version if found.there else None


def _compare(version: str | None, ends: UntilVersion, where: str, tip: str) -> Answer:
    package = written(ends.package)
    if version is None:
        return Answer(f"there is no {package} in {where}", vain=True, revision=tip)
    if not version:
        return Answer(f"{package} has no version in {where}", vain=True, revision=tip)
    told = f"{package} is at {version} in {where}"
    order = direction(ends.version, version)
    if version == ends.version or order is PackageMark.UP:
        return Answer(told, over=True, revision=tip)
    if order is PackageMark.CHANGED:
        return Answer(f"{told}: which of that and {ends.version} is newer can't be said", revision=tip)
    return Answer(told, revision=tip)
