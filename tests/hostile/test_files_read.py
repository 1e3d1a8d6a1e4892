"""Files that lockbot reads back, and its configuration: whatever is in them, they are understood, refused with
their place, or taken for nothing."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from lockbot import state
from lockbot.config import keys, load
from lockbot.daemon import memory
from lockbot.errors import UsageError
from lockbot.history import logs
from lockbot.judge import verdict_cache
from lockbot.judge.verdict_cache import VerdictCache
from lockbot.model import Host
from lockbot.notify.postmarks import Postmarks
from lockbot.search.interface import Response
from tests.hostile.properties import holds
from tests.hostile.samples import CONTROL, TEXT, WHOLE_TEXT, json_of, spoiled, words_of
from tests.nixes import PROJECT

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WORDS = [*words_of("daemon/memory.py", "judge/verdict_cache.py", "state.py"), "machine", "since", "run", "a", "b"]
TOML = [
    (PROJECT / "config/lockbot.toml").read_text().replace("\n# ", "\n"),
    "".join(f"[{key.section}]\n{key.name} = 1\n" for key in keys()),
]
LINES = st.lists(
    st.tuples(
        st.sampled_from(sorted({key.section for key in keys()})),
        st.sampled_from(list(keys())),
        WHOLE_TEXT | json_of(WORDS).map(json.dumps),
    ).map(lambda line: f"{line[0]}.{line[1].name} = {line[2]}\n"),
    max_size=4,
).map("".join)


def bytes_of(text: str) -> bytes:
    return text.encode(errors="replace")


@contextlib.contextmanager
def a_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for variable in list(os.environ):
            if variable.startswith("LOCKBOT_"):
                patch.delenv(variable)
        yield Path(name)


@holds("configuration", (spoiled(TOML) | LINES | WHOLE_TEXT).map(bytes_of) | st.binary(), a_directory)
def test_any_file_is_a_configuration_or_refused_with_its_place(place: Path, content: bytes) -> None:
    path = place / "lockbot.toml"
    path.write_bytes(content)
    try:
        load(path, {})
    except UsageError as error:
        assert error.exit_code == 2
        for line in error.message.splitlines():
            assert CONTROL.search(line) is None
        assert re.match(rf"{path}(:\d+)*: |cannot read {path}", error.message) or str(path) in error.message, (
            error.message
        )


@holds("configuration", st.tuples(st.sampled_from(list(keys())), TEXT | json_of(WORDS).map(json.dumps)))
def test_any_variable_is_a_setting_or_refused_by_its_name(_: None, example: tuple[Any, str]) -> None:
    key, value = example
    name = f"LOCKBOT_{key.section}__{key.name}".upper()
    try:
        load(None, {name: value.replace("\0", "")})
    except UsageError as error:
        assert name in error.message
        assert all(CONTROL.search(line) is None for line in error.message.splitlines())


FILES = (
    json_of(WORDS).map(json.dumps).map(bytes_of)
    | st.binary()
    | st.sampled_from([b"[" * 99_999, b"9" * 99_999, b"{}", b"\0" * 5000])
)


@holds("state files", FILES, a_directory)
def test_any_state_file_is_understood_or_as_good_as_none(place: Path, content: bytes) -> None:
    for name in (memory.SCHEDULE, memory.DAEMON, memory.PAUSED, "lock"):
        (place / name).write_bytes(content)
    for done in memory.read_done(place).values():
        assert done.last.tzinfo is not None
    memory.read_service(place)
    pause = memory.paused(place)
    assert pause is not None, "somebody meant to"
    assert pause.since is None or pause.since.tzinfo is not None
    holder = state._parse_holder(place / "lock")
    assert holder is None or CONTROL.search(str(holder)) is None
    assert holder is None or isinstance(holder.dead, bool)


def test_a_pause_since_a_time_of_no_zone_is_one_since_nobody_knows_when(tmp_path: Path) -> None:
    (tmp_path / memory.PAUSED).write_text('{"since": "2026-11-22T12:00:00", "why": "so"}')
    assert memory.paused(tmp_path) == memory.Pause(None, "so")


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # the same each time


HEADED = FILES.map(lambda content: logs._HEADER.encode() + content + b"\n")


@holds("state files", (FILES | HEADED).map(packed) | FILES, a_directory)
def test_any_log_is_a_hosts_or_none_of_ours(place: Path, content: bytes) -> None:
    file = place / f"x{logs._SUFFIX}"
    file.write_bytes(content)
    name = logs._host(file)
    assert name is None or isinstance(name, str)
    logs._decompress(content)


@holds("state files", FILES, a_directory)
def test_any_file_of_verdicts_is_understood_or_as_good_as_none(place: Path, content: bytes) -> None:
    path, host = verdict_cache.file(place, "x"), Host("web", ("hosts", "web"))
    path.write_bytes(content)
    cache = VerdictCache(path, "key", NOW, 1e9)
    assert cache.find(b"lock", [host]) is None
    cache.learn(b"lock", [host], Response(red=frozenset({"web"})))
    found = VerdictCache(path, "key", NOW, 1e9).find(b"lock", [host])
    assert found is not None and found.red == {"web"}


@holds(
    "state files",
    st.binary() | st.lists(st.text(max_size=10)).map("\n".join).map(lambda text: text.encode(errors="replace")),
    a_directory,
)
def test_any_postmarks_are_some_ids(place: Path, content: bytes) -> None:
    marks = Postmarks(place, "x")
    with marks:
        marks.begin(["a"])
        marks.add(["a", "b"])
    assert marks.read() == {"a", "b"}
    marks._path.write_bytes(content)
    assert all(one.strip() for one in marks.read())


@pytest.mark.parametrize("value", ["9" * 5000, "0x" + "f" * 100_000, "[" * 5000, "9999-99-99"])
def test_a_value_that_python_does_not_take_is_refused(value: str, tmp_path: Path) -> None:
    path = tmp_path / "lockbot.toml"
    path.write_text(f"build.timeout = {value}\n")
    with pytest.raises(UsageError, match=str(path)):
        load(path, {})
