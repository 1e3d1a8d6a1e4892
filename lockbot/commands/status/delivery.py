"""How it stands with the messages to each target, in words and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lockbot.history.notices.values import Delivery
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.escape import name as shown


def delivery_words(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """Only of targets with which something is the matter, or to which something is on its way."""
    for one in deliveries:
        told = "; ".join(_said(one))
        if told:
            yield f"{shown(one.target)}: {told}"


def _said(one: Delivery) -> Iterator[str]:
    if one.waiting:
        since = f" since {one.since:%Y-%m-%d %H:%M} UTC" if one.since is not None else ""
        next_try = f", to be sent at {one.next_try:%Y-%m-%d %H:%M} UTC" if one.next_try is not None else ""
        yield f"{_messages(one.waiting, 'waits', 'wait')}{since}{next_try}" + (
            f" ({one.error})" if one.error else ""
        )
    if one.given_up:
        yield f"{_messages(one.given_up, 'was', 'were')} given up after a day of trying" + (
            "" if one.waiting or not one.error else f" ({one.error})"
        )
    if one.unknown:
        yield f"{_messages(one.unknown, 'may', 'may')} not have arrived: lockbot was killed while sending"


def _messages(number: int, one: str, many: str) -> str:
    return f"{words.count(number, 'message')} {one if number == 1 else many}"


def delivery_document(one: Delivery) -> Document:
    return {
        "target": one.target,
        "waiting": one.waiting,
        "since": words.iso_time(one.since),
        "next_try": words.iso_time(one.next_try),
        "error": one.error or None,
        "given_up": one.given_up,
        "unknown": one.unknown,
    }
