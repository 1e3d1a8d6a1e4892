"""Asking of every hold whose turn it is, and releasing those that have ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lockbot.app import App, Place
from lockbot.commands.committed import committed_lock
from lockbot.commands.holds.asking import Question, ask
from lockbot.commands.holds.tools import Tools, needs_fetching, open_tools
from lockbot.errors import Cancelled, LockbotError
from lockbot.history.input_states import ASKED_EVERY, UserHold
from lockbot.history.ledger import Ledger
from lockbot.history.store import History
from lockbot.model import Locked
from lockbot.nix.lockfile import LockFile
from lockbot.report.escape import name as shown


def ask_due(app: App, place: Place, history: History, *, release: bool = True) -> tuple[str, ...]:
    """Ask about each of the user's holds that nobody was asked about in the last hour, and release those that have
    ended. `release` False, for who moves nothing: they stay, and the next run asks at once, releases and says so.

    Returns a sentence for each of these. That somebody does not answer is no error, but kept with the hold. Takes
    a minute at most, and, where a package's version is waited for, as long again as an input may take to be
    fetched. Raises Cancelled, and LockbotError for a history that can't be used.
    """
    ledger, now = history.ledger(place.flake), app.clock()
    due = [hold for hold in ledger.holds().values() if hold.due(now)]
    lock = _lock(app, place) if due else None
    if lock is None:
        return ()
    told: list[str] = []
    for fetching in (False, True):
        some = [hold for hold in due if needs_fetching(hold.ends) is fetching]
        if some:
            with open_tools(app, place, fetching=fetching) as tools:
                for hold in sorted(some, key=_last_asked):
                    locked = lock.locked(hold.input)
                    if locked is not None and tools.deadline.left > 0:
                        told += _ask(tools, ledger, hold, locked, release=release)
    return tuple(told)


def _last_asked(hold: UserHold) -> datetime:
    return hold.heard.asked if hold.heard is not None else hold.since


def _lock(app: App, place: Place) -> LockFile | None:
    try:
        return committed_lock(app, place)
    except Cancelled:
        raise
    except LockbotError:
        return None  # for whoever needs it to say


def _ask(tools: Tools, ledger: Ledger, hold: UserHold, locked: Locked, *, release: bool) -> list[str]:
    """Whoever is killed meanwhile has asked: the hold stays, and is asked about again in an hour."""
    if hold.ends is None or not ledger.begin_to_ask(hold):
        return []
    answer = ask(tools, Question(hold.input, locked, hold.ends, hold.heard))
    if not answer.over:
        ledger.note_answer(hold, answer.heard(tools.app.clock(), hold.heard))
        return []
    if not release:
        found = answer.heard(tools.app.clock(), hold.heard)
        # As if it had not been asked, so that it is due still; nor is the same revision known not to have it.
        asked = hold.heard.asked if hold.heard is not None else found.asked - ASKED_EVERY
        ledger.note_answer(hold, replace(found, asked=asked, revision=None))
        return [f"{shown(hold.input)} is held until the next run: {answer.text}"]
    return [f"{shown(hold.input)} moves again: {answer.text}"] if ledger.end(hold) else []
