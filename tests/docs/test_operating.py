"""docs/operating.md against the alerts, the metrics and what lies in a state directory."""

from __future__ import annotations

import fnmatch
import re
import sqlite3

from lockbot import retention, state
from lockbot.commands.metrics import GAUGES
from lockbot.daemon import memory
from tests.docs.house import House
from tests.docs.pages import DOCS, coded, rows
from tests.nixes import PROJECT

PAGE = DOCS["operating"]


def test_every_alert_has_a_section_that_says_what_to_do() -> None:
    alerts = re.findall(r"^ *- alert: (\w+)$", (PROJECT / "config/alerts.example.yml").read_text(), re.MULTILINE)
    assert alerts == re.findall(r"^### (.*)$", PAGE.section("Alerts"), re.MULTILINE)
    for alert in alerts:
        assert len(PAGE.section(alert).split()) > 10, alert


def test_every_metric_is_in_the_table() -> None:
    told = {coded(name)[0]: (coded(labels), meaning) for name, labels, meaning in rows(PAGE.section("Metrics"))}
    assert told.pop("lockbot_info")
    known = {
        f"lockbot_{name}": ([one for one in kind.labels if one not in ("repository", "flake")], kind.meaning)
        for name, kind in GAUGES.items()
    }
    assert told == known


def documented() -> list[str]:
    """Patterns of what the page says that there is in the state directory."""
    names = [name for cells in rows(PAGE.section("The state directory")) for name in coded(cells[0])]
    names += [f"history.sqlite{name}" for name in names if name.startswith("-")]
    return [re.sub(r"NAME-HASH|HASH|RUN|TIME", "*", name).rstrip("/") for name in names]


def test_all_that_lies_in_the_state_directory_is_explained(house: House) -> None:
    assert house.sh("lockbot pause --why 'a look' && lockbot status").returncode == 0
    inside = (*house.state.iterdir(), *house.state.glob("repos/*/*"), *house.state.glob("logs/*"))
    names = [str(path.relative_to(house.state)) for path in inside if path.name not in ("repos", "logs")]
    assert "paused" in names and "history.sqlite" in names
    unknown = [name for name in names if not any(fnmatch.fnmatchcase(name, one) for one in documented())]
    assert not unknown
    house.sh("lockbot resume")


def test_what_the_program_calls_its_files_is_explained() -> None:
    top = (memory.SCHEDULE, memory.DAEMON, memory.PAUSED, state.NIX_DATA)
    inner = (state.CLONE, state.WORKTREES, state.ROOTS, state.UPSTREAMS, state.LOCK, state.LOOKING, state.SENDING)
    assert {*top, *(f"repos/*/{name}" for name in inner)} <= set(documented())


def test_a_backup_brings_back_what_was_lost(house: House) -> None:
    """The page's own lines, one after the other, with a loss between them."""
    copy = house.directory / "lockbot.sqlite"
    copy.unlink(missing_ok=True)
    before = house.json("lockbot history --json --limit 1000")["runs"]
    (save,) = PAGE.section("Backup").split("```sh\n")[1].split("```")[0].splitlines()
    assert house.sh(house.here(save)).returncode == 0
    for path in house.state.glob("history.sqlite*"):
        path.unlink()
    assert house.json("lockbot history --json")["runs"] == []
    with sqlite3.connect(copy) as kept:
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for line in PAGE.section("Restore").split("```sh\n")[1].split("```")[0].splitlines():
        assert house.sh(house.here(line)).returncode == 0, line
    assert house.json("lockbot history --json --limit 1000")["runs"] == before


def test_what_stays_is_told_as_it_is() -> None:
    assert dict(rows(PAGE.section("What grows, and what bounds it"))) == retention.bounds()
