"""What a pull request says to whoever reviews it: what moves, what was judged, what that means, what happens next.

Pure and deterministic: from the record of the run that made the commit. Knows what forges make of Markdown, and
asks none of them. What strangers wrote begins no line, no markup and no link (`escape.markdown`); links are made
from what flake.lock says of an input, as in a commit's message.

docs.gitlab.com/user/markdown (collapsible sections: an empty line around what is Markdown) and
/user/project/quick_actions; docs.github.com, organizing information with collapsed sections; what Forgejo and
Gitea leave of HTML: their modules/markup/sanitizer.go, sanitizer_default.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import assert_never

from lockbot.model import Held, HostBuild, HostStatus, InputChange, Landing, PackageMark, Run, UpstreamChanges
from lockbot.nix.forges import compare_link
from lockbot.pull_requests.wording.hosts import entry_lines
from lockbot.pull_requests.wording.parts import Part, fitted
from lockbot.report import grouping, words
from lockbot.report.escape import log_line, markdown, markdown_code, name, plain
from lockbot.report.review import sentences
from lockbot.report.review.grouping import SideBySide, side_by_side
from lockbot.report.review.page import Page

SHORTEST = 500
"""A limit below this has no room for a body."""

_NAME, _BRANCH = 60, 30
_NESTED, _LISTED = 10, 40
_LINE = 100_000
"""Columns of a page on which no line is wrapped: the forge does that."""


def body(run: Run, commit: str, limit: int, *, landing: Landing, by_forge: bool = False) -> str:
    """At most `limit` bytes of Markdown, where that is not below SHORTEST.

    `by_forge`: with Landing.WHEN_CHECKS_PASS, the forge merges it in its own way, lockbot pushes nothing.
    """
    side = side_by_side(run.differences, run.hosts)
    kept = f"`lockbot show {_bare(run.id)}` tells"
    page = Page(_LINE, side.everyone, side.changing, _name, _item, f"{kept} their names")
    list_of = partial(entry_lines, page=page, room=limit // 6)
    parts = [
        Part((_opening(run, commit),), 1),
        _list("Inputs", _inputs(run), 0.4, "input"),
        _list("Hosts", _hosts(run.hosts), 0.15),
        _list("When you switch", list_of(sentences.when_you_switch(side)), 0.2),
        _list("Warnings", list_of(sentences.warnings(side)), 0.05),
        _list("Held back", map(_held, sorted(run.held, key=lambda held: held.input)), 0.1, "input"),
        _folded(_what_changes(side), list_of(sentences.what_changes(side, sized=True)), 0.1),
        _folded("Upstream's commits", _upstream(run), 0.05),
        Part((_next(run, landing, by_forge=by_forge),), 0.3, opening="### What happens next\n\n"),
        _folded("How to check it by hand", _by_hand(run, commit), 0),
        Part((f"Made by lockbot, run {markdown_code(run.id, _NAME)} of {run.started:%Y-%m-%d}.",), 1),
    ]
    return fitted(parts, limit, f"There is more than has room here: {kept} all of it.")


def _list(heading: str, entries: Iterator[str] | Sequence[str], least: float, noun: str = "line") -> Part:
    return Part(tuple(entries), least, opening=f"### {heading}\n\n", noun=noun)


def _folded(summary: str, entries: Iterator[str] | Sequence[str], least: float) -> Part:
    """`summary` is lockbot's own words: it stands in HTML."""
    opening = f"<details>\n<summary>{summary}</summary>\n\n"
    return Part(tuple(entries), least, opening, "\n\n</details>", noun="line")


def _name(text: str, limit: int = _NAME) -> str:
    return markdown(name(text, min(limit, _NAME)))


def _item(text: str) -> str:
    return markdown(text, 300)


def _bare(run_id: str) -> str:
    """Within a code span of lockbot's own."""
    return re.sub(r"[^\w-]", "", plain(run_id, _NAME), flags=re.ASCII)


def _base(run: Run, limit: int = _NAME) -> str:
    return f"**{_name(run.branch, limit)}**" if run.branch else "the base branch"


def _opening(run: Run, commit: str) -> str:
    moved = words.count(len(grouping.families(run.changes)), "input")
    at = f" at {markdown_code(words.short(run.base))}" if run.base else ""
    good = sum(build.status in (HostStatus.BUILT, HostStatus.UNCHANGED) for build in run.hosts)
    hosts = f"{good} of {words.count(len(run.hosts), 'host')} build with it" if run.hosts else "it has no hosts"
    return (
        f"This moves **{moved}** of flake.lock. Before it was proposed, its commit"
        f" {markdown_code(words.short(commit))} was judged on top of {_base(run, _BRANCH)}{at}: **{hosts}**."
    )


def _inputs(run: Run) -> Iterator[str]:
    for family in grouping.families(run.changes):
        lines = [*_change(family.head), *(f"  {line}" for one in family.nested[:_NESTED] for line in _change(one))]
        if (left := len(family.nested) - _NESTED) > 0:
            lines.append(f"  - … and {words.count(left, 'more nested input')}")
        yield "\n".join(lines)


def _change(change: InputChange) -> Iterator[str]:
    told = ", ".join([_item(grouping.move(change)), *grouping.progress(change)])
    yield f"- **{_name(change.input)}**: {told}{_compared(change)}"
    if change.old and change.new and grouping.moved_source(change):
        new, old = (markdown_code(locked.original, 200) for locked in (change.new, change.old))
        yield f"  - **from another place**: now from {new}, was {old}"


def _compared(change: InputChange) -> str:
    return _link(compare_link(change.old, change.new)) if change.old and change.new else ""


def _link(address: str | None) -> str:
    """Only what can end neither the link nor its address."""
    safe = address and re.fullmatch(r"https?://[\w.~:/?#@!$&*+,;=%-]{1,300}", address, re.ASCII)
    return f" ([compare](<{address}>))" if safe and plain(address or "") == address else ""


def _hosts(builds: Sequence[HostBuild]) -> Iterator[str]:
    for status, same in grouping.by_status(builds).items():
        label = f"- **{words.status(status)}**"
        match status:
            case HostStatus.FAILED | HostStatus.BROKEN_BEFORE | HostStatus.NEW_AND_BROKEN | HostStatus.UNJUDGED:
                yield from (f"{label}: {said}" for said in _failures(same))
            case HostStatus.NOT_BUILDABLE_HERE:
                yield f"{label} ({len(same)}): {_listed([_name_and_system(build) for build in same])}"
            case HostStatus.BUILT | HostStatus.UNCHANGED | HostStatus.EVALUATED:
                yield f"{label} ({len(same)}): {_listed([_name(build.host.name) for build in same])}"


def _failures(builds: Sequence[HostBuild]) -> Iterator[str]:
    for cause in grouping.causes(builds):
        # Where a derivation is to blame, its builder's message says no more than that.
        first = "" if cause.culprit else log_line(cause.message.strip().partition("\n")[0])
        why = ": ".join(filter(None, [cause.words, first]))
        yield f"{_listed([_name(host.name) for host in cause.hosts])}: {_item(why)}"
    if silent := [_name(build.host.name) for build in builds if build.failure is None]:
        yield _listed(silent)


def _name_and_system(build: HostBuild) -> str:
    system = f" ({markdown(build.system, _NAME)})" if build.system else ""
    return _name(build.host.name) + system


def _listed(names: Sequence[str]) -> str:
    left = len(names) - _LISTED
    return ", ".join([*names[:_LISTED], *([f"and {left} more"] if left > 0 else [])])


def _held(held: Held) -> str:
    stays = f" stays at {markdown_code(words.short(held.revision))}" if held.revision else ""
    return f"- **{_name(held.input)}**{stays}: {markdown(held.detail or held.reason, 600)}"


def _what_changes(side: SideBySide) -> str:
    changes = (package for one in side.differences for package in one.packages)
    packages = {package.name for package in changes if package.change is not PackageMark.REBUILT}
    if not packages:
        return "What changes on the hosts"
    return f"What changes: {words.count(len(packages), 'package')} on {words.count(len(side.changing), 'host')}"


def _upstream(run: Run) -> Iterator[str]:
    moved = {change.input for change in run.changes}
    for done in sorted((one for one in run.upstream if one.input in moved), key=lambda one: one.input):
        if done.commits or done.note:
            yield from _commits(done)


def _commits(done: UpstreamChanges) -> Iterator[str]:
    which = ", those that touch these hosts" if done.chosen else ""
    count = words.count(done.count, "commit") if done.count is not None else "commits"
    yield f"- **{_name(done.input)}**: {count}{which}{_link(done.link)}"
    for commit in done.commits:
        told = [
            markdown_code(words.short(commit.revision)),
            words.date(commit.date),
            markdown(commit.subject, 120),
        ]
        yield "  - " + " ".join(filter(None, told))
    if done.note:
        yield f"  - {_item(done.note)}"


def _next(run: Run, landing: Landing, *, by_forge: bool) -> str:
    base = _base(run)
    return (
        f"{_lands(base, landing, by_forge=by_forge)} When inputs or {base} move on, lockbot judges anew and moves"
        " this request to what came of it, unless its branch has a commit that is not lockbot's: then it is left"
        " alone. Close it, and lockbot does not propose these revisions again."
    )


def _lands(base: str, landing: Landing, *, by_forge: bool) -> str:
    match landing:
        case Landing.PEOPLE:
            return (
                f"Merge it when you like. A fast-forward brings {base} the very commit that was judged; every"
                " other way to merge makes another commit of it."
            )
        case Landing.WHEN_CHECKS_PASS if by_forge:
            return f"It is merged into {base} by itself when its checks have passed, perhaps as another commit."
        case Landing.WHEN_CHECKS_PASS:
            return f"lockbot moves {base} to this very commit by itself when its checks have passed."
        case Landing.AT_ONCE:
            return f"lockbot moves {base} to this very commit by itself, and waits for nothing."
        case _:
            assert_never(landing)


def _by_hand(run: Run, commit: str) -> Iterator[str]:
    """In a clone that has the commit."""
    yield f"- {markdown_code(f'lockbot verify {commit} --build')}: whether the commit is what its message says"
    if run.base:
        yield f"- {markdown_code(f'lockbot diff {run.base} {commit}')}: what changes on each host"
    yield "- `lockbot review`: what has come to the branch since you last looked, once this has landed"
    yield f"- `lockbot show {_bare(run.id)}`: all that is known of the run, where lockbot runs"
