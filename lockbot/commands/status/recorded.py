"""What is known of every input, from the ledger and the committed lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lockbot.app import App
from lockbot.commands.committed import committed_lock, input_names, input_states, uncommitted
from lockbot.commands.status.alarms import alarms, unjudged_alarms
from lockbot.commands.status.rows import Row, Status
from lockbot.daemon import memory
from lockbot.history.input_states import Acceptance, SeenTip, StateWord, UserHold
from lockbot.history.ledger import Ledger
from lockbot.model import Locked, PullRequest, PullRequestState
from lockbot.report.escape import name as shown


def look(app: App) -> Status:
    """How every input stands. Raises UsageError where there is no repository, LockFileError for a broken lock."""
    place = app.place()
    lock = committed_lock(app, place)
    rules = app.settings.policy_rules()
    now = app.clock()
    with app.history(place) as past:
        last = past.runs(place.flake, limit=1)
        unjudged = past.unjudged(place.flake)
        deliveries = past.notices(place.flake).deliveries([target.name for target in app.settings.notify])
        ledger = past.ledger(place.flake)
        requests = past.pull_requests(place.flake).all()
        states, holds, accepted = input_states(ledger, lock), ledger.holds(), ledger.accepted()
        names = [name for name, root in lock.root_inputs.items() if root.updatable]
        names += sorted(name for name in {*states, *holds} - set(names) if lock.input(name) is not None)
        rows = tuple(
            Row(
                name,
                rules.of(name),
                locked := lock.locked(name),
                states.get(name),
                _active(holds.get(name), now),
                _unused(accepted.get(name), locked),
                newest := _newest(ledger, name, locked),
                _request(requests, name, locked),
                _closed(requests, name, locked, newest),
            )
            for name in names
        )
    held = {row.input for row in rows if row.state is not None and row.state.state is StateWord.HELD}
    unjudged = tuple(one for one in unjudged if one.kind != "input" or one.name in held)
    unknown = [f"a hold is on {shown(name)}, which is no input" for name in holds if lock.input(name) is None]
    notes = (*past.notes, *uncommitted(app, place, lock), *rules.unmatched(input_names(lock)), *unknown)
    state = app.settings.state.directory
    return Status(
        now,
        rows,
        (*alarms(rows, now, state), *unjudged_alarms(unjudged)),
        notes,
        memory.read_service(state),
        memory.paused(state),
        last[0] if last else None,
        unjudged,
        deliveries,
        tuple(one for one in requests if one.state.active),
    )


def _active(hold: UserHold | None, now: datetime) -> UserHold | None:
    return hold if hold is not None and hold.active(now) else None


def _newest(ledger: Ledger, input: str, locked: Locked | None) -> SeenTip | None:
    tips = ledger.tips(input, locked.original, limit=1) if locked is not None else ()
    return tips[0] if tips else None


def _unused(acceptance: Acceptance | None, locked: Locked | None) -> Acceptance | None:
    """An acceptance that still holds: the input has not moved since, by anybody's hand."""
    return acceptance if acceptance and locked and acceptance.locked == locked.revision else None


def _request(requests: Sequence[PullRequest], input: str, locked: Locked | None) -> PullRequest | None:
    """The pull request that would move the input from where it is."""
    at = locked.revision if locked is not None else None
    moving = ((one, one.move_of(input)) for one in reversed(requests) if one.state.active)
    return next((one for one, move in moving if move is not None and move.new != at), None)


def _closed(
    requests: Sequence[PullRequest], input: str, locked: Locked | None, newest: SeenTip | None
) -> PullRequest | None:
    """The pull request with the input's newest revision, if a person has closed it."""
    if newest is None or locked is None or newest.revision == locked.revision:
        return None
    moving = [(one, one.move_of(input)) for one in reversed(requests)]
    found = next((one for one, move in moving if move is not None and move.new == newest.revision), None)
    return found if found is not None and found.state is PullRequestState.CLOSED else None
