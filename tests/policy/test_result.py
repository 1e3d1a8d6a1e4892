"""What policy says of a proposal as a whole."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations

import pytest

from lockbot.policy.decisions import Hold, HoldReason
from lockbot.policy.result import PolicyResult
from tests.policy.moves import days_ago

SOON, LATER = days_ago(-1), days_ago(-5)


@pytest.mark.parametrize("names", list(permutations("abc")))
@pytest.mark.parametrize(
    ("first", "second", "until"),
    [(SOON, LATER, LATER), (SOON, None, None), (SOON, SOON, SOON), (None, None, None)],
)
def test_a_group_may_move_when_the_last_that_is_kept_back_may(
    names: tuple[str, str, str], first: datetime | None, second: datetime | None, until: datetime | None
) -> None:
    """Whatever their names: None is until a person says so."""
    one, other, free = names
    result = PolicyResult(dict.fromkeys("abc", "2" * 40))
    result.hold(one, None, Hold(HoldReason.AGE, "young", first))
    result.hold(other, None, Hold(HoldReason.CACHE, "dear", second))
    result.hold_groups([frozenset("abc")], (), (), {})
    assert result.targets == {}
    assert result.until.get(free) == until
