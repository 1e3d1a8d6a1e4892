"""What `lockbot verify` found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lockbot.commands.review.verify import Verified
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.styled_lines import Line, Style, line
from lockbot.report.table import table
from lockbot.review.claims import Judged

_SHOWN = 50
"""Sentences of one kind that are printed; JSON has all."""
_SUBJECT, _SENTENCE = 72, 300


def document(one: Verified) -> Document:
    return {
        "commit": one.commit,
        "as_claimed": one.as_claimed,
        "judged": _judged(one.judged) if one.judged is not None else None,
        "findings": [{"kind": each.kind, "message": each.message} for each in one.found.findings],
        "hosts": [{"host": row.host, "claimed": row.claimed, "found": row.found} for row in one.hosts],
        "unjudged": list(one.found.unjudged),
        "notes": list(one.found.notes),
    }


def _judged(judged: Judged) -> Document:
    files = list(judged.differing) if judged.differing is not None else None
    return {"commit": judged.commit, "run": judged.run, "remembered": judged.remembered, "files": files}


def range_document(commits: Sequence[Verified]) -> Document:
    return {"commits": [document(one) for one in commits]}


def lines(one: Verified, width: int | None) -> tuple[Line, ...]:
    """All of one commit."""
    return (
        line((one.commit[:12], Style.TITLE), f"  {one.subject[:_SUBJECT]}"),
        *_sentences("not as claimed: ", Style.BAD, [each.message for each in one.found.findings]),
        *_sentences("", Style.WARN, one.found.unjudged),
        *_sentences("note: ", Style.QUIET, one.found.notes),
        *_hosts(one, width),
        line(_verdict(one)),
    )


def range_line(one: Verified) -> Line:
    """One commit of several."""
    said = [*(each.message for each in one.found.findings), *one.found.unjudged]
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    why = f": {said[0][:_SENTENCE]}{more}" if said else ""
    return line((one.commit[:12], Style.TITLE), "  ", _verdict(one), f"  {one.subject[:_SUBJECT]}{why}")


def total_line(commits: Sequence[Verified]) -> Line:
    counts = {word: sum(_verdict(one)[0] == word for one in commits) for word in _VERDICTS.values()}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return line(f"{words.count(len(commits), 'commit')}: {said}" if commits else "no commits in that range")


_VERDICTS = {0: "as claimed", 1: "not as claimed", 3: "could not be found out"}
_STYLES = {0: Style.GOOD, 1: Style.BAD, 3: Style.WARN}


def _verdict(one: Verified) -> tuple[str, Style]:
    return _VERDICTS[one.exit_code], _STYLES[one.exit_code]


def _sentences(label: str, style: Style, sentences: Sequence[str]) -> Iterator[Line]:
    for sentence in sentences[:_SHOWN]:
        yield line("  ", (label, style), sentence[: 4 * _SENTENCE])
    if (left := len(sentences) - _SHOWN) > 0:
        yield line(f"  … and {left} more")


def _hosts(one: Verified, width: int | None) -> Sequence[Line]:
    if not one.hosts:
        return ()
    cells = [[row.host, row.claimed or "nothing", row.found or "not looked at"] for row in one.hosts]
    return table(["host", "the message says", "found"], cells, width=width)
