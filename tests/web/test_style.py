"""The one style sheet: every pair of colours that it puts together can be read, in both schemes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import lockbot.web
from lockbot.web import rendering

TEXT, PICTURE = 4.5, 3.0
"""WCAG's AA, for text and for what else has to be seen."""
ON_GROUND = ("text", "quiet", "link", "good", "warn", "bad", "busy")
TEMPLATES = Path(lockbot.web.__file__).parent / "templates"


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", rendering.style().decode(), re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found if scheme == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrasts(scheme: str) -> None:
    known = colours(scheme)
    pairs = [(name, ground, TEXT) for name, ground in itertools.product(ON_GROUND, ("ground", "raised"))]
    pairs += [(name, f"{name}-ground", TEXT) for name in ("good", "warn", "bad", "busy")]
    pairs += [(name, f"{tone}-ground", TEXT) for name in ("text", "link") for tone in ("bad", "warn")]
    pairs += [(name, ground, PICTURE) for name in ("edge", "focus") for ground in ("ground", "raised")]
    low = {(one, other): contrast(known[one], known[other]) for one, other, least in pairs
           if contrast(known[one], known[other]) < least}  # fmt: skip
    assert low == {}


def test_every_colour_has_a_counterpart_in_the_dark() -> None:
    assert {name for name, value in colours("light").items() if colours("dark")[name] == value} == set()


def test_no_template_has_a_style_or_a_script_of_its_own() -> None:
    for template in TEMPLATES.glob("*.html"):
        assert not re.search(r"\sstyle=|<style|<script|\son\w+=|javascript:", template.read_text()), template.name
    assert not re.search(r"url\(|@import|@font-face", rendering.style().decode()), "nothing from elsewhere"
