"""What differs on each host between what it is and what an update makes of it.

Both sides must lie in the store: what an update makes does, what hosts are without it is fetched or built where
that is wanted. What can't be compared is told as not known, with the reason: no trouble here is the update's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lockbot.closure.packages import Comparison, compare_all
from lockbot.closure.switch import switch_effects
from lockbot.errors import LockbotError
from lockbot.model import Difference, HostBuild, HostStatus, Note, Progress, WarningChange
from lockbot.nix import build
from lockbot.nix.build import Builder, Target
from lockbot.nix.closures import name_packages, read_closures
from lockbot.nix.command import Nix
from lockbot.process import CancelToken, Deadline
from lockbot.report import words
from lockbot.review.chained import grouped

BASE_TIME = 1800
"""Seconds that an update which is good waits for what hosts were."""
MayCompile = Callable[[Collection[str]], bool]
"""Asked of the derivations that would have to be built to have the hosts as they were."""


@dataclass(frozen=True)
class Pair:
    """One host (its attribute, as one writes it), as it was and as it would be; both None: `unknown` says why."""

    attribute: str
    old: HostBuild
    new: HostBuild
    unknown: str | None = None


def compare_hosts(
    nix: Nix,
    before: Mapping[tuple[str, ...], HostBuild],
    builds: Sequence[HostBuild],
    broken: Collection[str] = (),
) -> tuple[Difference, ...]:
    """Of every host that differs and was there before; `before` by attribute. Hosts that differ alike are one.

    `broken`: derivations that do not build (see `have`).
    """
    pairs = [
        replace(pair, unknown=_DID_NOT_BUILD) if pair.old.drv in broken else pair
        for pair in _pairs(before, builds)
    ]
    pairs = _readable(nix, pairs)
    compared = [pair for pair in pairs if pair.unknown is None]
    told = dict(zip((pair.attribute for pair in compared), _compare(nix, compared), strict=True))
    warned = _Warnings.of(before, builds)
    return grouped(
        replace(
            told.get(pair.attribute, Difference((), unknown=pair.unknown)),
            hosts=(pair.attribute,),
            warnings=warned.change(pair),
        )
        for pair in pairs
    )


def have(
    nix: Nix,
    limits: build.Limits,
    progress: Progress,
    before: Mapping[tuple[str, ...], HostBuild],
    builds: Sequence[HostBuild],
    may_compile: MayCompile,
    *,
    seconds: float = BASE_TIME,
) -> frozenset[str]:
    """Have in the store what hosts were that differ now, so that they can be compared. What can't be had within
    these `seconds`, or would cost more than is allowed, stays away.

    Returns the derivations that do not build.
    """
    try:
        left = nix.cancel.deadline.left if nix.cancel.deadline is not None else seconds
        bound = Deadline(min(seconds, left), "building what hosts were")
        with CancelToken(bound, nix.cancel) as bounded:
            return _have(nix.with_cancel(bounded), limits, progress, before, builds, may_compile)
    except LockbotError:
        nix.cancel.check()
        return frozenset()


def time_to_spare(cancel: CancelToken) -> float:
    """Seconds that what is good to know may take: a part of what the run has, which must not end for it."""
    return cancel.deadline.left / 4 if cancel.deadline is not None else math.inf


def _have(
    nix: Nix,
    limits: build.Limits,
    progress: Progress,
    before: Mapping[tuple[str, ...], HostBuild],
    builds: Sequence[HostBuild],
    may_compile: MayCompile,
) -> frozenset[str]:
    built = [build for build in builds if build.status is HostStatus.BUILT]
    wanted = [pair.old for pair in _pairs(before, built) if pair.unknown is None]
    invalid = nix.invalid([one.out for one in wanted if one.out])
    targets = [
        Target(one.drv, one.out, one.drv, one.system or "")
        for one in wanted
        if one.drv is not None and one.out in invalid
    ]
    if not targets or not may_compile(nix.missing(*(target.drv for target in targets))):
        return frozenset()
    what = f"what {words.count(len(targets), 'host')} {'is' if len(targets) == 1 else 'are'} without the update"
    progress(Note(f"fetching or building {what}, to compare"))
    with Builder(nix, replace(limits, second_chance=False, retries=0), progress) as builder:
        for target in targets:
            builder.want(target)
        results = builder.results()
    return frozenset(drv for drv, failure in results.items() if failure is not None and failure.kind.own)


def _pairs(before: Mapping[tuple[str, ...], HostBuild], builds: Iterable[HostBuild]) -> Iterable[Pair]:
    """The hosts that differ, of those that are good now: of others there is nothing to switch to."""
    for new in builds:
        old = before.get(new.host.attribute)
        if new.status not in _TOLD or old is None or _is_same(old, new):
            continue
        yield Pair(new.host.installable, old, new, _why_unknown(old, new))


def _is_same(old: HostBuild, new: HostBuild) -> bool:
    return (old.drv is not None and old.drv == new.drv) or (bool(old.out) and old.out == new.out)


def _why_unknown(old: HostBuild, new: HostBuild) -> str | None:
    if new.status is HostStatus.NOT_BUILDABLE_HERE:
        return "only evaluated: nothing here can build it"
    if old.failure is not None or old.drv is None:
        return _DID_NOT_BUILD
    return _NO_PATH if not (old.out and new.out) else None


_TOLD = frozenset({HostStatus.BUILT, HostStatus.EVALUATED, HostStatus.NOT_BUILDABLE_HERE})
_DID_NOT_BUILD = "it did not build before"
_NO_PATH = "where its result lies is known only when it is built"


def _readable(nix: Nix, pairs: Sequence[Pair]) -> list[Pair]:
    """Those of which the store lacks a side are not known."""
    outs = [one.out for pair in pairs for one in (pair.old, pair.new) if pair.unknown is None and one.out]
    invalid = nix.invalid(outs) if outs else frozenset()
    return [replace(pair, unknown=pair.unknown or _missing(pair, invalid)) for pair in pairs]


def _missing(pair: Pair, invalid: frozenset[str]) -> str | None:
    if pair.new.out in invalid:
        return "only evaluated: it was not built here"
    return "what it was before is not in the store" if pair.old.out in invalid else None


def _compare(nix: Nix, pairs: Sequence[Pair]) -> list[Difference]:
    if not pairs:
        return []
    try:
        outs = [(pair.old.out or "", pair.new.out or "") for pair in pairs]
        closures = read_closures(nix, [out for both in outs for out in both])
        drvs = [one.drv for pair in pairs for one in (pair.old, pair.new) if one.drv is not None]
        named = name_packages(nix, [(closures[old], closures[new]) for old, new in outs], drvs)
        found = compare_all(named)
    except LockbotError as error:
        nix.cancel.check()
        return [Difference((), unknown=error.message) for _ in pairs]
    return [_told(one, old, new) for one, (old, new) in zip(found, outs, strict=True)]


def _told(found: Comparison, old: str, new: str) -> Difference:
    return Difference((), found.packages, found.configuration, found.closure, switch_effects(Path(old), Path(new)))


@dataclass(frozen=True)
class _Warnings:
    """Of all hosts together: evaluated side by side, one may have warned for others. None: not known of each."""

    before: frozenset[str] | None
    now: frozenset[str]

    @classmethod
    def of(cls, before: Mapping[tuple[str, ...], HostBuild], builds: Sequence[HostBuild]) -> _Warnings:
        old = [one.warnings for one in before.values()]
        known = frozenset(text for texts in old for text in texts or ()) if None not in old else None
        return cls(known, frozenset(text for build in builds for text in build.warnings or ()))

    def change(self, pair: Pair) -> WarningChange:
        if self.before is None or pair.old.warnings is None or pair.new.warnings is None:
            return WarningChange()
        new = (text for text in pair.new.warnings if text not in self.before)
        return WarningChange(tuple(new), tuple(text for text in pair.old.warnings if text not in self.now))
