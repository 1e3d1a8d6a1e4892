"""Which of the revisions that were seen at a tip came after the locked one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.history.input_states import SeenTip
from lockbot.policy.upstream_log import tips_ahead
from tests.policy.moves import (
    OLD,
    days_ago,
    locked,
)


def tip(revision: str, first: float, last: float, committed: int | None = None) -> SeenTip:
    return SeenTip("s", revision, days_ago(first), days_ago(last), committed)


def test_tips_that_came_after_the_locked_one() -> None:
    tips = [tip("c", 1, 0), tip(OLD, 3, 2), tip("a", 9, 8)]
    assert tips_ahead(tips, locked()) == ("c",)
    # Locked by hand at a revision that was never seen at the tip: what was seen may be older than that.
    unseen = [tip("c", 1, 0, 1_700_000_001), tip("b", 3, 2, 1_700_000_000), tip("a", 9, 8)]
    assert tips_ahead(unseen, locked()) == ("c",)
    assert tips_ahead(unseen, locked(date=None)) == ()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.none() | st.integers(0, 30)), max_size=8), st.integers(0, 40))
def test_tips_never_lead_back(given_tips: list[tuple[int, int | None]], date: int) -> None:
    """The locked revision is none of them: only what is dated later may be taken."""
    tips = [tip(f"r{number}", first, 0, committed) for number, (first, committed) in enumerate(given_tips)]
    dates = {one.revision: one.committed for one in tips}
    for ahead in tips_ahead(tips, locked(date=date)):
        committed = dates[ahead]
        assert committed is not None
        assert committed > date
