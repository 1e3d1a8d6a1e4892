"""The composition root: from settings to everything wired. Only here, in cli and in daemon are Settings known."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from lockbot import state
from lockbot.config import Person, Settings, Sign
from lockbot.config import Strategy as ConfiguredStrategy
from lockbot.errors import Cancelled, LockbotError, UsageError
from lockbot.git.clone import Clone, open_clone
from lockbot.git.command import Git, user_environment
from lockbot.git.source import LocalSource, RemoteSource, Repository, Source, discover
from lockbot.git.worktree import Identity, Signing, SigningFormat
from lockbot.history.store import History
from lockbot.model import Outcome, Progress, Run
from lockbot.nix import build, command, evaluate
from lockbot.nix.command import Nix
from lockbot.process import CancelToken, Deadline
from lockbot.state import RunLock, StateDirectory, check_disk, new_run_id
from lockbot.update import judge, propose
from lockbot.update.cycle import heal, run_cycle
from lockbot.update.hosts import Selection
from lockbot.update.propose import Wish
from lockbot.update.regenerate import Commands
from lockbot.update.rules import Rules, Tools
from lockbot.update.search import Strategy

DEFAULT_BRANCH_SHOWN = "HEAD"
CONFIG_NAME = "lockbot.toml"


def now() -> datetime:
    return datetime.now(UTC)


@contextlib.contextmanager
def cancelled_by_signals(deadline: Deadline | None = None) -> Iterator[CancelToken]:
    """A token that SIGINT, SIGTERM and SIGHUP set; every child ends, then the command says so."""
    with CancelToken(deadline) as token:

        def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the shape that signal wants
            token.cancel(signal.Signals(number).name)

        previous = {number: signal.signal(number, stop) for number in _STOPPING}
        try:
            yield token
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Options:
    """What the command line adds to the settings, for one run."""

    push: bool = True
    dry_run: bool = False
    wait: bool = False
    retry_failed: bool = False
    """Forget which derivations failed before."""


@dataclass(frozen=True)
class Place:
    """The repository that is meant, and where lockbot keeps what belongs to it."""

    source: Source
    repository: Repository | None
    """None for a URL."""
    identity: str
    directory: Path


@dataclass(frozen=True)
class App:
    """Settings, the world (environment, clock) and who watches. Opens what a command needs, and no more."""

    settings: Settings
    environ: Mapping[str, str]
    cancel: CancelToken
    progress: Progress
    clock: Callable[[], datetime] = now

    # -- places -------------------------------------------------------------------------------------------

    def state(self) -> StateDirectory:
        return StateDirectory(self.settings.state.directory)

    def git(self, directory: Path) -> Git:
        return Git(directory, user_environment(self.environ), self.cancel, self.settings.run.fetch_timeout)

    def place(self) -> Place:
        """Find the repository. Raises UsageError: none here, detached, shallow …"""
        wanted = self.settings.repository
        if wanted.url is not None:
            directory = self.state().repository_directory(wanted.url)
            return Place(RemoteSource(wanted.url, wanted.branch, wanted.push), None, wanted.url, directory)
        path = wanted.path or flake_around(Path.cwd())
        repository = discover(self.git(Path("/")), path, branch=wanted.branch, remote=wanted.remote)
        if not repository.bare:
            state.refuse_inside(self.settings.state.directory, repository.path)
        source = LocalSource(path, repository.branch, wanted.remote, wanted.push)
        identity = str(repository.common.resolve())
        return Place(source, repository, identity, self.state().repository_directory(identity))

    def flake_dir(self, place: Place) -> str:
        """Where flake.nix lies in the repository: as configured, else where the given path points."""
        inside = place.repository.subdirectory if place.repository is not None else ""
        return self.settings.repository.flake_dir or inside

    # -- tools --------------------------------------------------------------------------------------------

    def history(self) -> History:
        return History.open(self.state().history, self.clock, self.progress)

    def nix(self) -> Nix:
        secret = self.settings.eval.access_tokens
        tokens = {"access-tokens": secret.get_secret_value()} if secret is not None else {}
        data_home = self.settings.state.directory / "nix-data"
        return command.find(self.environ, self.cancel, data_home, tokens)

    def clone(self, place: Place) -> Clone:
        return open_clone(
            place.directory / state.CLONE,
            place.directory / state.WORKTREES,
            environ=self.environ,
            cancel=self.cancel,
            timeout=self.settings.run.fetch_timeout,
        )

    # -- the main job -------------------------------------------------------------------------------------

    def update(self, wish: Wish, options: Options) -> Run:
        """One cycle, recorded whatever becomes of it. Raises UsageError and BusyError."""
        place = self.place()
        run = Run(
            id=new_run_id(self.clock()),
            repository=place.identity,
            started=self.clock(),
            branch=place.source.branch or DEFAULT_BRANCH_SHOWN,
            dry_run=options.dry_run,
        )
        lock = RunLock(
            place.directory / state.LOCK,
            run.id,
            self.clock,
            cancel=self.cancel,
            wait=options.wait,
            progress=self.progress,
        )
        with lock, self.history() as history:
            run = replace(run, notes=history.notes)
            if options.retry_failed:
                history.ledger(place.identity).forget_failures()
            try:
                tools = self._tools(place, history)
                heal(tools, place.source, place.identity, keep_results=self.settings.state.keep_results)
            except LockbotError as error:
                return self._failed_to_start(history, run, error)
            run = run_cycle(tools, self._rules(place, options), wish, run)
            self._tidy(tools, run)
            return run

    def _tools(self, place: Place, history: History) -> Tools:
        root = self.settings.state.directory
        nix = self.nix()
        store = nix.store_directory
        check_disk([root, *([store] if store.exists() else [])], self.settings.state.min_free)
        return Tools(nix, self.clone(place), history, place.directory, self.progress, self.clock)

    def _failed_to_start(self, history: History, run: Run, error: LockbotError) -> Run:
        """Every attempt is on record: a bot that silently does nothing is the worst kind."""
        outcome = Outcome.INTERRUPTED if isinstance(error, Cancelled) else Outcome.FAILED
        run = replace(run, outcome=outcome, finished=self.clock(), error=error.message, hint=error.hint or None)
        history.start(run)
        if isinstance(error, UsageError):
            raise error
        return run

    def _tidy(self, tools: Tools, run: Run) -> None:
        """What grows is pruned. The run is over and recorded: a problem here does not change what became of it."""
        try:
            tools.history.prune(self.settings.state.keep_days, self.clock())
            tools.history.ledger(run.repository).prune(self.settings.state.keep_days)
            tools.history.forget_baselines(run.repository, {name for name in (run.base, run.commit) if name})
            tools.clone.maintain()
        except LockbotError as error:
            if not isinstance(error, Cancelled):
                tools.history.save(replace(run, notes=(*run.notes, f"tidying up failed: {error.message}")))

    def _rules(self, place: Place, options: Options) -> Rules:
        settings = self.settings
        author = _identity(settings.commit.author)
        return Rules(
            source=place.source,
            flake_dir=self.flake_dir(place),
            selection=self.selection(),
            gate=settings.build.gate,
            fetching=self.fetching(),
            judging=judge.Limits(self.evaluating(), self._building()),
            author=author,
            committer=_identity(settings.commit.committer) if settings.commit.committer else author,
            signing=_signing(settings),
            subject=settings.commit.subject,
            publish_tries=settings.run.publish_tries,
            keep_results=settings.state.keep_results,
            log_limit=settings.state.log_limit,
            book=settings.rule_book(),
            strategy=Strategy.EACH if settings.search.one_commit_per_input else Strategy(settings.search.strategy),
            groups=tuple(
                frozenset(group.inputs)
                for group in settings.group
                if group.strategy is ConfiguredStrategy.TOGETHER
            ),
            probes=settings.search.probes,
            search_time=settings.search.time,
            remember_failures=settings.search.remember_failures,
            after_update=Commands(
                settings.after_update.commands, settings.after_update.paths, settings.after_update.timeout
            ),
            push=settings.repository.push and options.push,
            dry_run=options.dry_run,
        )

    def selection(self) -> Selection:
        hosts = self.settings.hosts
        return Selection(hosts.include, hosts.exclude, hosts.evaluate_only, hosts.attributes)

    def fetching(self) -> propose.Limits:
        settings = self.settings
        return propose.Limits(settings.run.fetch_timeout, settings.build.retries, settings.build.retry_delay)

    def evaluating(self) -> evaluate.Limits:
        settings = self.settings.eval
        return evaluate.Limits(
            workers=settings.workers or usable_cores(),
            memory=settings.memory or total_memory() // 2,
            timeout=settings.timeout,
            import_from_derivation=settings.import_from_derivation,
            retries=self.settings.build.retries,
            delay=self.settings.build.retry_delay,
        )

    def _building(self) -> build.Limits:
        settings = self.settings.build
        options = dict(settings.options)
        if settings.jobs is not None:
            options["max-jobs"] = str(settings.jobs)
        if settings.cores is not None:
            options["cores"] = str(settings.cores)
        return build.Limits(
            timeout=max(1, round(settings.timeout)),
            silence=max(1, round(settings.silence)),
            options=options,
            retries=settings.retries,
            delay=settings.retry_delay,
            second_chance=True,
        )


def group_inputs(settings: Settings, names: tuple[str, ...]) -> tuple[str, ...]:
    """The inputs of the configured groups with these names. Raises UsageError for an unknown one."""
    groups = {group.name: group.inputs for group in settings.group}
    for name in names:
        if name not in groups:
            raise UsageError(
                f"there is no group '{name}' in the configuration", f"there are: {', '.join(groups) or 'none'}"
            )
    return tuple(dict.fromkeys(one for name in names for one in groups[name]))


def flake_around(directory: Path) -> Path:
    """The nearest directory upwards that holds a flake.nix, as Nix itself looks for it; else this one."""
    for place in (directory, *directory.parents):
        if (place / "flake.nix").is_file():
            return place
        if (place / ".git").exists():
            break
    return directory


def find_config(given: Path | None, directory: Path) -> Path | None:
    """The configuration file: the one that was given, else the nearest lockbot.toml up to the repository's top."""
    if given is not None:
        return given
    for place in (directory, *directory.parents):
        if (place / CONFIG_NAME).is_file():
            return place / CONFIG_NAME
        if (place / ".git").exists():
            break
    return None


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int:
    """The machine's memory in bytes, or the limit that its cgroup sets where that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        limit = Path(f"/sys/fs/cgroup{own}/memory.max").read_text().strip()
        total = min(total, int(limit))
    return total


def _moving_together(settings: Settings) -> tuple[frozenset[str], ...]:
    groups = [group for group in settings.group if group.strategy is ConfiguredStrategy.TOGETHER]
    return tuple(frozenset(group.inputs) for group in groups)


def _identity(person: Person) -> Identity:
    return Identity(person.name, person.email)


def _signing(settings: Settings) -> Signing | None:
    match settings.commit.sign:
        case Sign.NO:
            return None
        case Sign.GPG:
            return Signing(SigningFormat.OPENPGP, settings.commit.signing_key or "")
        case Sign.SSH:
            return Signing(SigningFormat.SSH, settings.commit.signing_key or "")
