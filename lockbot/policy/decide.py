"""What may move at all: whether one input's proposed move is allowed, held or refused, and why.

Pure: facts in, a decision out. It must not know how facts are found out, nor what becomes of a decision.

flake.nix is the user's own: what it asks for is allowed and said loudly, for a lock can't disagree with it. What
an upstream brings along (nested inputs) is judged with the input that moves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from lockbot.history.values import Acceptance, UserHold
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.policy.minimum_age import later
from lockbot.policy.rules import InputRules, PolicyAction
from lockbot.redact import without_secrets
from lockbot.report import words


class Relation(StrEnum):
    """How a new revision stands to the locked one, in upstream's own history."""

    SAME = "same"
    FORWARD = "forward"
    BACKWARD = "backward"
    DIVERGED = "diverged"
    UNKNOWN = "unknown"


class HoldReason(StrEnum):
    """Why an input is kept back, for machines: `model.Held.reason`."""

    USER = "held-by-user"
    AGE = "waiting-for-age"
    CACHE = "waiting-for-cache"
    CHECKS = "waiting-for-checks"
    CHECKS_UNKNOWN = "checks-unknown"
    BACKWARDS = "backwards"
    ORIGIN = "origin-changed"
    NEW_INPUT = "new-input"
    NEW_PATH = "new-local-path"
    OWN = "own-commits"
    GROUP = "waiting-for-group"


@dataclass(frozen=True)
class Move:
    """One input's change, with what changes beneath it because of that."""

    change: InputChange
    beneath: tuple[InputChange, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known about a move. `first_seen`: when its new revision was first seen to be there (`sighted`)."""

    now: datetime
    relation: Relation = Relation.UNKNOWN
    first_seen: datetime | None = None
    hold: UserHold | None = None
    acceptance: Acceptance | None = None
    own: bool = False
    """All that is new there are lockbot's own commits: the input is this very repository."""


@dataclass(frozen=True)
class Allow:
    """`loud`: sentences that belong into the commit."""

    loud: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hold:
    """`until`: when it may move by itself; None: when a person says so."""

    reason: HoldReason
    detail: str
    until: datetime | None = None


@dataclass(frozen=True)
class Refuse:
    reason: HoldReason
    detail: str


Decision = Allow | Hold | Refuse


def moves(changes: Sequence[InputChange]) -> tuple[Move, ...]:
    """The changes, each nested one with the outermost changed input that it lies under."""
    paths = {change.input for change in changes}
    beneath: dict[str, list[InputChange]] = {}
    for change in changes:
        names = change.input.split("/")
        above = ("/".join(names[:length]) for length in range(1, len(names)))
        top = next((path for path in above if path in paths), None)
        if top is not None:
            beneath.setdefault(top, []).append(change)
    inner = {change.input for group in beneath.values() for change in group}
    return tuple(
        Move(change, tuple(beneath.get(change.input, ()))) for change in changes if change.input not in inner
    )


def forced(change: InputChange) -> bool:
    """Whether flake.nix itself asks for this change: a lock without it would not fit, were it only that a token in
    the URL is another. What keeps such a move back keeps the whole update back."""
    if change.kind is not ChangeKind.UPDATED or change.old is None or change.new is None:
        return True
    return _without(change.old.original) != _without(change.new.original)


def decide(move: Move, facts: Facts, rules: InputRules) -> Decision:
    """Whether a move may be made. Of several that keep it back, the gravest is told: what is refused, the user's
    own hold, what waits for a person, what waits for time."""
    concerns = _concerns(move, facts, rules)
    for concern in concerns:
        if concern.answer is PolicyAction.REFUSE:
            return Refuse(concern.reason, concern.detail)
    by_flake = forced(move.change)
    held = None if by_flake else _user_hold(move.change, facts)
    if held is not None:
        return held
    if not is_wanted(move.change, facts):
        for concern in concerns:
            if concern.answer is PolicyAction.HOLD:
                return Hold(concern.reason, f"{concern.detail}; `lockbot accept {move.change.input}` takes it")
        if facts.own and not by_flake:
            return Hold(HoldReason.OWN, f"{move.change.input} is this repository itself, {_ONLY_OWN}")
        young = None if by_flake else _too_young(move.change, facts, rules)
        if young is not None:
            return young
    return Allow(tuple(concern.detail for concern in concerns))


def is_wanted(change: InputChange, facts: Facts) -> bool:
    """Whether the user has asked for this very step: by accepting it, or by naming the revision to stay at."""
    old, new = _revision(change.old), _revision(change.new)
    hold, acceptance = facts.hold, facts.acceptance
    pinned = hold is not None and hold.active(facts.now) and hold.at is not None and hold.at == new
    return pinned or (acceptance is not None and acceptance.covers(old, new))


_ONLY_OWN = "and all that is new there are lockbot's own updates: each would be news for the next"


# -- what is out of the ordinary about a move ------------------------------------------------------------------


@dataclass(frozen=True)
class _Concern:
    answer: PolicyAction
    reason: HoldReason
    detail: str


def _concerns(move: Move, facts: Facts, rules: InputRules) -> list[_Concern]:
    return [
        *_own_concerns(move.change, facts, rules),
        *(concern for change in move.beneath for concern in _nested_concerns(change, rules)),
    ]


def _own_concerns(change: InputChange, facts: Facts, rules: InputRules) -> list[_Concern]:
    old, new = change.old, change.new
    if old is None or new is None or change.kind is not ChangeKind.UPDATED:
        return []
    if forced(change):
        if without_secrets(_without(old.original)) == without_secrets(_without(new.original)):
            return []
        detail = f"{change.input} is {new.original} now, as flake.nix says; before: {old.original}"
        return [_Concern(PolicyAction.ALLOW, HoldReason.ORIGIN, detail)]
    moved_house = _moved_house(change.input, old, new, rules)
    if moved_house is not None:
        return [moved_house]
    backwards = _backwards(change.input, old, new, facts.relation)
    if backwards is not None:
        return [_Concern(rules.backwards, HoldReason.BACKWARDS, backwards)]
    if facts.relation is Relation.FORWARD and _older(old, new):
        detail = f"{change.input}: the new commit is dated before the locked one, but descends from it"
        return [_Concern(PolicyAction.ALLOW, HoldReason.BACKWARDS, detail)]
    return []


def _moved_house(input: str, old: Locked, new: Locked, rules: InputRules) -> _Concern | None:
    """Whether it comes from elsewhere. Another commit that is asked for is no other place."""
    if _place(old) != _place(new):
        detail = f"{input} is {new.original} now; before: {old.original}"
    elif (was := _origin(old)) != (now := _origin(new)):
        detail = f"{input} was fetched from {was}, and now comes from {now}"
    else:
        return None
    return _Concern(rules.origin, HoldReason.ORIGIN, detail)


def _backwards(input: str, old: Locked, new: Locked, relation: Relation) -> str | None:
    """What to say of a move that leads back or aside; None: it leads on, as far as is known."""
    step = f"{words.state(old)} to {words.state(new)}"
    match relation:
        case Relation.BACKWARD:
            return f"{input} would go back, from {step}, which the locked revision contains already"
        case Relation.DIVERGED:
            return f"{input} would go from {step}, which does not descend from it: upstream rewrote its history"
        case Relation.UNKNOWN if _older(old, new):
            return f"{input} would go from {step}, which is older"
        case _:
            return None


def _older(old: Locked, new: Locked) -> bool:
    return (
        old.last_modified is not None and new.last_modified is not None and new.last_modified < old.last_modified
    )


def _nested_concerns(change: InputChange, rules: InputRules) -> list[_Concern]:
    """What an upstream brings along: a node where none was, or one from elsewhere. Of several rules that speak of
    one node, the strictest is heard."""
    new = change.new
    if new is None or change.kind is ChangeKind.REMOVED or change.new_follows is not None:
        return []
    old = change.old if change.old_follows is None else None
    concerns: list[_Concern] = []
    if reads_this_machine(new) and (old is None or _origin(old) != _origin(new)):
        detail = f"{change.input} would be read from this machine: {new.original}"
        concerns.append(_Concern(rules.new_path, HoldReason.NEW_PATH, detail))
    if old is None:
        concerns.append(_Concern(rules.new_input, HoldReason.NEW_INPUT, f"{change.input} is new: {new.original}"))
    elif (moved_house := _moved_house(change.input, old, new, rules)) is not None:
        concerns.append(moved_house)
    return [max(concerns, key=lambda concern: _STRICTNESS.index(concern.answer))] if concerns else []


_STRICTNESS = (PolicyAction.ALLOW, PolicyAction.HOLD, PolicyAction.REFUSE)


_LOCAL = re.compile(r"path:(?:/|%2f)|(?:[a-z]+\+)?file:", re.IGNORECASE)


def reads_this_machine(locked: Locked) -> bool:
    """Whether fetching it reads files here. A relative path lies within the flake that names it.

    By the text alone, so that a reference which can't be parsed is not taken for a harmless one.
    """
    return any(_LOCAL.match(text) for text in (locked.url, locked.original))


_COMMIT_ATTRS = ("rev", "narHash", "lastModified", "revCount")


def _place(locked: Locked) -> str:
    """What is asked for, whichever commit of it. Who may ask for it is no part of that."""
    return without_secrets(_without(locked.original, *_COMMIT_ATTRS))


def _origin(locked: Locked) -> str:
    """Where it was fetched from: type and place, without revision, hash and secrets.

    Of a tarball only the host: a channel's address leads to another file with each release.
    """
    text = without_secrets(_without(locked.url, "ref", *_COMMIT_ATTRS))
    host = _HOST.match(text) if locked.type in ("tarball", "file") else None
    return f"{locked.type} {host[0].lower()}" if host is not None else text


_HOST = re.compile(r"(?!file:)[a-z+]+://[^/?#]+", re.IGNORECASE)


def _without(text: str, *names: str) -> str:
    """A flake reference in one spelling, without these attributes; what can't be parsed, as it is but for them."""
    try:
        ref = FlakeRef.read(text)
        attrs = {name: value for name, value in ref.attrs if name not in names and value != ""}
        if "ref" in attrs:
            attrs["ref"] = str(attrs["ref"]).removeprefix("refs/heads/")
        if ref.type in ("github", "gitlab", "sourcehut"):  # their names know no case
            attrs |= {name: str(attrs[name]).lower() for name in ("owner", "repo", "host") if name in attrs}
        return str(FlakeRef.from_attrs({**attrs, "type": ref.type}))
    except FlakeRefError:
        given = re.sub(rf"(?<=[?&])(?:{'|'.join(names)})=[^&]*(?:&|$)", "", text) if names else text
        return given.rstrip("?&")


# -- the user's hold --------------------------------------------------------------------------------------------


def _user_hold(change: InputChange, facts: Facts) -> Hold | None:
    hold, new = facts.hold, _revision(change.new)
    if hold is None or not hold.active(facts.now) or (hold.at is not None and hold.at == new):
        return None
    where = f" at {words.short(hold.at)}" if hold.at is not None else ""
    until = f" until {hold.until:%Y-%m-%d %H:%M} UTC" if hold.until is not None else ""
    return Hold(HoldReason.USER, f"held by you{where}{until}: {hold.why}", hold.until)


# -- age ------------------------------------------------------------------------------------------------------


def _too_young(change: InputChange, facts: Facts, rules: InputRules) -> Hold | None:
    if change.new is None or change.new.type == "path" or _revision(change.old) == _revision(change.new):
        return None
    ripe_at = later(min(facts.first_seen or facts.now, facts.now), rules.minimum_age)
    return None if ripe_at <= facts.now else waiting_for_age(ripe_at, rules.minimum_age)


def waiting_for_age(first_at: datetime, minimum_age: float) -> Hold:
    """The hold of an input of which nothing is old enough yet."""
    detail = f"nothing newer has been out for {words.age(minimum_age)} yet: first at {first_at:%Y-%m-%d %H:%M} UTC"
    return Hold(HoldReason.AGE, detail, first_at)


# -- cost -------------------------------------------------------------------------------------------------------


def cost(derivations: Sequence[str], rules: InputRules, now: datetime, *, since: datetime | None) -> Decision:
    """Whether what would have to be compiled (paths or names of derivations) is worth it now.

    `since`: since when this input waits for a cache (`InputState.cache_since`); the wait has an end.
    """
    names = [words.derivation(drv) for drv in derivations]
    why = _too_costly(names, rules)
    if why is None:
        return Allow()
    end = later(since or now, rules.wait_for_cache)
    if end <= now:
        return Allow((f"{why}, and no cache had it within {words.age(rules.wait_for_cache)}: compiled here",))
    return Hold(HoldReason.CACHE, f"{why}: waiting for a cache, at most until {end:%Y-%m-%d %H:%M} UTC", end)


def _too_costly(names: Sequence[str], rules: InputRules) -> str | None:
    dear = sorted({name for name in names if not_to_compile(name, rules.never_compile)})
    if dear:
        more = f" and {len(dear) - 3} more" if len(dear) > 3 else ""
        return f"it would compile {', '.join(dear[:3])}{more}"
    if rules.max_builds is not None and len(names) > rules.max_builds:
        return f"it would compile {words.count(len(names), 'derivation')}, more than {rules.max_builds}"
    return None


def not_to_compile(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names this derivation; those that begin with `!` are exceptions."""
    if any(fnmatchcase(name, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _revision(locked: Locked | None) -> str | None:
    return (locked.revision or None) if locked is not None else None
