"""What policy says of a proposal as a whole: where inputs may go, what is kept back, until when and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lockbot.model import Held, Locked
from lockbot.policy.decisions import Hold, HoldReason, Refuse
from lockbot.report import words


@dataclass
class PolicyResult:
    """What may be tried: input → revision; and what may not, with the reason."""

    targets: dict[str, str] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """Sentences for the commit's reader."""
    until: dict[str, datetime] = field(default_factory=dict)
    """When a held input may move by itself."""
    waiting_for_cache: set[str] = field(default_factory=set)
    """Inputs that wait for a cache, whatever else holds them."""
    checked: dict[str, Locked] = field(default_factory=dict)
    """Inputs (as locked at their tip) of which only what is green upstream may be tried."""

    def hold(self, name: str, locked: Locked | None, decision: Hold | Refuse) -> None:
        self.targets.pop(name, None)
        revision = locked.revision or None if locked is not None else None
        self.held.append(Held(name, decision.reason, decision.detail, revision))
        if isinstance(decision, Hold) and decision.until is not None:
            self.until[name] = decision.until

    def wait_for_cache(self, name: str, decision: Hold) -> None:
        """A revision that the input could have gone to instead waits: it is tried again then."""
        self.waiting_for_cache.add(name)
        times = [time for time in (decision.until, self.until.get(name)) if time is not None]
        if times:
            self.until[name] = min(times)

    def hold_groups(
        self,
        groups: Sequence[frozenset[str]],
        kept: Collection[str],
        free: Collection[str],
        before: Mapping[str, Locked],
    ) -> None:
        """Of inputs that move as one or not at all, none moves while one is kept back (here, or in `kept`), but
        `free` ones, which the user wants to move."""
        held = {item.input: self.until.get(item.input) for item in self.held} | dict.fromkeys(kept)
        waiting = True
        while waiting:  # groups may share inputs
            waiting = False
            for group in groups:
                back = sorted(name for name in group & held.keys() if name not in self.targets)
                for name in [name for name in self.targets if back and name in group and name not in free]:
                    detail = f"moves together with {words.listed(back)}, and that is kept back"
                    times = [time for one in back if (time := held[one]) is not None]
                    until = max(times) if len(times) == len(back) else None  # the last of them decides
                    self.hold(name, before.get(name), Hold(HoldReason.GROUP, detail, until))
                    held[name] = until
                    waiting = True
