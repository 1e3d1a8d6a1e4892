"""No secret is kept in the history, nor told from what an older lockbot kept; and nothing is lost by that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.history import logs, schema
from lockbot.history.input_states import Observation, StateWord, UserHold
from lockbot.history.store import History
from lockbot.model import ChangeKind, Failure, FailureKind, Held, HostBuild, HostStatus, InputChange, Locked, Run
from tests.history import samples
from tests.history.samples import FLAKE, NOON, clock
from tests.secrets import CANARY, URLS, WORDS, holding

SECRETS = "\n".join(map(holding, (*URLS.values(), *WORDS.values())))
REV = "1" * 40
DRV = f"/nix/store/{'0' * 32}-p.tar.gz?token={CANARY}.drv"
"""What is fetched may be called by its URL's last part."""


def everything(path: Path) -> bytes:
    """The database as it lies there, with what is on its way into it."""
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    return b"".join(file.read_bytes() for file in files)


def run_with(url: str) -> Run:
    """A run that has the URL wherever one can come."""
    locked = Locked("git", url, url, REV)
    failure = Failure(FailureKind.BUILD, f"cannot fetch {url}", DRV, (url,), url)
    host = replace(samples.host(url), attribute=("nixosConfigurations", url))
    return samples.run(
        changes=(InputChange(url, ChangeKind.UPDATED, locked, locked, url, url),),
        hosts=(HostBuild(host, HostStatus.FAILED, DRV, None, "x86_64-linux", failure),),
        held=(Held(url, "fetch-failed", url, REV, replace(samples.CULPRIT, subject=url, link=url, hosts=(url,))),),
        notes=(url,),
        error=url,
        hint=url,
        parked=url,
        repository=url,
    )


@pytest.mark.parametrize("template", URLS.values(), ids=URLS.keys())
def test_none_is_kept(template: str, tmp_path: Path) -> None:
    url = holding(template)
    path = tmp_path / "history.sqlite"
    with History.open(path, clock) as history:
        history.start(run_with(url))
        history.remember(FLAKE, "here", REV, run_with(url).hosts)
        ledger = history.ledger(FLAKE)
        ledger.hold(UserHold(url, url, NOON))
        ledger.record_tip(url, url, REV)
        ledger.record([Observation(url, StateWord.HELD, REV, asked=True, reason="r", detail=url)])
        ledger.remember("here", {DRV: run_with(url).hosts[0].failure})
        assert history.write_log("r00000", url, SECRETS, 10**6) is None
        assert CANARY.encode() not in everything(path)

        assert CANARY not in repr(history.get("r00000"))
        assert ledger.states()[url].state is StateWord.HELD, "an input is found by the name that it has"
        assert ledger.holds().get(url) is not None
        assert ledger.first_seen(url, url) == {REV: NOON}
        assert CANARY not in (history.read_log("r00000", url) or CANARY)


def test_a_secret_that_is_cut_in_half_was_taken_out_before(tmp_path: Path) -> None:
    line = f"https://{'x' * 300}{CANARY}{'x' * 300}@forge.invalid/p\n"
    with History.open(tmp_path / "history.sqlite", clock) as history:
        for limit in range(4096, 4096 + len(line), 40):
            assert history.write_log("r00000", "web", line * 100, limit) is None
            assert "xxx" not in (history.read_log("r00000", "web") or "xxx")


def test_a_token_that_was_rotated_forgets_no_tip(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.sqlite", clock) as history:
        ledger = history.ledger(FLAKE)
        ledger.record_tip("p", "git+https://joe:one@forge.invalid/p?ref=main", REV)
        for other in ("https://joe:two@", "https://two@", "https://"):
            assert ledger.first_seen("p", f"git+{other}forge.invalid/p?ref=main") == {REV: NOON}
        assert ledger.first_seen("p", "git+https://joe:one@forge.invalid/q?ref=main") == {}


def kept_by_an_older(path: Path, url: str) -> None:
    """Version 3: it kept what it was given."""
    earlier = "2026-11-21T12:00:00.000000+00:00"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        schema.migrate(raw, schema.MIGRATIONS[:3])
        raw.execute(
            "INSERT INTO runs (id, repository, flake, started, outcome, branch, pushed, dry_run, error, hint)"
            " VALUES ('old', ?, ?, ?, 'failed', 'main', 0, 0, ?, ?)",
            (url, FLAKE, earlier, url, url),
        )
        raw.execute(
            "INSERT INTO changes (run, position, input, kind, old_type, old_url, old_original, new_type, new_url,"
            " new_original) VALUES ('old', 0, 'p', 'updated', 'git', ?, ?, 'git', ?, ?)",
            (url, url, url, url),
        )
        tail = '["' + url.replace("\\", "\\\\").replace('"', '\\"') + '", "next"]'
        raw.execute(
            "INSERT INTO failures (id, kind, message, tail, log) VALUES (1, 'build', ?, ?, ?)", (url, tail, url)
        )
        raw.execute(
            "INSERT INTO hosts (run, position, name, attribute, kind, evaluate_only, status, failure)"
            " VALUES ('old', 0, 'web', '[]', 'attribute', 0, 'failed', 1)"
        )
        raw.execute("INSERT INTO held VALUES ('old', 0, 'p', 'origin-changed', ?, NULL, NULL)", (url,))
        raw.execute("INSERT INTO notes VALUES ('old', 0, ?)", (url,))
        raw.execute("INSERT INTO holds VALUES (?, 'p', ?, ?, NULL, NULL)", (FLAKE, url, earlier))
        raw.execute(
            "INSERT INTO inputs (flake, input, noticed, state, reason, detail) VALUES (?, 'p', ?, 'held', 'r', ?)",
            (FLAKE, earlier, url),
        )
        for source, when in ((url, "2026-11-20T12:00:00.000000+00:00"), (url.replace(CANARY, "other"), earlier)):
            raw.execute("INSERT INTO tips VALUES (?, 'p', ?, ?, ?, ?, 5)", (FLAKE, source, REV, when, when))
            raw.execute(
                "INSERT INTO tips_of_repositories VALUES ('/srv', 'p', ?, ?, ?, ?, 5)", (source, REV, when, when)
            )
    assert CANARY.encode() in everything(path)


@pytest.mark.parametrize("template", URLS.values(), ids=URLS.keys())
def test_what_an_older_lockbot_kept_is_kept_without(template: str, tmp_path: Path) -> None:
    url, path = holding(template), tmp_path / "history.sqlite"
    kept_by_an_older(path, url)
    with History.open(path, clock) as history:
        run = history.get("old")
        assert CANARY not in repr(run)
        assert run.error and run.changes[0].new and run.held[0].detail and run.notes[0]
        failure = run.hosts[0].failure
        assert failure is not None and failure.tail[1] == "next"
        ledger = history.ledger(FLAKE)
        assert ledger.holds()["p"].why and ledger.states()["p"].detail
        (tip,) = ledger.tips("p", url)
        assert (tip.first_seen.day, tip.last_seen.day, tip.committed) == (20, 21, 5)
    assert CANARY.encode() not in everything(path)


def test_an_older_log_is_told_without(tmp_path: Path) -> None:
    import gzip

    assert logs.write_log(tmp_path / "logs", "old", "web", "nothing", 10**6) is None
    (file,) = (tmp_path / "logs/old").iterdir()
    file.write_bytes(gzip.compress(f'# log of "web"\n{SECRETS}'.encode()))
    told = logs.read_log(tmp_path / "logs", "old", "web")
    assert told is not None and CANARY not in told and "forge.invalid" in told
