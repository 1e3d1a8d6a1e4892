"""Where entries are shown: how wide it is, which hosts there are, and how what strangers wrote is told there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lockbot.report.escape import DIGEST, distinct
from lockbot.report.review.grouping import Hosts

INDENT = 4
"""Columns before all but the first line of an entry."""
_PUNCTUATION = 4
"""Columns that may come with a word: the bracket before it, what is behind it."""
_SHORTEST = DIGEST + 4


@dataclass(frozen=True)
class Page:
    """Its columns, all hosts of the run and those that change (each of which can be told together), and how names
    (of at most so many characters within their quotes) and items are escaped there."""

    width: int
    everyone: Hosts
    changing: Hosts
    escaped_name: Callable[[str, int], str]
    escaped_item: Callable[[str], str]
    names_kept: str = ""
    """Where to find the names that have no room here, as a sentence."""

    @property
    def longest_word(self) -> int:
        return max(self.width - INDENT - _PUNCTUATION, _SHORTEST)

    def name(self, host: str) -> str:
        """No longer than a line is, and no two are the same."""
        for limit in range(self.longest_word, _SHORTEST, -4):
            # What escaping adds is not known before.
            if len(shown := self.escaped_name(host, limit)) <= self.longest_word:
                return shown
        return self.escaped_name(host, _SHORTEST)

    def item(self, text: str) -> str:
        return self.words(self.escaped_item(text))

    def words(self, escaped: str) -> str:
        """None of them longer than a line is."""
        most = self.longest_word
        if len(escaped) <= most:
            return escaped
        return " ".join(word if len(word) <= most else distinct(word, most) for word in escaped.split(" "))
