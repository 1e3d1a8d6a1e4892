"""What pages tell of a real past, a run that is at work, and repositories that can't be looked at."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from lockbot.cli import cli
from lockbot.errors import UsageError
from lockbot.model import Held, HostBuild, HostStatus, InputChange, Outcome, PullRequestState
from lockbot.model.change import ChangeKind
from lockbot.process import process_start
from lockbot.web.live import LARGEST_STEP, Followed
from lockbot.web.pages.feed import ATOM
from tests.nixes import git_environment
from tests.web.world import NEW, OLD, Served, World, host, lock, revision, served

DAY = timedelta(days=1)


def test_now(world: World, service: Served) -> None:
    page = service.ask("/.json").json
    (run,) = page["runs"]
    assert (run["phase"], run["expected_hosts"], run["looking"]["about"]) == ("judge", 3, 3)
    assert [(one["host"], one["state"]) for one in run["hosts"]] == [
        ("one", "decided"),
        ("two", "evaluating"),
        ("three", "evaluating"),
    ]
    assert [one["machine"] for one in run["building"]] == list(world.names)
    assert 0 < run["deadline_seconds"] < 24 * 3600
    assert page["daemon"]["next"].keys() == set(world.names)
    assert page["last"]["outcome"] == "failed"
    assert page["inputs"]["total"] == 3
    assert page["alarms"] or page["notes"] == []
    assert "refresh" not in service.ask("/").headers
    assert service.ask("/?refresh=7").headers["refresh"] == "7"


def test_pull_requests_are_links_where_their_pages_are_of_the_web(tmp_path: Path) -> None:
    world = World.create(tmp_path / "flake", git_environment(tmp_path / "home"))
    world.has_past_of_requests("https://git.example.org/o/r/pulls/5")
    with served(world.config, environ=world.environ) as service:
        link = '<a href="https://git.example.org/o/r/pulls/5" rel="noreferrer noopener">#5</a>'
        for page in ("/", "/inputs", "/inputs/one", "/runs/latest"):
            assert link in service.ask(page).text, page
        (one,) = service.ask("/index.json").json["pull_requests"]
        assert (one["number"], one["waits"]) == (5, "a check")
        assert "a check" in service.ask("/").text
        run = service.ask("/runs/latest.json").json
        assert [one["by_now"] for one in run["pull_requests"]] == ["open"]
        assert run["headline"] == "A pull request asks to take what was judged."
        world.has_past_of_requests("javascript:alert(1)", PullRequestState.MERGED)
        found = service.ask("/runs/latest").text
        assert "javascript:" not in found
        assert "A pull request asked to take what was judged." in found
        assert "by now merged" in found


def test_a_run_whose_process_is_gone_is_not_at_work(tmp_path: Path) -> None:
    world = World.create(tmp_path / "flake", git_environment(tmp_path / "home"))
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    run = world.runs_now(int(done.stdout))
    log = world.state / "logs" / run / "run.jsonl"
    followed = Followed()
    assert (found := followed.look(log)) is not None and not found.is_alive
    with log.open("a") as file:
        file.write(f'{{"event": "run started", "level": "info", "pid": {os.getpid()}}}\n{{"event": "phase", ')
    assert (found := followed.look(log)) is not None and found.is_alive
    with log.open("a") as file:  # the rest of the line, and far more than is read at one look
        file.write('"level": "info", "phase": "publish"}\nnoise\n' + '{"x": 1}\n' * (LARGEST_STEP // 9))
        file.write('{"event": "run ended", "level": "info"}\n')
    assert (found := followed.look(log)) is not None and found.ended
    with log.open("a") as file:  # another process has its number by now
        mine = f'"event": "run started", "level": "info", "pid": {os.getpid()}'
        file.write(f'{{{mine}, "start": "1"}}\n')
    assert (found := Followed().look(log)) is not None and not replace(found, ended=False).is_alive
    with log.open("a") as file:
        file.write(f'{{{mine}, "start": "{process_start(os.getpid())}"}}\n')
    assert (found := Followed().look(log)) is not None and replace(found, ended=False).is_alive
    log.unlink()
    assert followed.look(log) is None
    log.symlink_to("/etc/passwd")
    assert followed.look(log) is None


def test_hosts_that_wait_and_times_outside_the_calendar(tmp_path: Path) -> None:
    world = World.create(tmp_path / "flake", git_environment(tmp_path / "home"))
    world.has_a_past()
    log = world.state / "logs" / world.runs_now(os.getpid()) / "run.jsonl"
    head = f'"level": "info", "pid": {os.getpid()}'
    with log.open("a") as file:
        file.write(f'{{"event": "phase", "phase": "judge", "time": "0001-01-01T00:00:00+23:00", {head}}}\n')
        file.write(f'{{"event": "evaluating", "host": "one", "time": "9999-12-31T23:59:59-23:00", {head}}}\n')
    with served(world.config, environ=world.environ) as service:
        (told,) = service.ask("/index.json").json["runs"]
        page = service.ask("/")
    assert [(one["host"], one["state"], one["since"]) for one in told["hosts"]] == [
        ("one", "evaluating", None),
        ("three", "waiting", None),
        ("two", "waiting", None),
    ]
    assert told["phase_since"] is None
    assert page.status == 200 and page.text.count(">waiting<") == 2, page.text


def test_an_inputs_timeline(tmp_path: Path) -> None:
    world = World.create(tmp_path / "flake", git_environment(tmp_path / "home"), ["a", "b"])
    a = InputChange("a", ChangeKind.UPDATED, revision(OLD), revision(NEW), commits=7)
    b = replace(a, input="b", old=revision(NEW), new=revision(OLD))
    world.record(
        world.run(9 * DAY, Outcome.REJECTED, held=(Held("a", "breaks", "x"), Held("b", "breaks", "no"))),
        world.run(8 * DAY, Outcome.REJECTED, held=(Held("a", "breaks", "y"),)),
        world.run(7 * DAY, Outcome.PUBLISHED, commit="c" * 40, changes=(a, b)),
        world.run(6 * DAY, Outcome.REJECTED, changes=(a,), held=(Held("a", "breaks", "z"),)),
        world.run(5 * DAY, Outcome.UNJUDGED, held=(Held("a", "could-not-be-judged", "w"),)),
        world.run(4 * DAY, Outcome.PUBLISHED, commit="d" * 40, changes=(a,), dry_run=True),
    )
    with served(world.config, environ=world.environ) as service:
        told = service.ask("/inputs/a.json").json["timeline"]
        page = service.ask("/inputs/a").text
        gone = service.ask("/inputs/c")
    assert [(one["what"], one.get("reason"), one.get("runs"), one.get("detail")) for one in told] == [
        ("held", "could-not-be-judged", 1, "w"),
        ("held", "breaks", 1, "z"),
        ("moved", None, None, None),
        ("held", "breaks", 2, "y"),
    ]
    moved = told[2]
    assert (moved["old"], moved["new"], moved["commits"]) == (OLD, NEW, 7)
    assert moved["compare"] == f"https://github.com/o/r/compare/{OLD}...{NEW}"
    assert f'<a href="{moved["compare"]}" rel="noreferrer noopener">7 commits</a>' in page
    assert gone.status == 404


def test_feeds(service: Served) -> None:
    whole, again = service.ask("/feed.atom"), service.ask("/feed.atom")
    assert whole.body == again.body, "ids and times stay"
    feed = ElementTree.fromstring(whole.body)  # noqa: S314 -- our own
    entries = feed.findall(f"{{{ATOM}}}entry")
    outcomes = [one.find(f"{{{ATOM}}}category").get("term") for one in entries]  # type: ignore[union-attr]
    assert outcomes == ["failed", "partly published", "rejected", "published"]
    for one in (feed, *entries):
        for needed in ("id", "title", "updated"):
            assert (found := one.find(f"{{{ATOM}}}{needed}")) is not None and found.text
    ids = [one.findtext(f"{{{ATOM}}}id") for one in (feed, *entries)]
    assert len(set(ids)) == len(ids) and all(str(one).startswith("urn:uuid:") for one in ids)
    of_host = ElementTree.fromstring(service.ask("/hosts/one/feed.atom").body)  # noqa: S314 -- our own
    named = host("one").installable
    assert service.ask(f"/hosts/{named}/feed.atom").body.count(b"<entry>") == 3
    assert len(of_host.findall(f"{{{ATOM}}}entry")) == 3, "without the one that failed before it had hosts"


def test_a_feed_has_fifty_entries_at_most_and_no_character_that_xml_has_not(tmp_path: Path) -> None:
    world = World.create(tmp_path / "flake", git_environment(tmp_path / "home"))
    every = "".join(map(chr, range(0x20))) + "\ufffe\uffff]]><&"
    runs = [world.run(number * DAY, Outcome.FAILED, error=f"{number} {every}") for number in range(60)]
    built = HostBuild(host("x"), HostStatus.FAILED)
    world.record(*runs, world.run(timedelta(hours=1), Outcome.REJECTED, hosts=(built,)))
    with served(world.config, environ=world.environ) as service:
        feed = ElementTree.fromstring(service.ask("/feed.atom").body)  # noqa: S314 -- our own
        assert len(feed.findall(f"{{{ATOM}}}entry")) == 50
        assert service.ask("/hosts/x/feed.atom").status == 200


def test_the_badge(service: Served) -> None:
    answer = service.ask("/badge.svg")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert service.ask("/").headers["cross-origin-resource-policy"] == "same-origin"
    picture = ElementTree.fromstring(answer.body)  # noqa: S314 -- our own
    assert re.fullmatch(r"lock: \d+ (days|months) old, 3 held", picture.get("aria-label") or "")
    drawn = sum(float(one.get("textLength") or 0) for one in picture.iter("{http://www.w3.org/2000/svg}text"))
    assert float(picture.get("width") or 0) == drawn + 20


# -- several repositories


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, list[World]]]:
    """Below /lockbot: one that is well, and others that can't be looked at."""
    directory = tmp_path_factory.mktemp("several")
    environ = git_environment(directory / "home")
    names = ("well", "broken-lock", "no-repository", "damaged", "older")
    worlds = [World.create(directory / name, environ, more='[web]\nbase_path = "/lockbot"\n') for name in names]
    well, broken, gone, damaged, older = worlds
    well.has_a_past()
    broken.commit("{ no lock")
    subprocess.run(["rm", "-r", str(gone.path / ".git")], check=True)
    for world in (damaged, older):
        world.has_a_past()
    (damaged.state / "history.sqlite").write_bytes(b"no database" * 1000)
    with sqlite3.connect(older.state / "history.sqlite") as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    with served(*(world.config for world in worlds), environ=environ) as service:
        yield service, worlds


def test_one_that_cannot_be_looked_at_costs_no_other(several: tuple[Served, list[World]]) -> None:
    service, _ = several
    rows = {one["repository"]: one for one in service.ask("/lockbot/.json").json["repositories"]}
    assert {name for name, one in rows.items() if one["error"] is None} == {"well"}
    assert service.ask("/lockbot/r/well/inputs").status == 200
    for name in ("broken-lock", "no-repository", "damaged", "older"):
        answer = service.ask(f"/lockbot/r/{name}/.json")
        assert (answer.status, bool(answer.json["error"])) == (503, True), name
        page = service.ask(f"/lockbot/r/{name}/inputs")
        assert page.status == 503
        assert "This can&#39;t be looked at" in page.text
        assert f'<a href="/lockbot/r/{name}/">' in page.text
        assert "Traceback" not in page.text
        told, word = (service.ask(f"/lockbot/r/{name}/healthz{end}") for end in (".json", ""))
        assert (told.status, told.json["ok"], len(told.json["problems"])) == (503, False, 1), name
        assert (word.status, word.text) == (503, f"PROBLEM: {told.json['problems'][0]}\n"), name
        badge = service.ask(f"/lockbot/r/{name}/badge.svg")
        assert (badge.status, badge.headers["content-type"]) == (200, "image/svg+xml"), name
    health = service.ask("/lockbot/healthz.json")
    assert health.status == 503
    assert {one["repository"] for one in health.json["repositories"]} == set(rows)
    assert service.ask("/lockbot/r/nobody/.json").status == 404


def test_every_link_has_the_prefix_and_a_proxy_may_take_it_away(several: tuple[Served, list[World]]) -> None:
    service, _ = several
    for path in ("/", "/r/well/", "/r/well/inputs", "/r/well/feed.atom", "/r/none"):
        with_prefix, without = service.ask(f"/lockbot{path}"), service.ask(path)
        assert with_prefix.status == without.status
        for text in (with_prefix.text, without.text):
            links = re.findall(r'href="(/[^"]*)"', text)
            assert links and all(link.startswith("/lockbot/") for link in links), path
            assert all(service.ask(link).status in (200, 404, 503) for link in links[:3])


def test_repositories_with_odd_names_are_reached(tmp_path: Path) -> None:
    environ = git_environment(tmp_path / "home")
    places = ("a/x.json", "b/caf\udce9", "c/a b%", "d/é.html")
    worlds = []
    for place in places:
        (tmp_path / place).parent.mkdir()
        worlds.append(World.create(tmp_path / place[:2] / "flake", environ))
    configs = [
        tmp_path / f"{place}.toml" for place in places
    ]  # what they are called: the repositories share a name
    for world, config in zip(worlds, configs, strict=True):
        config.write_bytes(world.config.read_bytes())
    with served(*configs, environ=environ) as service:
        rows = service.ask("/.json").json["repositories"]
        told = {one["repository"]: service.ask(f"{one['address']}inputs.json").status for one in rows}
    assert told == {"x.json": 200, "caf\udce9": 200, "a b%": 200, "é.html": 200}


# -- where it listens


def refused(world: World, *words: str) -> str:
    """What it says when it does not start."""
    found = CliRunner().invoke(cli, ["web", "--config", str(world.config), *words], env=dict(world.environ))
    assert isinstance(found.exception, UsageError), found.exception
    return f"{found.exception.message}: {found.exception.hint}"


def test_a_place_that_is_taken_is_told(world: World, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "another program listens there" in refused(world, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert "does not have that address" in refused(world, "--listen", "192.0.2.1:8465")
    file = tmp_path / "file"
    file.write_text("mine")
    assert "no socket" in refused(world, "--listen", f"unix:{file}")
    assert file.read_text() == "mine"
    assert "make the directory" in refused(world, "--listen", f"unix:{tmp_path}/none/socket")


def test_a_unix_socket_is_taken_over_from_a_killed_one_only(world: World, tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as left:  # bound, and never listened at any more
        left.bind(str(path))
    with served(world.config, environ=world.environ, listen=f"unix:{path}") as service:
        assert path.stat().st_mode & 0o777 == 0o660
        assert service.ask("/.json").status == 200
        assert service.ask("/.json", Host="example.org").status == 421
        assert "another program listens there" in refused(world, "--listen", f"unix:{path}")
    assert not path.exists()


def test_a_base_path_that_is_a_pages_is_refused(tmp_path: Path) -> None:
    more = '[web]\nbase_path = "/inputs/x"\n'
    world = World.create(tmp_path / "flake", git_environment(tmp_path / "home"), more=more)
    assert "base_path can't begin with /inputs" in refused(world)


def test_a_changed_lock_is_seen(tmp_path: Path) -> None:
    world = World.create(tmp_path / "flake", git_environment(tmp_path / "home"), ["a"])
    with served(world.config, environ=world.environ) as service:
        assert service.ask("/inputs/b").status == 404
        world.commit(lock(["a", "b"]))
        while service.ask("/inputs/b").status == 404:  # within some seconds
            pass
