"""Candidates over one base: made, committed, judged.

A candidate is committed before it is judged, and hosts are evaluated from that commit. The one that is published
also tells in its message how they fared: the same files in another commit. What was found out holds there, but for
hosts whose derivation depends on the commit's name, which are judged again. It must not know which candidate is
wanted, nor why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from lockbot.errors import DeadlineExceeded, LockbotError, SurroundingsError, UnjudgedError
from lockbot.git.worktree import Authorship, commit, incomplete, recommit
from lockbot.judge.candidate import Judge
from lockbot.judge.hosts import select
from lockbot.judge.verdict import EVALUATED, Baseline, Checkout, Judged, Known, Listing, Listings, MayBuild
from lockbot.lock.own_name import holds_own_name
from lockbot.lock.propose import Lock
from lockbot.model import (
    Answer,
    Candidate,
    Difference,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Phase,
    PhaseStarted,
    Review,
)
from lockbot.nix import evaluate
from lockbot.nix.evaluate.files_read import FilesRead
from lockbot.nix.forges import compare_link
from lockbot.nix.lockfile import LOCK_NAME, LockFile
from lockbot.oserrors import naming
from lockbot.policy.compile_cost import too_costly
from lockbot.policy.upstream_log import UpstreamLog
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.report.commit import commit_message, with_reason
from lockbot.review.differences import BASE_TIME, compare_hosts, have, time_to_spare
from lockbot.review.upstream import upstream_changes, with_counts
from lockbot.update import regenerate
from lockbot.update.workspace import Workspace

UPSTREAM_TIME = 120
"""Seconds that looking at upstream's commits may take in all: an update waits for them, and does not need them."""
REWRITES = 4
"""How often a commit's message is put right before the run gives up: hosts that fare otherwise each time."""

_LASTING = frozenset({FailureKind.BUILD, FailureKind.HASH_MISMATCH})
"""Failures that are the derivation's own: the same derivation fails so again."""


class CandidateBuilder:
    """Judges locks on top of one base, in one worktree of it."""

    def __init__(self, workspace: Workspace, log: UpstreamLog) -> None:
        context, config, record = workspace.context, workspace.config, workspace.record
        self._context = context
        self._config = config
        self._record = record
        self._base = workspace.base
        self._tree = workspace.tree
        self._flake_dir = workspace.flake_dir
        self.flake = workspace.flake
        self.cancel = context.nix.cancel
        remembered = context.history.baseline(record.run.flake, config.fingerprint, workspace.base.commit).values()
        self._known: Baseline = {
            build.host.attribute: replace(build, status=HostStatus.EVALUATED, failure=None, here=None)
            for build in remembered
            if build.drv is not None
        }
        """What another run found is evidence of derivations, and of no failure."""
        self._log = log
        self._files = FilesRead()
        self._when = context.clock()
        self._listings: dict[str, tuple[tuple[Host, ...], Failure | None]] = {}
        self._hosts_judged: tuple[Host, ...] = ()
        self._ledger = context.history.ledger(record.run.flake)
        self._broken = self._ledger.failures(config.fingerprint, config.remember_failures)
        """Derivations that are known to fail: none is built again to see it fail again."""
        self._seen: dict[str, Failure] = {}
        """Derivations that failed in this run, or could not be judged."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """What is judged: known once the whole fleet was, or its base was asked."""
        if self._hosts_judged or not self._hosts_at_base():  # a base that can't say: the candidate will
            return self._hosts_judged
        return select(self._hosts_at_base(), self._config.host_patterns)

    def derivation_at_base(self, host: str) -> str | None:
        """A host's derivation without any update, as far as this run has come to know it."""
        return next((made.drv for made in self._known.values() if made.host.name == host), None)

    def differing(self, one: str, other: str) -> frozenset[str]:
        """The names of the derivations that only one of two derivations needs."""
        closures = [self._context.nix.requisites(drv) for drv in (one, other)]
        return frozenset(words.derivation(path) for path in closures[0] ^ closures[1] if path.endswith(".drv"))

    def worked_before(self, host: str) -> bool:
        """Whether this run has found a host good at the base: for most, that it builds there."""
        for made in self._known.values():
            if made.host.name == host:
                if made.here is None or made.here.answer is not Answer.GOOD:
                    return False
                return made.here.evidence != EVALUATED or made.host.evaluate_only
        return False

    @property
    def verdict_key(self) -> str:
        """A word for all but the lock that decides how hosts fare: the same word, the same verdicts."""
        lock = Path(self._flake_dir) / LOCK_NAME
        paths = (":(top)", f":(top,exclude,literal){lock}")
        # A commit that changes nothing but the lock, as ours do, leaves the rest as it was.
        rest = self._context.clone.git.ask("rev-list", "-1", self._base.commit, "--", *paths)
        config = self._config
        return repr((rest, self._tree.submodules, config.fingerprint, config.gate, config.after_update))

    def judge(self, lock: Lock, *, may_build: MayBuild | None = None) -> Judged:
        """Judge the whole fleet at a commit of a lock. Raises TooCostly where `may_build` does."""
        made = self._commit(lock)
        # A host that the candidate no longer has is judged, too: it is gone.
        at_base = self._hosts_at_base()
        hosts = self._select((*self._listed(made)[0], *at_base), made)
        told = self._listed(made)[1] is None and self._listed(self._base.commit)[1] is None
        self._record.compare_hosts(hosts, (*self._listed(made)[0], *at_base) if told else None)
        # One that some other candidate brings along, or lacks, may still be asked about.
        self._hosts_judged = tuple(dict.fromkeys((*hosts, *self._hosts_judged)))
        judged = self._judge(made, lock, hosts, (), self._listing(made), may_build)
        self._record.set(candidate=made, hosts=judged.verdict.builds)
        return judged

    def conclude(self, lock: Lock, judged: Judged, held: Sequence[Held]) -> Judged:
        """The same files in a commit whose message tells how the hosts fared: it may be published as it is.

        Another message is another commit: the hosts whose derivation depends on its name are judged again.
        """
        verdict = judged.verdict
        review = self._review(lock.changes, verdict.builds)
        lock = replace(lock, changes=with_counts(lock.changes, review.upstream))
        self._record.set(changes=lock.changes, differences=review.differences, upstream=review.upstream)
        for _ in range(REWRITES):
            message, fared = self._message(lock, held, verdict.builds, review), _fared(verdict.builds)
            made = recommit(
                self._context.clone,
                verdict.candidate.commit,
                message,
                name=self._record.run.id,
                sign=self._config.signing,
            )
            verdict = replace(verdict, candidate=replace(verdict.candidate, commit=made))
            holding = [build for build in verdict.builds if not build.names_commit or _is_unjudged(build)]
            if len(holding) < len(verdict.builds):
                # Of one that could not be judged, no more would be known.
                hosts = [build.host for build in verdict.builds]
                listing = self._listing(judged.verdict.candidate.commit)  # a message changes no host's name
                again = self._judge(made, lock, hosts, holding, listing, None)
                judged = replace(again, base={**judged.base, **again.base})
                verdict = judged.verdict
            self._record.set(candidate=made, hosts=verdict.builds)
            if _fared(verdict.builds) == fared:
                return replace(judged, verdict=verdict)
        raise LockbotError(
            "the hosts fare differently each time they are built: no message holds true",
            "see `lockbot show` for which; a build that fails at random is the usual reason",
        )

    def _marked(self, builds: Sequence[HostBuild], lock: Lock, commit: str) -> tuple[HostBuild, ...]:
        """With those that may depend on the commit's name in a way that no evaluation tells of."""
        parsed = LockFile.parse(lock.content.decode(errors="replace"))
        if not holds_own_name(self._context.clone, commit, parsed):
            return tuple(builds)
        unchanged = HostStatus.UNCHANGED  # at another commit: it does not depend on that
        return tuple(build if build.status is unchanged else replace(build, names_commit=True) for build in builds)

    def judge_some(self, lock: Lock, hosts: Sequence[Host], *, may_build: MayBuild | None = None) -> Judged:
        """Judge a few hosts at a lock, to find something out: this commit is never published.

        Raises TooCostly where `may_build` does.
        """
        # Not worth an evaluation more: a host that is gone is found out by its own.
        return self._judge(self._commit(lock), lock, hosts, (), Listing(), may_build)

    def would_build(self, lock: Lock) -> frozenset[str]:
        """The derivations that would have to be built, by the whole fleet, to have a lock's hosts."""
        hosts = [replace(host, evaluate_only=True) for host in self.hosts if not host.evaluate_only]
        builds = self.judge_some(lock, hosts).verdict.builds
        return self.missing([build.drv for build in builds if build.drv and build.status is HostStatus.EVALUATED])

    def missing(self, drvs: Collection[str]) -> frozenset[str]:
        """The derivations that would have to be built to have these."""
        return self._context.nix.missing(*drvs) if drvs else frozenset()

    def _commit(self, lock: Lock) -> str:
        """A commit of it, to be judged and not to be published: what its message would say is not known yet."""
        regenerate.clean(self._context.clone, self._tree, self._config.after_update)
        with naming(self.flake / LOCK_NAME):
            (self.flake / LOCK_NAME).write_bytes(lock.content)
        name = str(Path(self._flake_dir) / LOCK_NAME)
        changed = regenerate.regenerate(
            self._context.nix, self._context.clone, self._tree, self.flake, self._config.after_update, name
        )
        return commit(
            self._context.clone,
            self._tree,
            [name, *changed],
            f"lockbot: a candidate\n\nLockbot-Run: {self._record.run.id}\n",
            name=self._record.run.id,
            authorship=Authorship(self._config.author, self._config.committer, self._config.signing),
            when=self._when,
        )

    def _judge(
        self,
        commit: str,
        lock: Lock,
        hosts: Sequence[Host],
        carried: Sequence[HostBuild],
        listing: Listing,
        may_build: MayBuild | None,
    ) -> Judged:
        self._context.progress(PhaseStarted(Phase.JUDGE, words.count(len(hosts), "host"), hosts=len(hosts)))
        nix, progress, config = self._context.nix, self._context.progress, self._config
        judge = Judge(nix, self._checkout, config.judging, progress, config.gate, self._files)
        judged = judge.judge(
            Candidate(self._base.commit, commit, lock.changes),
            hosts,
            known=Known(self._known, self._broken, self._seen),
            listings=Listings(self._listing(self._base.commit), listing),
            carried=carried,
            may_build=may_build,
        )
        verdict = replace(judged.verdict, builds=self._marked(judged.verdict.builds, lock, commit))
        judged = replace(judged, verdict=verdict)
        for drv in sorted(judged.flaky):
            self._record.note(f"flaky: {words.derivation(drv)} failed and then was built, unchanged")
        self._record.remember(self._config.fingerprint, self._base.commit, judged.base)
        self._known = {**self._known, **judged.base}
        self._learn(judged.verdict.builds, judged.base)
        return judged

    def _learn(self, builds: Sequence[HostBuild], base: Baseline) -> None:
        """Keep logs, and remember how derivations fared, in this run and for later ones."""
        fared: dict[str, Failure | None] = {}
        for build in (*base.values(), *builds):
            failure = build.failure
            if build.status is HostStatus.BUILT and build.drv:
                fared[build.drv] = None
            elif failure is not None and failure.kind in _LASTING and failure.culprit:
                fared[failure.culprit] = failure
        for build in builds:
            failure = build.failure
            if failure is not None and (text := failure.log or "\n".join(failure.tail)):
                self._record.keep_log(build.host.name, text, self._config.log_limit)
        self._ledger.remember(self._config.fingerprint, fared)

    @property
    def _checkout(self) -> Checkout:
        tree = self._tree
        return Checkout(tree.path, self._flake_dir, tree.submodules, lambda: incomplete(self._context.clone, tree))

    def _hosts_at_base(self) -> tuple[Host, ...]:
        return self._listed(self._base.commit)[0]

    def _select(self, found: Sequence[Host], candidate: str) -> tuple[Host, ...]:
        """Those of the hosts that are judged. Raises LockbotError where the flake could not say which it has."""
        failure = self._listed(candidate)[1]
        if failure is not None and not found and not self._config.host_patterns.attributes:
            raise UnjudgedError(
                f"the flake can't be asked for its hosts, with the update nor without: {failure.message}",
                "does `nix flake show` work there?",
            )
        return select(tuple(dict.fromkeys(found)), self._config.host_patterns)

    def _listing(self, commit: str) -> Listing:
        hosts, failure = self._listed(commit)
        return Listing(None if failure else frozenset(host.attribute for host in hosts), failure)

    def _listed(self, commit: str) -> tuple[tuple[Host, ...], Failure | None]:
        """The hosts that the flake has at a commit; where it can't say, none, and why."""
        if commit not in self._listings:
            self._listings[commit] = self._list(commit)
        return self._listings[commit]

    def _list(self, commit: str) -> tuple[tuple[Host, ...], Failure | None]:
        nix = self._context.nix
        deadline = Deadline(self._config.judging.evaluation.timeout, "asking the flake for its hosts")
        try:
            return evaluate.host_names(nix, self._checkout.at(commit), deadline), None
        except DeadlineExceeded as error:
            nix.cancel.check()  # the run's own deadline is not the flake's
            return (), Failure(FailureKind.TIMEOUT, error.message)
        except SurroundingsError as error:
            nix.cancel.check()
            return (), Failure(FailureKind.NETWORK, error.message)
        except LockbotError as error:
            nix.cancel.check()
            # Whatever it is, each host's own evaluation will tell, of those that are known by name.
            return (), Failure(FailureKind.EVALUATION, error.message)

    def _review(self, changes: Sequence[InputChange], builds: Sequence[HostBuild]) -> Review:
        """What the update means for the hosts, and what upstream did, for who reviews it."""
        differences = self._differences(builds)
        if not self._config.review.upstream:
            return Review(differences)
        packages = {package.name for one in differences for package in one.packages}
        files = {one.input: found for one in changes if one.new and (found := self._files.of(one.new))}
        deadline = Deadline(min(UPSTREAM_TIME, time_to_spare(self.cancel)), "asking upstream for its commits")
        return Review(differences, upstream_changes(self._log, changes, packages, files, deadline))

    def _differences(self, builds: Sequence[HostBuild]) -> tuple[Difference, ...]:
        review, nix = self._config.review, self._context.nix
        if not review.differences:
            return ()
        limits, progress = self._config.judging.build, self._context.progress
        try:
            broken: frozenset[str] = frozenset()
            if review.build_base:
                seconds = min(BASE_TIME, time_to_spare(self.cancel))
                broken = have(nix, limits, progress, self._known, builds, self._may_compile, seconds=seconds)
            return compare_hosts(nix, self._known, builds, broken)
        except LockbotError as error:  # the update is good, whatever can be told of it
            self.cancel.check()
            self._record.note(f"what differs on each host could not be found out: {error.message}")
            return ()

    def _may_compile(self, drvs: Collection[str]) -> bool:
        """Whether policy lets so much be compiled that no input's move asks for."""
        names = [words.derivation(drv) for drv in drvs]
        return too_costly(names, self._config.policy.default) is None

    def _message(self, lock: Lock, held: Sequence[Held], builds: Sequence[HostBuild], review: Review) -> str:
        message = commit_message(
            self._record.run.id,
            lock.changes,
            self._record.as_told(builds),
            subject_template=self._config.subject,
            now=self._when,
            links=_links(lock.changes),
            held=held,
            review=review,
        )
        return with_reason(message, self._config.reason)


def _fared(builds: Sequence[HostBuild]) -> list[object]:
    """How hosts fared, as a message tells it; but not in which words they fail: what the failing derivation is
    called may depend on the commit's name, too, and no message could be right about that."""
    return [
        (build.host, build.status, build.failure and build.failure.kind, not build.names_commit and build.drv)
        for build in builds
    ]


def _is_unjudged(build: HostBuild) -> bool:
    return build.here is not None and build.here.answer is Answer.UNJUDGED


def _links(changes: Sequence[InputChange]) -> dict[str, str]:
    links = {change.input: compare_link(change.old, change.new) for change in changes if change.old and change.new}
    return {name: link for name, link in links.items() if link}
