"""The trailers that end lockbot's commits: written for machines, read back exactly.

    Lockbot-Run: 20260814T050000Z-1f2e
    Lockbot-Input: nixpkgs 33ddeb9… a1b2c3d…
    Lockbot-Host: web built 3v8x…-nixos-system-web.drv

A field is bare where it is plain letters and digits with a little punctuation; anything else is a JSON string,
in ASCII. `-` says that there was no revision (added, removed), `follows:PATH` that the input followed another;
`names-commit`, in place of a derivation, that it depends on the commit's own name, which no message can hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from lockbot.model import HostBuild, InputChange, Locked
from lockbot.redact import redact
from lockbot.report.escape import plain
from lockbot.report.grouping import in_order

RUN, INPUT, HOST, LEFT_OUT = "Lockbot-Run", "Lockbot-Input", "Lockbot-Host", "Lockbot-Left-Out"
NONE = "-"
NAMES_COMMIT = "names-commit"
LONGEST = 2000
"""Bytes. A trailer longer than this is counted as left out: no name is ever told wrongly."""

_COUNT = re.compile(r"[0-9]{1,9}")
_BARE = re.compile(r"[^\W_][\w.+/=:~-]*")


@dataclass(frozen=True)
class Trailers:
    """What the trailers of one commit say; empty when it is not lockbot's."""

    run: str | None = None
    inputs: tuple[tuple[str, str, str], ...] = ()
    """Input path, old and new revision: `-` for none, `follows:PATH` for an input that followed another."""
    hosts: tuple[tuple[str, str, str | None], ...] = ()
    """Host name, status, derivation: its file's name, or what stands in its place; None in older commits."""
    left_out: tuple[int, int] = (0, 0)
    """How many inputs and hosts had no room."""


def trailer_lines(
    run_id: str, changes: Sequence[InputChange], hosts: Sequence[HostBuild], *, limit: int
) -> tuple[str, ...]:
    """The trailer block, at most about `limit` bytes: inputs of the root first, so that nested ones give way."""
    ordered = sorted(in_order(changes), key=lambda change: "/" in change.input)
    wanted_hosts = [_host_line(build) for build in sorted(hosts, key=lambda build: build.host)]
    wanted_inputs = [_input(change) for change in ordered]
    kept_hosts = _fitting(wanted_hosts, limit // 2)
    kept_inputs = _fitting(wanted_inputs, limit - sum(map(_bytes, kept_hosts)))
    left = len(wanted_inputs) - len(kept_inputs), len(wanted_hosts) - len(kept_hosts)
    lines = [_line(RUN, run_id), *kept_inputs, *kept_hosts]
    if any(left):
        lines.append(f"{LEFT_OUT}: {left[0]} {left[1]}")
    return tuple(lines)


def parse_trailers(message: str) -> Trailers:
    """Read back what `trailer_lines` wrote, from a whole commit message. What others added or broke is skipped."""
    found: dict[str, list[tuple[str, ...]]] = {RUN: [], INPUT: [], HOST: [], LEFT_OUT: []}
    for line in _block(message).split("\n"):
        key, separator, value = line.partition(": ")
        if separator and key in found and (fields := _fields(value)):
            found[key].append(fields)
    counts = [fields for fields in found[LEFT_OUT] if len(fields) == 2 and all(map(_COUNT.fullmatch, fields))]
    return Trailers(
        run=next((fields[0] for fields in found[RUN] if len(fields) == 1), None),
        inputs=tuple((fields[0], fields[1], fields[2]) for fields in found[INPUT] if len(fields) == 3),
        hosts=tuple(_host(*fields) for fields in found[HOST] if len(fields) in (2, 3)),
        left_out=(int(counts[0][0]), int(counts[0][1])) if counts else (0, 0),
    )


def _block(message: str) -> str:
    """The message's last paragraph, without what a forge appends that squashes or merges: a rule, and trailers of
    its own (`Co-authored-by`)."""
    paragraphs = [one.strip("\n") for one in message.replace("\r\n", "\n").rstrip().split("\n\n")]
    there = [one for one in paragraphs if one and not all(map(_APPENDED.fullmatch, one.split("\n")))]
    return there[-1] if there else ""


_APPENDED = re.compile(rf"-{{3,}}|(?!(?:{RUN}|{INPUT}|{HOST}|{LEFT_OUT}): )[A-Za-z][A-Za-z-]*-by: .*")


def _host(name: str, status: str, drv: str | None = None) -> tuple[str, str, str | None]:
    return name, status, drv


def input_fields(change: InputChange) -> tuple[str, str, str]:
    """What the trailer of a change says, as `Trailers.inputs` has it."""
    old, new = _revision(change.old, change.old_follows), _revision(change.new, change.new_follows)
    return redact(change.input), redact(old), redact(new)


def _input(change: InputChange) -> str:
    return _line(INPUT, *input_fields(change))


def _host_line(build: HostBuild) -> str:
    derivation = NAMES_COMMIT if build.names_commit else PurePath(build.drv).name if build.drv else None
    return _line(HOST, build.host.name, build.status, *([derivation] if derivation else []))


def _line(key: str, *fields: str) -> str:
    return f"{key}: {' '.join(_field(redact(field)) for field in fields)}"


def _field(text: str) -> str:
    if text == NONE or (_BARE.fullmatch(text) and plain(text) == text):
        return text
    # `@` and `#` as escapes too: forges look for mentions in a commit's message.
    return json.dumps(text).replace("\x7f", "\\u007f").replace("@", "\\u0040").replace("#", "\\u0023")


def _fields(value: str) -> tuple[str, ...]:
    """The fields of one trailer; none when it is malformed."""
    try:
        return tuple(_split(value.strip()))
    except ValueError:
        return ()


def _split(value: str) -> Iterator[str]:
    decoder = json.JSONDecoder()
    while value:
        if value.startswith('"'):
            text, end = decoder.raw_decode(value)
            rest = value[end:]
            if rest and not rest.startswith(" "):
                raise ValueError("text after a closing quote")
        else:
            text, _, rest = value.partition(" ")
        yield str(text)
        value = rest.lstrip(" ")


def _revision(locked: Locked | None, follows: str | None) -> str:
    if follows is not None:
        return f"follows:{follows}"
    return (locked.revision if locked else "") or NONE


def _fitting(lines: Sequence[str], limit: int) -> list[str]:
    """The first lines that fit into so many bytes, without those that are too long alone."""
    kept = []
    for line in lines:
        if _bytes(line) <= LONGEST and (limit := limit - _bytes(line)) >= 0:
            kept.append(line)
    return kept


def _bytes(line: str) -> int:
    return len(line.encode()) + 1
