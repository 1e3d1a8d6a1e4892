"""What is told of a host that the search could not take as good or bad."""

from __future__ import annotations

from itertools import product

import pytest

from lockbot.model import Answer
from lockbot.update.oracle import why_unjudged
from tests.judge.test_gate import BAD, UNJUDGED, build_of

NOT_JUDGED = "could not be judged"


@pytest.mark.parametrize(("before", "now"), list(product(Answer, (BAD, UNJUDGED))))
def test_only_what_could_not_be_judged_is_said_to_be_so(before: Answer, now: Answer) -> None:
    """With the gate `all-green` a host may block that is bad with the update as without it."""
    said = why_unjudged(build_of("web", before, now))
    assert (NOT_JUDGED in said) == (before is UNJUDGED and now is BAD), said
    assert said.startswith("build failed" if now is BAD else "timed out")
