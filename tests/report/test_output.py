"""What is printed: harmless wherever it goes, and told or not told as a Unix program does."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lockbot.cli import cli
from tests import forked, nixes
from tests.cli.test_cli import own_environment
from tests.fleet import Fleet, HostSpec, Upstream
from tests.nixes import PROJECT
from tests.sampling import some

OWN = {**os.environ, "PYTHONPATH": str(nixes.PROJECT)}
LOCKBOT = (sys.executable, "-m", "lockbot")

HOSTILE = (
    "\x1b]0;title\x07\x1b]52;c;cHduZWQ=\x07\x1b[2J\x1b[1A\x1b[31mred\x1b[0m \x9b31m\x9d0;title\x9c \x85 "
    "hidden\b\b\b\b\b\bseen over\rwritten \u202emirrored\u2066\u2069 \u200bzero\u2060width\ufeff "
    "\u2028line\u2029 end"
)
"""C0, C1, backspace, a bare CR, bidirectional controls, what can't be seen, what parts lines: in one line."""

TEXTS: tuple[tuple[str, ...], ...] = (
    ("update",),
    ("-v", "update"),
    ("--log-format", "json", "update"),
    ("update", "--input", HOSTILE),
    ("show",),
    ("show", "--log", "web\u202e"),
    ("show", "--log", HOSTILE),
    ("logs",),
    ("logs", "--follow"),
    ("history",),
    ("status",),
    ("status", "--check"),
    ("healthcheck",),
    ("inputs",),
    ("inputs", "--outdated"),
    ("hosts",),
    ("check",),
    ("metrics",),
    ("notify",),
    ("notify", "--test", HOSTILE),
    ("requests", "--all"),
    ("requests", "--settle"),
    ("diff", "HEAD", "HEAD", "--no-build"),
    ("lint",),
    ("lint", "--json"),
    ("verify", "--no-evaluate"),
    ("verify", "--no-evaluate", "--json"),
    ("bisect", "--host", HOSTILE, "--since", "HEAD", "--", "true"),
    ("review",),
    ("revert", HOSTILE),
    ("init", "--stdout"),
    ("web", "--listen", HOSTILE),
    ("web", "--listen", f"unix:/{HOSTILE}/socket"),
    ("hold", "packages", "--why", HOSTILE),
    ("hold", "packages", "--until-merged", HOSTILE, "--why", "w"),
    ("release", "packages"),
    (HOSTILE,),
    ("--config", HOSTILE, "history"),
)
DOCUMENTS = ("update", "show", "logs", "history", "status", "inputs", "hosts", "check")


def bad_characters(text: str) -> set[str]:
    return {
        f"U+{ord(one):04X}"
        for one in text
        if one not in "\n\t" and unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    }


class World:
    """A fleet that was updated once, and then met a build, an evaluation and a subject full of HOSTILE."""

    def __init__(self, nix: nixes.Nix, tmp_path: Path) -> None:
        self.environment = own_environment(nix, tmp_path)
        self.packages, self.tools = (Upstream.create(tmp_path, name) for name in ("packages", "tools"))
        hosts = [HostSpec("web\u202e", ["packages"]), HostSpec("mail\x9b\b", ["tools"])]
        self.fleet = Fleet.create(tmp_path / "fleet\u202e", nix, inputs=[self.packages, self.tools], hosts=hosts)

    def break_both(self) -> None:
        self.packages.break_build(text=HOSTILE)
        self.tools.break_evaluation(text=HOSTILE)
        self.packages.commit(HOSTILE)
        self.tools.commit(HOSTILE)

    def run(self, *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Its output is bytes, where it is caught. `more`: what else than pipes it shall have."""
        argv = [*LOCKBOT, *words]
        if not more:
            done = forked.run(argv, self.environment, self.fleet.path)
            out, err = done.stdout.encode(), done.stderr.encode()
            return subprocess.CompletedProcess(argv, done.returncode, out, err)
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120} | more
        return subprocess.run(argv, env=self.environment, cwd=self.fleet.path, check=False, **options)

    def on_terminal(self, *words: str) -> bytes:
        """What a terminal gets of both streams."""
        master, slave = pty.openpty()
        child = subprocess.Popen(
            [*LOCKBOT, *words],
            env=self.environment | {"TERM": "xterm-256color"},
            cwd=self.fleet.path,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        said = bytearray()
        try:
            while piece := os.read(master, 65536):
                said += piece
        except OSError:  # Linux: the other side is closed
            pass
        finally:
            os.close(master)
            child.wait(120)
        return bytes(said)


_OWN_SEQUENCES = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|1A|2K)|\r(?=\x1b\[2K)")
"""Colours, and how rich moves its picture: one line up, erased."""


def unstyled(drawn: bytes) -> str:
    """What a terminal got, without what is lockbot's own; a CR counts where it follows something on its line."""
    text = _OWN_SEQUENCES.sub("", drawn.decode().replace("\r\n", "\n"))
    return re.sub(r"(?m)^\r+", "", text)


@pytest.mark.timeout(600)
def test_nothing_that_acts_upon_a_terminal_is_printed(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World(one_nix, tmp_path)
    world.run("update")
    world.break_both()
    assert world.run("update").returncode == 1
    wrong: dict[str, object] = {}
    for words in some(TEXTS, 6):
        piped = world.run(*words)
        assert piped.stdout + piped.stderr, words
        assert b"Traceback" not in piped.stderr, words
        for name, data in {"stdout": piped.stdout, "stderr": piped.stderr}.items():
            if found := bad_characters(data.decode()):
                wrong[f"{words} {name}"] = found
    for words in some(TEXTS, 6, 1):
        if found := bad_characters(unstyled(world.on_terminal(*words))):
            wrong[f"{words} on a terminal"] = found
    for command in DOCUMENTS:
        data = world.run(command, "--json").stdout
        assert data.isascii(), command
        assert [json.loads(one) for one in (data.splitlines() if command == "logs" else [data])], command
        if found := bad_characters(data.decode()):
            wrong[f"{command} --json"] = found
    assert wrong == {}


def test_a_log_is_shown_line_by_line_and_raw_on_request(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World(one_nix, tmp_path)
    world.packages.break_build(text="\tone\x1b[31mred\x1b[0m\n5%\r50%\r100%\ntwo \x9b31m\xff end")
    assert world.run("update").returncode == 1
    shown = world.run("show", "--log", "web\u202e").stdout.decode()
    assert "        onered\n" in shown and "\ntwo \\x9b31m\xff end\n" in shown
    raw = world.run("show", "--log", "web\u202e", "--raw").stdout
    assert raw.startswith(b"\tone") and raw.endswith("\ntwo \x9b31m\xff end".encode())
    assert world.run("show", "--raw").returncode == 2, "there is nothing to print raw"


# -- streams that can't be written -------------------------------------------------------------------------------

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--help",),
    ("--version",),
    ("update", "--help"),
    ("history",),
    ("history", "--json"),
    ("show",),
    ("show", "--json"),
    ("show", "--log", "web"),
    ("show", "--log", "web", "--raw"),
    ("logs",),
    ("logs", "--json"),
    ("logs", "--follow"),
    ("status",),
    ("status", "--json"),
    ("healthcheck",),
    ("inputs",),
    ("inputs", "--json"),
    ("hosts",),
    ("hosts", "--json"),
    ("check",),
    ("check", "--json"),
    ("check", "--configuration-only"),
    ("notify",),
    ("notify", "--json"),
    ("requests", "--all", "--json"),
    ("metrics",),
    ("diff", "HEAD", "HEAD", "--no-build"),
    ("lint",),
    ("lint", "--json"),
    ("verify", "--no-evaluate"),
    ("verify", "--no-evaluate", "--json"),
    ("bisect", "--host", "web", "--since", "HEAD", "--", "true"),
    ("bisect", "--host", "web", "--since", "HEAD", "--json", "--", "true"),
    ("review",),
    ("review", "--json"),
    ("init", "--stdout"),
    ("hold", "packages", "--why", "tests"),
    ("release", "packages"),
    ("pause", "--why", "tests"),
    ("resume",),
    ("update",),
    ("update", "--json"),
)


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def no_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def closing(*descriptors: int) -> Callable[[], None]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.fixture
def updated(one_nix: nixes.Nix, tmp_path: Path) -> World:
    world = World.__new__(World)
    world.environment = own_environment(one_nix, tmp_path)
    world.packages = Upstream.create(tmp_path, "packages")
    hosts = [HostSpec("web", ["packages"])]
    world.fleet = Fleet.create(tmp_path / "fleet", one_nix, inputs=[world.packages], hosts=hosts)
    world.packages.break_build()
    assert world.run("update").returncode == 1
    return world


def test_every_command_is_in_the_table() -> None:
    assert {word for words in COMMANDS for word in words} >= set(cli.commands) - {
        "accept",
        "daemon",
        "demo",
        "revert",
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["full", "closed", "closed with stdin"])
def test_a_stdout_that_cannot_be_written_is_one_line_and_an_exit_code(updated: World, how: str) -> None:
    why = "No space left on device" if how == "full" else "it is closed"
    streams: dict[str, Any] = {
        "full": {},
        "closed": {"stdout": None, "preexec_fn": closing(1)},
        "closed with stdin": {"stdout": None, "stdin": None, "preexec_fn": closing(0, 1)},
    }[how]
    wrong: list[object] = []
    for words in some(COMMANDS, *{"full": (7,), "closed": (9, 1), "closed with stdin": (9, 3)}[how]):
        stream = full()
        done = updated.run(*words, **({"stdout": stream} | streams))
        os.close(stream)
        errors = [line for line in done.stderr.decode().splitlines() if not re.match(r"\d\d:\d\d ", line)]
        if (done.returncode, errors) != (3, [f"lockbot: error: cannot write to standard output: {why}"]):
            wrong.append((words, done.returncode, errors))
    assert wrong == []


@pytest.mark.timeout(600)
def test_a_reader_that_has_gone_ends_a_command_quietly(updated: World) -> None:
    wrong: list[object] = []
    for words in some(COMMANDS, 5):
        stream = no_reader()
        done = updated.run("-q", *words, stdout=stream)
        os.close(stream)
        if done.stderr or done.returncode != updated.run(*words).returncode:
            wrong.append((words, done.returncode, done.stderr))
    assert wrong == []


def test_who_follows_a_log_need_not_see_its_end(updated: World) -> None:
    """`lockbot logs --follow | head -1` ends with head, not with the run."""
    run = json.loads(updated.run("show", "--json").stdout)["run"]
    log = Path(updated.environment["LOCKBOT_STATE__DIRECTORY"]) / "logs" / run / "run.jsonl"
    lines = [one for one in log.read_text().splitlines(keepends=True) if '"run ended"' not in one]
    mine = json.dumps({"time": "", "level": "info", "event": "run started", "pid": os.getpid()}) + "\n"
    log.write_text(mine + "".join(lines))  # a run that is still at work, as long as this test is
    with subprocess.Popen(
        [*LOCKBOT, "logs", "--follow"], env=updated.environment, cwd=updated.fleet.path, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        child.stdout.close()
        time.sleep(0.5)
        with log.open("a") as file:
            file.write(lines[0])
        assert child.wait(20) == 0


NARRATIONS: dict[str, Mapping[str, Any]] = {
    "full": {"stderr": "full"},
    "closed": {"stderr": None, "preexec_fn": closing(2)},
    "gone": {"stderr": "gone"},
    "all closed": {"stdin": None, "stdout": None, "stderr": None, "preexec_fn": closing(0, 1, 2)},
}


@pytest.mark.parametrize(
    ("how", "options"),
    some([(how, options) for how in NARRATIONS for options in (("-v",), ("--log-format", "json"))], 3),
)
def test_an_update_that_nobody_hears_is_an_update(updated: World, how: str, options: Sequence[str]) -> None:
    updated.packages.fix()
    streams = dict(NARRATIONS[how])
    opened = {"full": full, "gone": no_reader}.get(how)
    if opened is not None:
        streams["stderr"] = opened()
    done = updated.run(*options, "update", "--json", **streams)
    if opened is not None:
        os.close(streams["stderr"])
    assert done.returncode == (3 if how == "all closed" else 0), "the truth: published, and whether it was told"
    assert updated.fleet.locked("packages") == updated.packages.head()
    (newest, _) = json.loads(updated.run("history", "--json").stdout)["runs"]
    assert newest["outcome"] == "published"
    if how != "all closed":
        assert json.loads(done.stdout)["outcome"] == "published"


def test_an_update_whose_result_cannot_be_written_is_done_all_the_same(updated: World) -> None:
    updated.packages.fix()
    stream = full()
    done = updated.run("update", stdout=stream)
    os.close(stream)
    assert done.returncode == 3
    assert updated.fleet.locked("packages") == updated.packages.head()
    assert json.loads(updated.run("show", "--json").stdout)["outcome"] == "published"


def test_no_file_takes_the_place_of_a_closed_stream(updated: World) -> None:
    """Else what is printed would be written into the history."""
    history = Path(updated.environment["LOCKBOT_STATE__DIRECTORY"]) / "history.sqlite"
    for _ in range(3):
        updated.run("-v", "update", stdin=None, stdout=None, stderr=None, preexec_fn=closing(0, 1, 2))
    with sqlite3.connect(history) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    program = (
        "import os\nfrom lockbot import surroundings\nsurroundings.prepare()\n"
        "number = os.open('/', os.O_RDONLY)\nraise SystemExit(number)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], preexec_fn=closing(0, 1, 2), stdin=None, check=False)
    assert done.returncode > 2


# -- the stream itself -------------------------------------------------------------------------------------------


def printing(program: str, environment: Mapping[str, str] = {}, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """A program that prints by lockbot's outlets."""
    text = f"import os, sys, threading\nfrom lockbot.report import output\noutput.install()\n{program}"
    return subprocess.run(
        [sys.executable, "-c", text], env={**OWN, **environment}, capture_output=True, check=False, **more
    )


@pytest.mark.parametrize(
    "program",
    [
        "sys.stdout.write(TEXT)",
        "print(TEXT)",
        "print(TEXT, file=sys.stderr)",
        "import click; click.echo(TEXT)",
        "import click; click.ClickException(TEXT).show()",
        "import warnings; warnings.warn(TEXT)",
        "raise ValueError(TEXT)",
        "threading.Thread(target=lambda: open(TEXT)).start()",
        "import traceback\ntry: open(TEXT)\nexcept OSError: traceback.print_exc()",
        "from lockbot.errors import CommandError as E\noutput.error(E(TEXT, TEXT, command=TEXT, output=TEXT))",
        "from lockbot.report.styled_lines import Piece; output.lines([(Piece(TEXT),)])",
        "output.text(TEXT)",
        "output.log(TEXT)",
        "import logging; logging.error(TEXT)",
        "from lockbot.report import events; events.configure(sys.stderr, {}).error(TEXT, key=TEXT, more=[TEXT])",
        "from lockbot.report import events\nlog = events.configure(sys.stderr, {})\n"
        "try: open(TEXT)\nexcept OSError: log.exception(TEXT)",
    ],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_no_way_of_printing_gets_past_the_outlets(program: str, terminal: bool) -> None:
    program = program.replace("TEXT", ascii(HOSTILE))
    if not terminal:
        done = printing(program)
        said = (done.stdout + done.stderr).decode()
    else:
        master, slave = pty.openpty()
        text = f"import os, sys, threading\nfrom lockbot.report import output\noutput.install()\n{program}"
        subprocess.run(
            [sys.executable, "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            check=False,
            env={**OWN, "TERM": "xterm"},
        )
        os.close(slave)
        said = unstyled(os.read(master, 1 << 20))
        os.close(master)
    assert "end" in said
    assert bad_characters(said) == set()


def test_a_stream_that_is_made_non_blocking_takes_everything_in_time() -> None:
    """Whoever shares the pipe may have made it so: Node does."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    got = bytearray()

    def read_slowly() -> None:
        while piece := os.read(reader, 65536):
            got.extend(piece)
            time.sleep(0.002)

    thread = threading.Thread(target=read_slowly)
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from lockbot.report.output import install, text\ninstall()\n"
            "for n in range(40):\n text('x' * 99_999 + '\\n')",
        ],
        stdout=writer,
        env=OWN,
    )
    os.close(writer)
    thread.start()
    assert child.wait(60) == 0
    thread.join(60)
    os.close(reader)
    assert len(got) == 4_000_000


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1", "utf-8", "cp1252:ignore"])
def test_no_encoding_is_an_error(encoding: str) -> None:
    done = printing("print('→ ä \\udcff … 語')", {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    name = encoding.partition(":")[0]
    shown = "→ ä \\udcff … 語\n".encode(name, "backslashreplace")
    assert done.stdout == shown


_BREAKS_SYNTAX = (
    "> Authorization:",
    "x Cookie:",
    "access-tokens = example.org=abc",
    "token=",
    "a://u:p@h",
    "?key=x\\",
)


def test_documents_stay_documents(tmp_path: Path) -> None:
    """What looks like the beginning of a secret, at the end of a text, must not take JSON's own signs with it."""
    texts = [one + end for one in _BREAKS_SYNTAX for end in ("", " ", "\\", '"')]
    program = """if True:
        import json, sys
        from lockbot.report import output
        from lockbot.report.events import JsonLines, configure
        texts = json.loads(sys.argv[1])
        output.install()
        output.document({"all": [[text, "next"] for text in texts]})
        lines = JsonLines(output.trusted(sys.stderr))
        log = configure(sys.stderr, {})
        for text in texts:
            lines.write({"event": text, "next": [text, "next"]})
            log.info(text, next=[text, "next"])
    """
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(texts)],
        env={"PYTHONPATH": str(PROJECT), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [value[1] for value in json.loads(done.stdout)["all"]] == ["next"] * len(texts)
    assert [json.loads(line)["next"][1] for line in done.stderr.splitlines()] == ["next"] * 2 * len(texts)
