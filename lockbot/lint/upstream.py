"""What upstream's answers say of inputs. Must not ask: what could not be asked is told, and nobody's fault."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lockbot.git.inputs.upstream import Tip
from lockbot.lint import flake_lines
from lockbot.lint.finding import Finding, Kind, error, warning
from lockbot.model import FailureKind
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile.nodes import InputPath

_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d{1,9}(?:\.\d{1,9}){0,5})", re.ASCII | re.DOTALL)
_TAGS = "refs/tags/"


@dataclass(frozen=True)
class Asked:
    """An input of flake.nix, and what its repository said."""

    path: InputPath
    original: FlakeRef
    tip: Tip
    is_reached: bool = True
    """Whether the repository answers at all: else a missing branch may be a repository that is not shown to us."""
    tags: Sequence[str] = ()
    """Its tags, where flake.nix names one."""

    @property
    def names_tag(self) -> bool:
        return (self.tip.ref or "").startswith(_TAGS)


def judge(answers: Sequence[Asked]) -> Iterator[Finding]:
    for asked in answers:
        if is_gone(asked.tip) and asked.is_reached and asked.original.ref:
            message = f"there is no branch or tag {asked.original.ref} upstream: no update finds anything"
            default = asked.original.without("ref")
            fix = f"# its default branch:\n{flake_lines.set_url(asked.path, default)}"
            yield error(Kind.GONE_BRANCH, asked.path, message, fix)
        elif asked.names_tag and (newer := newer_tag(asked.original.ref or "", asked.tags)):
            message = f"flake.nix names the tag {asked.original.ref}, and upstream has {newer}"
            yield warning(
                Kind.NEWER_TAG, asked.path, message, flake_lines.set_url(asked.path, _at(asked.original, newer))
            )


def is_gone(tip: Tip) -> bool:
    return tip.failure is FailureKind.NOT_FOUND


def unasked(answers: Sequence[Asked]) -> Mapping[InputPath, str]:
    """Why nothing is known of some inputs."""
    return {
        asked.path: asked.tip.problem
        for asked in answers
        if asked.tip.problem is not None and not (is_gone(asked.tip) and asked.is_reached)
    }


def newer_tag(tag: str, tags: Sequence[str]) -> str | None:
    """The highest one of the same form (`v1.2` → `v1.10`, never `v2.0-rc1`); None: it is the highest itself."""
    tag = tag.removeprefix(_TAGS)
    form = _NUMBERED.fullmatch(tag)
    if form is None:
        return None
    found = {name: _number(name, form["prefix"]) for name in tags}
    known = [(number, name) for name, number in found.items() if number is not None]
    highest = max(known, default=None)
    own = _number(tag, form["prefix"])
    return highest[1] if highest is not None and own is not None and highest[0] > own else None


def _number(tag: str, prefix: str) -> tuple[int, ...] | None:
    match = _NUMBERED.fullmatch(tag)
    return tuple(map(int, match["number"].split("."))) if match and match["prefix"] == prefix else None


def _at(original: FlakeRef, tag: str) -> FlakeRef:
    prefix = _TAGS if (original.ref or "").startswith(_TAGS) else ""
    return FlakeRef.from_attrs(dict(original.attrs) | {"type": original.type, "ref": prefix + tag})
