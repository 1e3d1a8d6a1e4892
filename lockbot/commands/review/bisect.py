"""`lockbot bisect`: with which commit of the flake a command began to fail on a host, and what of it is to blame.

Works in a clone of its own, so that updates go on meanwhile, and writes nothing but lockbot's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lockbot import files, surroundings
from lockbot import state as places
from lockbot.app import App, Options, Place
from lockbot.commands.committed import unasked
from lockbot.commands.run_config import run_config
from lockbot.errors import Cancelled, DeadlineExceeded, LockbotError, SurroundingsError, UsageError
from lockbot.git.clone import Clone, open_clone
from lockbot.git.commits.named import commit_named, commits_between
from lockbot.git.source import Source
from lockbot.git.worktree import Authorship, Worktree, incomplete, worktree
from lockbot.history.ledger import Ledger
from lockbot.judge.hosts import select
from lockbot.judge.verdict import Checkout
from lockbot.lock.ahead.lookout import Lookout
from lockbot.lock.local import named_files
from lockbot.lock.selected import SelectedLocks
from lockbot.model import Host, Locked, Note
from lockbot.nix import evaluate
from lockbot.nix.build import Builder
from lockbot.nix.command import Nix
from lockbot.nix.lockfile import LOCK_NAME, LockFile
from lockbot.policy.decide import by_rules
from lockbot.policy.rules import near_name
from lockbot.policy.upstream_log import InputRevisions, UpstreamLog
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.report.escape import name as shown
from lockbot.review.bisect import known_results
from lockbot.review.bisect.bisection import Bisection
from lockbot.review.bisect.command import Command, check
from lockbot.review.bisect.known_results import KnownResults
from lockbot.review.bisect.moved_inputs import MovedInputs
from lockbot.review.bisect.result import Bisected, Limit
from lockbot.review.bisect.trials import Building, Trials
from lockbot.update.context import RunConfig

DIRECTORY = places.BISECT
"""In the repository's place in the state directory: what a bisection works with. Removed when it is done."""
MOST_COMMITS = 100_000
_DAY = 86_400.0


@dataclass(frozen=True)
class Asked:
    """What is asked: the host by its name, a good revision and a bad one (None: the branch as it is)."""

    host: str
    since: str
    to: str | None
    command: tuple[str, ...]
    limit: Limit
    forget: bool = False


def bisect(app: App, asked: Asked) -> Bisected:
    """Raises UsageError for what is wrong with the question, LockbotError where it can't be answered."""
    here = surroundings.here()
    check(asked.command, app.environ, here)
    place = app.place(needs_branch=False)
    command = Command(asked.command, app.environ, here, asked.limit)
    known = _known(app, place, asked)
    with _directory(app, place) as directory, _saying_that_it_goes_on():
        clone = _opened(app, place, directory)
        return _Bisecting(app, place, clone, app.nix(place), directory, command, known).run(asked)


def _known(app: App, place: Place, asked: Asked) -> KnownResults:
    path = known_results.file(place.directory, place.flake)
    known = KnownResults(path, asked.command, app.clock(), app.settings.state.keep_days * _DAY)
    if asked.forget:
        known.forget()
    elif len(known):
        number = "1 result is" if len(known) == 1 else f"{len(known)} results are"
        app.progress(Note(f"of this command {number} known from before; --forget begins anew"))
    return known


@contextmanager
def _directory(app: App, place: Place) -> Iterator[Path]:
    """One bisection of a repository at a time. What it works with goes when it is done; what was being built stays
    safe from garbage collection until then."""
    directory = place.directory / DIRECTORY
    try:
        files.directory(directory)
        files.check_directory(directory / places.CLONE)
    except OSError as error:
        raise SurroundingsError(
            f"cannot make {directory}: {error.strerror}", "is the state directory right?"
        ) from error
    lock = places.RunLock(
        directory / places.LOCK, "bisecting", app.clock, cancel=app.cancel, wait=True, progress=app.progress
    )
    with lock:
        files.remove_tree(directory / places.ROOTS)
        try:
            yield directory
            for name in (places.CLONE, places.WORKTREES):
                files.remove_tree(directory / name)
        finally:
            files.remove_tree(directory / places.ROOTS)


@contextmanager
def _saying_that_it_goes_on() -> Iterator[None]:
    try:
        yield
    except (Cancelled, DeadlineExceeded) as error:
        raise type(error)(error.message, "the same command line goes on from here") from None


def _opened(app: App, place: Place, directory: Path) -> Clone:
    return open_clone(
        directory / places.CLONE,
        directory / places.WORKTREES,
        environ=app.environ,
        access=app.access(place),
        cancel=app.cancel,
        timeout=app.settings.run.fetch_timeout,
        confinement=app.confinement,
    )


@dataclass(frozen=True)
class _Bisecting:
    app: App
    place: Place
    clone: Clone
    nix: Nix
    directory: Path
    command: Command
    known: KnownResults

    def run(self, asked: Asked) -> Bisected:
        config = run_config(self.app, self.place, Options(), self.nix)
        commits = self._commits(asked)
        if len(commits) == 1:
            why = f"there is nothing between the two ends, both are {words.short(commits[0])}"
            return Bisected(asked.host, asked.command, reason=why)
        for end in (commits[0], commits[-1]):
            self.nix.permit(named_files(self.clone, end, config.flake_dir))
        with worktree(self.clone, commits[-1], self._source) as tree, self.app.history(self.place) as past:
            ledger = past.ledger(self.place.flake)
            checkout = Checkout(tree.path, config.flake_dir, tree.submodules, lambda: incomplete(self.clone, tree))
            host = self._host(asked.host, checkout, config, (commits[-1], commits[0]))
            fingerprint = config.fingerprint
            broken = {} if asked.forget else ledger.failures(fingerprint, config.remember_failures)
            with Builder(self.nix, config.judging.build, self.app.progress, broken) as builder:
                building = Building(
                    self.nix,
                    checkout,
                    config.judging,
                    builder,
                    self.app.progress,
                    lambda failed: ledger.remember(fingerprint, failed),
                )
                trials = Trials(host, self.command, self.known, building, self._roots())
                return self._bisection(trials, config, ledger).run(commits)

    @property
    def _source(self) -> Source:
        return unasked(self.place.source)

    def _roots(self) -> Path:
        roots = self.directory / places.ROOTS
        files.directory(roots)
        return roots

    def _commits(self, asked: Asked) -> tuple[str, ...]:
        """From the good one to the bad one, along first parents."""
        name = asked.to or self.place.source.branch or "HEAD"
        old, new = (commit_named(self.clone, self._source, one) for one in (asked.since, name))
        if old == new:
            return (old,)
        git = self.clone.git
        count = int(
            git.ask("rev-list", "--count", "--first-parent", f"--max-count={MOST_COMMITS}", new, f"^{old}")
        )
        if count >= MOST_COMMITS:
            raise UsageError(f"more than {MOST_COMMITS} commits lie between", "name a younger one with --since")
        between = commits_between(self.clone, old, new)
        if not between or git.resolve(f"{between[0]}^1") != old:
            raise UsageError(
                f"{shown(asked.since)} ({words.short(old)}) is not among the first parents of {shown(name)}",
                "`git log --first-parent` lists the commits that can be named",
            )
        return (old, *between)

    def _host(self, name: str, checkout: Checkout, config: RunConfig, commits: Sequence[str]) -> Host:
        """By its name, where the flake has it at one of the ends."""
        known: dict[str, Host] = {}
        for commit in commits:
            try:
                deadline = Deadline(config.judging.evaluation.timeout, "asking the flake for its hosts")
                found = evaluate.host_names(self.nix, checkout.at(commit), deadline)
                chosen = select(found, config.host_patterns)
            except LockbotError as error:
                self.app.cancel.check()
                if isinstance(error, SurroundingsError):
                    raise
                self.app.progress(Note(f"the hosts at {words.short(commit)} are not known: {error.message}"))
                continue
            known |= {host.name: Host(host.name, host.attribute, host.kind) for host in chosen}
            if name in known:
                return known[name]
        names = ", ".join(shown(one) for one in list(known)[:20]) or "none that can be listed"
        raise UsageError(f"there is no host {shown(name)}{near_name(name, list(known))}", f"there are: {names}")

    def _bisection(self, trials: Trials, config: RunConfig, ledger: Ledger) -> Bisection:
        log = UpstreamLog(self.place.directory / places.UPSTREAMS, self.clone, ledger)
        lock_name = str(Path(config.flake_dir) / LOCK_NAME)

        @contextmanager
        def moved(commit: str, base: bytes, tips: dict[str, Locked], lock: LockFile) -> Iterator[MovedInputs]:
            with worktree(self.clone, commit, self._source, submodules=False) as tree:
                flake, timeout = tree.inside(config.flake_dir), config.fetching.timeout
                lookout = Lookout(self.nix, by_rules(config.policy, self.app.clock(), lock), timeout)
                locks = SelectedLocks(self.nix, flake, base, tips, timeout, lookout)
                yield self._moved(tree, lock_name, locks, config)

        return Bisection(self.clone, lock_name, InputRevisions(log, config.policy), moved, trials)

    def _moved(self, tree: Worktree, lock_name: str, locks: SelectedLocks, config: RunConfig) -> MovedInputs:
        authorship = Authorship(config.author, config.committer)
        return MovedInputs(self.clone, tree, lock_name, locks, authorship, self.clone.commit_date(tree.commit))
