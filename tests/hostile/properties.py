"""A property of a surface: what must hold whatever a stranger puts there.

In the suite each is tried with a few examples, the same each time; `make fuzz` (`fuzz.py`) tries new ones for as
long as it is told to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

EXAMPLES = 60
"""In the suite, where a property does not say another number."""


@contextlib.contextmanager
def nothing() -> Iterator[None]:
    yield None


@dataclass
class Property:
    """`check` gets what `room` makes for all examples, and one example."""

    surface: str
    name: str
    strategy: st.SearchStrategy[Any]
    check: Callable[[Any, Any], None]
    room: Callable[[], AbstractContextManager[Any]]
    tried: int = field(default=0)

    def run(self, examples: int, random: Random | None = None) -> None:
        """`random` None: the same examples each time. Raises what the check raises, of the smallest example."""

        def one(room: Any, example: Any) -> None:
            self.tried += 1
            self.check(room, example)

        with self.room() as room:
            quiet = settings(
                max_examples=examples,
                derandomize=random is None,
                deadline=None,
                database=None,
                verbosity=Verbosity.normal,
                print_blob=False,
                phases=(Phase.generate, Phase.target, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )
            each = quiet(given(self.strategy)(lambda example: one(room, example)))
            (each if random is None else seed(random.randrange(2**32))(each))()


EVERY: list[Property] = []


def holds(
    surface: str,
    strategy: st.SearchStrategy[Any],
    room: Callable[[], AbstractContextManager[Any]] = nothing,
    examples: int = EXAMPLES,
) -> Callable[[Callable[[Any, Any], None]], Callable[[], None]]:
    """Makes a test of a function of a room and an example."""

    def made(check: Callable[[Any, Any], None]) -> Callable[[], None]:
        found = Property(surface, check.__name__.removeprefix("test_"), strategy, check, room)
        EVERY.append(found)

        def test() -> None:
            found.run(examples)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return made
