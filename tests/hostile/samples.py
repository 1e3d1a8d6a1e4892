"""What strangers write: real words with something wrong in them, and anything at all."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.nix.test_failure import ALL
from tests.nixes import PROJECT

ODD = st.sampled_from(
    [
        "\0",
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\r",
        "\n",
        "\n\n",
        "\u202e",
        "\u200b",
        "\ud800",
        "é",
        "字",
        "👩\u200d💻",
        "..",
        "/",
        "--option",
        "$(id)",
        "<script>",
        "@everyone",
        "fixes #1",
        "%00",
        "\\u0000",
        "[" * 2000,
        '{"a":' * 2000,
        "9" * 5000,
        "-1",
        "1e400",
        "NaN",
        "x" * 5000,
    ]
)
TEXT = st.text(st.characters(), max_size=40) | ODD | st.lists(ODD | st.text(max_size=8), max_size=4).map("".join)
"""With lone surrogates: bytes that are no UTF-8 become such in a name, and JSON has them as escapes."""
WHOLE_TEXT = TEXT.map(lambda text: text.encode(errors="replace").decode())
"""Without."""


def words_of(*places: str) -> list[str]:
    """The short strings in lockbot's own modules: keys and values that mean something there."""
    files = [file for place in places for file in sorted((PROJECT / "lockbot").glob(place))]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    found = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return sorted(one for one in found if 0 < len(one) <= 40 and one.isprintable())


def json_of(words: Sequence[str]) -> st.SearchStrategy[Any]:
    """Documents with these words for keys, and for values among others."""
    word = st.sampled_from(list(words))
    digits = st.sampled_from(
        ["1" * 40, "a" * 40, "f" * 64, "2026-08-14T05:00:00Z", "https://example.org/x", "0" * 39]
    )
    scalar = (
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | word | digits | TEXT | st.just(1)
    )
    return st.recursive(
        scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(word, inner, max_size=6), max_leaves=20
    )


def spoiled(texts: Sequence[str]) -> st.SearchStrategy[str]:
    """Recorded texts with a few cuts, insertions and repetitions."""
    cut = st.tuples(st.floats(0, 1), st.floats(0, 1), TEXT | st.sampled_from(["", " ", "'", '"', "error: ", "\\"]))

    def spoil(text: str, cuts: Sequence[tuple[float, float, str]]) -> str:
        for start, length, instead in cuts:
            at = int(start * len(text))
            text = text[:at] + instead + text[at + int(length * min(len(text), 200)) :]
        return text

    return st.builds(spoil, st.sampled_from(list(texts)), st.lists(cut, min_size=1, max_size=4))


RECORDED = Path(PROJECT / "tests/nix/recorded")
SAID = [text for text in ALL if text.strip()]
"""What versions of Nix said of failures."""
LOCKS = [
    update[side]
    for file in sorted(RECORDED.glob("updates-*.json"))
    for update in json.loads(file.read_text())
    for side in ("old", "new")
    if update[side]
][:40]


CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff]")
"""What no output may hold, but for line feeds."""
