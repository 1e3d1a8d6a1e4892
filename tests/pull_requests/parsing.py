"""What a forge makes of a text: CommonMark with tables, as all of them read it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

_DETAILS = re.compile(r"<details>\n<summary>[\w :,'’.()]+</summary>\n?")
_CLOSED = re.compile(r"</details>\n?")
_COMMENT = re.compile(r"<!-- [\w :]+ -->\n?")


@dataclass
class Seen:
    """`text` has what is shown and is no code; `code` what is; `links` where the links lead."""

    text: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)


_BLOCKS = {
    f"{block}_{side}"
    for block in ("paragraph", "heading", "bullet_list", "list_item")
    for side in ("open", "close")
}
_INLINE = {"strong_open", "strong_close", "link_close"}


def parse(markdown: str) -> Seen:
    seen = Seen()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        if token.type == "inline":
            _inline(token.children or [], seen)
        elif token.type == "html_block":
            seen.html.append(token.content)
        elif token.type not in _BLOCKS:
            seen.others.add(token.type)
    return seen


def _inline(tokens: list[Token], seen: Seen) -> None:
    """Code, a link, emphasis ends the text in which a forge looks for references."""
    for token in tokens:
        if token.type == "text":
            seen.text.append(token.content)
        elif token.type == "code_inline":
            seen.code.append(token.content)
        elif token.type == "link_open":
            seen.links.append(str(token.attrs["href"]))
        elif token.type not in _INLINE:
            seen.others.add(token.type)


def is_folded_well(html: list[str]) -> bool:
    """Nothing but details, one closed before the next is opened, and comments."""
    opened = 0
    for one in html:
        if _COMMENT.fullmatch(one):
            continue
        opened += 1 if _DETAILS.fullmatch(one) else -1 if _CLOSED.fullmatch(one) else 9
        if opened not in (0, 1):
            return False
    return opened == 0
