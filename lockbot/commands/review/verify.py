"""`lockbot verify`: whether a commit is what its message claims, found out anew. Writes nothing of the user's.

What is claimed and what follows from what was found is `review.claims`'s to say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from lockbot import state as places
from lockbot.app import App, Options, Place
from lockbot.commands.committed import unasked
from lockbot.commands.run_config import run_config
from lockbot.config.types import attribute_path
from lockbot.errors import UsageError
from lockbot.git.clone import TREE_PREFIX, Clone
from lockbot.git.command import Git
from lockbot.git.commits.described import Commit, describe, signature
from lockbot.git.commits.links import followed
from lockbot.git.commits.named import commit_named, commits_between, split_range
from lockbot.git.worktree import Worktree, incomplete, worktree
from lockbot.history.store import History
from lockbot.judge.hosts import HostPatterns, select
from lockbot.judge.verdict import Checkout
from lockbot.lock import asked
from lockbot.lock.ahead.lookout import Lookout
from lockbot.lock.content import ContentAnswer, compare_content
from lockbot.lock.local import named_by, named_files
from lockbot.lock.own_name import holds_own_name
from lockbot.model import Failure, FailureKind, Host, HostKind, InputChange, Phase, PhaseStarted
from lockbot.nix.command import Nix
from lockbot.nix.fetch_memory import forgetful
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile, LockFileError, diff
from lockbot.policy.decide import by_rules
from lockbot.redact import redact
from lockbot.report import words
from lockbot.report.trailers import Trailers, parse_trailers
from lockbot.review import claims
from lockbot.review.claims import Finding, FindingKind, Found, HostFound, HostRow, Judged
from lockbot.review.judged import claims_of, judged_for
from lockbot.review.look import Looking
from lockbot.update.context import RunConfig


@dataclass(frozen=True)
class Extent:
    """How much is looked at: which hosts (patterns; none: all), and what becomes of them."""

    hosts: tuple[str, ...] = ()
    evaluate: bool = True
    build: bool = False

    def takes(self, host: str) -> bool:
        return not self.hosts or any(fnmatchcase(host, pattern) for pattern in self.hosts)


@dataclass(frozen=True)
class Verified:
    """What was found out about one commit."""

    commit: str
    subject: str
    found: Found
    hosts: tuple[HostRow, ...] = ()
    judged: Judged | None = None
    """Of a commit that was made of one that was judged: that one."""

    @property
    def as_claimed(self) -> bool:
        """Whether all that was looked at is as claimed. What could not be found out is not."""
        return not self.found.findings and not self.found.unjudged

    @property
    def exit_code(self) -> int:
        return 1 if self.found.findings else 3 if self.found.unjudged else 0


def verify(app: App, name: str, extent: Extent) -> Verified:
    """Look at the commit of this name. Raises UsageError where there is no such commit, or no such host in it."""
    with _opened(app, extent) as verifier:
        verified = verifier.verify(verifier.named(name))
        verifier.refuse_unknown_hosts()
        return verified


def verify_range(app: App, between: str, extent: Extent) -> Iterator[Verified]:
    """Look at the commits of a range, the oldest first, along the first parents. Raises as `verify` does."""
    old, new = split_range(between)
    with _opened(app, extent) as verifier:
        for commit in commits_between(verifier.clone, verifier.named(old), verifier.named(new)):
            yield verifier.verify(commit)
        verifier.refuse_unknown_hosts()


def exit_code(verified: Sequence[Verified]) -> int:
    """0: all are as claimed; 1: one is not; 3: of some it could not be found out, and nothing else is wrong."""
    codes = {one.exit_code for one in verified}
    return next((code for code in (1, 3) if code in codes), 0)


@contextmanager
def _opened(app: App, extent: Extent) -> Iterator[_Verifier]:
    """No branch has to be there, as in a checkout that a CI service makes."""
    place = app.place(needs_branch=False)
    nix = app.nix(place)
    lock = places.RunLock(
        place.directory / places.LOCK, "verifying", app.clock, cancel=app.cancel, wait=True, progress=app.progress
    )
    with lock, app.history(place) as history:
        config = run_config(app, place, Options(), nix)
        yield _Verifier(app, place, app.clone(place), history, nix, config, extent)


@dataclass
class _Verifier:
    app: App
    place: Place
    clone: Clone
    history: History
    nix: Nix
    config: RunConfig
    extent: Extent
    unmatched: set[str] = field(default_factory=set)
    """Of the hosts that are asked for: those that no commit so far has, nor names."""
    known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.unmatched = set(self.extent.hosts)

    def named(self, name: str) -> str:
        return commit_named(self.clone, unasked(self.place.source), name)

    def refuse_unknown_hosts(self) -> None:
        if self.unmatched:
            names = ", ".join(sorted(self.known)[:20]) or "none"
            raise UsageError(f"there is no host {min(self.unmatched)!r}", f"there are: {names}")

    @property
    def lock_path(self) -> str:
        return str(Path(self.config.flake_dir) / LOCK_NAME)

    # -- one commit -----------------------------------------------------------------------------------------

    def verify(self, commit: str) -> Verified:
        about = describe(self.clone, commit)
        judged = judged_for(self.clone, self.history, self.place.flake, about)
        trailers = self._claims(about, judged)
        files = claims.compare_files(trailers, about.files, self.lock_path, self.config.after_update.paths)
        found = [self._about(about, trailers), claims.compare_judged(judged, about.parent), files]
        hosts: tuple[HostFound, ...] = ()
        self._permit(commit, about)
        # Below the worktrees' directory: what a killed run leaves there is removed by the next one.
        memory = tempfile.TemporaryDirectory(prefix=TREE_PREFIX, dir=self.clone.trees)
        with memory as empty, worktree(self.clone, commit, unasked(self.place.source)) as tree:
            looking = self._looking(tree, forgetful(self.nix, Path(empty)))
            found += [Found(notes=tree.notes), self._lock(tree, about, trailers, looking)]
            if self.extent.evaluate:
                hosts, unlisted = self._hosts(looking, trailers)
                found += [unlisted, claims.compare_hosts(trailers, hosts)]
        rows = tuple(claims.rows(trailers, hosts)) if self.extent.evaluate else ()
        shown = tuple(row for row in rows if self.extent.takes(row.host))
        return Verified(commit, about.subject, Found.all(found), shown, judged)

    def _permit(self, commit: str, about: Commit) -> None:
        """Let Nix read what the flake named before, and what flake.nix names now; not what only its lock names."""
        if about.parent is not None:
            self.nix.permit(named_files(self.clone, about.parent, self.config.flake_dir))
        text = self.clone.read_file(commit, str(Path(self.config.flake_dir) / "flake.nix")) or b""
        self.nix.permit(named_by(text.decode(errors="replace")))

    def _claims(self, about: Commit, judged: Judged | None) -> Trailers:
        """What its message says or, where that says nothing, the message of the judged commit that it brings."""
        own = parse_trailers(about.message)
        return own if claims.makes_claims(own) else claims_of(self.clone, judged)

    def _about(self, about: Commit, trailers: Trailers) -> Found:
        notes = []
        if not claims.makes_claims(trailers):
            notes.append("its message makes no claims: only the lock and the hosts themselves are looked at")
        elif not claims.makes_claims(parse_trailers(about.message)):
            notes.append("its message makes no claims: it is held to those of the commit that it brings")
        if len(about.parents) > 1:
            notes.append(f"it is a merge, and is compared with its first parent, {about.parents[0][:12]}")
        if about.parent is None:
            notes.append("it has no parent: whatever it has is new")
        elif self.lock_path not in about.files:
            notes.append(f"it does not touch {self.lock_path}")
        reading, signers = self._reading, self.clone.signers
        if signers is not None:
            reading = reading.configured(("gpg.ssh.allowedSignersFile", str(signers)))
        signed = signature(self.clone.signing(reading), about.id)
        return Found(notes=(*notes, *([f"it is signed: {signed}"] if signed else [])))

    @property
    def _reading(self) -> Git:
        repository = self.place.repository
        return self.clone.reading.at(repository.path) if repository is not None else self.clone.reading

    def _looking(self, tree: Worktree, nix: Nix) -> Looking:
        lacks = lambda: incomplete(self.clone, tree)  # noqa: E731 -- asked for only when something fails
        checkout = Checkout(tree.path, self.config.flake_dir, tree.submodules, lacks)
        return Looking(
            nix, checkout, tree.commit, self.config.judging, self.app.progress, self._holds_own_name(tree.commit)
        )

    def _holds_own_name(self, commit: str) -> bool:
        try:
            lock = self._lock_at(commit)
        except LockFileError:  # which is a finding of its own
            lock = EMPTY
        return holds_own_name(self.clone, commit, lock)

    # -- its lock -------------------------------------------------------------------------------------------

    def _lock(self, tree: Worktree, about: Commit, trailers: Trailers, looking: Looking) -> Found:
        timeout = self.config.fetching.timeout
        try:
            lookout = Lookout(looking.nix, by_rules(self.config.policy, self.app.clock()), timeout)
            answer = asked.compare_with_flake(looking.nix, tree.inside(self.config.flake_dir), timeout, lookout)
        except LockFileError as error:
            message = error.message.replace(f"{tree.path}/", "")
            return Found((Finding(FindingKind.LOCK, message),))
        try:
            changes = diff(self._lock_at(about.parent), answer.lock)
        except LockFileError as error:
            unjudged = (f"what it moves can't be told: {error.message}",)
            return Found.all([_asked(answer, looking), Found(unjudged=unjudged)])
        flake_nix = str(Path(self.config.flake_dir) / "flake.nix")
        changed = not {flake_nix, followed(self.clone.git, about.id, flake_nix)}.isdisjoint(about.files)
        moved = _moved(changes, answer.lock) if self.extent.evaluate else {}
        return Found.all(
            [
                _asked(answer, looking),
                claims.compare_inputs(trailers, changes),
                claims.compare_origins(changes, answer.lock, flake_changed=changed),
                _content(compare_content(looking.nix, moved, timeout)),
            ]
        )

    def _lock_at(self, commit: str | None) -> LockFile:
        content = self.clone.read_file(commit, self.lock_path) if commit is not None else None
        if content is None:
            return EMPTY
        return LockFile.parse(content.decode(errors="replace"), f"{self.lock_path} of {commit}")

    # -- its hosts ------------------------------------------------------------------------------------------

    def _hosts(self, looking: Looking, trailers: Trailers) -> tuple[tuple[HostFound, ...], Found]:
        """The hosts that are asked for; where the flake can't say which it has, those that the message names."""
        listed, failure = looking.list()
        claimed = list(dict.fromkeys(name for name, _, _ in trailers.hosts))
        if failure is not None:
            self.unmatched.clear()  # nobody knows
            hosts = tuple(HostFound(name, failure=failure) for name in self._asked_for(claimed))
            return hosts, _unlisted(failure) if not hosts else claims.NOTHING
        there = _chosen(listed, self.config.host_patterns, claimed)
        there = [host for host in there if host.name in self._asked_for([host.name])]
        what = f"{words.count(len(there), 'host')} at {looking.commit[:12]}"
        self.app.progress(PhaseStarted(Phase.JUDGE, what, hosts=len(there)))
        names = {redact(host.name) for host in there}
        gone = [HostFound(name, failure=_GONE) for name in self._asked_for(claimed) if name not in names]
        return (*looking.look(there, build=self.extent.build), *gone), claims.NOTHING

    def _asked_for(self, names: Sequence[str]) -> list[str]:
        self.known |= set(names)
        self.unmatched -= {one for one in self.unmatched if any(fnmatchcase(name, one) for name in names)}
        return [name for name in names if self.extent.takes(name)]


_GONE = Failure(FailureKind.GONE, "the flake has no such host")


def _asked(answer: asked.LockAnswer, looking: Looking) -> Found:
    """What Nix says of a lock, as findings."""
    failure = looking.completed(answer.failure) if answer.failure is not None else None
    said = [f"{LOCK_NAME} is not what flake.nix asks for: {problem}" for problem in answer.problems]
    if failure is None:
        return Found(tuple(Finding(FindingKind.LOCK, message) for message in said))
    why = words.failed(failure)
    if failure.kind.own:
        return Found((Finding(FindingKind.LOCK, f"Nix can't lock the flake: {why}"),))
    return Found(unjudged=(f"whether {LOCK_NAME} is what flake.nix asks for could not be found out: {why}",))


def _moved(changes: Sequence[InputChange], lock: LockFile) -> dict[str, FlakeRef]:
    """Where each input that has a node of its own is locked now."""
    nodes = {change.input: lock.node(change.input) for change in changes if change.new_follows is None}
    return {path: node.locked for path, node in nodes.items() if node is not None and node.locked is not None}


def _content(fetched: ContentAnswer) -> Found:
    why = {path: words.failed(failure) for path, failure in fetched.failures.items()}
    return Found(
        tuple(Finding(FindingKind.CONTENT, f"{path}: {said}") for path, said in fetched.problems.items()),
        unjudged=tuple(f"whether {path} is what upstream has could not be found out: {why[path]}" for path in why),
    )


def _unlisted(failure: Failure) -> Found:
    said = f"the flake can't be asked for its hosts: {words.failed(failure)}"
    if failure.kind.own:
        return Found((Finding(FindingKind.FAILS, said),))
    return Found(unjudged=(said,))


def _chosen(listed: Sequence[Host], patterns: HostPatterns, claimed: Sequence[str]) -> list[Host]:
    """The hosts that the configuration has lockbot judge, and all that the message names and the flake has."""
    try:
        judged = {host.name for host in select(listed, patterns)}
    except UsageError:
        judged = set()
    every = select(listed, replace(patterns, include=("*",), exclude=())) if listed or patterns.attributes else ()
    names = {redact(host.name) for host in every}
    attributes = [host for name in claimed if name not in names and (host := _attribute(name)) is not None]
    return [*(host for host in every if host.name in judged or redact(host.name) in claimed), *attributes]


def _attribute(name: str) -> Host | None:
    """An attribute that is named as the configuration names one: `packages.x86_64-linux.tool`."""
    try:
        path = attribute_path(name)
    except ValueError:
        return None
    return Host(name, path, HostKind.ATTRIBUTE) if len(path) > 1 else None
