"""Pictures in a page: SVG made of values, with the style sheet's classes alone.

    drawing     what pictures are made of: numbers, shapes, the frame with its text alternative
    scales      which marks an axis has
    timeline    how many runs ended how, by day
    plot        sizes over time: with axes, or small beside a name
    phases      how long each part of a run took

Colour is never the only thing that tells: shapes differ, too, and the page has the values as text. Nothing here
knows where the values come from; texts in them are anybody's, and escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from markupsafe import Markup

from lockbot.web.pictures.phases import phases
from lockbot.web.pictures.plot import plot, sparkline
from lockbot.web.pictures.timeline import timeline

PICTURES: Mapping[str, Callable[..., Markup]] = {
    "phases": phases,
    "plot": plot,
    "sparkline": sparkline,
    "timeline": timeline,
}
"""What templates call, by the name that they do."""
