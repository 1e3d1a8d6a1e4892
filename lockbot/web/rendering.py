"""Documents as HTML: jinja2, with the filters that templates have in common.

Knows HTML, and nothing of what pages tell. Whatever a template prints passes `plain`, which shows control and
bidirectional characters and hides secrets, and is escaped after that: no template has to remember it. Texts of
several lines go through the filter `block`. Times in documents are ISO 8601; filters make them readable.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from lockbot.model import HostStatus, Outcome, RequestStep
from lockbot.process import duration
from lockbot.report import words
from lockbot.report.escape import block, plain
from lockbot.state import human_size
from lockbot.web.logs.lines import log_lines, tail_lines
from lockbot.web.page import Page
from lockbot.web.pictures import PICTURES
from lockbot.web.view import Frame

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_ADDRESS = 2000


def render(page: Page, frame: Frame, route: str) -> str:
    """`route`: the page's address in the table of routes; its first part is the section that the page is in.

    Templates know the frame as `view`, too: it has what they need of one, links and the time.
    """
    template = environment().get_template(page.template)
    section = route.split("/")[1]
    return template.render(
        page=page, document=page.document, frame=frame, view=frame, now=frame.now, route=route, section=section
    )


@cache
def style() -> bytes:
    """The style sheet, of which each page has the address."""
    return (_TEMPLATES / "style.css").read_bytes()


@cache
def icon() -> bytes:
    return (_TEMPLATES / "icon.svg").read_bytes()


@cache
def style_version() -> str:
    """Another one for another style sheet: browsers may keep each for ever."""
    return hashlib.sha256(style()).hexdigest()[:12]


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "age": words.age,
        "ago": _ago,
        "block": _block,
        "count": words.count,
        "day": _day,
        "derivation": words.derivation,
        "duration": _duration,
        "moment": _moment,
        "short": words.short,
        "size": _size,
        "status": _status,
        "tone": tone,
        "web_address": web_address,
    }
    made.globals |= {"style_version": style_version(), "log_lines": log_lines, "tail_lines": tail_lines}
    made.globals |= PICTURES
    return made


def _shown(value: object) -> object:
    """Of whatever a template prints; markup is what filters and macros have made."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _remembered(value) if len(value) < _SHORT else plain(value)
    return "" if value is None else value


_SHORT = 200
_remembered = lru_cache(maxsize=8192)(plain)
"""A page has the same names over and over, and those of the next one are the same again."""


def _block(text: str) -> Markup:
    """Several lines, for `<pre>` and for texts with `white-space: pre-wrap`."""
    return escape(block(text))


# -- times and sizes: None is nothing to tell


def _time(iso: str, text: str, whole: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, whole, text)


def _parsed(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


@pass_context
def _ago(context: Context, iso: str | None) -> Markup:
    """`3 days ago`, with the moment as its title."""
    if iso is None:
        return Markup("")
    then = _parsed(iso)
    now: datetime = context["now"]
    told = words.ago(then, now) if then <= now else f"in {words.age((then - now).total_seconds())}"
    return _time(iso, told, f"{then:%Y-%m-%d %H:%M} UTC")


def _moment(iso: str | None) -> Markup:
    """`2026-08-14 05:00 UTC`."""
    if iso is None:
        return Markup("")
    told = f"{_parsed(iso):%Y-%m-%d %H:%M} UTC"
    return _time(iso, told, told)


def _day(iso: str | None) -> Markup:
    """`2026-08-14`."""
    if iso is None:
        return Markup("")
    then = _parsed(iso)
    return _time(iso, f"{then:%Y-%m-%d}", f"{then:%Y-%m-%d %H:%M} UTC")


def _duration(seconds: float | None) -> str:
    """`1 min 30 s`."""
    return "" if seconds is None else duration(seconds)


def _size(number: int | None) -> str:
    """`1.5 KiB`; of a difference, with its sign."""
    if number is None:
        return ""
    return human_size(number) if number >= 0 else "−" + human_size(-number)


# -- what words mean


def _status(value: str) -> str:
    """A host's status in words; a status that this lockbot does not know is shown as it is."""
    try:
        return words.status(HostStatus(value))
    except ValueError:
        return value


def tone(word: str | None) -> str:
    """How an outcome, a host's status or an input's state is coloured; the word itself is always there, too."""
    return _TONES.get(word or "", "quiet")


_TONES: dict[str, str] = {
    Outcome.PUBLISHED: "good",
    Outcome.PARTLY_PUBLISHED: "warn",
    Outcome.REQUESTED: "good",
    Outcome.REJECTED: "bad",
    Outcome.FAILED: "bad",
    Outcome.UNJUDGED: "warn",
    Outcome.STALE: "warn",
    Outcome.INTERRUPTED: "warn",
    HostStatus.BUILT: "good",
    HostStatus.EVALUATED: "good",
    HostStatus.BROKEN_BEFORE: "warn",
    HostStatus.NEW_AND_BROKEN: "bad",
    RequestStep.OPENED: "good",
    RequestStep.UPDATED: "good",
    RequestStep.LANDED: "good",
    RequestStep.MERGED: "good",
    RequestStep.REFUSED: "warn",
    RequestStep.LEFT_ALONE: "warn",
    RequestStep.WAITING: "warn",
    "current": "good",
    "held": "warn",
    "waiting-for-age": "quiet",
    "waiting-for-cache": "quiet",
    "unreachable": "bad",
    "error": "bad",
    "warning": "warn",
    "ok": "good",
    "running": "busy",
}


def web_address(text: str | None) -> str | None:
    """The text if it is an address that a link may lead to; else nothing: `javascript:` is one, too."""
    fine = (
        text is not None
        and text.lower().startswith(("http://", "https://"))
        and len(text) <= _LONGEST_ADDRESS
        and plain(text) == text
    )
    return text if fine else None
