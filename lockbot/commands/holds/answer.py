"""What came of asking whether a hold has ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lockbot.model import Heard
from lockbot.redact import redact
from lockbot.report.escape import shortened

LONGEST = 500
"""Characters of an answer."""


@dataclass(frozen=True)
class Answer:
    """`text` is for people; of one that is `over`, a sentence that says what has come."""

    text: str
    over: bool = False
    """What the user waits for has come."""
    known: bool = True
    """False: nobody could say, and `text` tells why."""
    vain: bool = False
    """As things are, it will never come: what is waited for was given up, or is not there."""
    advice: str = ""
    """What to do about that, once there is a hold."""
    revision: str | None = None
    """The input's revision that was looked at, where one was."""

    def heard(self, now: datetime, before: Heard | None) -> Heard:
        """What is remembered of it."""
        answered = now if self.known else before.answered if before is not None else None
        text = shortened(redact(self.text), LONGEST) + (f"; {self.advice}" if self.advice else "")
        return Heard(now, text, answered, self.revision)
