"""What the pages show of lockbot's output is the demo's own, and the tables on it are whole."""

from __future__ import annotations

import re

import pytest

from lockbot.model import HostStatus, Outcome
from tests.docs.house import House
from tests.docs.pages import DOCS, EXAMPLE_DIRECTORY, FOR_USERS, Page, coded, rows


def shown(page: Page) -> list[str]:
    """Blocks of output. architecture.md has drawings instead."""
    return [] if page.path.stem == "architecture" else page.blocks("", "console")


PICTURES = [pytest.param(text, id=str(page)) for page in FOR_USERS for text in shown(page)]


def timeless(text: str, directory: str = EXAMPLE_DIRECTORY) -> str:
    """Without what differs from day to day, from machine to machine and from one Nix to the next."""
    text = text.replace(directory, "DEMO")
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN", text)
    text = re.sub(r"[0-9a-z]{32}-", "HASH-", text)
    text = re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", text)
    text = re.sub(r"(Published) [0-9a-f]{7}\b", r"\1 COMMIT", text)
    text = re.sub(r"(Date: +).*", r"\1DATE", text)
    return re.sub(r"(?:Cannot build|builder for) '[^']*':?(?: builder)? failed with exit code 1", "FAILED", text)


@pytest.mark.parametrize("text", PICTURES)
def test_a_picture_is_what_the_demo_says(text: str, house: House) -> None:
    assert timeless(text).strip() in timeless(house.told, str(house.directory))


def test_there_are_some() -> None:
    assert len(PICTURES) >= 3


def test_outcomes_and_exit_codes() -> None:
    told = {cells[0].strip("`"): cells[1] for cells in rows(DOCS["how-it-works"].section("Outcomes"))}
    assert told == {outcome.value: str(outcome.exit_code) for outcome in Outcome}


def test_every_status_of_a_host_is_explained() -> None:
    told = [coded(cells[0])[0] for cells in rows(DOCS["how-it-works"].section("What each host can be"))]
    assert sorted(told) == sorted(HostStatus)
