"""Candidates over one base: made, committed, judged.

A candidate is committed before it is judged, and what is published is that very commit. Its message tells how its
hosts fared, so it is written as a prediction; where the verdict differs, the message is put right and the new
commit is judged (what is built is not built again). It must not know which candidate is wanted, nor why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lockbot.errors import CommandError, LockbotError
from lockbot.git.sync import Base
from lockbot.git.worktree import Worktree, commit, recommit
from lockbot.model import (
    Candidate,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Phase,
    PhaseStarted,
)
from lockbot.nix import evaluate
from lockbot.nix.command import local_flake
from lockbot.nix.flakeref import compare_link
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.report.commit import commit_message
from lockbot.update import judge, regenerate
from lockbot.update.hosts import select
from lockbot.update.judge import Baseline, Judged
from lockbot.update.prediction import predict
from lockbot.update.propose import LOCK_NAME, Lock
from lockbot.update.record import Record
from lockbot.update.rules import Rules, Tools

REWRITES = 4
"""How often a commit's message is put right before the run gives up: hosts that fare otherwise each time."""

_LASTING = frozenset({FailureKind.BUILD, FailureKind.HASH_MISMATCH, FailureKind.TIMEOUT})
"""Failures that are the derivation's own: the same derivation fails so again."""


class Trial:
    """Judges locks on top of one base, in one worktree of it."""

    def __init__(
        self, tools: Tools, rules: Rules, record: Record, base: Base, tree: Worktree, flake_dir: str
    ) -> None:
        self._tools = tools
        self._rules = rules
        self._record = record
        self._base = base
        self._tree = tree
        self._flake_dir = flake_dir
        remembered = tools.history.baseline(record.run.flake, rules.context, base.commit).values()
        self._known: Baseline = {build.host.attribute: build for build in remembered}
        self._when = tools.clock()
        self._at_base: tuple[Host, ...] | None = None
        self._hosts_judged: tuple[Host, ...] = ()
        self._ledger = tools.history.ledger(record.run.flake)
        self._broken = self._ledger.failures(rules.context, rules.remember_failures)
        """Derivations that are known to fail: none is built again to see it fail again."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """What is judged: known once the whole fleet was, or its base was asked."""
        if self._hosts_judged or not self._hosts_at_base():  # a base that can't say: the candidate will
            return self._hosts_judged
        return select(self._hosts_at_base(), self._rules.selection)

    @property
    def context(self) -> str:
        """A word for all but the lock that decides how hosts fare: the same word, the same verdicts."""
        lock = Path(self._flake_dir) / LOCK_NAME
        paths = (":(top)", f":(top,exclude,literal){lock}")
        # A commit that changes nothing but the lock, as ours do, leaves the rest as it was.
        rest = self._tools.clone.git.ask("rev-list", "-1", self._base.commit, "--", *paths)
        rules = self._rules
        return repr((rest, self._tree.submodules, rules.context, rules.gate, rules.after_update))

    @property
    def flake(self) -> Path:
        """The directory of flake.nix in the worktree."""
        return self._tree.path / self._flake_dir

    def judge(self, lock: Lock, held: Sequence[Held]) -> Judged:
        """Commit a lock with the message that holds true, and judge the whole fleet at that commit.

        Where hosts block it, the message may be the prediction: such a commit is not published.
        """
        at_base = self._hosts_at_base()
        predicted = select(at_base, self._rules.selection) if at_base else ()
        message = self._message(lock, held, self._predict(predicted, lock))
        made = self._commit(lock, message)
        # A host that the candidate no longer has is judged, too: it fails.
        here = self._hosts(made, may_fail=bool(at_base))
        hosts = select(tuple(dict.fromkeys((*here, *at_base))), self._rules.selection)
        self._hosts_judged = hosts
        self._tools.progress(PhaseStarted(Phase.JUDGE, words.count(len(hosts), "host"), hosts=len(hosts)))
        carried: list[HostBuild] = []
        for _ in range(REWRITES):
            judged = self._judge(Candidate(self._base.commit, made, lock.changes), hosts, carried)
            self._record.set(candidate=made, hosts=judged.verdict.builds)
            truth = self._message(lock, held, judged.verdict.builds)
            if truth == message or judged.verdict.blocking(self._rules.gate):
                return judged
            message = truth
            made = recommit(self._tools.clone, made, message, name=self._record.run.id, sign=self._rules.signing)
            carried = [build for build in judged.verdict.builds if build.status is HostStatus.UNCHANGED]
        raise LockbotError(
            "the hosts fare differently each time they are built: no message holds true",
            "see `lockbot show` for which; a build that fails at random is the usual reason",
        )

    def _predict(self, hosts: Sequence[Host], lock: Lock) -> list[HostBuild]:
        return predict(hosts, lock.changes, self._known, self._tools.history, self._record.run.flake)

    def judge_some(self, lock: Lock, hosts: Sequence[Host]) -> Judged:
        """Judge a few hosts at a lock, to find something out: this commit is never published."""
        made = self._commit(lock, f"lockbot: a candidate\n\nLockbot-Run: {self._record.run.id}\n")
        self._tools.progress(PhaseStarted(Phase.JUDGE, words.count(len(hosts), "host"), hosts=len(hosts)))
        return self._judge(Candidate(self._base.commit, made, lock.changes), hosts, ())

    def would_build(self, lock: Lock) -> frozenset[str]:
        """The derivations that would have to be built, by the whole fleet, to have a lock's hosts."""
        hosts = [replace(host, evaluate_only=True) for host in self.hosts if not host.evaluate_only]
        builds = self.judge_some(lock, hosts).verdict.builds
        drvs = [build.drv for build in builds if build.drv and build.status is HostStatus.EVALUATED]
        return self._tools.nix.missing(*drvs) if drvs else frozenset()

    def _commit(self, lock: Lock, message: str) -> str:
        regenerate.clean(self._tools.clone, self._tree, self._rules.after_update)
        (self.flake / LOCK_NAME).write_bytes(lock.content)
        name = str(Path(self._flake_dir) / LOCK_NAME)
        changed = regenerate.regenerate(
            self._tools.nix, self._tools.clone, self._tree, self.flake, self._rules.after_update, name
        )
        return commit(
            self._tools.clone,
            self._tree,
            [name, *changed],
            message,
            name=self._record.run.id,
            identity=self._rules.author,
            committer=self._rules.committer,
            when=self._when,
            sign=self._rules.signing,
        )

    def _judge(
        self,
        candidate: Candidate,
        hosts: Sequence[Host],
        carried: Sequence[HostBuild],
    ) -> Judged:
        judged = judge.judge(
            self._tools.nix,
            candidate,
            hosts,
            tree=self._tree.path,
            flake_dir=self._flake_dir,
            submodules=self._tree.submodules,
            known=self._known,
            limits=self._rules.judging,
            progress=self._tools.progress,
            carried=carried,
            broken=self._broken,
        )
        for drv in sorted(judged.flaky):
            self._record.note(f"flaky: {words.derivation(drv)} failed and then was built, unchanged")
        self._record.remember(self._rules.context, self._base.commit, judged.base)
        self._known = {**self._known, **judged.base}
        self._learn(judged.verdict.builds)
        return judged

    def _learn(self, builds: Sequence[HostBuild]) -> None:
        """Keep logs, and remember how derivations fared, in this run and for later ones."""
        fared: dict[str, Failure | None] = {}
        for build in builds:
            if build.status is HostStatus.BUILT and build.drv:
                fared[build.drv] = None
            failure = build.failure
            if failure is None:
                continue
            if failure.kind in _LASTING and failure.culprit:
                self._broken[failure.culprit] = fared[failure.culprit] = failure
            if text := failure.log or "\n".join(failure.tail):
                self._record.keep_log(build.host.name, text, self._rules.log_limit)
        self._ledger.remember(self._rules.context, fared)

    def _hosts_at_base(self) -> tuple[Host, ...]:
        if self._at_base is None:
            self._at_base = self._hosts(self._base.commit, may_fail=True)
        return self._at_base

    def _hosts(self, at: str, *, may_fail: bool) -> tuple[Host, ...]:
        """The names the flake has at a commit. Where it can't say and may fail, none: judging tells why."""
        flake = local_flake(self._tree.path, at, self._flake_dir, submodules=self._tree.submodules)
        deadline = Deadline(self._rules.judging.evaluation.timeout, "asking the flake for its hosts")
        try:
            return evaluate.host_names(self._tools.nix, flake, deadline)
        except CommandError:
            if not may_fail:
                raise
            return ()

    def _message(self, lock: Lock, held: Sequence[Held], builds: Sequence[HostBuild]) -> str:
        return commit_message(
            self._record.run.id,
            lock.changes,
            builds,
            subject_template=self._rules.subject,
            now=self._when,
            links=_links(lock.changes),
            held=held,
        )


def _links(changes: Sequence[InputChange]) -> dict[str, str]:
    links = {change.input: compare_link(change.old, change.new) for change in changes if change.old and change.new}
    return {name: link for name, link in links.items() if link}
