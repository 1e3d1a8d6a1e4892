"""Long names that differ in one place are told apart wherever lockbot shows them, and as files."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockbot import state
from lockbot.app import flake_key
from lockbot.commands import hosts, inputs, metrics, status
from lockbot.commands.history import history
from lockbot.git.inputs import cache
from lockbot.git.publish import parking
from lockbot.history import logs
from lockbot.history.input_states import InputState, StateWord
from lockbot.history.summaries.runs import RunSummary
from lockbot.judge import verdict_cache
from lockbot.model import (
    ChangeKind,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostEvaluating,
    HostStatus,
    InputChange,
    Locked,
    Outcome,
    Run,
)
from lockbot.policy.rules import InputRules
from lockbot.report import commit, terminal
from lockbot.report.escape import name as named
from lockbot.report.progress import PlainProgress, Watched
from lockbot.report.styled_lines import Line, text
from lockbot.report.table import columns

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG = "n" * 150
NAMES = {
    "at the end": (LONG + "-one", LONG + "-two"),
    "in the middle": (LONG + "-one-" + LONG, LONG + "-two-" + LONG),
    "at the beginning": ("one-" + LONG, "two-" + LONG),
    "in the length": (LONG, LONG + "n"),
    "of 300 bytes": ("h" * 299 + "a", "h" * 299 + "b"),
    "in other letters": ("ж" * 150 + "а", "ж" * 150 + "б"),
    "of two columns each": ("字" * 100 + "甲" + "字" * 50, "字" * 100 + "乙" + "字" * 50),
    "by what is not seen": (LONG + "\u200b" + LONG, LONG + "\u2060" + LONG),
    "in case": (LONG + "A", LONG + "a"),
    "in how it is composed": (LONG + "é", LONG + "e\u0301"),
    "in a slash": (LONG + "/b", LONG + "-b"),
}
SHORT = {
    "a slash": ("a/b", "a-b"),
    "case": ("Web", "web"),
    "dots": ("..", "."),
    "composed": ("é", "e\u0301"),
    "no UTF-8": ("\udcff", "\udcfe"),
    "nothing readable": ("", "/"),
}


def lock(revision: str = "1" * 40) -> Locked:
    return Locked("github", f"github:o/r/{revision}", "github:o/r", revision, last_modified=1_700_000_000)


def change(name: str) -> InputChange:
    return InputChange(name, ChangeKind.UPDATED, lock(), lock("2" * 40))


def host(name: str) -> HostBuild:
    why = Failure(FailureKind.BUILD, "boom", None, ("line",))
    return HostBuild(Host(name, ("nixosConfigurations", name)), HostStatus.FAILED, failure=why)


def message(name: str) -> str:
    return commit.commit_message("r1", [change(name)], [host("web")], now=NOW, links={})


def status_lines(names: tuple[str, str]) -> tuple[Line, ...]:
    states = [InputState(name, NOW, StateWord.HELD, "breaks", "web") for name in names]
    rows = tuple(status.Row(one.input, InputRules(), lock(), one) for one in states)
    return status.lines(status.Status(NOW, rows, ()), 80)


def run(name: str) -> Run:
    told = (Held(name, "breaks", "web does not build"),)
    return Run(
        "r1", "/x", NOW, Outcome.REJECTED, NOW, "main", changes=(change(name),), hosts=(host(name),), held=told
    )


def summary(name: str) -> RunSummary:
    return RunSummary(
        name, "", "", NOW, NOW, Outcome.FAILED, "m", None, None, None, False, False, "why", 1, 2, 3, 4
    )


def watched(names: tuple[str, str]) -> tuple[Line, ...]:
    seen = Watched(lambda: 0.0)
    for name in names:
        seen.observe(HostEvaluating(name))
    return tuple(seen.picture(80))


def plain_progress(name: str) -> str:
    out = io.StringIO()
    PlainProgress(out, lambda: 0.0)(HostEvaluating(name))
    return out.getvalue()


EACH: dict[str, Callable[[str], str]] = {
    "a name in a sentence": named,
    "a label of a metric": metrics.label,
    "a commit's subject": lambda name: message(name).splitlines()[0],
    "a commit's body": lambda name: message(name).split("\n\n")[1],
    "a commit's list of inputs": lambda name: next(x for x in message(name).splitlines() if x.startswith("•")),
    "a commit's hosts": lambda name: commit.commit_message("r1", [], [host(name)], now=NOW, links={}).split(
        "\n\n"
    )[1],
    "a run's inputs": lambda name: text(terminal.summary(run(name))).split("\n\n")[1],
    "a run's hosts": lambda name: text(terminal.summary(run(name))).split("\n\n")[2],
    "a run's failures": lambda name: text(terminal.summary(run(name))).split("\n\n")[3],
    "a run's held inputs": lambda name: text(terminal.summary(run(name))).split("\n\n")[4],
    "progress": plain_progress,
}
TOGETHER: dict[str, Callable[[tuple[str, str]], tuple[Line, ...]]] = {
    "status": status_lines,
    "inputs": lambda names: inputs.inputs_table(
        [inputs.InputRow(name, lock(), None, True, None) for name in names], NOW, 80, asked=True
    ),
    "hosts": lambda names: hosts.hosts_table(
        [hosts.HostRow(host(name).host, True, host(name)) for name in names], 80
    ),
    "history": lambda names: history([summary(name) for name in names], NOW, 80),
    "progress on a terminal": watched,
}
FILES: dict[str, Callable[[str], str]] = {
    "a log": lambda name: str(logs._file(Path("/logs"), "20261122-154703-3f9a", name)),
    "a run's logs": lambda name: str(logs._directory(Path("/logs"), name)),
    "a repository's place": lambda name: f"{state.digest(name)}",
    "a flake's answers": lambda name: str(verdict_cache.file(Path("/x"), flake_key("/x", name, ""))),
    "a cache of an upstream": lambda name: cache._name(f"https://example.org/{name}"),
    "a branch to park on": lambda name: parking("main", name),
    "a branch to park on, by branch": lambda name: parking(name, ""),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("where", EACH)
def test_two_long_names_are_two_names(where: str, names: tuple[str, str]) -> None:
    one, other = map(EACH[where], names)
    assert one != other
    assert max(map(len, (one + other).split())) <= 2 * 210, "and they are shortened"


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("where", TOGETHER)
def test_two_long_names_in_one_table_are_two_names(where: str, names: tuple[str, str]) -> None:
    lines = text(TOGETHER[where](names)).splitlines()
    assert all(columns(one) <= 80 for one in lines[:3])
    assert len(set(lines[-2:])) == 2 or where == "status"
    assert len(set(lines[1:3])) == 2


@pytest.mark.parametrize("names", [*NAMES.values(), *SHORT.values()], ids=[*NAMES, *SHORT])
@pytest.mark.parametrize("where", FILES)
def test_files_of_two_names_are_two_files(where: str, names: tuple[str, str]) -> None:
    """Also where case does not count, and none is too long for a file."""
    if where.startswith("a branch") and (set(names) & {"", ".", "..", "\udcff", "/"} or "\udcff" in names[0]):
        return  # no branch is called so
    try:
        one, other = map(FILES[where], names)
    except UnicodeEncodeError:
        pytest.fail("a name that is no UTF-8 has no file")
    assert one != other
    if not where.startswith("a branch"):
        assert one.lower() != other.lower()
    for path in (one, other):
        assert all(len(part.encode(errors="surrogateescape")) <= 250 for part in path.split("/"))


def test_a_repositorys_place_is_its_own_whatever_it_is_called(tmp_path: Path) -> None:
    made = state.StateDirectory(tmp_path / "state")
    every = [name for pair in (*NAMES.values(), *SHORT.values()) for name in pair]
    places = [made.repository_directory(f"/srv/{name}") for name in every]
    assert len({str(place).lower() for place in places}) == len(every)


def test_two_revisions_that_begin_alike_are_two_revisions() -> None:
    for at in (7, 20, 39):
        old, new = "a" * 40, "a" * at + "b" + "a" * (39 - at)
        one = InputChange("x", ChangeKind.UPDATED, lock(old), lock(new))
        told = text(terminal.summary(Run("r1", "/x", NOW, Outcome.PUBLISHED, NOW, changes=(one,))))
        (moved,) = [part for part in told.splitlines() if "→" in part]
        before, after = moved.split("→")
        assert before.split()[1] != after.split()[0]
        assert old.startswith(before.split()[1]) and new.startswith(after.split()[0])
    short = text(terminal.summary(Run("r1", "/x", NOW, Outcome.PUBLISHED, NOW, changes=(change("x"),))))
    assert "1111111 (2023-11-14) → 2222222 (2023-11-14)" in short
