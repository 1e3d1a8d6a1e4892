"""What is to be built next: what is wanted, and while that is nothing, what may turn out not to be needed.

Its owner takes turns: nothing here locks. It must not know how anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lockbot.nix.build.target import Target
from lockbot.process import CancelToken


@dataclass
class Attempt:
    """What is built while it is not known whether it is needed, and how that is ended."""

    target: Target
    cancel: CancelToken
    needed: bool = False
    """Somebody has come to want it: it is not given up any more."""

    @property
    def given_up(self) -> bool:
        return self.cancel.reason is not None


@dataclass
class BuildQueue:
    wanted: dict[str, Target] = field(default_factory=dict)
    perhaps: dict[str, Target] = field(default_factory=dict)
    attempt: Attempt | None = None
    """What is under way, of `perhaps`."""

    def __bool__(self) -> bool:
        return bool(self.wanted or self.perhaps)

    def want(self, target: Target, *, anew: bool = False) -> None:
        """`anew`: what is under way is no answer."""
        self.perhaps.pop(target.drv, None)
        attempt = self._attempt_at(target.drv)
        if attempt is not None and not attempt.given_up and not anew:
            attempt.needed = True
        else:
            self.wanted.setdefault(target.drv, target)

    def try_meanwhile(self, target: Target) -> None:
        if target.drv not in self.wanted and self._attempt_at(target.drv) is None:
            self.perhaps.setdefault(target.drv, target)

    def give_up(self, drv: str) -> None:
        self.perhaps.pop(drv, None)
        attempt = self._attempt_at(drv)
        if attempt is not None and not attempt.needed:
            attempt.cancel.cancel("it is not needed")

    def take(self, cancel: CancelToken) -> list[Target]:
        """What to build now: all that is wanted, else one that may be (`attempt`), which ends with this token."""
        self.attempt = None
        if self.wanted:
            targets = list(self.wanted.values())
            self.wanted.clear()
            return targets
        target = self.perhaps.pop(next(iter(self.perhaps)))
        self.attempt = Attempt(target, CancelToken(parent=cancel))
        return [target]

    def done(self) -> None:
        """What was taken is built, or was given up."""
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.cancel.close()

    def clear(self) -> None:
        self.wanted.clear()
        self.perhaps.clear()

    def _attempt_at(self, drv: str) -> Attempt | None:
        return self.attempt if self.attempt is not None and self.attempt.target.drv == drv else None
