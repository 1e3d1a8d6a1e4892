"""`lockbot metrics`: read back by Prometheus' own parser, from a real history, ledger and lock."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from lockbot import __version__
from lockbot.cli import cli
from lockbot.commands import metrics
from lockbot.daemon import memory
from lockbot.errors import SurroundingsError
from lockbot.history.input_states import Observation, StateWord, UserHold
from lockbot.model import (
    ChangeKind,
    Failure,
    FailureKind,
    Heard,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Outcome,
    PullRequestState,
    UntilMerged,
)
from tests.commands.test_healthcheck import HOUR, Watched, watched  # noqa: F401 -- a fixture
from tests.commands.test_status import LOCKED_AT, ONE, TWO, lock
from tests.history.samples import PULL_REQUEST
from tests.nixes import PROJECT

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
HOSTILE = 'x"} 1\nlockbot_alarms{repository="y\\'
ALERTS = PROJECT / "config" / "alerts.example.yml"


def parsed(text: bytes) -> Series:
    """Every series; one that is there twice is an error, as it is for Prometheus."""
    found: Series = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def read(watched: Watched) -> Series:  # noqa: F811 -- the fixture is imported
    return parsed(metrics.render(watched.app))


def values(series: Series, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The samples of one metric, by the values of these labels."""
    picked = {
        tuple(dict(given)[label] for label in labels): value
        for (one, given), value in series.items()
        if one == name
    }
    assert picked, f"no sample of {name}"
    return picked


def value(series: Series, name: str) -> float:
    (one,) = values(series, name).values()
    return one


def names(series: Series) -> set[str]:
    return {name for name, _ in series}


def eventful(watched: Watched) -> None:  # noqa: F811
    """Every gauge has a sample after this."""
    failure = Failure(FailureKind.BUILD, "broke")
    hosts = (
        HostBuild(Host("web", ("web",)), HostStatus.BUILT),
        HostBuild(Host("mail", ("mail",)), HostStatus.FAILED, failure=failure),
    )
    changes = (InputChange("a", ChangeKind.UPDATED),)
    watched.ran(Outcome.FAILED, ago=9 * HOUR, seconds={"sync": 1.5})
    watched.ran(Outcome.PUBLISHED, ago=3 * HOUR, commit=TWO, seconds={"sync": 2.0, "judge": 60.0})
    watched.ran(Outcome.PUBLISHED, ago=HOUR, dry_run=True, commit=TWO, seconds={"sync": 100.0})
    watched.ran(Outcome.REJECTED, ago=2 * HOUR, hosts=hosts, changes=changes, seconds={"sync": 0.5})
    watched.ran(None, ago=HOUR)
    watched.record(
        Observation("a", StateWord.HELD, ONE, asked=True, reason="breaks"),
        Observation("b", StateWord.UNREACHABLE, ONE, asked=False, reason="fetch-failed"),
    )
    app = watched.app
    with app.history() as past:
        past.ledger(app.place().flake).record_tip("a", "github:o/a", TWO, int(LOCKED_AT.timestamp()) + 7200)


def waiting(watched: Watched) -> None:  # noqa: F811
    """A hold that ends by itself, of which nobody has heard for an hour."""
    now = watched.now
    heard = Heard(now, "no network", now - HOUR)
    hold = UserHold("a", "w", now - 2 * HOUR, ends=UntilMerged("https://github.com/o/r/pull/1"), heard=heard)
    app = watched.app
    with app.history() as past:
        past.ledger(app.place().flake).hold(hold)


def request(watched: Watched, **fields: Any) -> None:  # noqa: F811
    with watched.app.history() as past:
        past.pull_requests(watched.app.place().flake).save(replace(PULL_REQUEST, **fields))


def test_pull_requests(watched: Watched) -> None:  # noqa: F811
    eventful(watched)
    assert value(read(watched), "lockbot_pull_requests") == 0
    then = watched.now - 3 * HOUR
    request(watched, opened=then)
    request(watched, id="other", opened=watched.now, left_alone="")
    request(watched, id="over", opened=then - HOUR, state=PullRequestState.LANDED, changed=watched.now)
    series = read(watched)
    assert value(series, "lockbot_pull_requests") == 2
    assert value(series, "lockbot_pull_requests_left_alone") == 1
    assert value(series, "lockbot_pull_requests_oldest_timestamp_seconds") == then.timestamp()
    assert value(series, "lockbot_last_publish_timestamp_seconds") == watched.now.timestamp()


def test_runs(watched: Watched) -> None:  # noqa: F811
    eventful(watched)
    series, now = read(watched), watched.now.timestamp()
    outcomes = values(series, "lockbot_runs", "outcome")
    assert outcomes.keys() == {(word,) for word in [*Outcome, "unfinished"]}
    assert {word: number for (word,), number in outcomes.items() if number} == {
        "failed": 1, "published": 1, "rejected": 1, "unfinished": 1,
    }  # fmt: skip
    assert values(series, "lockbot_phase_seconds", "phase") == {("sync",): 4.0, ("judge",): 60.0}
    assert values(series, "lockbot_last_run_phase_seconds", "phase") == {("sync",): 0.5}
    assert value(series, "lockbot_last_run_start_timestamp_seconds") == now - 3600
    assert value(series, "lockbot_last_run_end_timestamp_seconds") == now - 7200 + 60
    assert value(series, "lockbot_last_success_timestamp_seconds") == now - 3 * 3600 + 60
    assert value(series, "lockbot_last_publish_timestamp_seconds") == now - 3 * 3600 + 60
    assert value(series, "lockbot_last_run_unfinished") == 1
    assert value(series, "lockbot_runs_in_vain") == 0
    last = values(series, "lockbot_last_run_outcome", "outcome")
    assert [word for (word,), number in last.items() if number] == ["rejected"]
    hosts = values(series, "lockbot_last_run_hosts", "status")
    assert (hosts["built",], hosts["failed",], hosts["unchanged",]) == (1, 1, 0)
    assert values(series, "lockbot_last_run_failures", "kind") == {("build",): 1}
    assert value(series, "lockbot_last_run_changes") == 1
    assert values(series, "lockbot_info", "version") == {(__version__,): 1}


def test_inputs(watched: Watched) -> None:  # noqa: F811
    eventful(watched)
    watched.now += timedelta(days=1)
    series, then = read(watched), watched.now.timestamp() - 86400
    assert values(series, "lockbot_input_age_seconds", "input") == {("a",): 11 * 86400, ("b",): 11 * 86400}
    assert values(series, "lockbot_input_behind_seconds", "input") == {("a",): 7200}
    assert values(series, "lockbot_input_last_attempt_timestamp_seconds", "input") == {("a",): then, ("b",): then}
    assert values(series, "lockbot_input_last_success_timestamp_seconds", "input") == {("a",): then}
    assert values(series, "lockbot_input_unreachable_since_timestamp_seconds", "input") == {("b",): then}
    assert values(series, "lockbot_input_stuck_since_timestamp_seconds", "input") == {("a",): then}
    assert set(values(series, "lockbot_input_state", "input", "state", "reason")) == {
        ("a", "held", "breaks"),
        ("b", "unreachable", "fetch-failed"),
    }
    assert values(series, "lockbot_held_inputs", "reason") == {("breaks",): 1, ("fetch-failed",): 1}
    assert value(series, "lockbot_inputs") == 2
    assert value(series, "lockbot_alarms") == 0
    watched.now += timedelta(days=30)
    assert value(read(watched), "lockbot_alarms") == 2


def test_a_hold_that_ends_by_itself(watched: Watched) -> None:  # noqa: F811
    waiting(watched)
    series, now = read(watched), watched.now.timestamp()
    assert values(series, "lockbot_input_hold_asked_timestamp_seconds", "input") == {("a",): now}
    assert values(series, "lockbot_input_hold_answered_timestamp_seconds", "input") == {("a",): now - 3600}


def test_nothing_ran_yet(watched: Watched) -> None:  # noqa: F811
    series = read(watched)
    assert value(series, "lockbot_repository_readable") == 1
    assert set(values(series, "lockbot_runs").values()) == {0}
    assert "lockbot_last_run_end_timestamp_seconds" not in names(series)


def test_disks(watched: Watched, tmp_path: Path) -> None:  # noqa: F811
    series = read(watched)
    free = values(series, "lockbot_disk_free_bytes", "place")
    assert free.keys() == {(str(tmp_path / "state"),), (str(tmp_path / "store"),)}
    assert min(free.values()) > 0
    assert set(values(series, "lockbot_disk_floor_bytes", "place").values()) == {2 * 1024**3}


def test_a_lock_that_can_not_be_read_costs_its_own_metrics_only(watched: Watched) -> None:  # noqa: F811
    watched.ran(Outcome.PUBLISHED)
    watched.commit("<<<<<<< ours")
    series = read(watched)
    assert value(series, "lockbot_repository_readable") == 0
    assert values(series, "lockbot_runs", "outcome")["published",] == 1
    assert "lockbot_inputs" not in names(series)


def test_a_repository_that_is_gone(watched: Watched) -> None:  # noqa: F811
    (watched.path / ".git").rename(watched.path / "gone")
    series = read(watched)
    assert values(series, "lockbot_repository_readable", "repository") == {(str(watched.path),): 0}
    assert "lockbot_disk_free_bytes" in names(series)


def test_the_same_repository_twice_is_no_duplicate(watched: Watched) -> None:  # noqa: F811
    assert parsed(metrics.render(watched.app, watched.app)).keys() == read(watched).keys()


def test_hostile_names_stay_in_their_labels(watched: Watched) -> None:  # noqa: F811
    document = json.loads(lock())
    extra = [HOSTILE, "\x1b[2J", "\\x1b[2J", "l" * 300, "l" * 301, "ünï", "{__name__=~'.+'}"]
    for name in extra:
        document["nodes"]["root"]["inputs"][name] = "b"
    watched.commit(json.dumps(document))
    series = read(watched)
    shown = {one for (one,) in values(series, "lockbot_input_age_seconds", "input")}
    assert len(shown) == 2 + len(extra), "no two became one"
    assert {"ünï", "\\x1b[2J"} <= shown
    assert all(name.isprintable() and len(name) <= metrics.LONGEST_LABEL for name in shown)
    assert value(series, "lockbot_alarms") == 1, "the name that pretends to be this metric made none"
    assert metrics.label("\ud800").encode() != metrics.label("\udfff").encode(), "no such text breaks the scrape"


def test_more_inputs_than_a_monitor_wants(watched: Watched) -> None:  # noqa: F811
    document = json.loads(lock())
    document["nodes"]["root"]["inputs"] |= {f"i{number}": "b" for number in range(2000)}
    watched.commit(json.dumps(document))
    series = read(watched)
    assert value(series, "lockbot_inputs") == 2002
    assert len(values(series, "lockbot_input_age_seconds", "input")) == metrics.MOST_INPUTS


# -- the textfile -----------------------------------------------------------------------------------------------


def test_the_command_prints_what_a_textfile_gets(watched: Watched, tmp_path: Path) -> None:  # noqa: F811
    textfile = tmp_path / "lockbot.prom"
    textfile.write_text("# HELP lockbot_info The version of an older lockbot.\n")
    textfile.chmod(0o600)
    printed = CliRunner().invoke(cli, ["metrics"], env=watched.environ)
    assert printed.exit_code == 0
    written = CliRunner().invoke(cli, ["metrics", "--textfile", str(textfile)], env=watched.environ)
    assert (written.exit_code, written.stdout) == (0, "")
    assert names(parsed(textfile.read_bytes())) == names(parsed(printed.stdout.encode())) != set()
    assert stat.S_IMODE(textfile.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["lockbot.prom"]
    assert not list(tmp_path.glob(".lockbot*"))


def test_a_textfile_that_can_not_be_written_stays(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match="missing"):
        metrics.write(tmp_path / "missing" / "lockbot.prom", b"new")
    assert list(tmp_path.iterdir()) == []


# -- the alerts -------------------------------------------------------------------------------------------------


def rules() -> list[dict[str, str]]:
    """The alerts' plain keys. Of YAML only as much as the file uses: `key: value`, and `key: >-` with its text."""
    found: list[dict[str, str]] = []
    key, deep = "", 0
    for line in ALERTS.read_text().splitlines():
        indent = len(line) - len(line.lstrip())
        if key and line.strip() and indent > deep:
            found[-1][key] += " " + line.strip()
            continue
        key = ""
        match = re.fullmatch(r" +(?:- )?(\w+):(?: (.*))?", line)
        if match is None or line.lstrip().startswith("#"):
            continue
        if match[1] == "alert":
            found.append({})
        if found:
            folded = (match[2] or "") == ">-"
            found[-1][match[1]] = "" if folded else (match[2] or "")
            key, deep = (match[1], indent) if folded else ("", 0)
    return found


def test_every_alert_is_whole() -> None:
    assert len(rules()) >= 6
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert {"alert", "expr", "for", "severity", "summary", "description"} <= rule.keys(), rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")"), rule["alert"]
        assert re.fullmatch(r"\d+[mhd]", rule["for"])


def test_the_daemon(watched: Watched) -> None:  # noqa: F811
    series = read(watched)
    assert "lockbot_daemon_up" not in names(series), "none is expected"
    assert value(series, "lockbot_daemon_paused") == 0
    scheduled(watched)
    series = read(watched)
    assert value(series, "lockbot_daemon_up") == 0
    memory.pause(watched.app.settings.state.directory, "why not", watched.now)
    assert value(read(watched), "lockbot_daemon_paused") == 1


def scheduled(watched: Watched) -> None:  # noqa: F811
    watched.environ = {**watched.environ, "LOCKBOT_SCHEDULE__WHEN": "@daily"}


def test_alerts_use_metrics_and_labels_that_there_are(watched: Watched) -> None:  # noqa: F811
    eventful(watched)
    scheduled(watched)
    waiting(watched)
    request(watched)
    labels: dict[str, set[str]] = {}
    for name, given in read(watched):
        labels.setdefault(name, set()).update(key for key, _ in given)
    assert labels.keys() == {f"lockbot_{name}" for name in metrics.GAUGES} | {"lockbot_info"}
    for rule in rules():
        used = set(re.findall(r"lockbot_\w+", rule["expr"]))
        assert used, rule["alert"]
        assert used <= labels.keys(), rule["alert"]
        known = set().union(*(labels[name] for name in used)) | {"instance"}
        matched = set(re.findall(r'(\w+)(?:=~|=|!=|!~)"', rule["expr"]))
        shown = set(re.findall(r"\$labels\.(\w+)", rule["summary"] + rule["description"]))
        assert matched | shown <= known, rule["alert"]
