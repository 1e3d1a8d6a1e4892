"""`lockbot diff`: what differs on each host between two states of a flake, with no update.

Writes nothing of the user's. A state is a revision of the flake, what a run made, or a path in Nix's store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from lockbot import state as places
from lockbot.app import App, Options, Place
from lockbot.commands.committed import unasked
from lockbot.commands.run_config import run_config
from lockbot.errors import UsageError
from lockbot.git.clone import Clone, is_complete
from lockbot.git.commits.named import commit_named
from lockbot.git.source import LocalSource
from lockbot.git.worktree import incomplete, worktree
from lockbot.judge.candidate import Judge
from lockbot.judge.hosts import select
from lockbot.judge.verdict import Checkout, Judged, Known, Listing, Listings
from lockbot.lock.local import named_files
from lockbot.model import (
    Candidate,
    Difference,
    FailureKind,
    Gate,
    Host,
    HostBuild,
    HostKind,
    HostStatus,
    Phase,
    PhaseStarted,
)
from lockbot.nix import evaluate
from lockbot.nix.command import Nix
from lockbot.process import Deadline
from lockbot.report import terminal, words
from lockbot.report.document import Document
from lockbot.report.escape import name as shown
from lockbot.report.review.document import difference_documents
from lockbot.report.styled_lines import Line, Style, line
from lockbot.review.differences import compare_hosts, have
from lockbot.update.context import RunConfig

_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]+")


@dataclass(frozen=True)
class Commit:
    """A revision of the flake; `name` is what it was asked for by."""

    id: str
    name: str


@dataclass(frozen=True)
class StorePath:
    path: str
    name: str


State = Commit | StorePath


@dataclass(frozen=True)
class Compared:
    """What came of it. `builds`: the hosts at NEW, as judged against OLD, and by attribute those of them that OLD
    has not; `gone`: those that only OLD has."""

    old: State
    new: State
    differences: tuple[Difference, ...]
    builds: tuple[HostBuild, ...] = ()
    added: frozenset[tuple[str, ...]] = frozenset()
    gone: tuple[Host, ...] = ()


def diff(app: App, old: str | None, new: str | None, hosts: Sequence[str], *, build: bool) -> Compared:
    """Compare two states; without `new` the branch as it is (HEAD, where none is checked out or configured),
    without `old` the commit before that.

    `hosts`: patterns of those that are compared. Raises UsageError where there is no such state or host, or where
    a path and a revision are to be compared and it is not said by which host.
    """
    place = app.place(needs_branch=False)
    nix = app.nix(place)
    with _opened(app, place) as clone:
        comparer = _Comparer(app, place, clone, nix, run_config(app, place, Options(), nix), tuple(hosts), build)
        return comparer.compare(old, new)


@contextmanager
def _opened(app: App, place: Place) -> Iterator[Clone]:
    lock = places.RunLock(
        place.directory / places.LOCK, "comparing", app.clock, cancel=app.cancel, wait=True, progress=app.progress
    )
    with lock:
        yield app.clone(place)


@dataclass(frozen=True)
class _Comparer:
    app: App
    place: Place
    clone: Clone
    nix: Nix
    config: RunConfig
    wanted: tuple[str, ...]
    build: bool

    def compare(self, old_name: str | None, new_name: str | None) -> Compared:
        new = self._state(new_name or self._branch)
        old = self._state(old_name) if old_name is not None else self._parent(new)
        if isinstance(old, StorePath) and isinstance(new, StorePath):
            return self._compare_paths(old, new)
        return self._compare_hosts(old, new)

    def _compare_paths(self, old: StorePath, new: StorePath) -> Compared:
        """As if they were one host's."""
        host = Host(new.path, (new.path,), HostKind.ATTRIBUTE)
        before = HostBuild(host, HostStatus.BUILT, drv=old.path, out=old.path)
        found = compare_hosts(
            self.nix, {host.attribute: before}, [HostBuild(host, HostStatus.BUILT, drv=new.path, out=new.path)]
        )
        return Compared(old, new, tuple(replace(one, hosts=(new.path,)) for one in found))

    # -- which states ---------------------------------------------------------------------------------------

    def _state(self, name: str) -> State:
        if name.startswith(("/", "./", "../")):
            return StorePath(self._store_path(name), name)
        if _RUN.fullmatch(name):
            return Commit(self._commit_of_run(name), name)
        return Commit(self._named(name), name)

    @property
    def _branch(self) -> str:
        source = self.place.source
        if isinstance(source, LocalSource) and source.branch:
            return f"refs/heads/{source.branch}"  # and no tag of that name
        return source.branch or "HEAD"

    def _parent(self, new: State) -> Commit:
        if not isinstance(new, Commit):
            raise UsageError("name both states that are to be compared", "lockbot diff OLD NEW")
        parent = self.clone.git.resolve(f"{new.id}^1")
        if parent is None:
            raise UsageError(
                f"there is no commit before {words.short(new.id)}: it has no parent", "lockbot diff OLD NEW"
            )
        return Commit(parent, f"{new.name}^")

    def _named(self, name: str) -> str:
        return commit_named(self.clone, unasked(self.place.source), name)

    def _store_path(self, name: str) -> str:
        store = self.nix.store_directory
        try:
            first, *_ = Path(name).resolve(strict=True).relative_to(store.resolve()).parts
        except (OSError, ValueError):
            hint = "name a result of Nix's, or a revision"
            raise UsageError(f"{name} leads to no path in {store}", hint) from None
        path = str(store / first)
        if self.nix.invalid([path]):
            raise UsageError(f"{path} is not valid in Nix's store", "was it collected?")
        return path

    def _commit_of_run(self, run: str) -> str:
        """What was rejected lies on no branch, only in lockbot's clone, and there not for ever."""
        with self.app.history() as past:
            found = past.get(run)
        commit = found.commit or found.candidate
        if commit is None:
            raise UsageError(f"run {run} made no commit", "`lockbot history` lists the runs")
        base = found.base if found.base is not None and self.clone.has(found.base) else None
        if self.clone.has(commit) and is_complete(self.clone.git, base, commit):
            return commit
        try:
            return self._named(commit)
        except UsageError:
            raise UsageError(
                f"the commit of run {run} ({words.short(commit)}) is gone",
                "what was not published is not kept for long",
            ) from None

    # -- hosts ------------------------------------------------------------------------------------------------

    def _compare_hosts(self, old: State, new: State) -> Compared:
        """At least one is a revision; where the other is a path, that stands for the one host that is meant."""
        commits = [one for one in (old, new) if isinstance(one, Commit)]
        for one in commits:
            self.nix.permit(named_files(self.clone, one.id, self.config.flake_dir))
        with worktree(self.clone, commits[-1].id, unasked(self.place.source)) as tree:
            lacks = lambda: incomplete(self.clone, tree)  # noqa: E731 -- asked for only when something fails
            checkout = Checkout(tree.path, self.config.flake_dir, tree.submodules, lacks)
            hosts, listings = self._hosts(checkout, commits)
            if len(commits) < 2 and len(hosts) != 1:
                raise UsageError(
                    "a path can be compared with one host only", f"--host NAME: {', '.join(h.name for h in hosts)}"
                )
            if not self.build:
                hosts = tuple(replace(host, evaluate_only=True) for host in hosts)
            gone = tuple(host for host in hosts if listings.now.lacks(host))
            base, candidate = commits[0].id, commits[-1].id
            judged = self._judge(checkout, base, candidate, [host for host in hosts if host not in gone], listings)
        before = self._before(base, judged)
        builds = tuple(build for build in judged.verdict.builds if not _is_gone(build))
        gone = (*gone, *(build.host for build in judged.verdict.builds if _is_gone(build)))
        if isinstance(old, StorePath):
            before = {builds[0].host.attribute: replace(builds[0], drv=old.path, out=old.path, warnings=None)}
            builds = (replace(builds[0], status=_as_changed(builds[0].status)),)
        elif isinstance(new, StorePath):
            before = {builds[0].host.attribute: builds[0]}
            builds = (replace(builds[0], status=HostStatus.BUILT, drv=new.path, out=new.path, warnings=None),)
        builds = tuple(_same(before.get(build.host.attribute), build) for build in builds)
        broken: frozenset[str] = frozenset()
        if self.build:
            limits, seconds = self.config.judging.build, self.app.settings.run.deadline
            broken = have(self.nix, limits, self.app.progress, before, builds, lambda _: True, seconds=seconds)
        there = (build.host.attribute for build in builds if build.status is not HostStatus.UNCHANGED)
        added = frozenset(attribute for attribute in there if attribute not in before)
        return Compared(old, new, compare_hosts(self.nix, before, builds, broken), builds, added, gone)

    def _hosts(self, checkout: Checkout, commits: Sequence[Commit]) -> tuple[tuple[Host, ...], Listings]:
        """The hosts of all these commits, and what the first and the last list. Those of the last come first."""
        deadline = Deadline(self.config.judging.evaluation.timeout, "asking the flake for its hosts")
        lists = [evaluate.host_names(self.nix, checkout.at(commit.id), deadline) for commit in commits]
        before, now = (Listing(frozenset(host.attribute for host in lists[end])) for end in (0, -1))
        found = dict.fromkeys(host for hosts in reversed(lists) for host in hosts)
        chosen = select(tuple(found), self.config.host_patterns)
        if not self.wanted:
            return chosen, Listings(before, now)
        named = tuple(h for h in chosen if any(fnmatchcase(h.name, pattern) for pattern in self.wanted))
        if not named:
            names = ", ".join(host.name for host in chosen[:20])
            raise UsageError(f"there is no host {self.wanted[0]!r}", f"there are: {names}")
        return named, Listings(before, now)

    def _judge(
        self, checkout: Checkout, base: str, candidate: str, hosts: Sequence[Host], listings: Listings
    ) -> Judged:
        self.app.progress(PhaseStarted(Phase.JUDGE, words.count(len(hosts), "host"), hosts=len(hosts)))
        # Of one revision alone, nothing is the same without an update: it is built, too.
        gate = Gate.ALL_GREEN if base == candidate else Gate.NO_REGRESSION
        judge = Judge(self.nix, checkout, self.config.judging, self.app.progress, gate)
        known = Known(self._remembered(base))
        return judge.judge(Candidate(base, candidate, ()), hosts, known=known, listings=listings)

    def _remembered(self, commit: str) -> dict[tuple[str, ...], HostBuild]:
        """The derivations that a run found at this commit."""
        with self.app.history() as past:
            known = past.baseline(self.place.flake, self.config.fingerprint, commit).values()
        return {
            one.host.attribute: replace(one, status=HostStatus.EVALUATED, failure=None, here=None)
            for one in known
            if one.drv is not None
        }

    def _before(self, base: str, judged: Judged) -> dict[tuple[str, ...], HostBuild]:
        return {**self._remembered(base), **judged.base}


def _is_gone(build: HostBuild) -> bool:
    """That of one which only the configuration names, no list tells."""
    return build.failure is not None and build.failure.kind is FailureKind.GONE


def _same(old: HostBuild | None, new: HostBuild) -> HostBuild:
    """Whatever it was made by, and a path in the store tells no derivation: the same output is the same host."""
    if old is None or old.failure is not None or new.failure is not None or not new.out or old.out != new.out:
        return new
    return replace(new, status=HostStatus.UNCHANGED)


def _as_changed(status: HostStatus) -> HostStatus:
    return HostStatus.BUILT if status is HostStatus.UNCHANGED else status


def diff_document(compared: Compared) -> Document:
    return {
        "old": _state_document(compared.old),
        "new": _state_document(compared.new),
        "differences": difference_documents(compared.differences),
        "hosts": [
            *(_host_document(build, added=build.host.attribute in compared.added) for build in compared.builds),
            *(_gone_document(host) for host in compared.gone),
        ],
    }


def _host_document(build: HostBuild, *, added: bool) -> Document:
    return {
        "name": build.host.name,
        "attribute": build.host.installable,
        "status": build.status,
        "only_in": "new" if added else None,
        "failure": build.failure.message if build.failure else None,
    }


def _gone_document(host: Host) -> Document:
    return {
        "name": host.name,
        "attribute": host.installable,
        "status": "gone",
        "only_in": "old",
        "failure": None,
    }


def _state_document(state: State) -> str:
    return state.id if isinstance(state, Commit) else state.path


def diff_lines(compared: Compared, width: int | None) -> tuple[Line, ...]:
    sections = [
        _unchanged(compared),
        *_coming_and_going(compared),
        *terminal.review(compared.differences, compared.builds, width),
    ]
    sections.append(tuple(_failures(compared.builds)))
    told = [section for section in sections if section]
    if not told:
        return (line("Nothing differs."),)
    return tuple(one for section in told for one in (*section, line()))[:-1]


def _unchanged(compared: Compared) -> tuple[Line, ...]:
    names = [build.host.name for build in compared.builds if build.status is HostStatus.UNCHANGED]
    if not names:
        return ()
    return (line(("Nothing differs", Style.TITLE)), line(f"  on {', '.join(map(shown, names))}"))


def _coming_and_going(compared: Compared) -> Iterator[tuple[Line, ...]]:
    added = [build.host for build in compared.builds if build.host.attribute in compared.added]
    for title, hosts in (("New hosts", added), ("Hosts that are gone", compared.gone)):
        if hosts:
            yield (line((title, Style.TITLE)), line(f"  {', '.join(shown(host.name) for host in hosts)}"))


def _failures(builds: Sequence[HostBuild]) -> Iterator[Line]:
    failed = [build for build in builds if build.failure is not None]
    if failed:
        yield line(("Not known", Style.TITLE))
    for build in failed:
        assert build.failure is not None
        why = words.failed(build.failure)
        yield line("  ", (shown(build.host.name), terminal.STATUS_STYLE[build.status]), f": {why}")
