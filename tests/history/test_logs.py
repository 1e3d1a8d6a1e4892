"""Logs as real files, of hosts with hostile names."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.history import logs

RUN = "20261122-154703-3f9a"
HOSTILE = [
    "alpha",
    "Alpha",
    "ALPHA",
    "al pha",
    "al/pha",
    "al-pha",
    "my.dotted.host",
    "../../up",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a\nb",
    "a\0b",
    "\x1b[31mred",
    "häuschen",
    "ha\u0308uschen",
    "h" * 300,
    "h" * 299 + "i",
    "\udcff",
    "\ud800",
    '"; rm -rf /',
    "con",
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "logs"


@pytest.fixture(autouse=True)
def _state(place: Path) -> None:
    place.parent.mkdir()


def test_every_hostile_name_has_a_log_of_its_own(place: Path) -> None:
    for name in HOSTILE:
        assert logs.write_log(place, RUN, name, f"log of {name!r}", 1000) is None
    for name in HOSTILE:
        assert logs.read_log(place, RUN, name) == f"log of {name!r}"
    assert logs.log_names(place, RUN) == tuple(sorted(HOSTILE))


def test_files_stay_in_their_place_and_differ_where_case_does_not_count(place: Path, tmp_path: Path) -> None:
    for name in HOSTILE:
        logs.write_log(place, RUN, name, "text", 1000)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.parent for file in files} == {place / RUN}
    assert len({file.name.lower() for file in files}) == len(HOSTILE)
    assert all(file.name.isascii() and file.name.isprintable() and len(file.name) < 80 for file in files)


@pytest.mark.parametrize("run", ["../../up", "..", "", "A", "a\nb", "x" * 300, "\udcff"])
def test_a_hostile_run_id_stays_in_its_place(place: Path, tmp_path: Path, run: str) -> None:
    assert logs.write_log(place, run, "alpha", "text", 1000) is None
    assert logs.read_log(place, run, "alpha") == "text"
    assert [file.parent.parent for file in tmp_path.rglob("*.gz")] == [place]


def test_only_the_owner_may_read(place: Path) -> None:
    old = os.umask(0)
    try:
        logs.write_log(place, RUN, "alpha", "secret", 1000)
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (place, *place.rglob("*"))}
    assert set(modes.values()) == {0o700, 0o600}
    assert {modes["logs"], modes[RUN]} == {0o700}


def test_zcat_tells_whose_log_it_is(place: Path) -> None:
    logs.write_log(place, RUN, "a\nb", "text\n", 1000)
    (file,) = (place / RUN).iterdir()
    assert gzip.decompress(file.read_bytes()) == b'# log of "a\\nb"\ntext\n'


def test_what_is_too_long_loses_its_middle(place: Path) -> None:
    text = "first\n" + "x" * 100_000 + "\nlast"
    logs.write_log(place, RUN, "alpha", text, 1000)
    kept = logs.read_log(place, RUN, "alpha")
    assert kept is not None
    assert len(kept.encode()) <= 1000
    assert kept.startswith("first\nx")
    assert kept.endswith("x\nlast")
    missing = int(kept.partition("[… ")[2].partition(" bytes left out …]")[0])
    shown = kept.partition("\n[… ")[0] + kept.partition("left out …]\n")[2]
    assert missing + len(shown) == len(text)


@given(st.text(), st.integers(0, 300))
def test_shortening_keeps_to_the_limit_and_to_whole_characters(text: str, limit: int) -> None:
    text *= 20
    kept = logs.shorten(text, limit)
    kept.decode()
    if len(text.encode()) <= limit:
        assert kept.decode() == text
    else:
        gap = next(line for line in kept.decode().split("\n") if line.endswith("bytes left out …]"))
        assert len(kept) <= max(limit, len(gap.encode()) + 2)


def test_ten_megabytes_of_nonsense_are_kept(place: Path) -> None:
    text = "\udcff\0\x1b" * 3_000_000
    assert logs.write_log(place, RUN, "alpha", text, 64 * 1024) is None
    kept = logs.read_log(place, RUN, "alpha")
    assert kept is not None
    assert kept.startswith("\\udcff\0\x1b")


def test_a_second_log_replaces_the_first(place: Path) -> None:
    logs.write_log(place, RUN, "alpha", "one", 1000)
    logs.write_log(place, RUN, "alpha", "two", 1000)
    assert logs.read_log(place, RUN, "alpha") == "two"
    assert len(list((place / RUN).iterdir())) == 1


def test_what_is_not_there_is_none(place: Path) -> None:
    assert logs.read_log(place, RUN, "alpha") is None
    assert logs.log_names(place, RUN) == ()


def test_a_damaged_log_gives_what_can_be_read(place: Path) -> None:
    text = "".join(f"line {number} {os.urandom(8).hex()}\n" for number in range(5000))
    logs.write_log(place, RUN, "alpha", text, 10_000_000)
    (file,) = (place / RUN).iterdir()
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[: len(whole) // 2] + b"\xff" * 5000):
        file.write_bytes(damaged)
        kept = logs.read_log(place, RUN, "alpha")
        assert kept is not None
        assert kept.startswith("line 0 ")
        assert kept.endswith("[… the rest of this log is damaged …]\n")
        assert logs.log_names(place, RUN) == ("alpha",)


def test_files_of_others_are_no_logs(place: Path) -> None:
    logs.write_log(place, RUN, "alpha", "text", 1000)
    (place / RUN / ".0123.tmp").write_bytes(b"half")
    (place / RUN / "other.log.gz").write_bytes(b"not gzip")
    (place / RUN / "third.log.gz").write_bytes(gzip.compress(b'# log of ["list"]\n'))
    assert logs.log_names(place, RUN) == ("alpha",)


def test_a_place_that_takes_no_files_gives_a_sentence(place: Path) -> None:
    place.write_text("a file where the directory should be")
    problem = logs.write_log(place, RUN, "a\nb", "text", 1000)
    assert problem is not None
    assert problem.startswith('the log of "a\\nb" could not be kept: ')


def test_only_old_strays_go(place: Path) -> None:
    for run in ("known", "old-stray", "young-stray"):
        logs.write_log(place, run, "alpha", "text", 1000)
    for run in ("known", "old-stray"):
        os.utime(place / run, (1000, 1000))
    logs.remove_strays(place, ["known"], before=2000)
    assert sorted(path.name for path in place.iterdir()) == ["known", "young-stray"]


def test_removing_follows_no_link(place: Path, tmp_path: Path) -> None:
    logs.write_log(place, RUN, "alpha", "text", 1000)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (place / RUN / "link").symlink_to(precious)
    (place / "evil").symlink_to(precious)
    logs.remove_logs(place, [RUN, "evil"])
    assert (precious / "file").exists()
    assert not (place / RUN).exists()
