"""The daemon as systemd sees it: a process, its signals and a notify socket; its runs are real ones."""

from __future__ import annotations

import gc
import json
import operator
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time

from lockbot.daemon import children, events, memory, plan
from lockbot.daemon import service as service_module
from lockbot.daemon.memory import Done
from lockbot.errors import UsageError
from lockbot.process import process_start
from tests.daemon.world import PATIENCE, Make, until

# -- a life


def test_it_runs_by_its_schedule_and_says_what_it_does(service: Make) -> None:
    here = service(seconds=5)  # time enough to ask how things are, on a busy machine, too
    here.upstream.commit("second")
    here.configure('when = "1h"')
    here.start()
    assert "fleet: building host-web, 0 of 1 hosts done" in here.hear("building host-web")
    status = here.ask("status")["daemon"]
    assert status["running"].keys() == {"fleet"}
    assert here.hear("next: fleet at")
    assert [one["outcome"] for one in here.records("run ended")] == ["published"]
    assert here.fleet.locked("a", "main") == here.upstream.head()
    run = here.records("run started")[0]["run"]
    assert {one["run"] for one in here.records("host decided")} == {run}
    assert [one["host"] for one in here.records("host decided")] == ["web"]
    assert "next: fleet at" in here.run("status")
    steps = [json.loads(line)["event"] for line in here.run("logs", run, "--json", "--follow").splitlines()]
    assert (steps[0], steps[-1]) == ("run started", "run ended")
    assert "building" in steps
    assert here.stop() < 30
    assert "STOPPING=1" in here.hear("STOPPING=1")
    assert here.ask("status")["daemon"] is None


def test_stopped_in_a_build_it_leaves_nobody_behind_and_the_next_start_goes_on(service: Make) -> None:
    here = service(seconds=300)
    here.upstream.commit("second")
    here.configure('when = "1h"')
    here.start()
    here.hear("building host-web")
    assert here.stop() < 40
    assert here.outcomes() == ["interrupted"]
    here.start()
    here.hear("building host-web")
    assert len(here.records("made up for: it was stopped in the middle")) == 1
    here.stop()
    here.start()
    here.hear("next: fleet")
    assert here.outcomes() == ["interrupted", "interrupted"], "not for ever: now its hour is waited for"
    here.stop()


def test_a_child_that_is_killed_takes_nobody_with_it(service: Make) -> None:
    here = service(seconds=300)
    here.upstream.commit("second")
    here.configure('when = "6s"')
    daemon = here.start()
    here.hear("building host-web")
    first = here.records("run started")[0]
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: here.records("the run ended before it could say how"))
    here.hear("building host-web")
    assert len(here.records("run started")) == 2
    assert process_start(daemon) is not None
    here.stop()
    assert here.outcomes() == ["interrupted", "interrupted"]


def test_a_daemon_that_is_killed_goes_on(service: Make) -> None:
    here = service(seconds=3)
    here.upstream.commit("second")
    here.configure('when = "1h"')
    here.start()
    here.hear("building host-web")
    child = here.records("run started")[0]["pid"]
    assert here.process is not None
    here.process.kill()
    here.process.wait()
    assert here.ask("status")["daemon"] is None, "it does not live, whatever its file says"
    until(lambda: process_start(child) is None)
    here.start()
    here.hear("next: fleet")
    assert here.records("made up for: it was stopped in the middle")
    here.stop()
    assert here.fleet.locked("a", "main") == here.upstream.head()


def test_another_run_is_not_waited_for(service: Make) -> None:
    here = service(seconds=300)
    here.upstream.commit("second")
    here.configure('when = "1h"')
    words = [sys.executable, "-m", "lockbot", "--config", str(here.config), "--log-format", "json", "update"]
    with subprocess.Popen(words, env=here.environ, cwd=here.tmp, stderr=subprocess.PIPE, text=True) as by_hand:
        assert by_hand.stderr is not None
        assert any('"building"' in line and "host-web" in line for line in by_hand.stderr)
        here.start()
        told = until(lambda: here.records("not run"))[0]
        assert told["error"] == "BusyError"
        assert f"pid {by_hand.pid}" in told["message"]
        here.stop()
        by_hand.terminate()
        by_hand.stderr.read()


def test_a_group_with_a_schedule_of_its_own_stays_in_the_others_run(service: Make) -> None:
    here = service()
    here.upstream.commit("second")
    before = here.fleet.locked("a", "main")
    here.configure('when = "1h"', '[[group]]\nname = "slow"\ninputs = ["a"]\nschedule = "@yearly"')
    here.start()
    until(lambda: here.records("run ended"))
    assert here.records("run ended")[0]["outcome"] == "unchanged"
    assert here.fleet.locked("a", "main") == before
    here.stop()


# -- reload, pause


def test_a_changed_configuration_is_taken_and_a_broken_one_refused(service: Make) -> None:
    here = service()
    here.configure('when = "0 4 * * *"\ntime_zone = "UTC"')
    here.start()
    assert "04:00" in here.hear("next: fleet at")

    here.configure('when = "0 5 * * *"\ntime_zone = "UTC"')
    here.signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in here.hear("RELOADING=1")
    here.hear("READY=1")
    assert "05:00" in here.hear("next: fleet at")

    here.configure('when = "0 0 31 2 *"')
    here.signal(signal.SIGHUP)
    here.hear("READY=1")
    told = here.hear("STATUS=")
    assert "refused" in told
    assert "05:00" in told
    (record,) = here.records("the changed configuration is refused, the old one stays")
    assert record["level"] == "error"
    assert record["error"] == f"{here.config}:4: schedule.when: is never due: no such month has that day"

    here.configure('when = "0 6 * * *"\ntime_zone = "UTC"')
    here.signal(signal.SIGHUP)
    here.hear("READY=1")
    assert "refused" not in here.hear("06:00")
    here.stop()


def test_a_pause_holds_until_it_is_ended(service: Make) -> None:
    here = service()
    here.configure('when = "1s"')
    here.run("pause", "--why", "moving house")
    here.start(WATCHDOG_USEC="3000000")
    assert "paused" in here.hear("STATUS=")
    until(lambda: here.ask("status")["daemon"]["waiting"] == ["fleet"])
    assert "paused since" in here.run("status")
    assert "moving house" in here.run("status")
    assert not here.records("run begins")
    here.run("resume")
    until(lambda: here.records("run begins"))
    assert "it was not paused" in here.run("resume")
    here.stop()


# -- the watchdog


def test_the_watchdog_is_fed(service: Make) -> None:
    here = service()
    here.configure('when = "@yearly"')
    here.start(WATCHDOG_USEC="600000")
    for _ in range(3):
        here.hear("WATCHDOG=1")
    here.signal(signal.SIGSTOP)
    time.sleep(0.5)
    here.link.settimeout(0.1)
    with pytest.raises(TimeoutError):
        while True:
            here.link.recv(4096)
    here.link.settimeout(PATIENCE)
    here.signal(signal.SIGCONT)
    here.hear("WATCHDOG=1")
    here.stop()


# -- idle


def test_at_rest_it_is_small_and_asleep(service: Make) -> None:
    here = service()
    here.configure('when = "@yearly"')
    pid = here.start()
    here.hear("next: fleet")
    time.sleep(0.5)
    before = _cpu(pid)
    time.sleep(4)
    assert _cpu(pid) - before <= 0.02, "seconds, in 4"
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert resident < 60, "MiB"
    for library in ("lockbot.nix.command", "git", "lockbot.update.cycle", "lockbot.git"):
        program = f"import sys, lockbot.daemon.service; sys.exit({library!r} in sys.modules)"
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0, library
    here.stop()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- time


class Log:
    """What the daemon logs, by event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def _note(self, event: str, **_: object) -> None:
        self.events.append(event)

    debug = info = warning = error = _note


class Inside:
    """The daemon in this process, its runs as short as can be; `steps` drives it from a thread of its own."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch, schedule: str) -> None:
        monkeypatch.setattr(children, "command", lambda _: ["/bin/true"])
        monkeypatch.setattr(children, "adopt_orphans", lambda: None)  # this process has children of other tests'
        monkeypatch.setattr(children, "reap_orphans", lambda *_, **__: None)
        path = write(tmp / "lockbot.toml", f'[repository]\npath = "{tmp}"\n[schedule]\n{schedule}\n')
        environ = {"HOME": str(tmp), "PATH": os.environ["PATH"], "LOCKBOT_STATE__DIRECTORY": str(tmp / "state")}
        self.log = Log()
        self.daemon = service_module.Daemon([path], environ, cast(Any, self.log))
        self.key = str(path)

    @property
    def runs(self) -> int:
        return self.log.events.count("run begins")

    def nudge(self) -> None:
        """Let the loop look at the clock, and come to rest."""
        waiting = self.daemon._events
        waiting.put(events.Due("nobody's"))
        until(lambda: waiting.empty() and not self.daemon._pending and not self.daemon._running, 20)

    def serve(self, steps: Callable[[], None]) -> None:
        failed: list[BaseException] = []

        def drive() -> None:
            try:
                until(lambda: "ready" in self.log.events)
                steps()
            except BaseException as error:  # noqa: BLE001 -- raised in the test's own thread
                failed.append(error)
            self.daemon._events.put(events.Stop("the test is over"))

        driver = threading.Thread(target=drive)
        driver.start()
        self.daemon.serve()
        driver.join()
        if failed:
            raise failed[0]


@pytest.mark.parametrize(
    ("zone", "start", "days", "line"),
    [
        ("Europe/Berlin", "2026-03-28 12:00", 2, "30 2 * * *"),
        ("Europe/Berlin", "2026-10-24 12:00", 2, "30 2 * * *"),
        ("America/New_York", "2026-03-07 12:00", 2, "30 2 * * *"),
        ("America/New_York", "2026-10-31 12:00", 2, "30 1 * * *"),
        ("Australia/Lord_Howe", "2026-10-03 12:00", 2, "15 2 * * *"),
        ("Australia/Lord_Howe", "2026-04-04 12:00", 2, "45 1 * * *"),
        ("UTC", "2026-12-31 12:00", 2, "@daily"),
    ],
)
def test_once_a_day_when_the_clocks_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, start: str, days: int, line: str
) -> None:
    begun = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    with freeze_time(begun) as frozen:
        here = Inside(tmp_path, monkeypatch, f'when = "{line}"\ntime_zone = "{zone}"')

        def steps() -> None:
            for quarter in range(1, days * 96 + 1):
                frozen.move_to(begun + quarter * timedelta(minutes=15))
                here.nudge()

        here.serve(steps)
    assert here.runs == days


def test_a_long_sleep_is_made_up_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = datetime(2026, 11, 22, 12, tzinfo=UTC)
    with freeze_time(begun) as frozen:
        here = Inside(tmp_path, monkeypatch, 'when = "*/5 * * * *"\ntime_zone = "UTC"')

        def steps() -> None:
            frozen.move_to(begun + timedelta(days=400, minutes=2))
            here.nudge()
            until(lambda: here.runs == 1)
            here.nudge()
            frozen.move_to(begun + timedelta(days=400, minutes=5))
            here.nudge()
            until(lambda: here.runs == 2)

        here.serve(steps)
    assert here.runs == 2
    assert "the clock has moved" in here.log.events


def test_a_clock_that_is_set_back_does_not_stop_the_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = datetime(2026, 11, 22, 3, 50, tzinfo=UTC)
    with freeze_time(begun) as frozen:
        here = Inside(tmp_path, monkeypatch, 'when = "0 4 * * *"\ntime_zone = "UTC"')

        def at(moment: datetime, runs: int) -> None:
            frozen.move_to(moment)
            here.nudge()
            until(lambda: here.runs >= runs)
            here.nudge()
            assert here.runs == runs, moment

        def steps() -> None:
            at(begun + timedelta(minutes=11), 1)
            at(begun, 1)
            at(begun + timedelta(minutes=12), 1)  # four o'clock a second time: it is done
            at(begun + timedelta(days=1, minutes=12), 2)
            at(begun - timedelta(days=3000), 2)
            at(begun - timedelta(days=3000) + timedelta(minutes=10), 3)

        here.serve(steps)


def test_what_it_could_not_write_down_it_writes_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `lockbot status` and the page would tell of a run that is over, until the next one."""
    here = Inside(tmp_path, monkeypatch, 'when = "@yearly"')
    place = tmp_path / "state" / "daemon.json"

    def steps() -> None:
        until(place.exists)
        place.unlink()
        place.mkdir()  # as a disk that is full: nothing can be written there
        here.daemon._told = "something else"
        here.nudge()
        assert place.is_dir()
        place.rmdir()
        here.nudge()
        until(place.is_file)

    here.serve(steps)


def test_what_was_missed_while_it_was_off_is_made_up_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = datetime(2026, 11, 22, 12, tzinfo=UTC)
    schedule = 'when = "0 4 * * *"\ntime_zone = "UTC"'
    runs = []
    for day in (0, 3, 3):
        with freeze_time(begun + timedelta(days=day)):
            here = Inside(tmp_path, monkeypatch, schedule)

            def steps(here: Inside = here) -> None:
                time.sleep(0.2)
                here.nudge()

            here.serve(steps)
            runs.append(here.runs)
    assert runs == [0, 1, 0]


def test_hundreds_of_runs_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Inside(tmp_path, monkeypatch, 'when = "@yearly"')
    things_early, traced_early = (0, 0), 0

    def things() -> tuple[int, int]:
        """Descriptors and threads."""
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    def traced() -> int:
        """Bytes that Python's objects take: all that this process has taken goes with the tests before, too."""
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    def steps() -> None:
        nonlocal things_early, traced_early
        for number in range(1, 501):
            here.daemon._pending[here.key] = None
            here.daemon._events.put(events.Due("nobody's"))
            while here.runs < number:
                time.sleep(0.001)
            here.nudge()
            if number == 100:
                things_early, traced_early = things(), traced()
        # The last run's are gone a moment after it is over, on a busy machine a longer one: 400 runs' are not.
        until(lambda: not any(map(operator.gt, things(), things_early)), 20)
        assert traced() - traced_early < 2**20, "bytes"

    tracemalloc.start()
    try:
        here.serve(steps)
    finally:
        tracemalloc.stop()


# -- plans


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_groups_with_a_schedule_are_left_out_of_the_others_runs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "home.toml",
        '[repository]\nurl = "https://example.org/fleets/home.git"\n[schedule]\nwhen = "@daily"\n'
        '[[group]]\nname = "slow"\ninputs = ["nixpkgs"]\nschedule = "0 4 * * sun"\n'
        '[[group]]\nname = "others"\ninputs = ["b"]\n',
    )
    slow, rest = plan.read([path], {"HOME": str(tmp_path)}).tasks
    assert (slow.label, slow.group, slow.apart) == ("home/slow", "slow", ())
    assert (rest.label, rest.group, rest.apart) == ("home", None, ("slow",))
    assert slow.key != rest.key


def test_several_files_and_directories(tmp_path: Path) -> None:
    text = '[repository]\npath = "/srv/nixos"\n[schedule]\nwhen = "6h"\n[daemon]\nmax_runs = {}\n'
    many = tmp_path / "many"
    many.mkdir()
    write(many / "b.toml", text.format(3))
    write(many / "a.toml", text.format(2))
    write(many / "notes.txt", "no configuration")
    found = plan.read([many, many / "b.toml"], {"HOME": str(tmp_path)})
    assert [task.label for task in found.tasks] == ["a", "b"], "the repository's name would be the same"
    assert found.max_runs == 2
    other = tmp_path / "other"
    other.mkdir()
    write(other / "a.toml", text.format(2))
    labels = [task.label for task in plan.read([many, other], {"HOME": str(tmp_path)}).tasks]
    assert labels == [str(many / "a.toml"), "b", str(other / "a.toml")], "nor are the files' names"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "there is no schedule"),
        ('[schedule]\nwhen = "0 0 31 2 *"', ":2: schedule.when: is never due"),
        ('[schedule]\nwhen = "@reboot"', ":2: schedule.when: can't be @reboot"),
        ('[schedule]\nwhen = "0s"', ":2: schedule.when: must not be shorter than a second"),
        ('[schedule]\nwhen = "6h"\ntime_zone = "Europe/Berln"', ":3: schedule.time_zone: is not a time zone"),
        (
            '[schedule]\nwhen = "6h"\nquiet_hours = "22-6"',
            ':3: schedule.quiet_hours: must be hours such as "22:00',
        ),
        ('[[group]]\nname = "a"\ninputs = ["a"]\nschedule = "61 * * * *"', ":4: group 1: schedule: has a minute"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = write(tmp_path / "lockbot.toml", text)
    with pytest.raises(UsageError) as caught:
        plan.read([path], {"HOME": str(tmp_path)})
    assert str(caught.value.message).startswith(str(path))
    assert what in caught.value.message


# -- memory


def test_what_was_done_is_remembered(tmp_path: Path) -> None:
    done = {"/etc/a.toml#x": Done(datetime(2026, 11, 22, 4, tzinfo=UTC), 1)}
    memory.write_done(tmp_path, done)
    assert memory.read_done(tmp_path) == done
    assert [path.name for path in tmp_path.iterdir()] == [memory.SCHEDULE]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 3}', '{"a": {"last": "2026-11-22", "lost": 0}}', "[" * 9999]
)
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / memory.SCHEDULE).write_text(text)
    assert memory.read_done(tmp_path) == {}


def test_any_file_pauses(tmp_path: Path) -> None:
    (tmp_path / memory.PAUSED).touch()
    assert memory.paused(tmp_path) == memory.Pause(None, "")
    assert memory.resume(tmp_path)
    assert memory.paused(tmp_path) is None
