"""What becomes of units at a switch, put together from what is decided for each."""

from __future__ import annotations

from dataclasses import dataclass, field

from lockbot.model.difference import SwitchEffects


@dataclass
class SwitchPlan:
    """Names of units, as switch-to-configuration collects them. `hidden` are targets, which it starts at every
    switch without a word."""

    stop: set[str] = field(default_factory=set)
    start: set[str] = field(default_factory=set)
    restart: set[str] = field(default_factory=set)
    reload: set[str] = field(default_factory=set)
    skip: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)

    def effects(self) -> SwitchEffects:
        """For a reader: what is stopped first and started again with the new system is restarted."""
        stop, start = self.stop - self.hidden, self.start - self.hidden
        restart = self.restart | (stop & start)
        return SwitchEffects(
            restart=_names(restart),
            reload=_names(self.reload - restart),
            stop=_names(stop - restart),
            start=_names(start - restart),
            keep=_names(self.skip - restart),
        )


def _names(units: set[str]) -> tuple[str, ...]:
    return tuple(sorted(units))
