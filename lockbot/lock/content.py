"""Whether what is locked is what upstream has at that revision: fetched by Nix without what the lock says of it.

A lock whose revision was edited by hand, and whose hash was not, evaluates well wherever the store has the old
content: Nix takes it by its hash. Ask a Nix that remembers nothing (`nix.fetch_memory`). It must not know where
the lock comes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lockbot.errors import DeadlineExceeded
from lockbot.model import Failure, FailureKind
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.nix.flakeref import FORGE_TYPES, Attr, FlakeRef, nix_string
from lockbot.process import Deadline

_RESULTS = ("narHash", "lastModified", "revCount")
"""What fetching gives, and a lock repeats."""
_AT_ONCE, _LONGEST = 50, 2_000
"""Inputs in one call of Nix, and bytes of one's reference: together they are an argument of at most 128 KiB."""
_TOO_LONG = Failure(FailureKind.REFUSED, f"its reference has more than {_LONGEST} bytes")

_Fetched = Mapping[str, Attr | None]


@dataclass(frozen=True)
class ContentAnswer:
    """By input path: what differs, in a sentence; or why it could not be fetched."""

    problems: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)


def compare_content(nix: Nix, locked: Mapping[str, FlakeRef], timeout: float) -> ContentAnswer:
    """Fetch each of these, by input path, and compare. What no revision names is left out."""
    named = {path: ref for path, ref in locked.items() if ref.rev and ref.type in (*FORGE_TYPES, "git")}
    failures = {path: _TOO_LONG for path, ref in named.items() if len(_written({path: ref})) > _LONGEST}
    paths = [path for path in named if path not in failures]
    problems: dict[str, str] = {}
    for start in range(0, len(paths), _AT_ONCE):
        some = {path: named[path] for path in paths[start : start + _AT_ONCE]}
        for path, got in _fetched_or_not(nix, some, timeout).items():
            if isinstance(got, Failure):
                failures[path] = got
            elif said := "; ".join(_differences(named[path], got)):
                problems[path] = said
    return ContentAnswer(problems, failures)


def _fetched_or_not(nix: Nix, refs: Mapping[str, FlakeRef], timeout: float) -> Mapping[str, _Fetched | Failure]:
    together = _fetched(nix, refs, timeout)
    if not isinstance(together, Failure):
        return together
    apart: dict[str, _Fetched | Failure] = {}
    for path, ref in refs.items():  # one by one, to see whose it is
        alone = _fetched(nix, {path: ref}, timeout) if len(refs) > 1 else together
        apart[path] = alone if isinstance(alone, Failure) else alone[path]
    return apart


def _fetched(nix: Nix, refs: Mapping[str, FlakeRef], timeout: float) -> Mapping[str, _Fetched] | Failure:
    results = " ".join(f"{name} = tree.{name} or null;" for name in _RESULTS)
    expression = (
        f"builtins.mapAttrs (_: attrs: let tree = builtins.fetchTree attrs; in {{ {results} }}) "
        f"(builtins.fromJSON {_written(refs)})"
    )
    try:
        finished = nix.evaluate(expression, deadlines=[Deadline(timeout, "fetching what is locked")])
    except DeadlineExceeded as error:
        nix.cancel.check()  # the run's own deadline is another matter
        return Failure(FailureKind.TIMEOUT, error.message)
    if finished.code != 0:
        return Failure(failure.classify(finished.stderr), failure.explain(finished.stderr))
    found: dict[str, _Fetched] = json.loads(finished.stdout)
    return found


def _written(refs: Mapping[str, FlakeRef]) -> str:
    """The references' attributes as JSON in a Nix string. `dir` is a flake's, not a tree's."""
    attrs = {path: {**dict(ref.without(*_RESULTS, "dir").attrs), "type": ref.type} for path, ref in refs.items()}
    return nix_string(json.dumps(attrs))


def _differences(locked: FlakeRef, fetched: _Fetched) -> Iterator[str]:
    for name in _RESULTS:
        said, real = locked.get(name), fetched.get(name)
        if said is not None and real is not None and said != real:
            yield f"its {name} is {real}, and the lock says {said}"
