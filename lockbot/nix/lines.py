"""The lines of Nix's standard error: which are Nix's own, and which quote a stranger. Pure text.

Nix quotes builders' logs, what a flake throws or traces, excerpts of its source. They can be told apart by Nix's
marks (`> `, `name> `, `trace: `, `12| `), with one exception: `nix-store --realise` passes a builder's lines on
bare, so ask it to keep them back (`-Q`) or read its JSON log. In bare text a builder can make itself look like any
failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lockbot.redact import redact

MESSAGE_LENGTH = 600
"""The longest message that is made of what Nix says, in characters."""

LINE_LENGTH = 2000
"""How much of a line is looked at: Nix's own are shorter, and patterns take long over a stranger's megabytes."""

# CSI and OSC sequences, and other two-character escapes. None runs over the end of its line, so that an
# unfinished one can't swallow what Nix says after it.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_])")

# A log line below an error; a log line with its derivation's name (and phase) before it.
LOG_LINE = re.compile(r" *> ?(.*)")
_NAMED_LOG_LINE = re.compile(r"[\w.+?=-]+( \([^)\n]*\))?> ")
# Source excerpts (`  12| code`, `    |  ^`), what the flake says itself, and what Nix has got over.
_QUOTED = re.compile(r" +\d*\|(?: |$)|trace: |evaluation warning: |warning: |error \(ignored\)")


def strip_ansi(text: str) -> str:
    """Without colours, links and other terminal sequences."""
    return _ANSI.sub("", text)


def is_quoted(line: str) -> bool:
    """A log line that names its derivation, an excerpt, or what Nix got over."""
    return bool(_NAMED_LOG_LINE.match(line) or _QUOTED.match(line))


def own_lines(text: str) -> list[str]:
    """What Nix and git say themselves."""
    return [line for line in split_lines(text) if not (is_quoted(line) or LOG_LINE.match(line))]


def split_lines(text: str) -> list[str]:
    """Only line feeds end a line: a quoted carriage return must not start one. Over-long ones are cut."""
    return [line[:LINE_LENGTH] for line in strip_ansi(text).split("\n")]


def error_blocks(lines: Iterable[str]) -> list[list[str]]:
    """Each error with the indented lines that belong to it."""
    blocks: list[list[str]] = []
    within = False
    for line in lines:
        if line.startswith("error:"):
            blocks.append([line])
            within = True
        elif within and (not line or line[0] in " \t"):
            blocks[-1].append(line)
        else:
            within = False
    return blocks


def shortened(message: str) -> str:
    """One line: whatever Python takes for the end of a line becomes a space. Without secrets: half of one that is
    cut could no longer be told by what stands around it."""
    message = " ".join(redact(message).split())
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
