"""The checks, in the order in which they are told. Another one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from lockbot.lint import declared, duplicates, origins, releases, unused
from lockbot.lint.finding import Finding, Kind, Severity, warning
from lockbot.lint.subject import Subject
from lockbot.nix.lockfile.nodes import NEWEST

Check = Callable[[Subject], Iterator[Finding]]


def old_version(subject: Subject) -> Iterator[Finding]:
    """A format of Nix before 2.4. `nix flake lock` leaves it as it is while nothing else changes."""
    version = subject.lock.version
    if version < NEWEST:
        message = f"flake.lock has the old format {version}: Nix writes format {NEWEST} when an input moves"
        yield warning(Kind.OLD_VERSION, None, message, "lockbot update")


CHECKS: Sequence[Check] = (
    declared.out_of_date,
    origins.unlocked,
    origins.insecure,
    releases.end_of_life,
    releases.mismatch,
    releases.stale,
    origins.no_hash,
    old_version,
    origins.registry,
    origins.local_path,
    origins.pinned,
    duplicates.duplicates,
    origins.same_source,
    declared.no_such_input,
    unused.unused,
)


def examine(subject: Subject) -> tuple[Finding, ...]:
    """What every check says."""
    return in_order(finding for check in CHECKS for finding in check(subject))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first."""
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR))
