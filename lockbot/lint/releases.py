"""Releases of NixOS (YY.MM), by the names of branches: until when each gets fixes, and which goes with which.

The dates are a rule, not a table: a release comes every May and November, and the one before ends a month later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lockbot.lint import flake_lines
from lockbot.lint.finding import Finding, Kind, error, warning
from lockbot.lint.subject import Source, Subject, sources
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import LockFile

SOON = timedelta(days=30)
STALE = timedelta(days=30)

_BRANCH = re.compile(r"(?:^|/)(?:nixos|nixpkgs|release|nix-darwin)-(\d\d)\.(03|05|09|11)(?!\.?\d)", re.ASCII)
_FLAKEHUB = re.compile(r"//[^/]*flakehub\.com/f/nixos/nixpkgs/0\.(\d\d)(05|11)\b", re.ASCII | re.IGNORECASE)
_UNSTABLE = re.compile(r"(?:refs/heads/)?(?:(?:nixos|nixpkgs)-unstable(?:-small)?|master)")
_CHANNEL = re.compile(
    r"https?://(?:channels\.nixos\.org|nixos\.org/channels|releases\.nixos\.org)/|/nixpkgs(?:/|$)"
)


@dataclass(frozen=True, order=True)
class Release:
    """A release of NixOS; since 21.05 in May and November, before that in March and September."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:02}.{self.month:02}"

    @property
    def next(self) -> Release:
        match self.month:
            case 9 if self.year >= 20:
                return Release(self.year + 1, 5)
            case 9:
                return Release(self.year + 1, 3)
            case 11:
                return Release(self.year + 1, 5)
            case month:
                return Release(self.year, month + 6)

    @property
    def ends(self) -> date:
        """The last day with fixes: that of the month after the next release's."""
        return _last_day(self.next, months=1)

    @property
    def is_out_by(self) -> date:
        return _last_day(self, months=0)


def _last_day(release: Release, *, months: int) -> date:
    month = release.month + months + 1
    return date(2000 + release.year + (month - 1) // 12, (month - 1) % 12 + 1, 1) - timedelta(days=1)


def newest(today: date) -> Release:
    """The newest release that is out for certain."""
    release = Release(21, 5)
    while release.next.is_out_by < today:
        release = release.next
    return release


def release_of(ref: FlakeRef) -> Release | None:
    """The release whose branch (or channel) a reference follows."""
    if match := _BRANCH.search(ref.ref or "") or _BRANCH.search(_url(ref)) or _FLAKEHUB.search(_url(ref)):
        return Release(int(match[1]), int(match[2]))
    return None


def at_release(ref: FlakeRef, new: Release) -> FlakeRef:
    """The same of another release."""
    old = release_of(ref)
    attrs = dict(ref.attrs) | {"type": ref.type}
    for name in ("ref", "url"):
        if old is not None and isinstance(text := attrs.get(name), str):
            attrs[name] = text.replace(f"-{old}", f"-{new}").replace(_flakehub(old), _flakehub(new))
    return FlakeRef.from_attrs(attrs)


def _flakehub(release: Release) -> str:
    """How FlakeHub numbers it: `/0.2505`."""
    return f"/0.{release.year:02}{release.month:02}"


def is_nixpkgs(ref: FlakeRef) -> bool:
    """Whether it is nixpkgs, or somebody's copy of it."""
    if ref.type == "indirect":
        return ref.text("id") == "nixpkgs"
    if ref.type in ("tarball", "file"):
        return _CHANNEL.search(_url(ref)) is not None
    name = ref.text("repo") or ref.text("url").rstrip("/").rpartition("/")[2].removesuffix(".git")
    return name.lower() == "nixpkgs"


def _url(ref: FlakeRef) -> str:
    return ref.text("url") if ref.type in ("tarball", "file") else ""


# -- checks ----------------------------------------------------------------------------------------------------


def end_of_life(subject: Subject) -> Iterator[Finding]:
    """A nixpkgs that gets no fixes any more, or not for long."""
    today = subject.now.astimezone(UTC).date()
    for source in sources(subject.lock):
        release = release_of(source.original) if is_nixpkgs(source.original) else None
        if release is None:
            continue
        fix = _renewed(subject.lock, source, newest(today), today)
        if today > release.ends:
            message = f"NixOS {release} has got no security fixes since {release.ends}"
            say = error if source.is_root else warning  # what only builds another flake's own tools matters less
            yield say(Kind.END_OF_LIFE, source.path, message, fix)
        elif source.is_root and release.ends - today <= SOON:
            message = (
                f"NixOS {release} gets security fixes until {release.ends} only (a month after {release.next},"
                " if that comes when it should)"
            )
            yield warning(Kind.END_OF_LIFE, source.path, message, fix)


def _renewed(lock: LockFile, source: Source, to: Release, today: date) -> str:
    """The flake's own input is moved to a newer release; another's follows that one, where there is one."""
    if not source.is_root:
        for own in sources(lock):
            release = release_of(own.original)
            if own.is_root and is_nixpkgs(own.original) and (release is None or release.ends >= today):
                return flake_lines.set_follows(source.path, own.path)
    return flake_lines.set_url(source.path, at_release(source.original, to))


def mismatch(subject: Subject) -> Iterator[Finding]:
    """A release of Home Manager and the like that was made for another release of nixpkgs."""
    for source in sources(subject.lock):
        release = release_of(source.original)
        if not source.is_root or release is None or is_nixpkgs(source.original):
            continue
        used = _nixpkgs_of(subject.lock, source)
        if used is None:
            continue
        other = release_of(used)
        if other is None and _UNSTABLE.fullmatch(used.ref or ""):
            what, ref = f"{used.ref}", source.original.without("ref")
        elif other is not None and other != release:
            what, ref = f"NixOS {other}", at_release(source.original, other)
        else:
            continue
        message = f"it is made for NixOS {release}, and the nixpkgs that it gets is of {what}"
        yield warning(Kind.RELEASE_MISMATCH, source.path, message, flake_lines.set_url(source.path, ref))


def _nixpkgs_of(lock: LockFile, source: Source) -> FlakeRef | None:
    """The nixpkgs that an input is given; where it has none, the flake's own."""
    edge = source.node.inputs.get("nixpkgs")
    node = lock.end(edge) if edge is not None else lock.node("nixpkgs")
    return node.original if node is not None and node.original and is_nixpkgs(node.original) else None


def stale(subject: Subject) -> Iterator[Finding]:
    """A nixpkgs that follows a branch, and has not been moved for a month."""
    today = subject.now.astimezone(UTC).date()
    for source in sources(subject.lock):
        if not source.is_root or not is_nixpkgs(source.original) or source.original.rev is not None:
            continue
        release = release_of(source.original)
        if release is not None and release.ends < today:
            continue  # nothing newer is to be had there
        age = _age(source.locked, subject.now)
        if age is not None and age > STALE:
            message = f"it is {age.days} days old: the security fixes since then are missing"
            yield warning(Kind.STALE, source.path, message, flake_lines.lockbot_update(source.path))


def _age(locked: FlakeRef, now: datetime) -> timedelta | None:
    when = locked.get("lastModified")
    if not isinstance(when, int) or not 0 < when < now.timestamp():
        return None
    return timedelta(seconds=now.timestamp() - when)
