"""What may move at all: whether one input's proposed move is allowed, held or refused, and why.

Pure: facts in, a decision out. It must not know how facts are found out, nor what becomes of a decision.

flake.nix is the user's own: what it asks for is allowed with a warning, for a lock can't disagree with it. What
an upstream brings along (nested inputs) is judged with the input that moves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lockbot.git.inputs.revisions import Relation
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.nix.lockfile import EMPTY, LockFile, names_this_machine
from lockbot.policy import minimum_age
from lockbot.policy.decisions import Allow, Decision, Facts, Hold, HoldReason, Move, Refuse
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules
from lockbot.redact import without_secrets
from lockbot.report import words


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
        if facts.young_until is not None and not by_flake:
            return minimum_age.too_young(facts.young_until, rules.minimum_age)
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
    elsewhere = _changed_origin(change.input, old, new, rules)
    if elsewhere is not None:
        return [elsewhere]
    backwards = _backwards(change.input, old, new, facts.relation)
    if backwards is not None:
        return [_Concern(rules.backwards, HoldReason.BACKWARDS, backwards)]
    if facts.relation is Relation.FORWARD and _older(old, new):
        detail = f"{change.input}: the new commit is dated before the locked one, but descends from it"
        return [_Concern(PolicyAction.ALLOW, HoldReason.BACKWARDS, detail)]
    return []


def changed_origin(input: str, old: Locked, new: Locked) -> str | None:
    """That it comes from elsewhere, in a sentence. Another commit that is asked for is no other place."""
    if _place(old) != _place(new):
        return f"{input} is {new.original} now; before: {old.original}"
    if (was := _origin(old)) != (now := _origin(new)):
        return f"{input} was fetched from {was}, and now comes from {now}"
    return None


def _changed_origin(input: str, old: Locked, new: Locked, rules: InputRules) -> _Concern | None:
    detail = changed_origin(input, old, new)
    return _Concern(rules.origin, HoldReason.ORIGIN, detail) if detail is not None else None


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
    if is_new_path(change):
        concerns.append(_Concern(rules.new_path, HoldReason.NEW_PATH, _read_here(change.input, new)))
    if old is None:
        concerns.append(_Concern(rules.new_input, HoldReason.NEW_INPUT, f"{change.input} is new: {new.original}"))
    elif (elsewhere := _changed_origin(change.input, old, new, rules)) is not None:
        concerns.append(elsewhere)
    return [max(concerns, key=lambda concern: _STRICTNESS.index(concern.answer))] if concerns else []


def is_new_path(change: InputChange) -> bool:
    """Whether what an upstream brings along would be read from this machine, and was not before."""
    old, new = change.old if change.old_follows is None else None, change.new
    return new is not None and reads_this_machine(new) and (old is None or _origin(old) != _origin(new))


def why_not_fetched(move: Move, facts: Facts, rules: InputRules, *, pinned: bool) -> str | None:
    """Why what a move would bring along may not even be fetched, before all else about the move is known: it would
    be read from this machine. None: it may.

    The user's word for this very step (`pinned`, too) takes what is held, and not what is refused.
    """
    new = [change for change in move.beneath if is_new_path(change)]
    wanted = pinned or is_wanted(move.change, facts)
    if not new or rules.new_path is PolicyAction.ALLOW or (wanted and rules.new_path is PolicyAction.HOLD):
        return None
    assert new[0].new is not None
    return _read_here(new[0].input, new[0].new)


def by_rules(rules: PolicyRules, now: datetime, known: LockFile = EMPTY) -> Callable[..., str | None]:
    """A `lock.lookout.MayFetch` where nobody is asked but the rules. What `known` has is no news."""

    def may_fetch(change: InputChange, beneath: Sequence[InputChange], owner: str | None) -> str | None:
        news = tuple(one for one in beneath if is_new_path(replace(one, old=known.locked(one.input))))
        of = rules.of(owner or change.input)
        return why_not_fetched(Move(change, news), Facts(now), of, pinned=False)

    return may_fetch


def _read_here(input: str, new: Locked) -> str:
    return f"{input} would be read from this machine: {new.original}"


_STRICTNESS = (PolicyAction.ALLOW, PolicyAction.HOLD, PolicyAction.REFUSE)


def reads_this_machine(locked: Locked) -> bool:
    """Whether fetching it reads files here."""
    return any(map(names_this_machine, (locked.url, locked.original)))


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
    until += f" until {words.end(hold.ends)}" if hold.ends is not None else ""
    return Hold(HoldReason.USER, f"held by you{where}{until}: {hold.why}", hold.until)


def _revision(locked: Locked | None) -> str | None:
    return (locked.revision or None) if locked is not None else None
