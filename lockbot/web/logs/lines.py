"""A log's document as HTML: numbered lines that an address can point at, with the style sheet's classes.

In Python and not in a template: a log has thousands of lines. Texts are harmless already but for HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from lockbot.web.logs.ansi import styled_lines


def log_lines(document: Mapping[str, Any]) -> Markup:
    """`document`: `pages.past.logs.log_document`'s. For a `<pre>`."""
    styles: dict[int, list[Sequence[Any]]] = {}
    for number, *style in document["styles"]:
        styles.setdefault(number, []).append(style)
    gap = document["left_out"] or {"behind": -1, "lines": 0}
    shown: list[str] = []
    number = 0
    for index, text in enumerate(document["lines"]):
        if index == gap["behind"]:
            number += gap["lines"]
            shown.append(f'<span class="gap">[… {gap["lines"]} lines left out …]</span>\n')
        number += 1
        inner = _styled(text, styles[index]) if index in styles else escape(text)
        shown.append(f'<a id="L{number}" href="#L{number}" tabindex="-1" class="n">{number}</a>{inner}\n')
    return Markup("".join(shown))  # noqa: S704 -- of escaped texts and numbers


def tail_lines(lines: Sequence[str]) -> Markup:
    """The same of a few lines as they were kept, without numbers."""
    styled = styled_lines(lines)
    return Markup("\n".join(_styled(one.text, one.styles) for one in styled))  # noqa: S704 -- the same


def _styled(text: str, styles: Sequence[Sequence[Any]]) -> str:
    shown: list[str] = []
    at = 0
    for start, end, classes in styles:
        shown.append(escape(text[at:start]))
        shown.append(f'<span class="{escape(classes)}">{escape(text[start:end])}</span>')
        at = end
    return "".join([*shown, escape(text[at:])])
