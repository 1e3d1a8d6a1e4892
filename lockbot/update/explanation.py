"""A search's findings in words: why an input is not at its tip, for the commit, the record and the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockbot.lock.lockable import Unlockable
from lockbot.model import CulpritCommit, Held, Locked
from lockbot.nix.lockfile import LockFile
from lockbot.policy.decisions import Hold
from lockbot.policy.upstream_log import UpstreamLog, commit_link
from lockbot.report import words
from lockbot.search.interface import Culprit, Finding, FindingReason


@dataclass(frozen=True)
class Explanation:
    """The inputs of one finding as they are held, and the first bad revision of each, as far as it is known."""

    held: tuple[Held, ...]
    bad: Mapping[str, CulpritCommit] = field(default_factory=dict)


def explain(
    finding: Finding,
    old: LockFile,
    targets: Mapping[str, str],
    log: UpstreamLog,
    *,
    unjudged: Mapping[str, str],
    refused: Mapping[tuple[str, str], Hold],
) -> Explanation:
    """Put a finding into words; the culprit's subject, author and date are asked of its own history.

    `unjudged`: host → why it could not be judged; `refused`: input and revision → why that was not even built.
    """
    bad: dict[str, CulpritCommit] = {}
    held: list[Held] = []
    for name in finding.inputs:
        locked = old.locked(name)
        culprits = finding.culprits[::-1] if locked is not None and len(finding.inputs) == 1 else ()
        seen = [_bad_revision(culprit, locked, log) for culprit in culprits if locked is not None]
        if seen:
            bad[name] = seen[0]
        at = finding.revision or (locked.revision if locked is not None else None)
        costly = refused.get((name, targets[name])) if finding.reason is FindingReason.UNJUDGED else None
        detail = costly.detail if costly else _detail(finding, name, targets[name], seen, unjudged)
        reason = costly.reason if costly else finding.reason.value.replace(" ", "-")
        held.append(Held(name, reason, detail, at or None, bad.get(name) if finding.reason.blames else None))
    return Explanation(tuple(held), bad)


def explain_unlockable(one: Unlockable, locked: Locked, log: UpstreamLog) -> Held:
    """Put into words that an input's tip can't be locked, and what can be. Where it goes is not known yet."""
    bad = _bad_revision(one.culprit, locked, log) if one.culprit else None
    why = " ".join([f"{words.short(one.tip.revision)} can't be locked ({one.why})", *_since(bad)])
    newest = f"{words.short(one.revision)} is the newest that can be" if one.revision else "nothing newer can be"
    return Held(one.input, one.reason, f"{why}: {newest}", locked.revision or None, bad)


def _bad_revision(culprit: Culprit, locked: Locked, log: UpstreamLog) -> CulpritCommit:
    said = log.describe(locked, culprit.first_bad) if culprit.exact else None
    return CulpritCommit(
        revision=culprit.first_bad,
        subject=said.subject if said is not None else "",
        author=said.author if said is not None else "",
        date=said.authored if said is not None else None,
        link=commit_link(locked, culprit.first_bad),
        hosts=culprit.hosts,
        after=culprit.last_good or locked.revision or None,
        exact=culprit.exact,
    )


def _detail(
    finding: Finding, input: str, target: str, seen: Sequence[CulpritCommit], unjudged: Mapping[str, str]
) -> str:
    """`breaks web and db since 1a2b3c4 "subject" (2026-11-01): moved to 9f8e7d6, not to 5c4d3e2`.

    `seen`: the revisions that broke hosts, the oldest first.
    """
    if finding.reason is FindingReason.BREAKS and len(seen) > 1:  # each host since another
        why = "breaks " + " and ".join(" ".join([words.listed(bad.hosts), *_since(bad)]) for bad in seen)
    else:
        why = " ".join([_why(finding, input, unjudged), *_since(seen[0] if seen else None)])
    more = f"; {_ENDED}" if finding.ended and finding.reason is not FindingReason.BUDGET else ""
    return f"{why}: {_where(finding.revision, target)}{more}"


_ENDED = "the search for its newest good revision ended early, and goes on in the next run"


def _since(bad: CulpritCommit | None) -> tuple[str, ...]:
    if bad is None:
        return ()
    if not bad.exact:
        after = f"after {words.short(bad.after)}, " if bad.after else ""
        return (f"somewhere {after}up to {words.short(bad.revision)}",)
    subject = f' "{bad.subject}"' if bad.subject else ""
    date = f" ({datetime.fromtimestamp(bad.date, UTC):%Y-%m-%d})" if bad.date is not None else ""
    link = f" {bad.link}" if bad.link else ""
    return (f"since {words.short(bad.revision)}{subject}{date}{link}",)


def _where(revision: str | None, target: str) -> str:
    where = f"moved to {words.short(revision)}, not to" if revision else "kept back from"
    return f"{where} {words.short(target)}"


def _why(finding: Finding, input: str, unjudged: Mapping[str, str]) -> str:
    hosts = words.listed(finding.hosts)
    partners = words.listed(finding.partners)
    match finding.reason:
        case FindingReason.BREAKS if len(finding.inputs) > 1:
            others = words.listed(tuple(name for name in finding.inputs if name != input))
            return f"breaks {hosts}, moving together with {others}"
        case FindingReason.BREAKS:
            return f"breaks {hosts}"
        case FindingReason.BREAKS_TOGETHER:
            return f"breaks {hosts} together with {partners}"
        case FindingReason.NEEDS:
            return f"breaks {hosts} without {partners}"
        case FindingReason.UNJUDGED:
            why = "; ".join(sorted({said for host in finding.hosts if (said := unjudged.get(host))}))
            return f"{hosts} could not be judged with it" + (f" ({why})" if why else "")
        case FindingReason.BUDGET:
            return "the search ended before it was known, and goes on in the next run"
        case FindingReason.STRATEGY:
            return f"something that moves together with it breaks {hosts}"
