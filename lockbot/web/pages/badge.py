"""`/badge.svg`: how old the lock is and what is held, in a picture for somebody else's page.

The width of the text is told in the picture: whichever font a browser takes, it is drawn to fit.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from lockbot.commands.status import Status
from lockbot.errors import LockbotError
from lockbot.history.input_states import StateWord
from lockbot.report import words
from lockbot.web.page import Content, Query
from lockbot.web.pages import standing
from lockbot.web.view import View

_LABEL = "lock"
_NARROW, _WIDE = "fijlrt.,:;!|'() 1", "mwMW@%"
_GOOD, _WARN, _BAD, _UNKNOWN = "#23702f", "#8a5300", "#a8172c", "#555c66"
"""With white upon each, WCAG's AA holds."""


def picture(view: View, query: Query) -> Content:  # noqa: ARG001 -- a page's shape
    try:
        status = standing.look(view)
    except LockbotError as error:
        return unseen(error)
    return _drawn(_text(status), _colour(status))


def unseen(error: LockbotError) -> Content:  # noqa: ARG001 -- a content's shape
    """Where the repository can't be looked at: a page elsewhere shows a picture, whatever happens here."""
    return _drawn("not known", _UNKNOWN)


def _text(status: Status) -> str:
    """`2 days old, 1 held`. As old as the newest of what is locked: the others are held, or rest."""
    dates = [row.locked.last_modified for row in status.rows if row.locked is not None]
    known = [date for date in dates if date is not None]
    held = sum(row.word is StateWord.HELD for row in status.rows)
    age = f"{words.age(status.now.timestamp() - max(known))} old" if known else "age not known"
    return f"{age}, {held} held" if held else age


def _colour(status: Status) -> str:
    if status.alarms:
        return _BAD
    return _WARN if any(row.word is StateWord.HELD for row in status.rows) else _GOOD


def _drawn(text: str, colour: str) -> Content:
    label, value = _width(_LABEL), _width(text)
    left, right = label + 10, value + 10
    told = escape(f"{_LABEL}: {text}", {'"': "&quot;"})
    size = f'width="{left + right}" height="20"'
    svg = f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{told}">
<title>{told}</title>
<rect {size} rx="3" fill="{colour}"/>
<path d="M3 0h{left - 3}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#3a3f46"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="5" y="14" textLength="{label}" lengthAdjust="spacingAndGlyphs">{_LABEL}</text>
<text x="{left + 5}" y="14" textLength="{value}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>
</g>
</svg>
"""
    return Content("image/svg+xml", svg.encode(), is_for_others=True)


def _width(text: str) -> int:
    """About what Verdana takes at 11 pixels."""
    return round(sum(4.2 if one in _NARROW else 9.5 if one in _WIDE else 7 for one in text))
