"""What pictures are made of. Knows SVG and how numbers are written in it; everything is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup

from lockbot.report.escape import plain

NOTHING = Markup("")


def number(value: float) -> str:
    """With one decimal: a tenth of a pixel. What is no number, or can't be drawn, is 0."""
    if not math.isfinite(value):
        return "0"
    return f"{value:.1f}".removesuffix(".0")


def picture(kind: str, size: tuple[int, int], texts: tuple[str, str], shapes: Iterable[Markup]) -> Markup:
    """`kind` is its class; `texts`: what it is, and what it says to who can't see it."""
    width, height = size
    title, description = map(plain, texts)
    return Markup(
        '<svg class="{}" role="img" viewBox="0 0 {} {}" width="{}" height="{}" aria-label="{}">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(
        kind, width, height, width, height, f"{title}: {description}", title, description, NOTHING.join(shapes)
    )


def rectangle(kind: str, place: tuple[float, float, float, float], title: str) -> Markup:
    """`place`: x, y, width and height. The title is shown to who points at it."""
    x, y, width, height = map(number, place)
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
        kind, x, y, width, height, plain(title)
    )


def dot(x: float, y: float, title: str) -> Markup:
    return Markup('<circle class="dot" cx="{}" cy="{}" r="3"><title>{}</title></circle>').format(
        number(x), number(y), plain(title)
    )


def lines(kind: str, pieces: Iterable[Iterable[tuple[float, float]]]) -> Markup:
    """Lines through points, each piece by itself."""
    path = " ".join(
        "M" + " L".join(f"{number(x)} {number(y)}" for x, y in piece) for piece in map(list, pieces) if piece
    )
    return Markup('<path class="{}" d="{}"/>').format(kind, path) if path else NOTHING


def text(x: float, y: float, anchor: str, said: str) -> Markup:
    """`anchor`: start, middle or end."""
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
        number(x), number(y), anchor, plain(said)
    )
