"""`lockbot lint`: the health of the committed flake.lock. Writes nothing; asks upstreams only when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockbot.app import App
from lockbot.commands.review.flake_files import FlakeFiles, committed
from lockbot.errors import LockbotError
from lockbot.git.inputs.upstream import Origin, Tip, ask_tags, ask_tips
from lockbot.lint import Declared, Finding, Severity, Subject, examine
from lockbot.lint.checks import in_order
from lockbot.lint.files import absent, unreadable
from lockbot.lint.subject import Source, parse_declared, sources
from lockbot.lint.upstream import Asked, is_gone, judge, unasked
from lockbot.model import Note
from lockbot.nix.lockfile import LOCK_NAME, LockFile, LockFileError, spelled
from lockbot.policy.origin import origin_of
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.styled_lines import Line, Style, line

_FIX_LINES = 12


@dataclass(frozen=True)
class Report:
    """What was found. `where`: which lock it is about."""

    where: str
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        return all(finding.severity is not Severity.ERROR for finding in self.findings)


def lint(app: App, *, online: bool) -> Report:
    """Look at the lock; what could not be found out is told as progress, and is no finding."""
    files = committed(app)
    if files.is_changed:
        app.progress(Note(f"the work tree has changes that are not committed: this is about {files.where}"))
    if files.problem is not None:
        return Report(files.where, (unreadable(files.problem),))
    declared = _declared(app, files)
    if files.lock is None:
        needed = "inputs" in files.flake_nix if declared is None else bool(declared)
        return Report(files.where, absent(files.presence, needed=needed))
    try:
        lock = LockFile.parse(files.lock, LOCK_NAME)
    except LockFileError as error:
        return Report(files.where, (unreadable(error),))
    sizes = _ask_sizes(app)
    found = examine(Subject(lock, app.clock(), declared, files.flake_nix, sizes, files.mentioned))
    asked = _ask(app, lock) if online else ()
    return Report(files.where, in_order((*found, *judge(asked))))


def _declared(app: App, files: FlakeFiles) -> Mapping[str, Declared] | None:
    """What flake.nix asks for, if there is a Nix that can say so."""
    from lockbot.nix import inputs  # late: with no Nix it is not needed

    try:
        return parse_declared(inputs.declared(app.nix(), files.flake_nix))
    except LockbotError as error:
        app.cancel.check()
        app.progress(Note(f"not compared with flake.nix: {error.message}"))
        return None


def _ask_sizes(app: App) -> Callable[[Sequence[str]], Mapping[str, int]]:
    def sizes(hashes: Sequence[str]) -> Mapping[str, int]:
        from lockbot.nix import inputs

        try:
            return inputs.source_sizes(app.nix(), hashes)
        except LockbotError:
            app.cancel.check()
            return {}

    return sizes


# -- upstream ----------------------------------------------------------------------------------------------------


def _ask(app: App, lock: LockFile) -> tuple[Asked, ...]:
    """Ask the repositories of flake.nix's own inputs; tell of those that gave no answer."""
    own = [
        (source, origin)
        for source in sources(lock)
        if source.is_root and (origin := origin_of(source.original)) is not None and origin.pinned is None
    ]
    answers = tuple(_answers(app, own))
    for path, why in unasked(answers).items():
        app.progress(Note(f"{spelled(path)} was not asked: {why}"))
    return answers


def _answers(app: App, own: Sequence[tuple[Source, Origin]]) -> Iterator[Asked]:
    timeout = app.settings.run.fetch_timeout
    # Not in the repository: a remote of the user's that has the name of ours would be asked instead.
    git = app.git(Path("/"))
    deadline = Deadline(timeout, "asking upstream")
    named = {spelled(source.path): origin for source, origin in own}
    tips = ask_tips(git, named, deadline)
    gone = {name: Origin(named[name].url) for name, tip in tips.items() if is_gone(tip)}
    reached = ask_tips(git, gone, deadline)
    for source, origin in own:
        name = spelled(source.path)
        asked = Asked(source.path, source.original, tips[name], name not in gone or _answered(reached[name]))
        yield asked if not asked.names_tag else _with_tags(app, asked, origin)


def _answered(default: Tip) -> bool:
    return default.revision is not None


def _with_tags(app: App, asked: Asked, origin: Origin) -> Asked:
    try:
        tags = ask_tags(app.git(Path("/")), origin)
    except LockbotError as error:
        app.cancel.check()
        app.progress(Note(f"{spelled(asked.path)} was not asked for its tags: {error.message}"))
        return asked
    return Asked(asked.path, asked.original, asked.tip, asked.is_reached, tags)


# -- telling ---------------------------------------------------------------------------------------------------


def lines(report: Report) -> tuple[Line, ...]:
    """Errors, then warnings; beneath each what to paste."""
    if not report.findings:
        return (line(f"{LOCK_NAME} of {report.where}: ", ("nothing to complain of", Style.GOOD)),)
    return tuple(_lines(report))


def _lines(report: Report) -> Iterator[Line]:
    counts = [
        words.count(number, severity.value)
        for severity in Severity
        if (number := sum(finding.severity is severity for finding in report.findings))
    ]
    yield line(f"{LOCK_NAME} of {report.where}: {', '.join(counts)}")
    for severity, style in _STYLES.items():
        some = [finding for finding in report.findings if finding.severity is severity]
        if some:
            yield line()
            yield line((_TITLES[severity], style))
        for finding in some:
            yield from _told(finding)


_STYLES = {Severity.ERROR: Style.BAD, Severity.WARNING: Style.WARN}
_TITLES = {Severity.ERROR: "Errors", Severity.WARNING: "Warnings"}


def _told(finding: Finding) -> Iterator[Line]:
    about = f"{finding.input}: " if finding.input is not None else ""
    yield line(f"  {about}{finding.message} ", (f"[{finding.kind}]", Style.QUIET))
    fix = finding.fix.split("\n")
    for one in fix[:_FIX_LINES]:
        yield line(f"      {one}")
    if len(fix) > _FIX_LINES:
        yield line(f"      # and {words.count(len(fix) - _FIX_LINES, 'more line')}: see --json")


def document(report: Report) -> Document:
    return {
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "input": finding.input,
                "message": finding.message,
                "fix": finding.fix,
            }
            for finding in report.findings
        ]
    }
