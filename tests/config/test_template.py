"""The annotated example, what `lockbot init` writes, and the page's tables."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.config import keys, load, reference
from lockbot.config.settings import MANY, sections
from lockbot.config.template import EXAMPLE, Found, annotated, toml
from lockbot.errors import UsageError
from lockbot.forge.place import Account, Kind
from tests.config.reading import QUICK, ROOT, Write


def test_the_example_is_what_the_keys_say() -> None:
    """Written by `python -m lockbot.config.template > config/lockbot.toml`."""
    example = ROOT / "config/lockbot.toml"
    assert example.read_text() == annotated(EXAMPLE)
    got = load(example, {"HOME": "/h"})
    default = load(None, {"HOME": "/h"})
    assert got.repository.path == Path("/etc/nixos")
    assert got.model_copy(update={"repository": default.repository}) == default


def test_every_key_is_in_the_example_with_its_default() -> None:
    """What is commented out there, taken as written, gives the very defaults."""
    text = re.sub("^#(?=[a-z[])", "", (ROOT / "config/lockbot.toml").read_text(), flags=re.MULTILINE)
    data = tomllib.loads(text)
    default = load(None, {"HOME": "/h"})
    seen = 0
    for key in keys():
        table = data[key.section]
        if key.section in MANY:
            table = table[0] if isinstance(table, list) else next(iter(table.values()))
        assert key.name in table
        if key.default is not None and key.section not in MANY:
            one = json.dumps(table[key.name]) if key.form.kind == "json" else str(table[key.name])
            got = load(None, {"HOME": "/h", key.form.variable: one})
            assert got == default, key
            seen += 1
    assert seen > 20


def test_examples_of_keys_without_a_default_load(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a=b")
    (tmp_path / "address").write_text("https://hc.example/x")
    text = re.sub("^#(?=[a-z[])", "", annotated(EXAMPLE), flags=re.MULTILINE)
    text = re.sub("/run/secrets/(?:ping|heartbeat)-url", "address", text)
    text = re.sub("/run/secrets/[a-z-]+", "token", text)
    text = text.replace('\nsign = "no"\n', '\nsign = "ssh"\n')  # commit.verify is nothing without
    together = [line for line in text.splitlines() if not line.startswith('url = "ssh:')]
    got = load(write("\n".join(together)), {})
    assert got.repository.remote == "origin"
    assert got.group[0].inputs == ("nixpkgs", "home-manager")
    assert got.build.jobs == 2
    account = got.forge["git.example.org"].account()
    assert account == Account(Kind.FORGEJO, "https://git.example.org/api/v1", "a=b")
    apart = [line for line in text.splitlines() if not line.startswith(("path =", "remote ="))]
    assert load(write("\n".join(apart)), {}).repository.url == "ssh://git@example.org/nixos.git"


def test_every_key_is_explained() -> None:
    tables = {section: reference.section_text(section).splitlines() for section in sections()}
    rows = [row for lines in tables.values() for row in lines if row.startswith("| `")]
    assert len(rows) == len(list(keys()))
    for key, row in zip(keys(), rows, strict=True):
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) == 6
        assert key.name in cells[1]
        assert all(cell.strip() for cell in cells[1:5])
        assert key.meaning.endswith(".")
        assert key.section in MANY or f"`{key.form.variable}`" in cells[1]


@pytest.mark.parametrize(
    ("section", "row"),
    [
        ("build", '| `build.timeout`<br>`LOCKBOT_BUILD__TIMEOUT` | duration | `"6h"` |'),
        ("build", "| `build.gate`<br>`LOCKBOT_BUILD__GATE` | `no-regression`, `all-green` |"),
        ("build", "| `build.jobs`<br>`LOCKBOT_BUILD__JOBS` | whole number, 0 to 1000 | Nix's own setting |"),
        ("build", "| `build.options`<br>`LOCKBOT_BUILD__OPTIONS` | table | `{}` |"),
        ("state", "| `state.directory`<br>`LOCKBOT_STATE__DIRECTORY` | path | $STATE_DIRECTORY"),
        ("hosts", "| `hosts.attributes`<br>`LOCKBOT_HOSTS__ATTRIBUTES` | list of attribute paths | `[]` |"),
        ("commit", "| `commit.author`<br>`LOCKBOT_COMMIT__AUTHOR` | `Name <mail>` |"),
        (
            "after_update",
            "`LOCKBOT_AFTER_UPDATE__COMMANDS` | list of lists of texts |",
        ),
        ("schedule", "| `schedule.when`<br>`LOCKBOT_SCHEDULE__WHEN` | schedule |"),
        ("forge", "| `forge.HOST.token` | secret | none |"),
        ("group", "| `name` | text | required |"),
    ],
)
def test_a_keys_type_is_called_by_a_word(section: str, row: str) -> None:
    assert row in reference.section_text(section)


def evil_names() -> st.SearchStrategy[str]:
    tricks = st.sampled_from(
        ['"', "\\", "\n", "\r", "\x85", "\u2028", "\x1b[31m", "#", "'''", '"""', "=", "[x]", "\0"]
    )
    return st.lists(tricks | st.text(max_size=4), max_size=6).map("".join)


def as_branch(text: str) -> str:
    """What git would allow of it."""
    kept = re.sub(r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff/.@]", "", text).lstrip("-")
    return kept if kept not in ("", "HEAD") else "main"


@QUICK
@given(
    path=evil_names().map(lambda text: re.sub("[\0\ud800-\udfff]", "", text)),
    branch=evil_names().map(as_branch),
    remote=st.none() | evil_names().map(as_branch),
    flake_dir=st.sampled_from(["", "hosts", 'a"b', "a\nb = 1"]),
    hosts=st.lists(evil_names(), max_size=4),
    inputs=st.lists(evil_names(), max_size=4),
)
def test_what_init_writes_loads(
    write: Write,
    path: str,
    branch: str,
    remote: str | None,
    flake_dir: str,
    hosts: list[str],
    inputs: list[str],
) -> None:
    found = Found(path or None, branch, remote, flake_dir, hosts, inputs)
    text = annotated(found)
    got = load(write(text), {"HOME": "/home/me"})
    plain = load(write(annotated(Found())), {"HOME": "/home/me"})
    assert got.model_copy(update={"repository": plain.repository}) == plain
    assert (got.repository.branch, got.repository.remote, got.repository.flake_dir) == (branch, remote, flake_dir)
    if path:
        assert got.repository.path is not None
        assert got.repository.path.parts[-1:] == Path("/", "x" if path == "." else path).parts[-1:] or path == "."
    assert all(line.isprintable() for line in text.split("\n"))


def test_uncommenting_the_found_group_works(write: Write) -> None:
    text = annotated(replace(EXAMPLE, inputs=('a"b\\c', "x]")))
    text = re.sub(r"^#(?=name |inputs |\[\[)", "", text.partition("[web]")[0], flags=re.MULTILINE)
    assert load(write(text), {}).group[0].inputs == ('a"b\\c', "x]")


def test_a_name_that_is_not_text_is_refused() -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        annotated(Found(path="/a\udcff"))
    annotated(Found(hosts=["a\udcff"], inputs=["a\udcff"]))


@QUICK
@given(st.recursive(st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans(), st.lists))
def test_toml_is_what_toml_reads(value: Any) -> None:
    assert tomllib.loads(f"a = {toml(value)}")["a"] == value
