"""Nix's commands: one function per verb, and the only place that knows what differs between versions.

It must not know hosts, inputs or runs, nor how Nix is found (`installed`). No flake's `nixConfig` is ever accepted
and no registry is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lockbot import process
from lockbot.errors import SurroundingsError
from lockbot.model import FailureKind
from lockbot.nix import failure
from lockbot.nix.environment import Place
from lockbot.nix.environment.cache import was_seen_by_now
from lockbot.process import NOBODY, CancelToken, Deadline, Finished, Listener, Ruleset, Within

if TYPE_CHECKING:  # it asks Nix by way of this module
    from lockbot.nix.derivation import Derivation

_DIRTY = ("--option", "allow-dirty-locks", "true", "--option", "warn-dirty", "true")
EVENT_BYTES = 16 * 2**20
"""The longest event of an evaluator that is read: the error of an endless recursion is one of 2 MiB."""
DAEMON_TRIES = 4
DAEMON_DELAY = 0.5
"""Seconds before a question to the store is asked again, doubled each time: a daemon restarts in a few."""


@dataclass(frozen=True)
class StoreInfo:
    """What the store says of itself. `trusted`: may this user tell the daemon to run things as root?"""

    url: str
    trusted: bool | None


@dataclass(frozen=True)
class Nix:
    """One installed Nix, ready to be called. Relative names never reach it: programs are absolute."""

    nix: Path
    nix_store: Path
    environ: Mapping[str, str]
    cancel: CancelToken
    banner: str
    """What `nix --version` prints: `nix (Nix) 2.34.8`, `nix (Lix, like Nix) 2.93.0`."""
    derivations: dict[str, Derivation] = field(default_factory=dict, repr=False, compare=False)
    """What was read of derivations: a path's never changes."""
    place: Place | None = field(default=None, repr=False, compare=False)
    """Where it works confined; None: it is not."""

    @property
    def version(self) -> str:
        match = re.search(r"\d+\.\d+(\.\d+)?", self.banner)
        return match.group(0) if match else ""

    def with_cancel(self, cancel: CancelToken) -> Nix:
        return replace(self, cancel=cancel)

    def with_cache(self, variables: Mapping[str, str], links_to: Path) -> Nix:
        """The same with another cache, parts of which are links into a directory."""
        environ = {**self.environ, **variables}
        place = replace(self.place, environ=environ, further=(links_to,)) if self.place is not None else None
        return replace(self, environ=environ, place=place)

    def permit(self, paths: Iterable[Path]) -> None:
        """Let it read these files of this machine, where it is confined: what the user's own flake names."""
        if self.place is not None:
            self.place.permitted.update(paths)

    def call(
        self,
        program: Path,
        *arguments: str,
        deadlines: Sequence[Deadline] = (),
        cwd: Path | None = None,
        extra: Mapping[str, str] | None = None,
        listener: Listener = NOBODY,
        ruleset: Callable[[Place], Ruleset | None] = Place.for_evaluating,
    ) -> Finished:
        """Run one of Nix's programs. `ruleset`: what it may use, where it is confined."""
        call = partial(
            process.run,
            [str(program), *arguments],
            cancel=self.cancel,
            deadlines=deadlines,
            cwd=cwd or Path("/"),  # git would obey the repository that lockbot happens to be started in
            listener=listener,
        )
        if self.place is None:
            return call(env={**self.environ, **(extra or {})})
        with self.place.configured() as configuration:
            return call(
                env={**self.place.variables, **configuration.variables, **(extra or {})},
                within=Within(ruleset(self.place), configuration.descriptors),
            )

    # -- asking -------------------------------------------------------------------------------------------

    def evaluate(
        self,
        expression: str,
        *,
        deadlines: Sequence[Deadline] = (),
        options: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        listener: Listener = NOBODY,
    ) -> Finished:
        """`nix eval --json --expr`, purely: what it reads must be locked. Who listens hears events, as JSON lines,
        also of each file that is evaluated (`nix.evaluate.files_read`).

        The whole trace: cut short it would not say that a message is the flake's own (`throw`).
        """
        events = ("--log-format", "internal-json", "-v") if listener.on_stderr is not None else ()
        flags = [word for name, value in (options or {}).items() for word in ("--option", name, value)]
        return self.call(
            self.nix,
            "eval",
            "--json",
            "--show-trace",
            *events,
            *flags,
            "--expr",
            expression,
            deadlines=deadlines,
            extra=extra,
            listener=replace(listener, line_bytes=EVENT_BYTES),
        )

    def settings(self) -> dict[str, Any]:
        """Every setting in force. Never print it: access tokens are among them."""
        finished = self.call(self.nix, "config", "show", "--json", deadlines=[Deadline(60, "nix config show")])
        if finished.code != 0:  # 2.19 still says show-config
            finished = self.call(self.nix, "show-config", "--json", deadlines=[Deadline(60, "nix show-config")])
        if finished.code != 0:
            raise finished.error("cannot read Nix's settings")
        return {name: entry["value"] for name, entry in json.loads(finished.stdout).items()}

    def store_info(self) -> StoreInfo:
        """Reach the store, or raise SurroundingsError with what to do."""
        finished = self.call(self.nix, "store", "info", "--json", deadlines=[Deadline(60, "nix store info")])
        if finished.code != 0 and "is not a recognised command" in finished.stderr:
            finished = self.call(self.nix, "store", "ping", "--json", deadlines=[Deadline(60, "nix store ping")])
        if finished.code != 0:
            tail = finished.stderr.strip().splitlines()[-1:] or ["no answer"]
            raise SurroundingsError(
                f"Nix's store cannot be reached: {tail[0]}", "is nix-daemon running, and may this user connect?"
            )
        answer = json.loads(finished.stdout)
        trusted = answer.get("trusted")
        return StoreInfo(answer.get("url", ""), None if trusted is None else bool(trusted))

    @property
    def store_directory(self) -> Path:
        """Where store paths lie: `/nix/store`, nearly always."""
        return Path(self.environ.get("NIX_STORE_DIR", "/nix/store"))

    # -- locking ------------------------------------------------------------------------------------------

    def update(
        self,
        flake: Path,
        names: Sequence[str],
        overrides: Mapping[str, str],
        deadline: Deadline,
        *,
        plain: bool = False,
    ) -> Finished:
        """`nix flake update NAME…` in a working tree of ours; with an override the name is pinned to it.

        `plain`: the directory is no repository, nor to be taken for a part of one.

        A checkout with changes in it is locked as it is, for the caller to see (`LockFile.unlocked`) and to take
        back: where that is forbidden, Nix ends as if nothing had been new.
        """
        flags = [word for name, ref in overrides.items() for word in ("--override-input", name, ref)]
        wanted = [*names, *(name for name in overrides if name not in names)]
        where = ("--flake", f"path:{quote(str(flake))}") if plain else ()
        was_seen_by_now(self.environ)
        return self.call(
            self.nix,
            "flake",
            "update",
            *wanted,
            *flags,
            *where,
            *_DIRTY,
            cwd=flake,
            deadlines=[deadline],
            ruleset=lambda place: place.for_locking(flake),
        )

    def lock(self, flake: Path, deadline: Deadline) -> Finished:
        """Write what is missing of flake.lock; moves nothing that is locked."""
        was_seen_by_now(self.environ)
        return self.call(
            self.nix,
            "flake",
            "lock",
            *_DIRTY,
            cwd=flake,
            deadlines=[deadline],
            ruleset=lambda place: place.for_locking(flake),
        )

    def look(self, flake: Path, output: str, deadline: Deadline) -> Finished:
        """Lock a directory of ours that is no repository (upstream is asked), and print an output as JSON."""
        fresh = ("--option", "tarball-ttl", "0", "--option", "allow-import-from-derivation", "false")
        where = f"path:{quote(str(flake))}#{output}"
        was_seen_by_now(self.environ)
        return self.call(
            self.nix,
            "eval",
            "--json",
            where,
            *fresh,
            *_DIRTY,
            cwd=flake,
            deadlines=[deadline],
            ruleset=lambda place: place.for_locking(flake),
        )

    # -- the store ----------------------------------------------------------------------------------------

    def realise(
        self,
        targets: Sequence[str],
        *,
        timeout: int,
        silence: int,
        options: Mapping[str, str],
        on_stderr: Callable[[str], None],
    ) -> Finished:
        """Build or fetch everything, as far as it goes. Seconds per derivation; events come as JSON lines."""
        flags = [word for name, value in options.items() for word in ("--option", name, value)]
        return self.call(
            self.nix_store,
            "--realise",
            "--keep-going",
            "--timeout",
            str(timeout),
            "--max-silent-time",
            str(silence),
            "--log-format",
            "internal-json",
            *flags,
            *targets,
            listener=Listener(on_stderr=on_stderr),
        )

    def _store(
        self,
        *arguments: str,
        lines: list[str] | None = None,
        ruleset: Callable[[Place], Ruleset | None] = Place.for_evaluating,
    ) -> Finished:
        """Ask the store something. A daemon that is away for a moment is waited for, else SurroundingsError.

        `lines` gets all that it prints, however much that is; `stdout` may have lost its middle.
        """
        deadlines = [Deadline(600, f"nix-store {arguments[0]}")]
        for number in range(DAEMON_TRIES):
            if lines is not None:
                lines.clear()
            listener = Listener(on_stdout=lines.append) if lines is not None else NOBODY
            finished = self.call(
                self.nix_store, *arguments, deadlines=deadlines, listener=listener, ruleset=ruleset
            )
            if finished.code == 0 or failure.classify(finished.stderr) is not FailureKind.DAEMON:
                return finished
            self.cancel.sleep(DAEMON_DELAY * 2**number)
        raise SurroundingsError(
            f"Nix's store cannot be reached: {failure.explain(finished.stderr)}",
            "is nix-daemon running, and may this user connect?",
        )

    def invalid(self, paths: Sequence[str]) -> frozenset[str]:
        """Which of these outputs the store does not have."""
        found: set[str] = set()
        for some in _slices(paths):
            finished = self._store("--check-validity", "--print-invalid", *some)
            if finished.code != 0:
                raise finished.error("cannot ask the store what it has")
            found.update(finished.stdout.splitlines())
        return frozenset(found)

    def requisites(self, *paths: str) -> frozenset[str]:
        """All that these paths need, themselves included: of a derivation, every derivation and source. Nothing
        is built."""
        lines: list[str] = []
        finished = self._store("--query", "--requisites", *paths, lines=lines)
        if finished.code != 0:
            what = f"{paths[0]} needs" if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more need"
            raise finished.error(f"cannot ask the store what {what}")
        return frozenset(lines)

    def registrations(self, paths: Sequence[str]) -> list[str]:
        """What the store's database has of valid paths, in lines: path, hash, NAR size, deriver, number of
        references, references. The same from every version, other than `nix path-info --json`."""
        found: list[str] = []
        for some in _slices(paths, 4000):
            lines: list[str] = []
            finished = self._store("--dump-db", *some, lines=lines)
            if finished.code != 0:
                raise finished.error("cannot ask the store about its paths")
            found += lines
        return found

    def references(self, path: str) -> frozenset[str]:
        finished = self._store("--query", "--references", path)
        if finished.code != 0:
            raise finished.error(f"cannot ask the store what {path} refers to")
        return frozenset(finished.stdout.splitlines())

    def missing(self, *drvs: str) -> frozenset[str]:
        """Which derivations would have to be built to have these; what can be fetched is not among them."""
        found: set[str] = set()
        for some in _slices(drvs):
            finished = self._store("--realise", "--dry-run", *some)
            if finished.code != 0:
                raise finished.error("cannot ask the store what would have to be built")
            words = (finished.stderr + "\n" + finished.stdout).split()
            found.update(word for word in words if word.startswith("/") and word.endswith(".drv"))
        return frozenset(found)

    def show_derivation(self, drv: str) -> str:
        """The derivation as JSON; empty where Nix can't tell."""
        finished = self.call(self.nix, "derivation", "show", drv, deadlines=[Deadline(60, "nix derivation show")])
        return finished.stdout if finished.code == 0 else ""

    def present(self, target: str) -> str | None:
        """The path of what `/…drv!out` names, where the store has it: the only way to learn that of an output
        whose path is not known before it is built. Nothing is built or fetched."""
        plan = self._store("--realise", "--dry-run", target)
        if plan.code != 0 or any(word.startswith("/") for word in plan.stderr.split()):
            return None
        finished = self._store("--realise", target)
        return finished.stdout.split()[0] if finished.code == 0 and finished.stdout else None

    def log(self, drv: str) -> str | None:
        """The derivation's last build log, if the store kept one."""
        finished = self._store("--read-log", drv)
        return finished.stdout if finished.code == 0 else None

    def root(self, paths: Sequence[str], link: Path) -> None:
        """Keep these outputs from garbage collection until the links (`link`, `link-2`, …) are removed."""
        finished = self._store(
            "--realise", *paths, "--add-root", str(link), ruleset=lambda place: place.for_roots(link.parent)
        )
        if finished.code != 0:
            raise finished.error("cannot register garbage collection roots")


def _slices(paths: Sequence[str], size: int = 500) -> list[Sequence[str]]:
    """Short enough for one command line."""
    return [paths[start : start + size] for start in range(0, len(paths), size)]
