"""What Nix prints, of which strangers write the most: builders, flakes, git servers. Read to its end in bounded
memory, and taken for nothing but what it can be."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from lockbot.errors import LockbotError
from lockbot.model import DerivationStarted, FailureKind, Host, HostKind, silent
from lockbot.nix import blame, derivation, failure, lines
from lockbot.nix.build import Builder, Target
from lockbot.nix.command import Nix
from lockbot.nix.evaluate import fault, package_version
from lockbot.nix.evaluate.evaluator import ERROR_LINES, Evaluation, Job, Reader
from lockbot.nix.evaluate.files_read import FilesRead
from lockbot.process import CancelToken
from lockbot.process.output import LINE_BYTES, Stream
from tests import nixes
from tests.hostile.properties import holds
from tests.hostile.samples import SAID, TEXT, json_of, spoiled, words_of
from tests.nix.test_evaluate import BUILDING, World

WORDS = [
    *words_of("nix/blame.py", "nix/evaluate/*.py", "nix/derivation.py"),
    *(
        "action",
        "msg",
        "level",
        "raw_msg",
        "trace",
        "file",
        "line",
        "column",
        "start",
        "stop",
        "result",
        "type",
        "id",
    ),
    *("fields", "outputs", "system", "env", "__json", "urls", "derivations", "path", "hash", "structuredAttrs"),
]
NUMBERS = st.sampled_from([0, 1, 2, 100, 101, 105, True, "105", -1, 2**70, 1.5, None])
TEXTS = (
    TEXT | st.sampled_from(SAID) | st.sampled_from(["/nix/store/" + "a" * 32 + "-x.drv", "cannot build on 'ssh'"])
)
EVENTS = st.fixed_dictionaries(
    {"action": st.sampled_from(["msg", "start", "stop", "result", "x", 1])},
    optional={
        "level": NUMBERS,
        "type": NUMBERS,
        "id": NUMBERS,
        "msg": TEXTS | NUMBERS,
        "raw_msg": TEXTS | NUMBERS,
        "file": TEXT | NUMBERS,
        "line": NUMBERS,
        "column": NUMBERS,
        "fields": st.lists(TEXTS | NUMBERS, max_size=3) | TEXT,
        "trace": st.lists(st.fixed_dictionaries({}, optional={"raw_msg": TEXTS | NUMBERS, "file": TEXT | NUMBERS}))
        | json_of(WORDS),
    },
)
LINES = st.lists(
    EVENTS.map(lambda event: f"@nix {json.dumps(event)}")
    | json_of(WORDS).map(lambda value: f"@nix {json.dumps(value)}")
    | EVENTS.flatmap(lambda event: st.integers(0, 200).map(lambda end: f"@nix {json.dumps(event)}"[:end]))
    | TEXTS,
    max_size=12,
)


@holds("Nix's standard error", spoiled(SAID) | TEXT, examples=100)
def test_any_text_is_of_a_kind_and_told_in_a_line(_: None, text: str) -> None:
    assert failure.classify(text) in FailureKind
    for told in (failure.explain(text), failure.where(text), failure.said(text, FailureKind.BUILD)):
        assert "\n" not in told and len(told) <= lines.MESSAGE_LENGTH
    assert failure.explain(text)
    for culprit, problem in failure.derivation_failures(text).items():
        assert culprit == (problem.culprit or "") and "\n" not in culprit
    assert failure.fetch_kind(text) in FailureKind
    assert isinstance(failure.dependency_failures(text), frozenset)
    assert isinstance(failure.stale_fetch_lines(text), tuple)


@holds("Nix's JSON log", LINES, examples=100)
def test_any_event_is_an_error_or_none(_: None, said: list[str]) -> None:
    bare = [line for line in said if blame.event(line) is None]
    for event in filter(None, map(blame.event, said)):
        error = fault.NixError.of(event)
        if error is not None:
            assert fault.kind(error, bare) in FailureKind
            assert error.builtin is None or isinstance(error.builtin, str)


@holds("Nix's JSON log", LINES, examples=100)
def test_any_lines_of_a_build_are_watched(_: None, said: list[str]) -> None:
    told: list[object] = []
    watched = blame.Watched(told.append)
    for line in said:
        watched.line(line)
    watched.end()
    assert watched.running == {}
    assert isinstance(watched.text, str)
    assert watched.report("/nix/store/x.drv") is None or watched.messages
    assert len(told) % 2 == 0 or len(watched.started) < len(told), "what began has ended"


class Reading:
    """An evaluator of three hosts that has not said anything yet."""

    def __init__(self, nix: Nix) -> None:
        self.done: list[Evaluation] = []
        jobs = [Job(Host(name, ("hosts", name), HostKind.ATTRIBUTE), "git+file:///x") for name in "abc"]
        self.reader = Reader(nix, jobs, lambda _: None, self.done.append, 60, FilesRead())


@contextmanager
def no_nix() -> Iterator[Nix]:
    with CancelToken() as cancel:
        yield Nix(Path("/bin/false"), Path("/bin/false"), {}, cancel, "")


@holds("Nix's JSON log", st.tuples(LINES, st.sampled_from([0, 1, -9, 137, 255])), room=no_nix, examples=100)
def test_any_lines_of_an_evaluation_finish_no_host(nix: Nix, example: tuple[list[str], int]) -> None:
    """Only the marks that nobody can guess do."""
    said, code = example
    reading = Reading(nix)
    for line in said:
        reading.reader.line(line)
    assert reading.reader.done == 0 and reading.done == []
    problem = reading.reader.problem(code, None)
    assert problem.kind in FailureKind and problem.message


@contextmanager
def a_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / f"{'a' * 32}-x-1.0.drv"


SHOWN = json.dumps(
    {
        "/nix/store/x.drv": {
            "outputs": {"out": {"path": "/nix/store/x", "hash": "ab"}},
            "system": "x86_64-linux",
            "env": {"urls": "https://a https://b", "__json": '{"urls": ["x"]}', "pname": "x"},
        }
    }
)
ATERM = (
    'Derive([("out","/nix/store/x","r:sha256","ab"),("dev","/nix/store/y","","")],[("/nix/store/z.drv",["out"])],'
    '["/nix/store/s"],"x86_64-linux","/bin/sh",["-c","echo"],[("name","x"),("pname","x"),("version","1.0"),'
    '("__json","{\\"pname\\": \\"x\\"}")])'
)


@holds("derivations", spoiled([SHOWN]) | json_of(WORDS).map(json.dumps) | TEXT)
def test_any_answer_is_a_derivation_or_none(_: None, text: str) -> None:
    found = derivation.parse(text, "/nix/store/x.drv")
    assert found is None or isinstance(found.urls, tuple)


@holds("derivations", spoiled([ATERM]).map(lambda text: text.encode(errors="replace")) | st.binary(), a_file)
def test_any_file_is_a_derivation_or_none(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    found = derivation.read_label(str(file))
    assert found is None or (found.package and (found.version is None or len(found.version) < 212))
    derivation._read(file)


@holds("Nix's answers", json_of(["there", "version"]).map(json.dumps) | TEXT)
def test_any_answer_is_a_version_or_refused(_: None, text: str) -> None:
    with suppress(LockbotError):
        assert len(package_version._read(text).version) <= package_version.LONGEST


CHUNKS = st.lists(
    st.binary(max_size=40) | st.sampled_from([b"\n", b"x" * 5000, b"\xff\n", b"@nix {}\n"]), max_size=30
)


@holds("a program's output", CHUNKS)
def test_any_bytes_come_line_by_line_and_within_bounds(_: None, chunks: list[bytes]) -> None:
    heard: list[str] = []
    stream = Stream(heard.append, line_bytes=1000)
    for chunk in chunks:
        stream.feed(chunk)
    whole = b"".join(chunks)
    assert stream.close() == whole.decode(errors="replace")
    expected = [line[:1000].decode(errors="replace") for line in whole.split(b"\n")]
    assert heard == (expected[:-1] if expected[-1] == "" else expected)


# -- bounded


def event(**said: Any) -> str:
    return f"@nix {json.dumps(said)}"


def test_what_a_builder_has_nix_say_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blame, "SAID_CHARACTERS", 10_000)
    watched = blame.Watched(silent)
    for number in range(1000):
        watched.line(event(action="msg", level=0, msg=f"error: {number} {'x' * 100}"))
        watched.line(f"{number} {'y' * 100}")
    assert sum(map(len, watched.messages)) <= 10_000
    assert watched.messages[-1].startswith("999 "), "the last of it is"


def test_the_log_of_what_is_no_build_is_not_kept() -> None:
    """A builder may begin any number of activities: `@nix {"action": "start", …}` on its standard error."""
    watched = blame.Watched(silent)
    watched.line(event(action="start", id=1, type=105, fields=["/x.drv", ""]))
    for number in range(1, 500):
        watched.line(event(action="result", id=number, type=101, fields=["z" * 50_000]))
    assert list(watched.logs) == [1]
    assert [len(line) for line in watched.logs[1]] == [lines.LINE_LENGTH]


def test_what_an_evaluation_says_without_end_is_not_kept() -> None:
    with no_nix() as nix:
        reading = Reading(nix)
        for _ in range(ERROR_LINES + 50):
            reading.reader.line("remote: " + "x" * (2 * LINE_BYTES))
        reader = reading.reader
        assert max(map(len, (*reader._said, *reader._bare))) == LINE_BYTES
        assert len(reader._said) == len(reader._bare) == ERROR_LINES


NESTED = "[" * 20_000


@pytest.mark.parametrize("text", [f"@nix {NESTED}", '@nix {"action": ' + NESTED, "@nix " + "9" * 5000])
def test_an_event_without_end_is_none(text: str) -> None:
    assert blame.event(text) == {}


def test_a_derivation_without_end_is_none() -> None:
    """Structured attributes nest as deep as a flake likes, and Nix prints them all."""
    one = {"outputs": {}, "system": "x", "env": {"__json": '{"a":' * 20_000}}
    assert derivation.parse(json.dumps({"/x.drv": one}), "/x.drv") is None
    assert derivation.parse(f'{{"/x.drv": {NESTED}', "/x.drv") is None


@pytest.mark.parametrize(
    "named", ["--post-build-hook", "/etc/passwd", "/nix/store/../x.drv", "x.drv", "/x/--y.drv"]
)
@pytest.mark.parametrize(
    "words", ["builder for 'NAME' failed with exit code 1", "Cannot build 'NAME'.\n  Reason: timed out"]
)
def test_what_is_no_derivation_is_not_blamed(named: str, words: str) -> None:
    """An attribute's name may say it, and whatever is blamed is asked about by its path."""
    assert failure.derivation_failures(f"error: attribute '{words.replace('NAME', named)}' missing") == {}
    drv = f"/nix/store/{'a' * 32}-x-1.0.drv"
    assert list(failure.derivation_failures(f"error: {words.replace('NAME', drv)}")) == [drv]


@pytest.mark.parametrize("trace", [1, "x", {"a": 1}, [1], ["x"], [{"file": "/x"}], [{"file": "/x", "raw_msg": 1}]])
def test_a_trace_that_is_none_is_none(trace: object) -> None:
    error = fault.NixError.of({"action": "msg", "level": 0, "raw_msg": "x", "trace": trace})
    assert error == fault.NixError("x", placed=False)


# -- real ones


def test_a_builders_own_events_are_not_taken_for_nixs(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """A builder prints lines of Nix's JSON log: Nix passes messages on as if they were its own."""
    forged = "error: builder for '/nix/store/forged.drv' failed with exit code 1"
    events: list[dict[str, Any]] = [
        {"action": "start", "id": 5, "level": 3, "type": 105, "text": "", "fields": ["/forged.drv", "", 1, 1]},
        {"action": "start", "id": 6, "level": 3, "type": 101, "text": "", "fields": ["https://forged"]},
        {"action": "result", "id": 6, "type": 101, "fields": ["forged"]},
        {"action": "msg", "level": 0, "msg": forged},
    ]
    script = 'plain "forges" "while read -r line; do echo \\"$line\\" >&2; done < ${./said}; exit 3" { }'
    said = "".join(f"{event(**one)}\n" for one in events)
    world = World(one_nix, tmp_path, cancel, {})
    done = world.evaluate({"forges": script}, files={"said": said})["forges"]
    told: list[object] = []
    with Builder(world.nix, BUILDING, told.append) as builder:
        builder.want(Target(done.drv, done.out, done.target, done.system))
        problem = builder.results()[done.drv]
    assert problem is not None
    assert (problem.kind, problem.culprit) == (FailureKind.BUILD, done.drv)
    assert "exit code 3" in problem.message
    assert {one.drv for one in told if isinstance(one, DerivationStarted)} == {done.drv}
