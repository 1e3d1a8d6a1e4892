"""The message of an update's commit: made to be reviewed by people, and read back by machines.

Pure and deterministic: the same values give the same bytes, whatever their order, so that a message written
before judging can be compared with the one that judging asks for. It holds no durations and no clock's time.
Nothing from outside starts a line, so no name can forge a trailer, end the message or hide a part of it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime

from lockbot.model import Difference, Held, Host, HostBuild, HostStatus, InputChange, Review, UpstreamChanges
from lockbot.report import grouping, words
from lockbot.report.block import lock_block
from lockbot.report.escape import commit, name, plain, shortened
from lockbot.report.review import sentences
from lockbot.report.review.grouping import side_by_side
from lockbot.report.review.layout import fitted
from lockbot.report.review.page import Page
from lockbot.report.trailers import trailer_lines

PLACEHOLDERS = frozenset({"inputs", "count", "date", "hosts"})
NO_REVIEW = Review()
DEFAULT_SUBJECT = "flake.lock: update {inputs}"

_WIDTH = 72
_LONGEST_SUBJECT = 120
_NAME, _SHORTEST_NAME = 60, 20
_NESTED_SHOWN = 10
_LISTED = 60
_SUBJECTS, _SUBJECT = 5, 100
"""How many of upstream's commits are shown for an input, and characters of each."""
_CHANGES_LINES, _SWITCH_LINES, _WARNING_LINES = 18, 12, 5
"""Lines of what an update means for hosts, however many there are: 40 with titles and what lies between."""
# Bytes per part; together below 60 kB, where forges and mail begin to cut.
_CHANGES_LIMIT, _HOSTS_LIMIT, _HELD_LIMIT, _BLOCK_LIMIT, _TRAILERS_LIMIT = 12_000, 8_000, 3_000, 12_000, 24_000


def commit_message(
    run_id: str,
    changes: Sequence[InputChange],
    hosts: Sequence[HostBuild],
    *,
    subject_template: str = DEFAULT_SUBJECT,
    now: datetime,
    links: Mapping[str, str],
    held: Sequence[Held] = (),
    review: Review = NO_REVIEW,
) -> str:
    """The whole message, ending with one newline; below 60 kB of UTF-8.

    `subject_template` may hold {inputs} (their names, or as many as fit), {count} (of changed inputs), {date}
    (of `now`) and {hosts} (how many were judged). `links` leads from an input's path to a page that compares
    its two revisions. `review`: what the update means for the hosts, and what upstream did to inputs.
    """
    families = grouping.families(changes)
    by_input = {one.input: one for one in review.upstream}
    parts = [
        _subject(subject_template, families, len(hosts), now),
        _within(_CHANGES_LIMIT, [_family(family, links, by_input) for family in families], "more input", "\n\n"),
    ]
    if hosts:
        parts.append("Hosts:\n" + _within(_HOSTS_LIMIT, _hosts(hosts), "more line"))
    parts += _review(run_id, review.differences, hosts)
    if held:
        kept_back = [_held(one) for one in sorted(held, key=lambda one: (one.input, one.reason))]
        parts.append("Held back:\n" + _within(_HELD_LIMIT, kept_back, "more input"))
    parts.append(lock_block(changes, limit=_BLOCK_LIMIT))
    parts.append("\n".join(trailer_lines(run_id, changes, hosts, limit=_TRAILERS_LIMIT)))
    return "\n\n".join(part for part in parts if part) + "\n"


def with_reason(message: str, paragraphs: Sequence[str]) -> str:
    """The message of a commit that somebody has asked for, with what for right below its subject."""
    subject, separator, rest = message.partition("\n\n")
    told = ["\n".join(_wrapped(commit(one, 600), "", "  ")) for one in paragraphs]
    return separator.join([subject, *told, rest])


def unknown_placeholders(template: str) -> frozenset[str]:
    """What a subject template asks for in vain."""
    return frozenset(re.findall(r"\{(\w*)\}", template)) - PLACEHOLDERS


def _subject(template: str, families: Sequence[grouping.Family], hosts: int, now: datetime) -> str:
    inputs = [family.head.input for family in families]
    if not plain(template).strip():
        template = DEFAULT_SUBJECT
    values = {"count": str(len(inputs)), "date": now.strftime("%Y-%m-%d"), "hosts": str(hosts)}
    # One input's name is shortened before it is left out: it is all that tells such commits apart.
    longest = [_NAME] if len(inputs) != 1 else [_NAME, *range(_NAME, _SHORTEST_NAME, -4)]
    for shown, limit in [(len(inputs), limit) for limit in longest] + [
        (shown, _NAME) for shown in range(len(inputs) - 1, -1, -1)
    ]:
        names = [name(one, limit) for one in inputs]
        subject = _filled_in(template, values | {"inputs": _some(names, shown)})
        if len(subject) <= _WIDTH:
            return subject
    return shortened(subject, _LONGEST_SUBJECT)


def _filled_in(template: str, values: Mapping[str, str]) -> str:
    return commit(re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template).strip())


def _some(names: Sequence[str], shown: int) -> str:
    """`a, b and 3 more inputs`; `5 inputs` when none is to be named."""
    left = len(names) - shown
    if not left:
        return ", ".join(names)
    return (
        f"{', '.join(names[:shown])} and {words.count(left, 'more input')}"
        if shown
        else words.count(left, "input")
    )


def _family(family: grouping.Family, links: Mapping[str, str], upstream: Mapping[str, UpstreamChanges]) -> str:
    lines = _change(family.head, "", links)
    if (done := upstream.get(family.head.input)) is not None:
        lines += _subjects(done)
    for change in family.nested[:_NESTED_SHOWN]:
        lines += _change(change, "  ", links)
    if (left := len(family.nested) - _NESTED_SHOWN) > 0:
        lines.append(f"  … and {words.count(left, 'more nested input')}")
    return "\n".join(lines)


def _change(change: InputChange, indent: str, links: Mapping[str, str]) -> list[str]:
    first = f"{indent}{commit(name(change.input))}  "
    lines = _wrapped(commit(grouping.move(change), 300), first, indent + "    ")
    if said := ", ".join(grouping.progress(change)):
        lines.append(f"{indent}  {said}")
    if moved := grouping.moved_source(change):
        lines += _wrapped(commit(moved, 400), indent + "  ", indent + "    ")
    if link := _link(links.get(change.input, "")):
        lines.append(f"{indent}  {link}")
    return lines


def _subjects(done: UpstreamChanges) -> list[str]:
    """Some of upstream's commits, the newest first."""
    lines = [commit(f"  • {one.subject}", _SUBJECT) for one in done.commits[:_SUBJECTS]]
    left = len(done.commits) - len(lines)
    if done.chosen and lines:
        lines.insert(0, "  those that touch these hosts:")
    return [*lines, f"  … and {words.count(left, 'more commit')}"] if left > 0 else lines


def _review(run_id: str, differences: Sequence[Difference], hosts: Sequence[HostBuild]) -> list[str]:
    """What the update means for the hosts, in few lines: all of it is kept with the run."""
    side = side_by_side(differences, hosts)
    page = Page(
        _WIDTH,
        side.everyone,
        side.changing,
        lambda text, limit: commit(name(text, min(limit, _NAME))),
        lambda text: commit(text, 200),
        f"lockbot show {commit(run_id, _NAME)} names them",
    )
    sections = (
        ("What changes:", sentences.what_changes(side), _CHANGES_LINES),
        ("When you switch:", sentences.when_you_switch(side), _SWITCH_LINES),
        ("Warnings:", sentences.warnings(side), _WARNING_LINES),
    )
    return ["\n".join([title, *fitted(told, most, page)]) for title, told, most in sections if told]


def _link(link: str) -> str:
    """A link that is safe to show and to follow, else nothing."""
    safe = re.fullmatch(r"https?://[^\s<>'\"`\\]{1,300}", link) and plain(link) == link
    return link if safe else ""


def _hosts(hosts: Sequence[HostBuild]) -> list[str]:
    entries = []
    for status, builds in grouping.by_status(hosts).items():
        label = f"  {words.status(status)}:"
        match status:
            case HostStatus.FAILED | HostStatus.BROKEN_BEFORE | HostStatus.NEW_AND_BROKEN | HostStatus.UNJUDGED:
                entries += [label, *_failures(builds)]
            case HostStatus.NOT_BUILDABLE_HERE:
                entries.append(_listed([_name_and_system(build) for build in builds], f"{label} "))
            case HostStatus.BUILT | HostStatus.UNCHANGED | HostStatus.EVALUATED:
                entries.append(_listed([_host(build.host) for build in builds], f"{label} "))
    return entries


def _failures(builds: Sequence[HostBuild]) -> list[str]:
    entries = []
    for cause in grouping.causes(builds):
        hosts, why = _listed([_host(host) for host in cause.hosts], "    "), commit(cause.words, 200)
        fits = "\n" not in hosts and len(f"{hosts}: {why}") <= _WIDTH
        entries.append(f"{hosts}: {why}" if fits else f"{hosts}:\n        {why}")
    if silent := [_host(build.host) for build in builds if build.failure is None]:
        entries.append(_listed(silent, "    "))
    return entries


def _host(host: Host) -> str:
    return commit(name(host.name, _NAME))


def _name_and_system(build: HostBuild) -> str:
    return f"{_host(build.host)} ({commit(build.system, _NAME)})" if build.system else _host(build.host)


def _held(held: Held) -> str:
    stays = f" stays at {words.short(held.revision)}" if held.revision else ""
    text = f"{name(held.input)}{stays}: {held.detail or held.reason}"
    return "\n".join(_wrapped(commit(text, 600), "  ", "    "))


def _wrapped(text: str, first: str, then: str) -> list[str]:
    """Wrapped at 72 columns, never within a word."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _listed(items: Sequence[str], first: str) -> str:
    """Items after one another, wrapped between them and never within one."""
    if (left := len(items) - _LISTED) > 0:
        items = [*items[:_LISTED], f"and {left} more"]
    lines = [first + items[0]]
    for item in items[1:]:
        lines[-1] += ","
        if len(lines[-1]) + len(item) + 2 > _WIDTH:
            lines.append("      " + item)
        else:
            lines[-1] += " " + item
    return "\n".join(lines)


def _within(limit: int, entries: Sequence[str], noun: str, separator: str = "\n") -> str:
    """The entries that fit into so many bytes; the rest is counted."""
    shown = []
    for entry in entries:
        if (limit := limit - len((entry + separator).encode())) < 0:
            break
        shown.append(entry)
    if left := len(entries) - len(shown):
        shown.append(f"… and {words.count(left, noun)}")
    return separator.join(shown)
