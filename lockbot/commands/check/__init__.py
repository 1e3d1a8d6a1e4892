"""`lockbot check`: the configuration and the surroundings, one finding for each thing that a run relies on.

Changes nothing but lockbot's own state directory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lockbot import oserrors
from lockbot.app import App, Place, find_config, usable_cores
from lockbot.commands.check import confined
from lockbot.commands.run_config import authorship, evaluating
from lockbot.config import load
from lockbot.config.sections import Mode
from lockbot.errors import Cancelled, LockbotError
from lockbot.git.clone import Clone
from lockbot.git.commits import signatures
from lockbot.git.publish import behind
from lockbot.git.sync import Base, sync
from lockbot.git.worktree import try_signing
from lockbot.nix.command import Nix
from lockbot.nix.lockfile import LOCK_NAME, LockFile
from lockbot.notify import hooks
from lockbot.process import duration
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.styled_lines import Line, Style, line
from lockbot.state import LOCK, RunLock, check_disk, free_bytes, human_size


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do where it is not well."""

    what: str
    level: Level
    text: str
    advice: str = ""


def run(open_app: Callable[[], App], config: Path | None) -> tuple[Finding, ...]:
    """Look at everything. What can't be looked at because of a problem before it is left out."""
    look = _Look()
    app: App | None = None
    with look.at("configuration"):
        app = open_app()
        file = find_config(config)
        look.fine("configuration", str(file) if file else "no file: the defaults hold")
    if app is not None:
        _surroundings(look, app)
    return tuple(look.findings)


def configuration(config: Path | None, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Look at the configuration alone: nothing but its file is read, and nothing is made."""
    look = _Look()
    with look.at("configuration"):
        file = find_config(config)
        load(file, environ, secrets=False)
        look.fine("configuration", str(file) if file else "no file: the defaults hold")
    return tuple(look.findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when a run can start; 3 when it would fail."""
    return 3 if any(finding.level is Level.PROBLEM for finding in findings) else 0


@dataclass
class _Look:
    findings: list[Finding] = field(default_factory=list)

    def fine(self, what: str, text: str) -> None:
        self.findings.append(Finding(what, Level.OK, text))

    def found(self, what: str, good: bool | None, text: str, advice: str) -> None:
        """None: it can't be known beforehand."""
        level = {True: Level.OK, None: Level.WARNING, False: Level.PROBLEM}[good]
        self.findings.append(Finding(what, level, text, "" if good else advice))

    def warn(self, what: str, text: str, advice: str) -> None:
        self.findings.append(Finding(what, Level.WARNING, text, advice))

    @contextlib.contextmanager
    def at(self, what: str) -> Iterator[None]:
        """An error in the block is a finding, and the next look goes on."""
        try:
            with oserrors.explaining():
                yield
        except Cancelled:
            raise
        except LockbotError as error:
            self.findings.append(Finding(what, Level.PROBLEM, error.message, error.hint))


def _surroundings(look: _Look, app: App) -> None:
    nix: Nix | None = None
    place: Place | None = None
    with look.at("state directory"):
        root = app.state().root
        look.fine("state directory", f"{root}, {human_size(free_bytes(root))} free")
    with look.at("history"), app.history() as past:
        for note in past.notes:
            look.warn("history", note, "nothing needs to be done")
    with look.at("confinement"):
        _confinement(look, app)
    with look.at("nix"):
        nix = app.nix()
        look.fine("nix", f"{nix.banner} ({nix.nix})")
    if nix is not None:
        _nix(look, app, nix)
    with look.at("git"):
        look.fine("git", app.git(Path("/")).ask("--version").removeprefix("git version "))
    _followers(look, app)
    _targets(look, app)
    with look.at("repository"):
        place = app.place()
        look.fine("repository", place.identity)
    if place is not None:
        _repository(look, app, place)


def _confinement(look: _Look, app: App) -> None:
    good, text, advice = confined.confinement(app)
    if not good:
        look.warn("confinement", text, advice)
        return
    lines = [f"not even {file}: `[security] readable` lets it be read" for file in confined.kept_back(app)]
    look.fine("confinement", "\n".join([text, *lines]))


def _nix(look: _Look, app: App, nix: Nix) -> None:
    if (told := confined.builders(nix)) is not None:
        good, text, advice = told
        if good:
            look.fine("confinement", text)
        else:
            look.warn("confinement", text, advice)
    with look.at("nix store"):
        store = nix.store_info()
        text = f"{store.url or nix.store_directory} can be reached"
        if store.trusted and store.url not in ("local", "") and os.geteuid() != 0:
            look.warn(
                "nix store",
                f"{text}, and trusts this user",
                "a trusted user's flake inputs can become root: run lockbot as one that is not in trusted-users",
            )
        else:
            look.fine("nix store", text)
    with look.at("disk"):
        directory = nix.store_directory
        check_disk([directory, app.settings.state.directory], app.settings.state.min_free)
        look.fine("disk", f"{human_size(free_bytes(directory))} free at {directory}")
    with look.at("builders"):
        _builders(look, app, nix)
        limits = evaluating(app.settings)
        look.fine(
            "evaluation",
            f"{limits.workers} at a time (this process may use {usable_cores()} cores), "
            f"{human_size(limits.memory)} of memory, {duration(limits.timeout)} each",
        )


def _builders(look: _Look, app: App, nix: Nix) -> None:
    ours = app.settings.build
    settings = {**nix.settings(), **ours.options}
    jobs = settings.get("max-jobs") if ours.jobs is None else ours.jobs
    machines = _machines(str(settings.get("builders") or ""))
    if str(jobs) != "0":
        look.fine("builders", f"{settings.get('system', '?')} here{machines or _NO_MACHINES}")
    elif machines:
        look.fine("builders", f"nothing here (max-jobs = 0){machines}")
    else:
        look.warn(
            "builders",
            f"max-jobs = 0{_NO_MACHINES}: nothing can be built",
            "set `[build] jobs`, or name builders in nix.conf",
        )


_NO_MACHINES = ", no remote builders"


def _machines(builders: str) -> str:
    """`@FILE`, or machines parted by semicolons or lines."""
    text = builders
    if builders.startswith("@"):
        try:
            text = Path(builders[1:]).read_text(errors="replace")
        except OSError:
            text = ""
    machines = [entry.split()[0] for entry in text.replace(";", "\n").splitlines() if entry.split()]
    machines = [machine for machine in machines if not machine.startswith("#")]
    return f", and on {', '.join(machines)}" if machines else ""


def _followers(look: _Look, app: App) -> None:
    """Whoever is told of runs. Nobody is: it would be news of something that did not happen."""
    ping = app.settings.ping
    for target in filter(None, (ping.target(), beat.target if (beat := ping.heartbeat()) else None)):
        look.fine("ping", f"{target.host} ({target.style})")
    for hook in (one.hook() for one in app.settings.hook):
        what, why = f"hook ({hook.event})", hooks.why_not(hook, app.environ)
        if why is None:
            look.fine(what, f"{hooks.shown(hook)} can be run")
        else:
            look.warn(what, f"{why}: it will not be run", "install it, or mend `command` in that [[hook]]")


def _targets(look: _Look, app: App) -> None:
    """Whether each [[notify]] is understood; nothing is sent. A run does not depend on it."""
    if not app.settings.notify:
        return
    from lockbot.commands.notify.understood import understood  # 300 ms for Apprise: only who wants it waits

    for target in app.settings.notify:
        what, (text, advice) = f"notify {target.name}", understood(target.address)
        if advice:
            look.warn(what, text, advice)
        else:
            look.fine(what, text)


def _repository(look: _Look, app: App, place: Place) -> None:
    lock = RunLock(place.directory / LOCK, "a check", app.clock, cancel=app.cancel)
    with look.at("access"), lock:
        clone = app.clone(place)
        base = sync(clone, place.source)
        look.fine("access", f"branch {base.branch} is at {base.commit[:12]}")
        told = behind(clone, place.source, base)
        for note in (*base.notes, *([told] if told else [])):
            look.warn("access", note, "")
        if clone.signers is not None:
            _signatures(look, app, clone, base)
        with look.at("flake"):
            _flake(look, app, place, clone, base)
        if app.settings.publish.mode is Mode.REQUEST:
            from lockbot.commands.pull_requests.rights import rights  # as in `_targets`

            with look.at("pull requests"):
                for found in rights(app, place, clone, base):
                    look.found("pull requests", found.given, found.text, found.advice)


def _signatures(look: _Look, app: App, clone: Clone, base: Base) -> None:
    """Whether a run could begin on this branch, and whether what it commits could end there."""
    with look.at("signatures"):
        count = signatures.require_branch(clone, base.branch, base.commit, remember=False)
        look.fine("signatures", f"{words.count(count, 'commit')} of {base.branch} verified by {clone.signers}")
    with look.at("signing"):
        try_signing(clone, authorship(app.settings), app.clock())
        look.fine("signing", "lockbot's own key is an allowed signer's")


def _flake(look: _Look, app: App, place: Place, clone: Clone, base: Base) -> None:
    directory = app.flake_dir(place)
    if clone.read_file(base.commit, str(Path(directory) / "flake.nix")) is None:
        raise LockbotError(
            f"there is no flake.nix in {directory or 'the repository'} on {base.branch}",
            "commit it, or set `[repository] flake_dir`",
        )
    path = str(Path(directory) / LOCK_NAME)
    content = clone.read_file(base.commit, path)
    if content is None:
        look.warn("flake", f"there is no {path} on {base.branch}", "the first update makes it")
        return
    parsed = LockFile.parse(content.decode(errors="replace"), path)
    roots = parsed.root_inputs
    movable = sum(root.updatable for root in roots.values())
    look.fine("flake", f"{movable} of {len(roots)} inputs in {path} can be updated")
    for group in app.settings.group:
        unknown = [name for name in group.inputs if name not in parsed.paths()]
        if unknown:
            look.warn(
                "flake",
                f"group {group.name} names inputs that the flake does not have: {', '.join(unknown)}",
                "`lockbot inputs` lists them",
            )


# -- telling ----------------------------------------------------------------------------------------------------

_STYLE = {Level.OK: Style.GOOD, Level.WARNING: Style.WARN, Level.PROBLEM: Style.BAD}


def lines(findings: Sequence[Finding]) -> tuple[Line, ...]:
    """One line each, and beneath it what to do."""
    return tuple(one for finding in findings for one in _finding(finding))


def _finding(finding: Finding) -> Iterator[Line]:
    first, *more = finding.text.splitlines() or [""]
    yield line((f"{finding.level:8}", _STYLE[finding.level]), f"{finding.what}: {first}")
    for extra in (*more, *finding.advice.splitlines()):
        yield line(f"         {extra}")


def document(findings: Sequence[Finding]) -> Document:
    return {
        "checks": [
            {"check": one.what, "level": one.level, "text": one.text, "advice": one.advice or None}
            for one in findings
        ]
    }
