"""What a bisection found, for people and for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from lockbot.model import CulpritCommit, InputChange
from lockbot.nix.forges import compare_link
from lockbot.report import words
from lockbot.report.document import Document, culprit
from lockbot.report.escape import name as shown
from lockbot.report.styled_lines import Line, Style, line
from lockbot.review.bisect.result import BadCommit, BadInput, Bisected, Blame, Trial

_SHOWN = 10
"""So many commits are listed of those that it may be."""


def bisected_document(found: Bisected) -> Document:
    return {
        "host": found.host,
        "command": list(found.command),
        "first_bad": _commit(found.first_bad) if found.first_bad is not None else None,
        "blame": found.blame,
        "input": _input(found.input) if found.input is not None else None,
        "upstream": culprit(found.upstream),
        "exact": found.exact,
        "among": list(found.among),
        "reason": found.reason or None,
        "tried": [_trial(trial) for trial in found.tried],
    }


def _commit(bad: BadCommit) -> Document:
    return {"commit": bad.commit, "subject": bad.subject, "date": words.iso_seconds(bad.date)}


def _input(bad: BadInput) -> Document:
    return {**_change(bad.change), "together_with": [_change(one) for one in bad.together_with]}


def _change(change: InputChange) -> Document:
    assert change.old is not None and change.new is not None
    return {
        "input": change.input,
        "old": change.old.revision,
        "new": change.new.revision,
        "link": compare_link(change.old, change.new),
    }


def _trial(trial: Trial) -> Document:
    return {
        "commit": trial.source.commit,
        "lock": dict(trial.source.lock) if trial.source.lock is not None else None,
        "toplevel": trial.toplevel,
        "result": trial.result,
        "why": trial.why,
        "known": trial.known,
    }


def bisected_lines(found: Bisected) -> tuple[Line, ...]:
    return tuple(_told(found))


def _told(found: Bisected) -> Iterator[Line]:
    command, host = shlex.join(found.command), shown(found.host)
    bad = found.first_bad
    if bad is None:
        yield line(("Not found", Style.TITLE), f": {command} on {host}: {found.reason}")
    elif found.among:
        yield line((f"{command} fails on {host} since one of these", Style.TITLE), f"; {found.reason}:")
        yield from (line(f"  {commit}") for commit in found.among[-_SHOWN:])
        if len(found.among) > _SHOWN:
            yield line(f"  … and {len(found.among) - _SHOWN} before these")
    else:
        yield line((f"{command} fails on {host} since", Style.TITLE), " this commit:")
        yield line(f"  {bad.commit} ({words.date(bad.date)})")
        yield line(f"  {bad.subject}")
        yield from _to_blame(found)
    yield from _count(found.tried)


def _to_blame(found: Bisected) -> Iterator[Line]:
    match found.blame:
        case Blame.FILES:
            yield line("What it changes in other files than flake.lock is to blame.")
        case Blame.UNKNOWN:
            yield line("Whether flake.lock or another of its files is to blame can't be told.")
        case _:
            yield from _input_lines(found)
    if found.reason:
        yield line((f"Nothing more is known: {found.reason}.", Style.WARN))


def _input_lines(found: Bisected) -> Iterator[Line]:
    if found.input is None:
        yield line("Its flake.lock is to blame.")
        return
    changes = (found.input.change, *found.input.together_with)
    unsure = "" if found.input.exact else ", as far as that could be told"
    if len(changes) == 1:
        yield line(f"This input is to blame{unsure}:")
    else:
        yield line(f"These inputs are to blame, which do not go together{unsure}:")
    for change in changes:
        yield from _moved(change)
    if found.upstream is not None:
        yield from _upstream(found.upstream)
    yield from _what_to_do(changes, found.upstream)


def _moved(change: InputChange) -> Iterator[Line]:
    was, now = words.step(change.old, change.new)
    yield line(f"  {shown(change.input)}: {was} → {now}")
    if change.old and change.new and (link := compare_link(change.old, change.new)):
        yield line((f"      {link}", Style.QUIET))


def _upstream(bad: CulpritCommit) -> Iterator[Line]:
    if bad.exact:
        yield line("And of that, this upstream commit:")
    else:
        yield line(f"And of that, an upstream commit after {words.short(bad.after)}, up to this one:")
    said = [f'"{bad.subject}"' if bad.subject else "", f"by {bad.author}" if bad.author else ""]
    when = f"({words.date(bad.date)})" if bad.date is not None else ""
    yield line(" ".join(filter(None, [f"  {bad.revision}", *said, when])))
    if bad.link:
        yield line((f"      {bad.link}", Style.QUIET))


def _what_to_do(changes: Sequence[InputChange], bad: CulpritCommit | None) -> Iterator[Line]:
    change = changes[0]
    good = bad.after if bad is not None else change.old.revision if change.old is not None else None
    if good:
        name = shlex.quote(change.input)
        yield line("To have it back as it was, and keep it there:")
        yield line(f"  lockbot hold {name} --at {good} --why 'see lockbot bisect'")


def _count(tried: Sequence[Trial]) -> Iterator[Line]:
    systems = {trial.toplevel: trial.known for trial in reversed(tried) if trial.toplevel is not None}
    known = sum(systems.values())
    before = f", {known} of them known from before" if known else ""
    yield line((f"{words.count(len(systems), 'system')} tried{before}.", Style.QUIET))
