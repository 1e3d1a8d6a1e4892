"""A run as it happens: lines for logs, a picture for terminals."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from lockbot.model import (
    DerivationStarted,
    DerivationStopped,
    Event,
    HostDecided,
    HostEvaluated,
    HostEvaluating,
    HostStatus,
    Note,
    Phase,
    PhaseStarted,
    Progress,
    Retrying,
)
from lockbot.report.progress import REFRESHES, LiveProgress, PlainProgress, Watched
from lockbot.report.styled_lines import text
from tests.report.examples import HELLO, HELLO_FAILED, HOSTILE, KERNEL, built

STORY: tuple[tuple[float, Event], ...] = (
    (0, PhaseStarted(Phase.SYNC)),
    (2, PhaseStarted(Phase.PROPOSE, "3 inputs")),
    (5, PhaseStarted(Phase.JUDGE, hosts=4)),
    (5, HostEvaluating("web")),
    (6, HostEvaluating("web", "base")),
    (7, HostEvaluating("nas")),
    (9, HostEvaluated("nas")),
    (9, HostDecided(built("nas", HostStatus.UNCHANGED))),
    (10, HostEvaluated("web")),
    (11, HostEvaluating("mail")),
    (12, DerivationStarted(HELLO, "ssh://builder")),
    (13, DerivationStarted(KERNEL)),
    (75, DerivationStopped(HELLO)),
    (76, HostDecided(built("web", HostStatus.FAILED, HELLO_FAILED))),
    (80, Retrying("mail", "network failed", 90)),
    (81, Note("the cache is slow")),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def play(progress: Progress, clock: Clock) -> None:
    start = clock.now
    for moment, event in STORY:
        clock.now = start + moment
        progress(event)


def test_one_line_per_event() -> None:
    out, clock = io.StringIO(), Clock()
    play(PlainProgress(out, clock), clock)
    assert out.getvalue() == (
        "00:00 fetching the branch\n"
        "00:02 updating the inputs: 3 inputs\n"
        "00:05 judging the hosts\n"
        "00:05 evaluating web\n"
        "00:06 evaluating web at the base\n"
        "00:07 evaluating nas\n"
        "00:09 evaluated nas\n"
        "00:09 nas: unchanged\n"
        "00:10 evaluated web\n"
        "00:11 evaluating mail\n"
        "00:12 building hello-2.12 on ssh://builder\n"
        "00:13 building linux-6.12.30\n"
        "01:15 finished hello-2.12\n"
        "01:16 web: failed: build failed (hello-2.12)\n"
        "01:20 retrying mail in 1 min 30 s: network failed\n"
        "01:21 note: the cache is slow\n"
    )


def picture(upto: float, later: float = 0, width: int = 80) -> str:
    clock = Clock()
    watched = Watched(clock)
    for moment, event in STORY:
        if moment <= upto:
            clock.now = 1000 + moment
            watched.observe(event)
    clock.now += later
    return text(watched.picture(width))


def test_the_picture_while_hosts_are_judged() -> None:
    assert picture(upto=13, later=7) == (
        "judging the hosts  15 s\n"
        "  1 of 4 hosts decided, 1 unchanged\n"
        "  evaluating web at the base  14 s\n"
        "  evaluating mail  9 s\n"
        "  building hello-2.12 on ssh://builder  8 s\n"
        "  building linux-6.12.30  7 s\n"
    )


def test_the_picture_after_a_failure() -> None:
    assert picture(upto=76) == (
        "judging the hosts  1 min 11 s\n"
        "  2 of 4 hosts decided, 1 unchanged, 1 failed, 1 derivation finished\n"
        "  evaluating mail  1 min 5 s\n"
        "  building linux-6.12.30  1 min 3 s\n"
    )


def test_a_host_whose_evaluation_is_over_waits() -> None:
    clock = Clock()
    watched = Watched(clock)
    for event in (PhaseStarted(Phase.JUDGE), HostEvaluating("web"), HostEvaluated("web")):
        watched.observe(event)
    assert text(watched.picture(80)) == (
        "judging the hosts  0 s\n  0 of 1 host decided\n  waiting for builds: web\n"
    )


def test_a_new_phase_starts_a_new_picture() -> None:
    clock = Clock()
    watched = Watched(clock)
    for _, event in STORY:
        watched.observe(event)
    watched.observe(PhaseStarted(Phase.JUDGE, "again"))
    assert text(watched.picture(80)) == "judging the hosts: again  0 s\n"


def test_many_at_once_are_counted() -> None:
    clock = Clock()
    watched = Watched(clock)
    watched.observe(PhaseStarted(Phase.JUDGE, hosts=20))
    for number in range(20):
        watched.observe(HostEvaluating(f"host-{number}"))
    shown = text(watched.picture(80))
    assert shown.count("evaluating") == 8
    assert shown.endswith("  … and 12 more\n")


def live(width: int = 80) -> tuple[LiveProgress, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    console = Console(file=out, force_terminal=True, width=width, height=24, legacy_windows=False)
    return LiveProgress(console, clock), out, clock


def screen(written: str, height: int = 200) -> list[str]:
    """What a terminal shows in the end: understands the sequences that rich uses, and fails at others."""
    rows, row, column = [""] * height, 0, 0
    for sequence, final, character in re.findall(r"\x1b\[([?0-9;]*)([A-Za-z])|([^\x1b])", written):
        match final, sequence, character:
            case "A", count, _:
                row -= int(count or 1)
            case "K", "2", _:
                rows[row] = ""
            case (("m" | "h" | "l"), _, _):
                pass
            case "", _, "\n":
                row, column = row + 1, 0
            case "", _, "\r":
                column = 0
            case "", _, _:
                rows[row] = rows[row][:column].ljust(column) + character + rows[row][column + 1 :]
                column += 1
            case _:
                raise AssertionError(f"unknown sequence {sequence}{final}")
    while rows and not rows[-1].strip():
        rows.pop()
    return [shown.rstrip() for shown in rows]


def wait_until_drawn(out: io.StringIO, *texts: str) -> None:
    end = time.monotonic() + 20
    while missing := [text for text in texts if text not in out.getvalue()]:
        assert time.monotonic() < end, missing
        time.sleep(0.02)


def test_the_live_picture_is_drawn_and_leaves_only_what_matters() -> None:
    progress, out, clock = live()
    with progress:
        play(progress, clock)
        wait_until_drawn(out, "2 of 4 hosts decided", "building linux-6.12.30")
    written = out.getvalue()
    assert screen(written) == [
        "web: failed: build failed (hello-2.12)",
        "retrying mail in 1 min 30 s: network failed",
        "note: the cache is slow",
    ]
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1


def test_the_screen_is_tidy_after_an_exception() -> None:
    progress, out, clock = live()

    def fail() -> None:
        with progress:
            play(progress, clock)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert len(screen(out.getvalue())) == 3
    assert out.getvalue().count("\x1b[?25h") == 1


def test_it_is_drawn_at_most_so_often() -> None:
    assert REFRESHES <= 8
    progress, out, _ = live()
    begun = time.monotonic()
    with progress:
        for number in range(2000):
            progress(HostEvaluating(f"host-{number}"))
    took = time.monotonic() - begun
    assert out.getvalue().count("hosts decided") <= 4 + REFRESHES * took, "the first, the last, and one each time"


def in_threads(work: Callable[[int], None], threads: int = 8) -> None:
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def test_events_from_many_threads() -> None:
    progress, out, _ = live()

    def work(thread: int) -> None:
        for number in range(50):
            name = f"host-{thread}-{number}"
            progress(HostEvaluating(name))
            progress(DerivationStarted(f"{name}.drv"))
            progress(DerivationStopped(f"{name}.drv"))
            progress(HostDecided(built(name)))
            progress(Note(name))

    with progress:
        in_threads(work)
        wait_until_drawn(out, "400 of 400 hosts decided, 400 built, 400 derivations finished")
    assert len(screen(out.getvalue(), 2000)) == 400


def test_plain_lines_are_whole_though_many_threads_write() -> None:
    out = io.StringIO()
    progress = PlainProgress(out, Clock())

    def work(thread: int) -> None:
        for number in range(100):
            progress(Note(f"{thread}-{number}"))

    in_threads(work)
    assert len(out.getvalue().splitlines()) == 800
    assert all(re.fullmatch(r"00:00 note: \d-\d+", one) for one in out.getvalue().splitlines())


def test_nothing_hostile_gets_through() -> None:
    out, clock = io.StringIO(), Clock()
    plain = PlainProgress(out, clock)
    progress, drawn, _ = live(width=60)
    with progress:
        for name in HOSTILE:
            for event in (
                PhaseStarted(Phase.JUDGE, name),
                HostEvaluating(name, name),
                HostEvaluated(name),
                DerivationStarted(name, name),
                HostDecided(built(name, HostStatus.FAILED, HELLO_FAILED)),
                Retrying(name, name, 1),
                Note(name),
                DerivationStopped(name),
            ):
                plain(event)
                progress(event)
    assert len(out.getvalue().splitlines()) == 8 * len(HOSTILE)
    assert all(one.isprintable() for one in out.getvalue().split("\n"))
    left = re.sub(r"\x1b\[(\?25[lh]|[0-9;]*m|1A|2K)|[\r\n]", "", drawn.getvalue())
    assert left.isprintable()
    assert "[bold]markup" in left


class Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_broken_pipe_stops_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    play(PlainProgress(Broken(), clock), clock)
    with LiveProgress(Console(file=Broken(), force_terminal=True), clock) as progress:
        play(progress, clock)
        time.sleep(2 / REFRESHES)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_rich_is_imported_only_when_needed() -> None:
    modules = ("terminal", "progress", "table", "commit", "document")
    code = f"import sys, {', '.join('lockbot.report.' + one for one in modules)}; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
