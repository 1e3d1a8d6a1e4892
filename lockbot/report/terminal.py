"""What a person reads when a run is over, or shown again: what happened, why, and what to do.

Returns lines; where and in which colours they are written is `lines`' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lockbot.model import (
    Difference,
    Held,
    HostBuild,
    HostStatus,
    InputChange,
    Outcome,
    RequestDone,
    RequestStep,
    Run,
    UpstreamChanges,
)
from lockbot.process import duration
from lockbot.report import grouping, words
from lockbot.report.escape import log_line, name, plain
from lockbot.report.review import sentences
from lockbot.report.review.grouping import side_by_side
from lockbot.report.review.layout import fitted
from lockbot.report.review.page import Page
from lockbot.report.styled_lines import Line, Style, line
from lockbot.report.table import columns

_TAIL = 10
_PAGE, _SECTION = 100, 60
"""Columns where there is no terminal, and lines of one section of a review."""
_NAME_COLUMN = 44
STATUS_STYLE = {
    HostStatus.BUILT: Style.GOOD,
    HostStatus.UNCHANGED: Style.QUIET,
    HostStatus.EVALUATED: Style.PLAIN,
    HostStatus.FAILED: Style.BAD,
    HostStatus.BROKEN_BEFORE: Style.WARN,
    HostStatus.NEW_AND_BROKEN: Style.WARN,
    HostStatus.NOT_BUILDABLE_HERE: Style.WARN,
    HostStatus.UNJUDGED: Style.WARN,
}


def summary(run: Run, width: int | None = None, by_now: Mapping[str, str] | None = None) -> tuple[Line, ...]:
    """The whole story of one run, sections parted by empty lines. `width`: of a terminal, in columns. `by_now`:
    branch → how its pull request stands, long after the run."""
    sections = [
        tuple(_outcome(run, by_now or {})),
        tuple(_requests(run.requests, by_now or {})),
        tuple(_changes(run)),
        tuple(_hosts(run.hosts)),
        *review(run.differences, run.hosts, width),
        tuple(_upstream(run.upstream)),
        tuple(_failures(run.hosts)),
        tuple(_held(run.held)),
        tuple(_to_do(run)),
        (_foot(run),),
    ]
    told = [section for section in sections if section]
    return tuple(one for section in told for one in (*section, line()))[:-1]


def review(
    differences: Sequence[Difference], hosts: Sequence[HostBuild], width: int | None = None
) -> tuple[tuple[Line, ...], ...]:
    """What an update means for hosts, in sections."""
    side = side_by_side(differences, hosts)
    page = Page(width or _PAGE, side.everyone, side.changing, name, lambda text: plain(text, 300))
    sections = (
        ("What changes", sentences.what_changes(side, sized=True)),
        ("When you switch", sentences.when_you_switch(side)),
        ("Warnings", sentences.warnings(side)),
    )
    return tuple(
        (line((title, Style.TITLE)), *map(line, fitted(told, _SECTION, page))) for title, told in sections if told
    )


OPEN = "open"
"""How a pull request stands that asks for what a run has judged still."""


def headline(run: Run, by_now: Mapping[str, str] | None = None) -> tuple[str, Style]:
    """What became of a run in one sentence. `by_now` as for `summary`."""
    branch = run.branch or "the branch"
    match run.outcome:
        case Outcome.UNCHANGED if run.held:
            return f"Nothing changed: {words.count(len(run.held), 'input')} held back.", Style.WARN
        case Outcome.UNCHANGED:
            return "Nothing to update.", Style.GOOD
        case Outcome.PUBLISHED:
            return f"{_published(run)}.", Style.GOOD
        case Outcome.PARTLY_PUBLISHED if not run.held:  # of several commits, some
            return f"{_published(run)}, and not all that was judged.", Style.WARN
        case Outcome.PARTLY_PUBLISHED:
            return f"{_published(run)}, with {words.count(len(run.held), 'input')} held back.", Style.WARN
        case Outcome.REQUESTED:
            return _requested(run, by_now or {}), Style.WARN if run.held else Style.GOOD
        case Outcome.REJECTED:
            failed = sum(build.status is HostStatus.FAILED for build in run.hosts)
            why = f"{words.count(failed, 'host')} would no longer build" if failed else "nothing could be taken"
            return f"Rejected: {why}; {branch} stands as it was.", Style.BAD
        case Outcome.UNJUDGED:
            return f"Not judged: nothing could be found out; {branch} stands as it was.", Style.WARN
        case Outcome.STALE if why := _first_line(run.error):
            return f"Stale: {why}", Style.WARN
        case Outcome.STALE:
            return f"Stale: {branch} kept moving while hosts were built; nothing was published.", Style.WARN
        case Outcome.FAILED:
            return f"Failed: {_first_line(run.error) or 'no reason was recorded'}", Style.BAD
        case Outcome.INTERRUPTED if run.commit is not None:
            return f"Interrupted, when {words.short(run.commit)} had been pushed already.", Style.WARN
        case Outcome.INTERRUPTED:
            return f"Interrupted: {branch} stands as it was.", Style.WARN
        case None if run.finished is None:
            return "Not finished: still at work, or killed before it could say.", Style.WARN
        case None:
            return "Ended without an outcome.", Style.WARN


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _published(run: Run) -> str:
    branch = run.branch or "the branch"
    if run.dry_run:
        return f"Dry run: would publish {words.short(run.candidate)} to {branch}"
    if run.parked:
        return f"Built {words.short(run.commit)} and parked it on {run.parked}: {branch} could not be moved"
    pushed = " and pushed it" if run.pushed else ""
    return f"Published {words.short(run.commit)} to {branch}{pushed}"


def _requested(run: Run, by_now: Mapping[str, str]) -> str:
    asking = [one for one in run.requests if one.step.asks]
    held = f", with {words.count(len(run.held), 'input')} held back" if run.held else ""
    if run.dry_run:
        return f"Dry run: a pull request would ask to take {words.short(run.candidate)}{held}."
    if all(one.step is RequestStep.WAITING for one in asking):
        stands = f"{run.branch or 'the branch'} stands as it was"
        if asking:
            return f"Judged and pushed, for you to open a pull request{held}: {stands}."
        return f"Judged, and left to people{held}: {stands}."
    ask = "ask" if any(by_now.get(one.branch, OPEN) == OPEN for one in asking) else "asked"
    ask += "s" if len(asking) == 1 and ask == "ask" else ""
    which = "A pull request" if len(asking) == 1 else f"{len(asking)} pull requests"
    return f"{which} {ask} to take what was judged{held}."


def _requests(requests: Sequence[RequestDone], by_now: Mapping[str, str]) -> Iterator[Line]:
    if requests:
        yield line(("Pull requests", Style.TITLE))
    for one in requests:
        named = plain(one.label, 120)
        inputs = f" ({', '.join(map(name, one.inputs))})" if one.inputs else ""
        stands = by_now.get(one.branch, OPEN) if one.step.asks else OPEN
        now = f"; by now {plain(stands, 200)}" if stands != OPEN else ""
        yield line("  ", f"{named}{inputs}: ", (str(one.step), _REQUEST_STYLE.get(one.step, Style.WARN)), now)
        for said in (one.url, one.text):
            if said:
                yield line((f"    {plain(said, 500)}", Style.QUIET))


_REQUEST_STYLE = {
    RequestStep.OPENED: Style.GOOD,
    RequestStep.UPDATED: Style.GOOD,
    RequestStep.LANDED: Style.GOOD,
    RequestStep.UNCHANGED: Style.PLAIN,
    RequestStep.MERGED: Style.PLAIN,
    RequestStep.CLOSED: Style.PLAIN,
}


def _outcome(run: Run, by_now: Mapping[str, str]) -> Iterator[Line]:
    yield line(headline(run, by_now))
    told = 1 if run.outcome in (Outcome.FAILED, Outcome.STALE) else 0
    for said in (run.error or "").strip().splitlines()[told:]:
        yield line(f"  {log_line(said)}")
    for said in (run.hint or "").splitlines():
        yield line(f"  → {log_line(said)}")


def _changes(run: Run) -> Iterator[Line]:
    if not run.changes:
        return
    taken = run.outcome in (Outcome.PUBLISHED, Outcome.PARTLY_PUBLISHED, Outcome.REQUESTED, None)
    yield line(("Inputs" if taken else "Inputs that were tried", Style.TITLE))
    indented = [
        (change, indent)
        for family in grouping.families(run.changes)
        for change, indent in [(family.head, "  "), *((nested, "    ") for nested in family.nested)]
    ]
    size = min(max(columns(indent + name(change.input)) for change, indent in indented), _NAME_COLUMN)
    for change, indent in indented:
        yield from _change(change, indent, size)


def _change(change: InputChange, indent: str, size: int) -> Iterator[Line]:
    shown = indent + name(change.input)
    pad = " " * max(size - columns(shown), 0)
    progress = "".join(f", {said}" for said in grouping.progress(change))
    yield line(f"{shown}{pad}  {grouping.move(change)}", (progress, Style.QUIET))
    if moved := grouping.moved_source(change):
        yield line((f"{indent}  {moved}", Style.WARN))


def _hosts(hosts: Sequence[HostBuild]) -> Iterator[Line]:
    if not hosts:
        return
    yield line(("Hosts", Style.TITLE))
    for status, builds in grouping.by_status(hosts).items():
        yield line(
            "  ",
            (words.status(status), STATUS_STYLE[status]),
            f" ({len(builds)}): {', '.join(_name_and_system(build) for build in builds)}",
        )


def _name_and_system(build: HostBuild) -> str:
    shown = name(build.host.name)
    if build.status is HostStatus.NOT_BUILDABLE_HERE and build.system:
        return f"{shown} [{build.system}]"
    return shown


def _upstream(upstream: Sequence[UpstreamChanges]) -> Iterator[Line]:
    told = [one for one in upstream if one.commits or one.note or one.link]
    if told:
        yield line(("Upstream's commits", Style.TITLE))
    for one in told:
        which = ", those that touch these hosts" if one.chosen else ""
        count = words.count(one.count, "commit") if one.count is not None else "commits"
        yield line(f"  {name(one.input)}: {count}{which}")
        for commit in one.commits:
            day = words.date(commit.date)
            yield line(
                f"    {words.short(commit.revision)} ",
                (day + " " if day else "", Style.QUIET),
                log_line(commit.subject, 100),
            )
        if one.note:
            yield line(f"    {plain(one.note)}")
        if one.link:
            yield line((f"    {plain(one.link, 300)}", Style.QUIET))


def _failures(hosts: Sequence[HostBuild]) -> Iterator[Line]:
    """New failures before old ones; each cause once, with all its hosts."""
    by_status = grouping.by_status(hosts)
    for status, title in (
        (HostStatus.FAILED, "Failures"),
        (HostStatus.UNJUDGED, "Could not be judged"),
        (HostStatus.NOT_BUILDABLE_HERE, "Not buildable here"),
        (HostStatus.NEW_AND_BROKEN, "New, and broken without this update, too"),
        (HostStatus.BROKEN_BEFORE, "Broken before this update"),
    ):
        causes = grouping.causes(by_status.get(status, ()))
        if causes:
            yield line((title, Style.TITLE))
        for cause in causes:
            yield from _cause(cause, STATUS_STYLE[status])


def _cause(cause: grouping.Cause, style: Style) -> Iterator[Line]:
    yield line("  ", (", ".join(name(host.name) for host in cause.hosts), style), f": {cause.words}")
    for said in cause.message.splitlines()[:_TAIL]:
        yield line(f"      {log_line(said)}")
    if cause.culprit:
        yield line((f"      {cause.culprit}", Style.QUIET))
    for logged in cause.tail[-_TAIL:]:
        yield line(("      │ ", Style.QUIET), log_line(logged))


def _held(held: Sequence[Held]) -> Iterator[Line]:
    if not held:
        return
    yield line(("Held back", Style.TITLE))
    for one in sorted(held, key=lambda one: one.input):
        stays = f" stays at {words.short(one.revision)}" if one.revision else ""
        yield line("  ", (name(one.input), Style.WARN), f"{stays}: {one.detail or one.reason}")


def _to_do(run: Run) -> Iterator[Line]:
    if not run.notes:
        return
    yield line(("Notes", Style.TITLE))
    for note in run.notes:
        first, *rest = note.splitlines() or [""]
        yield line(f"  • {first}")
        for more in rest:
            yield line(f"    {more}")


def _foot(run: Run) -> Line:
    said = f"Run {run.id}, {run.started:%Y-%m-%d %H:%M %Z}"
    if run.finished:
        said += f", took {duration(max((run.finished - run.started).total_seconds(), 0))}"
    phases = ", ".join(f"{phase} {duration(spent)}" for phase, spent in run.seconds.items() if spent >= 1)
    return line((said + (f" ({phases})" if phases else ""), Style.QUIET))
