"""What the user tells lockbot of an input for the next runs: `lockbot hold`, `release` and `accept`.

Knows what may be said; a run reads it from the ledger and must not be waited for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from lockbot.app import App
from lockbot.commands.committed import committed_lock, input_names, input_states
from lockbot.commands.holds.expecting import Awaited, expect
from lockbot.commands.holds.given import GivenEnd
from lockbot.commands.status import answer, policy_key
from lockbot.errors import UsageError
from lockbot.history.damage import SENSIBLE
from lockbot.history.input_states import Acceptance, InputState, UserHold
from lockbot.history.ledger import Ledger
from lockbot.model import Locked
from lockbot.nix.lockfile import LOCK_NAME, LockFile
from lockbot.policy.decisions import HoldReason
from lockbot.policy.rules import InputRules, PolicyAction, near_name
from lockbot.report import words
from lockbot.report.escape import name as shown
from lockbot.report.styled_lines import Line, line

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


def hold(
    app: App, input: str, why: str, until: str | None, at: str | None, given: GivenEnd | None = None
) -> tuple[Line, ...]:
    """Keep an input where it is, or at a revision, from the next run on. Raises UsageError with the reason."""
    if not why.strip():
        raise UsageError("say why it is held: --why TEXT", "`lockbot status` shows it to whoever wonders later")
    place, now = app.place(), app.clock()
    locked = _existing(committed_lock(app, place), input)
    end = moment(until, now) if until is not None else None
    awaited = expect(app, place, input, locked, given) if given is not None else Awaited()
    with app.history(place) as past:
        ledger = past.ledger(place.flake)
        revision = _revision(at, ledger, input, locked) if at is not None else None
        held = UserHold(input, why.strip(), now, end, revision, awaited.ends, awaited.heard)
        ledger.hold(held)
    return (held_line(held), *awaited.told())


def held_line(hold: UserHold) -> Line:
    """What somebody reads who has just held an input."""
    input = shown(hold.input)
    where = f"at {words.short(hold.at)}" if hold.at is not None else "where it is"
    how_long = f"until {_end(hold) or f'`lockbot release {input}`'}"
    return line(f"{input} is held {where} {how_long}, from the next run on")


def _end(hold: UserHold) -> str:
    """Until when, in words; empty: until it is released."""
    time = f"{hold.until:%Y-%m-%d %H:%M} UTC" if hold.until is not None else ""
    return " or ".join(filter(None, [words.end(hold.ends) if hold.ends is not None else "", time]))


def release(app: App, input: str) -> tuple[Line, ...]:
    """End the user's own hold on an input. Raises UsageError for what is neither held nor an input."""
    place = app.place()
    with app.history(place) as past:
        ledger = past.ledger(place.flake)
        ended = ledger.release(input)
    if ended is None:
        _existing(committed_lock(app, place), input)
        return (line(f"{shown(input)} was not held by you"),)
    told = [line(f"{shown(input)} may move again, from the next run on; it was held: {ended.why}")]
    if ended.ends is not None:
        told.append(line(f"it waited until {words.end(ended.ends)}{words.heard(ended.heard, app.clock())}"))
    return tuple(told)


def accept(app: App, input: str, revision: str | None) -> tuple[Line, ...]:
    """Let the next move of an input pass in spite of what holds it. Raises UsageError where that is no use."""
    place, now = app.place(), app.clock()
    lock = committed_lock(app, place)
    locked = _existing(lock, input)
    rules = app.settings.policy_rules().of(input)
    with app.history(place) as past:
        ledger = past.ledger(place.flake)
        state = input_states(ledger, lock).get(input)
        _refuse_useless(input, ledger.holds().get(input), state, rules, now, named=revision is not None)
        wanted = _revision(revision, ledger, input, locked) if revision is not None else None
        ledger.accept(Acceptance(input, now, locked.revision or None, wanted))
    what = f"the move of {shown(input)} to {words.short(wanted)}" if wanted else f"the next move of {shown(input)}"
    return (line(f"{what} is accepted, whatever held it; the hosts must still build"),)


def _refuse_useless(
    input: str, held: UserHold | None, state: InputState | None, rules: InputRules, now: datetime, *, named: bool
) -> None:
    """An acceptance of nothing in particular would wave through whatever comes next."""
    if held is not None and held.active(now):
        raise UsageError(
            f"{shown(input)} is held by you: {held.why}", f"`lockbot release {shown(input)}` ends that"
        )
    if state is not None and answer(state, rules) is PolicyAction.REFUSE:
        raise UsageError(
            f"{shown(input)} is refused, not held: {state.detail}",
            f"the configuration must allow it: {policy_key(state)} under [policy] or [input.NAME]",
        )
    if named or (state is not None and state.stuck_since is not None and state.reason in _ACCEPTABLE):
        return
    if state is not None and state.stuck_since is not None:
        raise UsageError(
            f"{shown(input)} is kept back for what no acceptance changes: {state.detail or state.reason}",
            "`lockbot status` tells more",
        )
    raise UsageError(
        f"nothing is known to hold {shown(input)} back",
        "to accept a certain revision beforehand, name it with --revision",
    )


_ACCEPTABLE = frozenset(HoldReason) - {HoldReason.USER}


def _existing(lock: LockFile, input: str) -> Locked:
    """What is locked for an input that can be held by itself. Raises UsageError with the nearest name."""
    found, locked = lock.input(input), lock.locked(input)
    if found is None or locked is None:
        raise UsageError(
            f"there is no input {shown(input)} in {LOCK_NAME}{near_name(input, input_names(lock))}",
            "`lockbot inputs` lists them",
        )
    if found.follows is not None:
        raise UsageError(f"input {shown(input)} follows {shown(found.follows)}: name that one instead")
    return locked


def moment(text: str, now: datetime) -> datetime:
    """A date (its beginning) or a time, in local time where it says nothing else → UTC. It must lie ahead."""
    try:
        time = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"not a date: {shown(text)}", "write 2026-12-24, 2026-12-24T18:00 or 2026-12-24T18:00+01:00"
        ) from None
    if time <= now:
        raise UsageError(f"{time:%Y-%m-%d %H:%M} UTC is not in the future")
    if time.year > SENSIBLE[1]:
        raise UsageError(f"{time:%Y-%m-%d} is too far ahead", "leave it out: then it holds until you take it back")
    return time


def _revision(text: str, ledger: Ledger, input: str, locked: Locked) -> str:
    """A whole revision: as given, or the only known one that begins like this."""
    if _COMMIT.fullmatch(text):
        return text
    known = {locked.revision, *(tip.revision for tip in ledger.tips(input, locked.original))}
    if (state := ledger.states().get(input)) is not None:
        bad = state.culprit
        known |= {one for one in (state.last_good, bad and bad.revision, bad and bad.after) if one}
    if text in known:
        return text
    found = sorted(one for one in known if _PREFIX.fullmatch(text) and one.startswith(text))
    if len(found) != 1:
        problem = "more than one known revision begins with" if found else "no known revision begins with"
        raise UsageError(f"{problem} {shown(text)}", "give all 40 digits of it")
    return found[0]
