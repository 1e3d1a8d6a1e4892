"""What upstream did between two states of each input; of much, what touches the hosts.

A commit touches them when it changed a file that their evaluation read, or when its subject names a package that
differs on some host, as nixpkgs' subjects do. Must not know how histories are fetched.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from lockbot.git.inputs.changed_files import MOST_COMMITS
from lockbot.git.inputs.listing import Listing
from lockbot.git.inputs.revisions import Description, Relation
from lockbot.model import InputChange, UpstreamChanges, UpstreamCommit
from lockbot.nix.forges import compare_link
from lockbot.policy.origin import origin_of
from lockbot.policy.upstream_log import UpstreamLog, UpstreamRange
from lockbot.process import Deadline
from lockbot.review.subjects import PackageNames

MOST_SUBJECTS = 20
"""So many commits of one input are shown; all, where there are no more."""
_AT_ONCE = 4

_Key = tuple[str, str, str]


def upstream_changes(
    log: UpstreamLog,
    changes: Sequence[InputChange],
    packages: Collection[str],
    files_read: Mapping[str, Collection[str]] | None,
    deadline: Deadline,
) -> tuple[UpstreamChanges, ...]:
    """For each input that moved and has a git history, in their order; a range of one repository only once.

    `packages`: names of those that differ on some host. `files_read`: input → the files of its source that were
    evaluated; an input that is missing there is one of which that is not known. A history that can't be had stops
    nothing. Raises only what ends the run: Cancelled, DeadlineExceeded of the run's own.
    """
    moved = {change.input: key for change in changes if (key := _range(change)) is not None}
    first: dict[_Key, InputChange] = {}
    for change in changes:
        if change.input in moved:
            first.setdefault(moved[change.input], change)
    names = PackageNames(packages)

    def ask(change: InputChange) -> UpstreamChanges:
        return _ask(log, change, names, (files_read or {}).get(change.input), deadline)

    with ThreadPoolExecutor(_AT_ONCE) as executor:
        found = dict(zip(first, executor.map(ask, first.values()), strict=True))
    links = {one.input: compare_link(one.old, one.new) for one in changes if one.old and one.new}
    told = (_shared(found[key], name) for name, key in moved.items())
    return tuple(replace(one, link=links[one.input]) for one in told)


def with_counts(changes: Sequence[InputChange], told: Sequence[UpstreamChanges]) -> tuple[InputChange, ...]:
    """The changes, with the number of commits where upstream's history told it."""
    counts = {one.input: one.count for one in told if one.count is not None}
    return tuple(replace(change, commits=counts.get(change.input, change.commits)) for change in changes)


def _range(change: InputChange) -> _Key | None:
    """What is asked about this change: the same for each input that moves along the same range."""
    old, new = change.old, change.new
    if old is None or new is None or old.rev is None or new.rev is None or old.rev == new.rev:
        return None
    origin = origin_of(new.original)
    return (origin.url, old.rev, new.rev) if origin is not None else None


def _shared(found: UpstreamChanges, name: str) -> UpstreamChanges:
    if found.input == name:
        return found
    return UpstreamChanges(name, found.count, note=f"the same commits as of {found.input}")


def _ask(
    log: UpstreamLog, change: InputChange, names: PackageNames, files: Collection[str] | None, deadline: Deadline
) -> UpstreamChanges:
    assert change.old is not None
    assert change.new is not None
    if deadline.left <= 0:
        return UpstreamChanges(change.input, change.commits, note="its history was not looked at: the time was up")
    wanted = reads(files) if files else None
    found = log.range(change.old, change.new, wanted=wanted, few=MOST_SUBJECTS, deadline=deadline)
    if found is None or found.listing is None:
        problem = found.problem if found is not None else None
        return UpstreamChanges(change.input, change.commits, note=_unread(problem))
    return _told(change, found, found.listing, names)


def _unread(problem: str | None) -> str | None:
    return f"its history could not be read: {problem}" if problem else None


def _told(change: InputChange, found: UpstreamRange, listing: Listing, names: PackageNames) -> UpstreamChanges:
    choice = _choose(listing.commits, names, found.touching)
    shown = listing.commits if choice is None else choice.commits
    notes = [*_limits(listing), *_unseen(listing, found), *_more(choice)]
    return UpstreamChanges(
        change.input,
        change.commits if listing.count is None else listing.count,
        tuple(map(_commit, shown[:MOST_SUBJECTS])),
        chosen=choice is not None,
        note="; ".join(notes) or None,
    )


# -- which commits --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Choice:
    """Commits that touch the hosts, the newest first; and how many do in all."""

    commits: Sequence[Description]
    count: int


def reads(files: Collection[str]) -> Callable[[str], bool]:
    """Whether an evaluation that read these files depends on another one, as far as can be told.

    It does on these, and on what lies beside them and is no Nix (patches, scripts, JSON); but not in the topmost
    folder, where a repository has what it says of itself.
    """
    evaluated = frozenset(files)
    folders = {posixpath.dirname(path) for path in evaluated} - {""}

    def depends(path: str) -> bool:
        return path in evaluated or (not path.endswith(".nix") and posixpath.dirname(path) in folders)

    return depends


def _choose(
    commits: Sequence[Description], names: PackageNames, touching: Mapping[str, tuple[str, ...]] | None
) -> _Choice | None:
    """Those that touch the hosts, of many; None: all, or there is nothing to choose by.

    That a subject names no package does not mean that the commit touches none: only the files say that.
    """
    if len(commits) <= MOST_SUBJECTS:
        return None
    named = [commit for commit in commits if names.match(commit.subject)]
    if touching is None and not named:
        return None
    telling = _telling(touching or {})
    by_name = {commit.rev for commit in named}
    other = [commit for commit in commits if commit.rev in telling and commit.rev not in by_name]
    chosen = {commit.rev for commit in [*named, *other][:MOST_SUBJECTS]}
    return _Choice([commit for commit in commits if commit.rev in chosen], len(named) + len(other))


def _telling(touching: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Commits that changed a file which few others changed: every host reads nixpkgs' list of all packages, and
    that it was changed says nothing of any host."""
    often = Counter(file for files in touching.values() for file in files)
    return frozenset(rev for rev, files in touching.items() if any(often[one] <= MOST_SUBJECTS for one in files))


def _commit(said: Description) -> UpstreamCommit:
    return UpstreamCommit(said.rev, said.subject, said.author, said.authored or None)


# -- what was not found out -----------------------------------------------------------------------------------


def _limits(listing: Listing) -> list[str]:
    said = []
    match listing.relation:
        case Relation.BACKWARD:
            said.append("it moves back: these commits are taken back")
        case Relation.DIVERGED if listing.gone:
            said.append("its old revision is no longer upstream: what came between can't be told")
        case Relation.DIVERGED:
            said.append("its old revision is not among what the new one builds on: these are only the new commits")
        case Relation.UNKNOWN:
            said.append("how its revisions are related could not be found out in time")
    if not listing.whole:
        said.append("there may be more, in branches that were merged late")
    return said


def _unseen(listing: Listing, found: UpstreamRange) -> list[str]:
    if found.problem is not None:
        return [f"which files its commits changed is not known: {found.problem}"]
    if found.touching is not None and len(listing.commits) > MOST_COMMITS:
        return [f"which files were changed was looked up for the newest {MOST_COMMITS} commits only"]
    return []


def _more(choice: _Choice | None) -> list[str]:
    more = choice.count - len(choice.commits) if choice is not None else 0
    return [f"{more} more touch these hosts"] if more > 0 else []
