"""Inputs that nothing reads, told only where that is certain from the text of flake.nix.

`outputs` must name its arguments, hand on neither all of them nor `self`, and never use this one's name; no file
of the repository may have the word, and no other input follow it. All else may read inputs in ways not seen here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lockbot.lint import flake_lines
from lockbot.lint.finding import Finding, Kind, warning
from lockbot.lint.subject import Subject

LARGEST = 1 << 20
"""Characters of a flake.nix that are looked at."""

_NAME = r"[a-zA-Z_][a-zA-Z0-9_'-]*"
_OUTPUTS = re.compile(r"\boutputs\s*=")
_ARGUMENTS = re.compile(
    rf"\s*(?:(?P<before>{_NAME})\s*@\s*)?\{{(?P<names>[^{{}}]*)\}}\s*(?:@\s*(?P<behind>{_NAME})\s*)?:"
)
_NAMES = re.compile(rf"(?:{_NAME}|\.\.\.|,|\s)*")


def unused(subject: Subject) -> Iterator[Finding]:
    """An input that is fetched, and may break an update, for nothing."""
    body = _body(subject.flake_nix)
    if body is None:
        return
    read = {edge[0] for edge in subject.lock.graph.edges.values() if isinstance(edge, tuple) and edge}
    root = subject.lock.graph.by_label[subject.lock.graph.root]
    for name in sorted(root.inputs.keys() - read):
        if not _occurs(name, body) and not subject.mentioned(name):
            message = "nothing reads it: no other input follows it, and no file of the flake has its name"
            yield warning(
                Kind.UNUSED, (name,), message, f"# remove: {flake_lines.attribute((name,))}\nnix flake lock"
            )


def _body(text: str) -> str | None:
    """What stands behind the arguments of `outputs`, to the end of the file; None: inputs may be read unseen."""
    starts = list(_OUTPUTS.finditer(text[:LARGEST]))
    if len(starts) != 1 or len(text) > LARGEST:
        return None  # which of them is meant would take a parser to say
    arguments = _ARGUMENTS.match(text, starts[0].end())
    if arguments is None or not _NAMES.fullmatch(arguments["names"]):
        return None  # a name for all of them, comments, defaults
    body = text[arguments.end() :]
    whole = [name for name in (arguments["before"], arguments["behind"], "self") if name]
    return body if all(_only_selected(name, body) for name in whole) else None


def _only_selected(name: str, body: str) -> bool:
    """Whether of these attributes each is taken by its own name, and `inputs` of none: nothing hands them on."""
    uses = re.finditer(rf"{_word(name)}(?:\s*\.\s*({_NAME}))?", body)
    return all(use[1] is not None and use[1] != "inputs" for use in uses)


def _occurs(name: str, body: str) -> bool:
    return re.search(_word(name), body) is not None


def _word(name: str) -> str:
    return rf"(?<![\w'-]){re.escape(name)}(?![\w'-])"
