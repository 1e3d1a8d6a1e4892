from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.nixes import Nix
from tests.pull_requests.forges import FORGES, host_of
from tests.pull_requests.world import Nights
from tests.sampling import EVERYTHING

Make = Callable[..., Nights]


def by_turns(kind: str) -> pytest.MarkDecorator:
    """Where the forges differ little: on one of them, on another for the next test."""
    return pytest.mark.parametrize("kind", FORGES if EVERYTHING else [kind])


@pytest.fixture(params=FORGES)
def kind(request: pytest.FixtureRequest) -> str:
    """Each forge in turn."""
    return str(request.param)


@pytest.fixture
def nights(one_nix: Nix, tmp_path: Path, kind: str) -> Iterator[Make]:
    """Makes a fleet on the forge; keywords as `Nights` has them."""
    with ExitStack() as stack:

        def make(**options: object) -> Nights:
            host = stack.enter_context(host_of(tmp_path / "forge"))
            return Nights(one_nix, tmp_path, FORGES[kind](host), **options)  # type: ignore[arg-type]  # by name

        yield make
