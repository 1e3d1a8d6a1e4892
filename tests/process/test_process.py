"""Children end when they should, with all that they started; what they say is kept within bounds."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lockbot import process
from lockbot.errors import Cancelled, DeadlineExceeded, SurroundingsError
from lockbot.process import CancelToken, Deadline, Finished, Listener, output

ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
DEAF = """\
import signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
OWN_SESSION = """\
import subprocess, sys, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def gone(pid: int) -> bool:
    """Ended: not there, or a zombie that whoever adopted it has yet to reap."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Starts:
    """A callback for lines that says when the first one has come, and keeps them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.seen = threading.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self.seen.set()


def test_what_a_program_says_and_how_it_ends(cancel: CancelToken, tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "pwd; echo problem >&2; exit 7"]
    done = process.run(argv, env=ENVIRONMENT, cancel=cancel, cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr) == (7, f"{tmp_path}\n", "problem\n")
    error = done.error("it failed", "mend it")
    assert (error.code, error.output, error.hint) == (7, "problem", "mend it")
    assert error.command == "/bin/sh -c 'pwd; echo problem >&2; exit 7'"


def test_the_environment_and_standard_input_are_the_ones_given(cancel: CancelToken) -> None:
    os.environ["LOCKBOT_TEST_LEAK"] = "leaked"
    try:
        done = process.run(["/bin/sh", "-c", "env; cat"], env={"ONLY": "this"}, cancel=cancel)
    finally:
        del os.environ["LOCKBOT_TEST_LEAK"]
    assert "ONLY=this" in done.stdout
    assert "leaked" not in done.stdout


def test_a_missing_program_or_directory_is_a_clear_error(cancel: CancelToken, tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match="cannot start no-such-program: No such file") as caught:
        process.run(["no-such-program", "--x"], env=ENVIRONMENT, cancel=cancel)
    assert "no-such-program --x" in caught.value.hint
    with pytest.raises(SurroundingsError):
        process.run(["true"], env=ENVIRONMENT, cancel=cancel, cwd=tmp_path / "gone")


def test_a_deadline_ends_a_child_that_listens_at_once(cancel: CancelToken) -> None:
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"the nap took longer than 0\.2 s"):
        process.run(["sleep", "600"], env=ENVIRONMENT, cancel=cancel, deadlines=[Deadline(0.2, "the nap")])
    assert 0.2 <= time.monotonic() - begun < 20


def test_the_earliest_deadline_counts_and_one_can_be_put_off(cancel: CancelToken) -> None:
    silence = Deadline(0.4, "silence")
    done = process.run(
        ["/bin/sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.2; done"],
        env=ENVIRONMENT,
        cancel=cancel,
        deadlines=[Deadline(60, "all of it"), silence],
        listener=Listener(on_stdout=lambda _line: silence.restart()),
    )
    assert done.code == 0
    assert done.seconds > 0.75
    with pytest.raises(DeadlineExceeded, match="silence"):
        process.run(
            ["sleep", "9"],
            env=ENVIRONMENT,
            cancel=cancel,
            deadlines=[Deadline(60, "all of it"), Deadline(0.1, "silence")],
        )


def test_the_deadline_of_the_whole_run_reaches_a_child() -> None:
    token = CancelToken(Deadline(0.2, "the run"))
    with pytest.raises(DeadlineExceeded, match="the run took longer"):
        process.run(["sleep", "600"], env=ENVIRONMENT, cancel=token)
    with pytest.raises(DeadlineExceeded):
        token.sleep(60)
    token.close()


def test_a_child_that_ignores_signals_is_killed(cancel: CancelToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.end_group, "__defaults__", ((0.2, 0.2),))
    started: list[int] = []
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        process.run(
            python(DEAF),
            env=ENVIRONMENT,
            cancel=cancel,
            deadlines=[Deadline(0.5, "it")],
            listener=Listener(on_start=started.append),
        )
    assert 0.9 <= time.monotonic() - begun < 20, "SIGINT, SIGTERM and only then SIGKILL"
    assert gone(started[0])


def test_a_child_may_clean_up_when_it_is_interrupted(cancel: CancelToken, tmp_path: Path) -> None:
    text = f"import time\ntry: time.sleep(600)\nexcept KeyboardInterrupt: open({str(tmp_path / 'clean')!r}, 'x')"
    with pytest.raises(DeadlineExceeded):
        process.run(python(text), env=ENVIRONMENT, cancel=cancel, deadlines=[Deadline(0.5, "it")])
    assert (tmp_path / "clean").exists()


def test_a_grandchild_in_a_session_of_its_own_ends_too(cancel: CancelToken) -> None:
    heard = Starts()
    with pytest.raises(DeadlineExceeded):
        process.run(
            python(OWN_SESSION),
            env=ENVIRONMENT,
            cancel=cancel,
            deadlines=[Deadline(0.6, "it")],
            listener=Listener(on_stdout=heard),
        )
    assert gone(int(heard.lines[0]))


def test_a_grandchild_that_holds_the_pipe_open_is_not_waited_for(cancel: CancelToken) -> None:
    begun = time.monotonic()
    done = process.run(["/bin/sh", "-c", "sleep 600 & echo $!"], env=ENVIRONMENT, cancel=cancel)
    assert time.monotonic() - begun < 20
    assert done.code == 0
    assert gone(int(done.stdout))


def test_cancelling_from_another_thread_ends_every_child(cancel: CancelToken) -> None:
    outcomes: list[BaseException | Finished] = []
    heard = [Starts(), Starts()]

    def work(on_line: Callable[[str], None]) -> None:
        try:
            outcomes.append(
                process.run(
                    ["/bin/sh", "-c", "echo $$; exec sleep 600"],
                    env=ENVIRONMENT,
                    cancel=cancel,
                    listener=Listener(on_stdout=on_line),
                )
            )
        except Cancelled as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in heard]
    for thread in threads:
        thread.start()
    assert all(one.seen.wait(10) for one in heard)
    cancel.cancel("Ctrl-C")
    cancel.cancel("a second reason")
    for thread in threads:
        thread.join(10)
    assert [str(outcome) for outcome in outcomes] == ["stopped: Ctrl-C"] * 2
    assert all(gone(int(one.lines[0])) for one in heard)
    with pytest.raises(Cancelled):
        process.run(["true"], env=ENVIRONMENT, cancel=cancel)
    with pytest.raises(Cancelled):
        cancel.sleep(60)


def test_sleeping_takes_as_long_as_asked(cancel: CancelToken) -> None:
    begun = time.monotonic()
    cancel.sleep(0.1)
    assert 0.1 <= time.monotonic() - begun < 20


def test_a_flood_is_capped_and_costs_no_memory(cancel: CancelToken) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = "import sys\nfor i in range(100): sys.stdout.write(f'{i:03d}' + 'x' * (1 << 20) + '\\n')"
    lengths: list[int] = []
    done = process.run(
        python(text),
        env=ENVIRONMENT,
        cancel=cancel,
        listener=Listener(on_stdout=lambda line: lengths.append(len(line))),
    )
    assert len(lengths) == 100
    assert max(lengths) <= process.LINE_BYTES
    assert len(done.stdout) <= output.BUFFER_BYTES + 200
    assert done.stdout.startswith("000x")
    assert done.stdout.endswith("x\n")
    assert "bytes left out" in done.stdout
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60 * 1024, f"{grown} KiB more"


def test_a_line_without_an_end_costs_no_memory_either(cancel: CancelToken) -> None:
    text = "import sys\nfor i in range(50): sys.stdout.write('x' * (1 << 20))"
    heard = Starts()
    process.run(python(text), env=ENVIRONMENT, cancel=cancel, listener=Listener(on_stdout=heard))
    assert [len(line) for line in heard.lines] == [process.LINE_BYTES]


def test_lines_arrive_whole_and_what_is_not_utf8_is_replaced(cancel: CancelToken) -> None:
    text = (
        "import sys, time\nw = sys.stdout.buffer\n"
        "w.write(b'on'); w.flush(); time.sleep(0.1)\n"
        "w.write(b'e\\n\\ntwo \\xff\\xc3'); w.flush(); time.sleep(0.1)\n"
        "w.write(b'\\xa9\\r\\nlast')"
    )
    heard = Starts()
    done = process.run(python(text), env=ENVIRONMENT, cancel=cancel, listener=Listener(on_stdout=heard))
    assert heard.lines == ["one", "", "two \N{REPLACEMENT CHARACTER}é\r", "last"]
    assert done.stdout == "one\n\ntwo \N{REPLACEMENT CHARACTER}é\r\nlast"


def test_standard_input_may_be_larger_than_a_pipe(cancel: CancelToken) -> None:
    data = b"0123456789abcdef" * 200_000
    done = process.run(["wc", "-c"], env=ENVIRONMENT, cancel=cancel, stdin=data)
    assert int(done.stdout) == len(data)
    done = process.run(["head", "-c", "3"], env=ENVIRONMENT, cancel=cancel, stdin=data)
    assert (done.code, done.stdout) == (0, "012"), "a reader that stops early is no error"
    done = process.run(["cat"], env=ENVIRONMENT, cancel=cancel, stdin=b"")
    assert done.stdout == ""


def test_a_callback_that_raises_leaves_no_child(cancel: CancelToken) -> None:
    started: list[int] = []

    def fail(line: str) -> None:
        raise ValueError(line)

    argv = ["/bin/sh", "-c", "echo oops; sleep 600"]
    with pytest.raises(ValueError, match="oops"):
        process.run(
            argv, env=ENVIRONMENT, cancel=cancel, listener=Listener(on_stdout=fail, on_start=started.append)
        )
    assert gone(started[0])

    def fail_early(pid: int) -> None:
        started.append(pid)
        raise ValueError("early")

    with pytest.raises(ValueError, match="early"):
        process.run(["sleep", "600"], env=ENVIRONMENT, cancel=cancel, listener=Listener(on_start=fail_early))
    assert gone(started[1])


def test_descriptors_and_threads_stay_flat(cancel: CancelToken) -> None:
    process.run(["true"], env=ENVIRONMENT, cancel=cancel)
    before = (open_descriptors(), threading.active_count())
    for number in range(200):
        process.run(["true"], env=ENVIRONMENT, cancel=cancel, stdin=b"x" if number % 2 else None)
        with pytest.raises(SurroundingsError):
            process.run(["/no/such/program"], env=ENVIRONMENT, cancel=cancel, stdin=b"x")
    assert (open_descriptors(), threading.active_count()) == before


def test_waiting_costs_no_processor_time(cancel: CancelToken) -> None:
    begun = time.process_time()
    process.run(["sleep", "1"], env=ENVIRONMENT, cancel=cancel, deadlines=[Deadline(60, "it")])
    assert time.process_time() - begun < 0.5


def test_a_child_that_closes_its_pipes_is_still_waited_for(cancel: CancelToken) -> None:
    begun = time.process_time()
    done = process.run(["/bin/sh", "-c", "exec >&- 2>&-; sleep 1; exit 5"], env=ENVIRONMENT, cancel=cancel)
    # Not the whole second: where others work, too, it is measured from when it had begun already.
    assert (done.code, done.seconds > 0.9) == (5, True)
    assert time.process_time() - begun < 0.5


def test_descendants_are_named_by_their_start() -> None:
    argv = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    assert {pid for pid, _ in process.descendants(os.getpid())} >= {child.pid, grandchild}
    assert process.process_start(grandchild) is not None
    assert process.resident_bytes(grandchild) > 0
    process.end_group(child)
    child.stdout.close()
    assert gone(grandchild)
    assert process.process_start(child.pid) is None
    assert process.resident_bytes(child.pid) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "0.2 s"),
        (3, "3 s"),
        (59.7, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min 1 s"),
    ],
)
def test_durations_are_read_easily(seconds: float, text: str) -> None:
    assert process.duration(seconds) == text
