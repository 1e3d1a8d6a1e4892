"""The composition root: from settings to everything wired. Only here, in cli and in daemon are Settings known."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import quote

from lockbot import state, surroundings
from lockbot.config import Settings, secret_files
from lockbot.config.sections import Repository as RepositorySettings
from lockbot.confine import Confinement, confinement
from lockbot.errors import UsageError
from lockbot.git import settings
from lockbot.git.clone import Clone, open_clone
from lockbot.git.command import Git, nix_environment, user_environment
from lockbot.git.source import LocalSource, RemoteSource, Repository, Source, discover, remote_at
from lockbot.history.store import History
from lockbot.model import Progress
from lockbot.process import CancelToken, Deadline
from lockbot.state import StateDirectory

if TYPE_CHECKING:  # heavy: what only lists does without
    from lockbot.nix.command import Nix

CONFIG_NAME = "lockbot.toml"


def now() -> datetime:
    return datetime.now(UTC)


@contextlib.contextmanager
def cancelled_by_signals(deadline: Deadline | None = None) -> Iterator[CancelToken]:
    """A token that SIGINT, SIGTERM and SIGHUP set; every child ends, then the command says so."""
    with CancelToken(deadline) as token:

        def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the shape that signal wants
            token.cancel(signal.Signals(number).name)

        # What is ignored from the start stays so: `nohup lockbot update &` is meant to outlive its terminal.
        heard = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
        previous = {number: signal.signal(number, stop) for number in heard}
        try:
            yield token
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Reason:
    """What one commit is made for, as its message tells it: the subject, in place of `commit.subject` and with its
    placeholders, and the paragraphs below that."""

    subject: str
    paragraphs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """What the command line adds to the settings, for one run."""

    push: bool = True
    dry_run: bool = False
    wait: bool = False
    groups: tuple[str, ...] = ()
    """The configured groups that are updated, where they are named."""
    retry_failed: bool = False
    """Forget which derivations failed before."""
    reason: Reason | None = None


@dataclass(frozen=True)
class Place:
    """The repository that is meant, and where lockbot keeps what belongs to it."""

    source: Source
    repository: Repository | None
    """None for a URL."""
    identity: str
    """The repository: its resolved git directory, or its URL."""
    directory: Path
    """Of the repository: its clone, worktrees and lock are shared by all its flakes."""
    flake: str
    """The repository, the branch and the flake's directory: what is remembered is remembered of this."""


@dataclass(frozen=True)
class App:
    """Settings, the world (environment, clock) and who watches. Opens what a command needs, and no more."""

    settings: Settings
    environ: Mapping[str, str]
    cancel: CancelToken
    progress: Progress
    clock: Callable[[], datetime] = now
    read_only: bool = False
    """Only looks at the history, which stays as it is."""
    config: Path | None = None
    """The configuration's file, which no program but lockbot reads."""

    # -- what others are kept from ------------------------------------------------------------------------

    @cached_property
    def confinement(self) -> Confinement:
        """What other programs may read and write. Raises SurroundingsError where that is required and can't be."""
        security, root = self.settings.security, self.settings.state.directory
        allowed = (root / REPOSITORIES, *_repository(self.settings.repository))
        return confinement(
            security.confine,
            self.environ,
            private=(root, *_configuration(self.config, self.environ)),
            allowed=allowed,
            readable=[_expanded(path, self.environ) for path in security.readable],
        )

    # -- places -------------------------------------------------------------------------------------------

    def state(self) -> StateDirectory:
        found = StateDirectory(self.settings.state.directory, read_only=self.read_only)
        if advice := surroundings.kept_from_hooks(found.root, self.environ):
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.close(os.open(found.history, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            except PermissionError as error:
                raise UsageError(
                    f"the state directory {found.root} can't be read: {error.strerror}", advice
                ) from None
        return found

    def git(self, directory: Path) -> Git:
        return Git(
            directory,
            user_environment(self.environ),
            self.cancel,
            self.settings.run.fetch_timeout,
            self.confinement.for_git,
        )

    def place(self, *, needs_branch: bool = True) -> Place:
        """Find the repository. Raises UsageError: none here, shallow, detached where a branch is needed …"""
        wanted = self.settings.repository
        if wanted.url is not None:
            remote_at(wanted.url)  # before a place for it is made, for that has its name
            directory = self.state().repository_directory(wanted.url)
            remote = RemoteSource(wanted.url, wanted.branch, wanted.push)
            flake = flake_key(wanted.url, wanted.branch, wanted.flake_dir)
            return Place(remote, None, wanted.url, directory, flake)
        path = wanted.path or flake_around(surroundings.here())
        repository = discover(
            self.git(Path("/")), path, branch=wanted.branch, remote=wanted.remote, needs_branch=needs_branch
        )
        branch = repository.branch or None
        self._refuse_sudo(repository)
        if not repository.bare:
            state.refuse_inside(self.settings.state.directory, repository.path)
        source = LocalSource(path, branch, wanted.remote, wanted.push, needs_branch)
        identity = str(repository.common.resolve())
        flake = flake_key(identity, branch, wanted.flake_dir or repository.subdirectory)
        return Place(source, repository, identity, self.state().repository_directory(identity), flake)

    def _refuse_sudo(self, repository: Repository) -> None:
        """git lets root work in the repository of whoever called sudo; what it writes there belongs to root."""
        owner = repository.common.stat().st_uid
        if os.geteuid() == 0 and owner != 0 and self.environ.get("SUDO_UID") == str(owner):
            raise UsageError(
                f"{repository.path} is yours, and what root writes there would not be", "run lockbot without sudo"
            )

    def flake_dir(self, place: Place) -> str:
        """Where flake.nix lies in the repository: as configured, else where the given path points."""
        inside = place.repository.subdirectory if place.repository is not None else ""
        return _tidy(self.settings.repository.flake_dir or inside)

    # -- tools --------------------------------------------------------------------------------------------

    def history(self, place: Place | None = None) -> History:
        """Open it; for a place, with what an older lockbot kept of the whole repository taken over, and with the
        holds of where the flake was before it moved."""
        if self.read_only:
            return History.read_only(self.state().history, self.clock)
        history = History.open(self.state().history, self.clock, self.progress)
        if place is None or (place.repository is not None and not place.repository.branch):
            return history  # what was kept of a branch does not go to what is none
        try:
            history.adopt(place.flake, place.identity, place.source.branch)
            history.notes += self._bring_holds(history, place)
        except BaseException:
            history.close()
            raise
        return history

    def _bring_holds(self, history: History, place: Place) -> tuple[str, ...]:
        """Holds belong to a flake's place and branch: where those are gone, they come along, and that is told."""
        others = [flake for flake in history.flakes_with_holds() if flake != place.flake]
        if place.repository is None or not others or history.latest(place.flake) is not None:
            return ()
        git, told = self.git(place.repository.path), []
        for flake in others:
            former = history.latest(flake)
            if former is None or former.base is None or git.resolve(former.base) is None:
                continue  # another flake, or one of which nothing is known
            if former.repository == place.identity:
                gone = git.resolve(f"refs/heads/{former.branch}") is None
            else:
                gone = _is_gone(former.repository)
            for name, hold in history.ledger(flake).holds().items() if gone else ():
                history.ledger(place.flake).hold(hold)
                history.ledger(flake).release(name)
                told.append(f"{name} is held as before: you held it in {flake}, which is gone")
        return tuple(told)

    def access(self, place: Place) -> Mapping[str, str]:
        """The environment with no more of the user's git settings than are let through."""
        if place.repository is not None:
            found = place.repository.settings
        else:  # `includeIf "hasconfig:remote…"` wants to know the URL
            git = self.git(place.directory).configured(("remote.source.url", place.identity))
            found = settings.read(git)
        return settings.restrict(self.environ, found, place.directory / settings.FILE)

    def nix(self, place: Place | None = None) -> Nix:
        """Nix; only for a place does it get to see a git setting of the user's."""
        from lockbot.nix import installed
        from lockbot.nix.environment import Place as NixPlace
        from lockbot.nix.environment import keys

        secret = self.settings.eval.access_tokens
        tokens = {"access-tokens": secret.get_secret_value()} if secret is not None else {}
        data_home = self.settings.state.directory / state.NIX_DATA
        bare = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        git = nix_environment(self.access(place) if place is not None else bare)
        if not self.confinement.active:
            return installed.find(self.environ, self.cancel, data_home, tokens, git)
        environ = self.environ
        if place is not None and (agent := keys.agent(environ)) is not None:
            environ = {**environ, "SSH_AUTH_SOCK": agent}
        names = (state.CLONE, state.WORKTREES, state.BISECT)
        work = tuple(place.directory / name for name in names) if place is not None else ()

        def confined(variables: Mapping[str, str]) -> NixPlace:
            return NixPlace(self.confinement, variables, work, self.settings.build.options)

        return installed.find(environ, self.cancel, data_home, tokens, git, confined)

    def clone(self, place: Place) -> Clone:
        clone = open_clone(
            place.directory / state.CLONE,
            place.directory / state.WORKTREES,
            environ=self.environ,
            access=self.access(place),
            cancel=self.cancel,
            timeout=self.settings.run.fetch_timeout,
            confinement=self.confinement,
        )
        accounts = ((host, account.account()) for host, account in self.settings.forge.items())
        signing_in = (account.for_git(host) for host, account in accounts)
        credentials = tuple(pair for pair in signing_in if pair is not None)
        return replace(clone, credentials=credentials, signers=self.settings.commit.verify)


REPOSITORIES = "repos"
"""In the state directory: what git and Nix work in."""


def _configuration(file: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """The configuration and the secrets that it points at. What lies in a repository, its git reads anyway."""
    if file is None:
        return
    if not any((parent / ".git").exists() for parent in file.resolve().parents):
        yield file
    others = file.resolve().parent.glob("*.toml")  # of other flakes, which the same daemon looks after
    for one in dict.fromkeys((file, *others)):
        if one != file and one.name != CONFIG_NAME:
            yield one
        yield from secret_files(one, environ)


def _expanded(path: str, environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME", "/")) / path[2:] if path.startswith("~/") else Path(path)


def _repository(wanted: RepositorySettings) -> Iterator[Path]:
    """The top of the one that is meant, where it is on this machine."""
    if wanted.url is not None:
        return
    with contextlib.suppress(OSError):
        place = (wanted.path or flake_around(Path.cwd())).resolve()
        yield next((one for one in (place, *place.parents) if (one / ".git").exists()), place)


def _is_gone(identity: str) -> bool:
    """Whether a repository on this machine is no longer there; of a URL, nobody can say."""
    try:
        Path(identity).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return identity.startswith("/")
    except OSError:
        return False
    return False


def flake_key(repository: str, branch: str | None, directory: str) -> str:
    """`/srv/nixos/.git?ref=main&dir=hosts/one`: like a flake reference. A branch or directory of none is left out.

    No two flakes have the same: what stands behind the last `?` is quoted.
    """
    told = {"ref": branch or "", "dir": _tidy(directory)}
    query = "&".join(f"{name}={quote(value, errors='surrogateescape')}" for name, value in told.items() if value)
    return f"{repository}?{query}" if query or "?" in repository else repository


def _tidy(directory: str) -> str:
    path = str(PurePosixPath(directory))
    return "" if path == "." else path


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


def find_config(given: Path | None) -> Path | None:
    """The configuration file: the one that was given, else the nearest lockbot.toml up to the repository's top.

    Whatever has that name is meant to be it: a link to nowhere is refused when it is read, not passed over. Raises
    UsageError where this can't be found out.
    """
    if given is not None:
        surroundings.absolute(given)  # where it is relative, there must be a working directory
        return given
    directory = surroundings.here()
    try:
        for place in (directory, *directory.parents):
            if _lies(place / CONFIG_NAME):
                return place / CONFIG_NAME
            if _lies(place / ".git"):
                break
    except OSError as error:
        raise UsageError(
            f"cannot look for {error.filename}: {error.strerror}",
            "let this user search that directory, or name the configuration with --config",
        ) from None
    return None


def _lies(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


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
