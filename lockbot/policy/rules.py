"""What the configuration says about inputs, in plain values: what may move, and what an input is by its looks.

Pure. Where it was configured is not known here; what follows from it is `policy`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from lockbot.model import Locked
from lockbot.nix.flakeref import FlakeRef, FlakeRefError


class PolicyAction(StrEnum):
    """HOLD: it stays, until it is accepted. REFUSE: it stays, until the configuration says otherwise."""

    ALLOW = "allow"
    HOLD = "hold"
    REFUSE = "refuse"


class RevisionKind(StrEnum):
    """Which of an input's revisions are candidates: those its branch was seen at, or every commit of it."""

    TIPS = "tips"
    COMMITS = "commits"


@dataclass(frozen=True)
class InputRules:
    """What the configuration says about one input. Durations are seconds; None: no limit."""

    minimum_age: float = 0.0
    revisions: RevisionKind | None = None
    """None: by what the input looks like (`revisions_of`)."""
    backwards: PolicyAction = PolicyAction.HOLD
    origin: PolicyAction = PolicyAction.HOLD
    new_input: PolicyAction = PolicyAction.ALLOW
    new_path: PolicyAction = PolicyAction.REFUSE
    max_builds: int | None = None
    never_compile: tuple[str, ...] = ()
    wait_for_cache: float = 3 * 86400.0
    stale_after: float = 14 * 86400.0
    upstream_checks: bool = False
    """Only what is green upstream."""

    @property
    def weighs_cost(self) -> bool:
        """Whether what would have to be compiled can hold it."""
        return self.max_builds is not None or bool(self.never_compile)


@dataclass(frozen=True)
class PolicyRules:
    """The rules of every input: its own, or the default."""

    default: InputRules = InputRules()
    inputs: Mapping[str, InputRules] = field(default_factory=dict)

    def of(self, input: str) -> InputRules:
        return self.inputs.get(input, self.default)

    def unmatched(self, known: Sequence[str]) -> tuple[str, ...]:
        """Sentences about rules for inputs that there are not: a misspelt rule would silently protect nothing."""
        return tuple(
            f"the configuration has rules for '{name}', which is no input" + near_name(name, known)
            for name in self.inputs
            if name not in known
        )


_CHANNEL = re.compile(r"(nixos|nixpkgs|release)-.+")


def revisions_of(locked: Locked, rules: InputRules) -> RevisionKind:
    """As configured; else tips for channels of nixpkgs (a cache has built those and no others) and for tarballs,
    which have no commits to ask for."""
    if rules.revisions is not None:
        return rules.revisions
    try:
        ref = FlakeRef.read(locked.original)
    except FlakeRefError:
        return RevisionKind.TIPS
    if ref.type in ("tarball", "file", "path", "indirect"):
        return RevisionKind.TIPS
    name = ref.text("repo") or ref.text("url").partition("?")[0].rstrip("/").rpartition("/")[2]
    branch = (ref.ref or "").removeprefix("refs/heads/")
    channel = name.lower().removesuffix(".git") == "nixpkgs" and _CHANNEL.fullmatch(branch) is not None
    return RevisionKind.TIPS if channel else RevisionKind.COMMITS


def near_name(name: str, known: Sequence[str]) -> str:
    """`; did you mean 'X'?`, or nothing."""
    near = get_close_matches(name, known, 1)
    return f"; did you mean '{near[0]}'?" if near else ""
