"""Text from outside, made harmless for the place where it is shown: one function per sink.

Knows what each sink acts upon, nothing of what the text means. Lock files, flakes, build logs and
commit subjects are written by strangers: whatever a report shows goes through here, and no secret gets past it.

Escaping is for the reader's eyes and can't be undone; what machines read back is in `trailers`.
"""

from __future__ import annotations

import functools
import hashlib
import html as _html
import re

from lockbot.redact import redact

# Letters and symbols that Python calls printable though nothing is seen: fillers, the blank Braille
# pattern, the grapheme joiner.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")

# What a forge acts upon in a pushed commit's message: `@name` notifies, `fixes #1` closes an issue, and whose page
# is linked, an issue or a pull request, shows that, night after night. An address (git@host) and a link's fragment
# are left alone.
_FORGE_ACTS = re.compile(
    r"""(?<![^\s'"(\[])@(?=\w) | \#(?=\d) | (?<=GH)-(?=\d)
    | (?:(?<=/issues)|(?<=/pull)|(?<=/pulls)|(?<=/merge_requests))/(?=\d)""",
    re.VERBOSE | re.IGNORECASE,
)

CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""What moves a terminal's cursor, or colours what follows: ECMA-48's CSI."""
# What starts markup anywhere in a line, and what does only where one begins: a list, an underline, a definition, a
# quick action of GitLab's. No more than that: `\(` is a formula to Forgejo.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>&#!|~@$^])")
_AT_START = re.compile(r"^(?:(\d{1,9})(?=[.)])|(?=[-+=:/]))")
# What forges look for in text that is rendered, where a backslash is gone: mentions, references of GitHub's and
# Forgejo's, GitLab's (`!1`, `&1`, `%1`, `~bug`, `$1`, `^alert#1`, `*iteration:1`, `[vulnerability:1]`, `a/b>`),
# other trackers' (`ABC-1`), `[[links]]`, addresses, and emoji by their names.
# docs.gitlab.com/user/markdown; docs.github.com, autolinked references and URLs; Forgejo's modules/references
_FORGE_LINKS = re.compile(
    r"""[@#!%&~$^*\[](?=\S) | (?<=[\w.-])(?=\\?>) | :(?=//|[\w+\\-]+:) | [Ww]{3}(?=\.)
    | (?:[Gg][Hh]|(?<![A-Z0-9_])[0-9_]*[A-Z][A-Z0-9_]*)-(?=\d)""",
    re.VERBOSE,
)
_ZERO_WIDTH_SPACE = "\u200b"
_IN_TITLES = re.compile(r"[`*<>\[\]|~]")
_DRAFT = re.compile(r"^(\W*[DW])(?=(?:RAFT|IP)\b)", re.IGNORECASE)
_BARE_NAME = re.compile(r"[^\W_][\w.+/-]*")


def plain(text: str, limit: int | None = None) -> str:
    """One line for a terminal, a log or a commit: control, bidirectional and invisible characters as `\\x1b`.

    Lone surrogates too, so the result can always be encoded. At most `limit` characters, the last one `…`.
    """
    text = redact(text)
    # No more of it than can be shown: a name of megabytes costs nothing.
    return shortened(visible(text if limit is None else text[: limit + 1]), limit)


def visible(text: str) -> str:
    """`plain` of what holds no secret: `redact` has seen the whole that it is a part of."""
    if text.isprintable() and _BLANK.isdisjoint(text):
        return text
    return "".join(map(_visible, text))


def block(text: str) -> str:
    """Several lines, each `plain` but for its tabs."""
    return "\n".join("\t".join(map(plain, one.split("\t"))) for one in text.split("\n"))


def shortened(text: str, limit: int | None) -> str:
    """At most `limit` characters, the last one `…` when some are left out."""
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def distinct(text: str, limit: int) -> str:
    """`plain`; where that has to be shortened, with a digest of the whole at the end: no two are the same."""
    shown = plain(text, limit + 1)
    if len(shown) <= limit:
        return shown
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGEST]
    return f"{shown[: max(limit - DIGEST - 1, 0)]}…{digest}"


DIGEST = 8
"""How many digits of a digest tell names apart."""


def commit(text: str, limit: int | None = None) -> str:
    """Part of a line of a commit message: `plain`, and nothing that makes a forge notify or close anything."""
    return _FORGE_ACTS.sub(lambda match: f"\\x{ord(match[0]):02x}", plain(text, limit))


def name(text: str, limit: int = 100) -> str:
    """An input's or host's name within a sentence or list: quoted unless it can't be taken for anything else.

    At most `limit` characters within the quotes, and no two names are the same.
    """
    text = distinct(text, limit)
    if _BARE_NAME.fullmatch(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def log_line(text: str, limit: int | None = 240) -> str:
    """A line of a build log, `plain`: without colours, tabs, and what a progress bar overwrote."""
    return plain(CONTROL_SEQUENCE.sub("", text).rstrip("\r\n").rpartition("\r")[2].expandtabs(), limit)


def markdown(text: str, limit: int | None = None) -> str:
    """Running text in Markdown: no markup, link, mention or reference can start in it."""
    escaped = _unlinked(_MARKUP.sub(r"\\\1", plain(text, limit).strip(" ")))
    # Forgejo takes `\[` where a line begins for a formula that may end many lines below.
    return re.sub(r"^\\\[", "&#91;", _AT_START.sub(r"\1\\", escaped))


def request_title(text: str, limit: int) -> str:
    """A pull request's title, which each forge renders in its own way: no markup, link, mention or reference can
    start in it, and it makes no draft of the request."""
    escaped = _IN_TITLES.sub(lambda match: f"\\x{ord(match[0]):02x}", plain(text).strip(" "))
    return shortened(_DRAFT.sub(rf"\1{_ZERO_WIDTH_SPACE}", _unlinked(escaped)), limit)


def _unlinked(text: str) -> str:
    """Only a character between helps. It is the one character without width that is ours."""
    return _FORGE_LINKS.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", text)


def markdown_code(text: str, limit: int | None = None) -> str:
    """A code span in Markdown: shown as it is, with no mention in it acted upon."""
    text = plain(text, limit)
    if not text.strip():
        return f"`{text or ' '}`"
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def html(text: str, limit: int | None = None) -> str:
    """Text or a quoted attribute's value in HTML."""
    return _html.escape(plain(text, limit), quote=True)


@functools.lru_cache(maxsize=4096)
def _visible(character: str) -> str:
    if character.isprintable() and character not in _BLANK:
        return character
    return character.encode("unicode_escape").decode("ascii")
