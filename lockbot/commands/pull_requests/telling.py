"""One pull request as other commands tell it, too. Light: knows neither a forge nor git."""

from __future__ import annotations

from collections.abc import Sequence

from lockbot.model import PullRequest, Run
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.escape import name, plain
from lockbot.report.terminal import OPEN
from lockbot.report.words import iso_time


def request_sentence(one: PullRequest) -> str:
    """Which one, what it brings where, and what it waits for: `pull request #5: a, b → main; waits for people`."""
    what = f"pull request {plain(one.label, 120)}: {', '.join(map(name, one.inputs))} → {plain(one.base, 60)}"
    return "; ".join(filter(None, [what, waits_for(one)]))


def waits_for(one: PullRequest) -> str:
    """What one that is not over waits for, as far as it was known when lockbot last looked."""
    if one.left_alone:
        return f"left alone: {plain(one.left_alone, 500)}"
    if one.waits:
        return plain(one.waits, 500)
    return "waits for people" if one.number is not None else "its branch is pushed: open a request for it"


def by_now(run: Run, requests: Sequence[PullRequest]) -> dict[str, str]:
    """Branch → how the request stands by now that a run has opened, or made ask for what it judged
    (`terminal.OPEN`: it asks for that still). `requests`: the flake's, the oldest first."""
    found: dict[str, str] = {}
    for done in run.requests:
        known = [one for one in requests if one.branch == done.branch and one.number in (done.number, None)]
        if done.step.asks and known:
            found[done.branch] = _by_now(known[-1], done.commit)
    return found


def _by_now(one: PullRequest, commit: str | None) -> str:
    if one.state.active:
        return OPEN if one.commit == commit else f"asks for {words.short(one.commit)} of run {plain(one.run, 40)}"
    later = "" if one.commit == commit else f", with {words.short(one.commit)} of run {plain(one.run, 40)}"
    return f"{one.state}{f' as {words.short(one.merged_as)}' if one.merged_as else ''}{later}"


def request_document(one: PullRequest) -> Document:
    return {
        "state": one.state,
        "number": one.number,
        "label": one.label,
        "url": one.url,
        "branch": one.branch,
        "base": one.base,
        "commit": one.commit,
        "parent": one.parent,
        "run": one.run,
        "title": one.text.title,
        "draft": one.text.draft,
        "changes": [{"input": move.input, "old": move.old, "new": move.new} for move in one.moves],
        "hosts": dict(one.hosts),
        "left_alone": one.left_alone or None,
        "waits": one.waits or None,
        "merged_as": one.merged_as,
        "opened": iso_time(one.opened),
        "changed": iso_time(one.changed),
    }
