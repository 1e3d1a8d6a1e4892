"""The configuration as a user meets it: files and variables in, settings or a list of mistakes out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockbot.config import Person, Settings, Sign, Strategy, keys, load, reference
from lockbot.config import types as parse
from lockbot.config.errors import line_of
from lockbot.config.settings import MANY, sections
from lockbot.config.template import EXAMPLE, Found, annotated, toml
from lockbot.errors import UsageError
from lockbot.forge.place import Account, Kind
from lockbot.model import Gate
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules, Revisions

ROOT = Path(__file__).parents[2]
Write = Callable[[str], Path]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str) -> Path:
        path = tmp_path / "lockbot.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return put


def mistakes(path: Path | None, environ: dict[str, str] | None = None) -> list[str]:
    """Every line of the error, with the file's directory left out."""
    with pytest.raises(UsageError) as caught:
        load(path, environ or {})
    assert caught.value.exit_code == 2
    return [line.replace(f"{path.parent}/", "") if path else line for line in caught.value.message.splitlines()]


# What is read


def test_no_file_at_all() -> None:
    got = load(None, {"HOME": "/home/me"})
    assert got.repository.path is None
    assert got.repository.url is None
    assert got.repository.push is True
    assert got.repository.flake_dir == ""
    assert got.state.directory == Path("/home/me/.local/state/lockbot")
    assert (got.state.keep_days, got.state.keep_results) == (90, 3)
    assert (got.state.min_free, got.state.log_limit) == (2 * 1024**3, 4 * 1024**2)
    assert (got.hosts.include, got.hosts.exclude, got.hosts.attributes) == (("*",), (), ())
    assert (got.eval.workers, got.eval.memory, got.eval.timeout) == (None, None, 1800)
    assert got.build.gate is Gate.NO_REGRESSION
    assert (got.build.timeout, got.build.silence, got.build.retries, got.build.retry_delay) == (21600, 3600, 3, 5)
    assert (got.run.deadline, got.run.publish_tries, got.run.fetch_timeout) == (86400, 3, 600)
    assert got.commit.author == Person("lockbot", "lockbot@localhost")
    assert (got.commit.committer, got.commit.sign, got.group) == (None, Sign.NO, ())


def test_a_whole_file(write: Write, tmp_path: Path) -> None:
    got = load(
        write(
            """
            [repository]
            path = "flake"
            branch = "main"
            remote = "origin"
            push = false
            flake_dir = "./hosts/"
            [state]
            directory = "~/state"
            keep_days = 7
            min_free = 0
            [hosts]
            include = ["web*"]
            exclude = ["web-old"]
            attributes = ['checks.x86_64-linux."a.b"']
            evaluate_only = ["mac"]
            [eval]
            workers = 2
            memory = "8G"
            timeout = 90
            import_from_derivation = false
            [build]
            gate = "all-green"
            timeout = "1h30m"
            silence = "10m"
            jobs = 0
            cores = 4
            retries = 0
            retry_delay = 0.1
            options = { sandbox = true, extra-platforms = ["a", "b"], http-connections = 5 }
            [run]
            deadline = "3d"
            [commit]
            author = "Ann Ö <ann@example.org>"
            sign = "ssh"
            signing_key = "/key"
            subject = "{count}: {inputs}"
            [[group]]
            name = "system"
            inputs = ["nixpkgs", "home-manager/nixpkgs"]
            strategy = "together"
            [[group]]
            name = "rest"
            inputs = ["x"]
            schedule = "0 4 * * *"
            """
        ),
        {"HOME": "/home/me"},
    )
    assert got.repository.path == tmp_path / "flake"
    assert (got.repository.flake_dir, got.repository.push) == ("hosts", False)
    assert got.state.directory == Path("/home/me/state")
    assert got.state.min_free == 0
    assert got.hosts.attributes == (("checks", "x86_64-linux", "a.b"),)
    assert (got.eval.memory, got.eval.timeout) == (8 * 1024**3, 90)
    assert (got.build.timeout, got.build.jobs, got.build.retry_delay) == (5400, 0, 0.1)
    assert got.build.options == {"sandbox": "true", "extra-platforms": "a b", "http-connections": "5"}
    assert got.commit.author == Person("Ann Ö", "ann@example.org")
    assert [group.strategy for group in got.group] == [Strategy.TOGETHER, Strategy.BEST]
    assert got.group[0].inputs == ("nixpkgs", "home-manager/nixpkgs")


def test_the_environment_comes_first(write: Write) -> None:
    path = write('[build]\ntimeout = "2h"\nsilence = "1m"\n[hosts]\ninclude = ["a"]\n')
    variables = {
        "LOCKBOT_BUILD__TIMEOUT": "3h",
        "LOCKBOT_HOSTS__INCLUDE": '["b", "c"]',
        "LOCKBOT_REPOSITORY__PUSH": "false",
        "LOCKBOT_EVAL__WORKERS": "4",
        "LOCKBOT_EVAL__TIMEOUT": "90",
        "LOCKBOT_BUILD__GATE": "all-green",
        "LOCKBOT_COMMIT__AUTHOR": "A <a@b>",
        "LOCKBOT_BUILD__OPTIONS": '{"sandbox": false}',
        "LOCKBOT_GROUP": '[{"name": "g", "inputs": ["x"]}]',
        "LOCKBOT_CONFIG": "elsewhere",
        "LOCKBOT_TEST_SOMETHING": "1",
        "SOMETHING_ELSE": "1",
    }
    got = load(path, variables)
    assert (got.build.timeout, got.build.silence) == (10800, 60)
    assert got.hosts.include == ("b", "c")
    assert got.repository.push is False
    assert (got.eval.workers, got.eval.timeout) == (4, 90)
    assert got.build.gate is Gate.ALL_GREEN
    assert got.commit.author == Person("A", "a@b")
    assert got.build.options == {"sandbox": "false"}
    assert got.group[0].name == "g"


def test_only_the_mapping_that_is_handed_in_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKBOT_BUILD__TIMEOUT", "1s")
    monkeypatch.setenv("LOCKBOT_NONSENSE", "1")
    monkeypatch.setenv("BUILD", "nonsense")
    monkeypatch.setenv("STATE", "nonsense")
    assert load(None, {}).build.timeout == 21600


def test_settings_cannot_be_changed(write: Write) -> None:
    got = load(write(""), {})
    with pytest.raises(ValueError, match="frozen"):
        got.build.timeout = 1  # type: ignore[misc]  # that is the test
    assert got == load(write("# the same"), {})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/lockbot:/other", "XDG_STATE_HOME": "/x"}, "/var/lib/lockbot"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/lockbot"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/lockbot"),
        ({"LOCKBOT_STATE__DIRECTORY": "/mine", "STATE_DIRECTORY": "/var/lib/lockbot"}, "/mine"),
    ],
)
def test_where_the_state_goes(environ: dict[str, str], expected: str) -> None:
    assert load(None, environ).state.directory == Path(expected)


def test_paths_start_where_they_are_written(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write('repository.path = "../flake"\n')
    assert load(Path("../lockbot.toml"), {}).repository.path == tmp_path / "../flake"
    assert load(None, {"LOCKBOT_REPOSITORY__PATH": "."}).repository.path == tmp_path / "elsewhere"


# Files that are none


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path / "lockbot.toml")
    assert line == "cannot read the configuration lockbot.toml: No such file or directory"


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        load(tmp_path, {})


def test_an_unreadable_file(tmp_path: Path) -> None:
    """Root may read everything, so this is a link to itself."""
    path = tmp_path / "lockbot.toml"
    path.symlink_to(path)
    assert mistakes(path) == ["cannot read the configuration lockbot.toml: Too many levels of symbolic links"]


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "lockbot.toml"
    path.write_bytes(b"[state]\n# caf\xe9\n")
    assert mistakes(path) == ["lockbot.toml:2: not UTF-8"]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "lockbot.toml"
    path.write_bytes(b"\xef\xbb\xbfbuild.retries = 1\r\n")
    assert load(path, {}).build.retries == 1


def test_far_too_large() -> None:
    with pytest.raises(UsageError, match="1 MiB"):
        load(Path("/dev/zero"), {})


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[build]\ntimeout = \n", "lockbot.toml:2:11: not TOML: invalid value"),
        ('[build]\ntimeout = "1h', "lockbot.toml:2:14: not TOML: unterminated string"),
        ("[build]\n[build]\n", "lockbot.toml:2:7: not TOML: cannot declare"),
        ("a = 1\na = 2\n", "lockbot.toml:2:6: not TOML: cannot overwrite"),
    ],
)
def test_syntax_errors_have_line_and_column(write: Write, text: str, start: str) -> None:
    (line,) = mistakes(write(text))
    assert line.startswith(start)


def test_nesting_without_end(write: Write) -> None:
    (line,) = mistakes(write("a = " + "[" * 100_000))
    assert "too deeply" in line


# Mistakes


def test_every_mistake_at_once_with_line_and_nearest_name(write: Write) -> None:
    path = write(
        """\
[repository]
path = "."
url = "file:///x"
brnch = "x"
[builds]
x = 1
[build]
timout = 3
gate = "all-gren"
silence = "9h"
jobs = "3"
options = { post-build-hook = "x" }
[eval]
gate = "x"
workers = 0
memory = "1M"
[hosts]
include = [
  "a",
  3,
]
[[group]]
name = "a"
inputs = []
[[group]]
name = "a"
strategy = "togther"
"""
    )
    environ = {
        "LOCKBOT_BUILD__TIMOUT": "3",
        "LOCKBOT_HOSTS__EXCLUDE": "a",
        "LOCKBOT_GATE": "1",
        "LOCKBOT_CONFG": "x",
        "LOCKBOT_REPOSITORY__PUSH": "perhaps",
    }
    assert mistakes(path, environ) == [
        "LOCKBOT_BUILD__TIMOUT: unknown variable; did you mean 'LOCKBOT_BUILD__TIMEOUT'?",
        "LOCKBOT_CONFG: unknown variable; did you mean 'LOCKBOT_CONFIG'?",
        "LOCKBOT_GATE: unknown variable; did you mean 'LOCKBOT_BUILD__GATE'?",
        'LOCKBOT_HOSTS__EXCLUDE: must be JSON, such as ["a", "b"]',
        "LOCKBOT_REPOSITORY__PUSH: must be true or false, not text",
        "lockbot.toml:3: repository.url: must not be given together with repository.path: keep one of the two",
        "lockbot.toml:4: repository.brnch: unknown key; did you mean 'branch'?",
        "lockbot.toml:5: builds: unknown section; did you mean 'build'?",
        "lockbot.toml:8: build.timout: unknown key; did you mean 'timeout'?",
        'lockbot.toml:9: build.gate: must be one of "no-regression", "all-green", not "all-gren"; '
        "did you mean 'all-green'?",
        "lockbot.toml:10: build.silence: must not be longer than build.timeout, which is 6h",
        "lockbot.toml:11: build.jobs: must be a whole number, not text",
        "lockbot.toml:12: build.options: must not set post-build-hook: it runs a program with the daemon's rights",
        "lockbot.toml:14: eval.gate: unknown key; did you mean 'build.gate'?",
        "lockbot.toml:15: eval.workers: must be at least 1",
        "lockbot.toml:16: eval.memory: must be at least 16M",
        "lockbot.toml:20: hosts.include[1]: must be text, not a whole number",
        "lockbot.toml:24: group 1: inputs: must not be empty",
        "lockbot.toml:25: group 2: inputs: is missing",
        "lockbot.toml:26: group 2: name: an earlier group has the same name",
        'lockbot.toml:27: group 2: strategy: must be one of "best", "together", "each", not "togther"; '
        "did you mean 'together'?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("build.timeout = 0", "build.timeout: must be more than 0"),
        ("build.timeout = -1", "build.timeout: must not be negative"),
        ("build.timeout = true", "build.timeout: must be a duration"),
        ("build.timeout = nan", "build.timeout: must be a duration"),
        ('build.timeout = "9999d"', "build.timeout: must not be longer than 366 days"),
        ("build.retries = -1", "build.retries: must be at least 0"),
        ("build.retries = 1.5", "build.retries: must be a whole number, not a number with a fraction"),
        ("build.retries = true", "build.retries: must be a whole number, not true or false"),
        ("build = 3", "build: must be a table, not a whole number"),
        ("build.options = 3", "build.options: must be a table"),
        ('build.options."a b" = 3', "build.options: holds a name that is no Nix setting"),
        (r'build.options.x = "a\nsandbox = false"', "build.options: sets x to something else than one line"),
        ("build.options.extra-plugin-files = []", "build.options: must not set extra-plugin-files: it loads code"),
        ("build.options.cores = 1", "build.options: must not set cores: use build.cores"),
        ("repository.push = 1", "repository.push: must be true or false, not a whole number"),
        ('repository.push = "yes"', "repository.push: must be true or false, not text"),
        ("repository.path = 1", "repository.path: must be a path, not a whole number"),
        ('repository.path = ""', "repository.path: must not be empty"),
        (
            'repository.path = "https://h/p.git"',
            "repository.path: is an address, not a path: that of a repository goes into repository.url",
        ),
        ('repository.path = "~ann/x"', "repository.path: must not start with ~NAME"),
        ('repository.flake_dir = "/x"', "repository.flake_dir: must be relative"),
        ('repository.flake_dir = "a/../.."', "repository.flake_dir: must stay inside"),
        ('repository.branch = "refs/heads/x"', "repository.branch: must be written without refs/heads/"),
        ('repository.branch = "-x"', "repository.branch: is not a name that git allows"),
        ('repository.remote = "ssh://x/y"', "repository.remote: must be the name of a git remote"),
        ('repository = { url = "file:///x", remote = "o" }', "repository.remote: must not be given together with"),
        ('state.min_free = "-2G"', "state.min_free: must not be negative"),
        ("state.min_free = 1.5", "state.min_free: must be a size"),
        ('state.log_limit = "1K"', "state.log_limit: must be at least 4K"),
        ("state.keep_days = 0", "state.keep_days: must be at least 1"),
        ('hosts.include = "a"', "hosts.include: must be a list, not text"),
        ('hosts.include = [""]', "hosts.include[0]: must not be empty"),
        ("hosts.include = []", "hosts.include: is empty, and attributes too"),
        ("hosts.attributes = [1]", "hosts.attributes[0]: must be text"),
        ('hosts.attributes = ["a b"]', "hosts.attributes[0]: needs a dot at character 2"),
        ('commit.author = "nobody"', 'commit.author: must be "Name <mail@example.org>"'),
        (r'commit.author = "A\n <a@b>"', 'commit.author: must be "Name <mail@example.org>"'),
        ('commit.author = " . <a@b>"', "commit.author: needs a name"),
        ('commit.sign = "ssh"', "commit.sign: ssh needs commit.signing_key"),
        (
            'commit.sign = "SSH"',
            'commit.sign: must be one of "no", "gpg", "ssh", not "SSH"; did you mean \'ssh\'?',
        ),
        ('commit.subject = "{input}"', "commit.subject: has an unknown placeholder"),
        ('commit.subject = "{inputs.x}"', "commit.subject: has an unknown placeholder"),
        ('commit.subject = "{inputs!r}"', "commit.subject: must use its placeholders plainly"),
        ('commit.subject = "{inputs:>{count}}"', "commit.subject: must use its placeholders plainly"),
        ('commit.subject = "{0}"', "commit.subject: has an unknown placeholder"),
        ('commit.subject = "a } b"', "commit.subject: has an unpaired brace"),
        (r'commit.subject = "a\n\nSigned-off-by: x"', "commit.subject: must be one line"),
        ("[group]\nname = 'a'", "group: must be a list of tables, each headed [[group]], not a table"),
        ("group = [3]", "group 1: must be a table, not a whole number"),
        ("[[group]]\nname = 'a'\ninputs = ['x', 'x']", "group 1: inputs: names an input twice"),
        ("[[group]]\nname = 'a'\ninputs = ['x']\nnme = 1", "group 1: nme: unknown key; did you mean 'name'?"),
        ("run.publish_tries = 0", "run.publish_tries: must be at least 1"),
        (r'"a\u001b[31mb" = 1', r'"a\u001b[31mb": unknown section'),
        ("eval.timeout = 2024-01-01", "eval.timeout: must be a duration"),
        ("eval.workers = 2024-01-01", "eval.workers: must be a whole number, not a date or time"),
    ],
)
def test_refused(write: Write, text: str, expected: str) -> None:
    (line,) = mistakes(write(text))
    place, _, what = line.partition(": ")
    assert re.fullmatch(r"lockbot\.toml:[1-4]", place)
    assert what.startswith(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LOCKBOT_BUILD", "{}", "LOCKBOT_BUILD: unknown variable"),
        ("LOCKBOT_build__timeout", "1h", "unknown variable; did you mean 'LOCKBOT_BUILD__TIMEOUT'?"),
        ("lockbot_build__timeout", "1h", "unknown variable; did you mean 'LOCKBOT_BUILD__TIMEOUT'?"),
        ("LOCKBOT_BUILD__RETRIES__X", "1", "unknown variable"),
        ("LOCKBOT_BUILD__RETRIES", "", "LOCKBOT_BUILD__RETRIES: must be a whole number, not text"),
        ("LOCKBOT_BUILD__RETRIES", "9" * 5000, "must be a whole number"),
        ("LOCKBOT_HOSTS__INCLUDE", "[1]", "LOCKBOT_HOSTS__INCLUDE[0]: must be text, not a whole number"),
        ("LOCKBOT_HOSTS__INCLUDE", "[]", "LOCKBOT_HOSTS__INCLUDE: is empty, and attributes too"),
        ("LOCKBOT_HOSTS__INCLUDE", "[" * 100_000, "LOCKBOT_HOSTS__INCLUDE: must be JSON"),
        ("LOCKBOT_GROUP", '[{"name": "a"}]', "LOCKBOT_GROUP: group 1: inputs: is missing"),
        ("LOCKBOT_GROUP", "3", "LOCKBOT_GROUP: must be a list of tables"),
        ("LOCKBOT_INPUT", "x", 'LOCKBOT_INPUT: must be JSON, such as {"nixpkgs": {"minimum_age": "3d"}}'),
        ("LOCKBOT_INPUT", '{"a": {"revisions": "tip"}}', "LOCKBOT_INPUT: input.a.revisions: must be one of"),
        ("LOCKBOT_REPOSITORY__BRANCH", "a\udcffb", "LOCKBOT_REPOSITORY__BRANCH: is not a name that git allows"),
        ("LOCKBOT_STATE__DIRECTORY", "", "LOCKBOT_STATE__DIRECTORY: must not be empty"),
    ],
)
def test_refused_in_the_environment(name: str, value: str, expected: str) -> None:
    (line,) = mistakes(None, {name: value})
    assert line.startswith(expected) or expected in line


def test_a_mistake_is_told_where_it_was_made(write: Write) -> None:
    path = write("[hosts]\n\ninclude = []\n[build]\njobs = 'x'\n")
    assert mistakes(path, {"LOCKBOT_HOSTS__EXCLUDE": '["a"]', "LOCKBOT_BUILD__CORES": "x"}) == [
        "LOCKBOT_BUILD__CORES: must be a whole number, not text",
        "lockbot.toml:3: hosts.include: is empty, and attributes too: "
        "nothing would be built before it is published",
        "lockbot.toml:5: build.jobs: must be a whole number, not text",
    ]


@pytest.mark.parametrize(
    ("loc", "line"),
    [
        (("build",), 2),
        (("build", "timeout"), 2),
        (("build", "options", "x"), 3),
        (("build", "options"), 3),
        (("build", "missing"), 2),
        (("hosts",), 5),
        (("hosts", "include", 1), 8),
        (("hosts", "push"), 11),
        (("state", "directory"), 14),
        (("group",), 15),
        (("group", 1), 18),
        (("group", 0, "missing"), 15),
        (("group", 1, "name"), 19),
        (("group", 1, "inputs", "b", 1), 20),
        (("group", 1, "after"), 24),
        (("eval",), 25),
        (("eval", "sub"), 25),
        (("eval", "sub", "y"), 26),
        (("eval", "other", "k"), 30),
        (("run", "z"), 28),
        (("eval", "w"), 32),
        (("elsewhere",), None),
        ((), None),
    ],
)
def test_lines_of_odd_toml(loc: tuple[int | str, ...], line: int | None) -> None:
    text = (
        '# c\nbuild.timeout = 3\nbuild.options.x = 1\n\n[hosts]\ninclude = [\n  "a",   # c\n  3,\n]\n'
        'exclude = []\npush = true\n\n[state]\n  directory = "x"\n[[group]]\nname = "a"\n\n[[group]]\nname = "b"\n'
        'inputs = { a = 1, b = [1, 2] }\nstrategy = """\nmulti\n"""\nafter = 1\n[eval.sub]\ny = 2\n[run]\nz=1\n'
        "[eval.other]\nk=1\n[eval]\nw=2\n"
    )
    tomllib.loads(text)
    assert line_of(text, loc) == line


def any_value() -> st.SearchStrategy[Any]:
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    plausible = st.sampled_from(["1h", "4G", "a.b", "best", "A <a@b>", "{inputs}", "x" * 300, "\x00", "../.."])
    scalar = text | plausible | st.integers(-(2**70), 2**70) | st.booleans() | st.floats(allow_nan=False)
    names = st.sampled_from(["name", "inputs", "file", "x"])
    return st.recursive(scalar, lambda inner: st.lists(inner) | st.dictionaries(names | text, inner), max_leaves=6)


def any_configuration() -> st.SearchStrategy[dict[str, Any]]:
    sections = sorted({key.section for key in keys()})
    names = sorted({key.name for key in keys()})
    section = st.dictionaries(st.sampled_from(names), any_value(), max_size=4)
    return st.dictionaries(
        st.sampled_from([*sections, "input", "x"]), section | st.lists(section, max_size=3), max_size=4
    )


@QUICK
@given(any_configuration())
def test_whatever_is_written_loads_or_is_explained(write: Write, data: dict[str, Any]) -> None:
    path = write("".join(f"{toml(name)} = {toml(value)}\n" for name, value in data.items()))
    environ = {
        f"LOCKBOT_{section}__{name}".upper(): json.dumps(value)
        for section, values in data.items()
        for name, value in (values.items() if isinstance(values, dict) else [])
    }
    try:
        load(path, {})
    except UsageError as error:
        assert all(re.match(rf"{path}:[1-4]: ", line) for line in error.message.splitlines())
    try:
        load(None, environ)
    except UsageError as error:
        assert all(line.split(": ")[0].split("[")[0] in environ for line in error.message.splitlines())


# Secrets

TOKENS = "github.com=ghp_hunter2"


def token(got: Settings) -> str | None:
    return got.eval.access_tokens.get_secret_value() if got.eval.access_tokens else None


def test_secrets_and_who_comes_first(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of=file\n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "eval.access_tokens").write_text("of=systemd\n")
    (credentials / "state").write_text("somebody else's")
    path = write('[eval]\naccess_tokens = { file = "token" }\n')
    environ: dict[str, str] = {}
    assert token(load(path, environ)) == "of=file"
    environ["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert token(load(path, environ)) == "of=systemd"
    environ["LOCKBOT_EVAL__ACCESS_TOKENS"] = "of=environment"
    assert token(load(path, environ)) == "of=environment"
    assert "of=environment" not in repr(load(path, environ)) + str(load(path, environ))


def test_secrets_are_never_printed(write: Write, tmp_path: Path) -> None:
    path = write(f'[eval]\naccess_tokens = "{TOKENS}"\n[repository]\nurl = "https://me:{TOKENS}@x/y"\n')
    lines = mistakes(path)
    assert lines[0].startswith("lockbot.toml:2: eval.access_tokens: is a secret")
    assert lines[1].startswith("lockbot.toml:4: repository.url: must not hold a password")
    lines += mistakes(None, {"LOCKBOT_EVAL__ACCESS_TOKENS": f"{TOKENS}\npost-build-hook = x"})
    lines += mistakes(None, {"LOCKBOT_REPOSITORY__URL": f"https://{TOKENS}@x/y"})
    (tmp_path / "eval.access_tokens").write_bytes(TOKENS.encode() + b"\nmore\n")
    lines += mistakes(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    (tmp_path / "eval.access_tokens").write_bytes(TOKENS.encode() + b"\xff")
    lines += mistakes(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert len(lines) == 6
    assert "hunter2" not in "\n".join(lines)


@pytest.mark.parametrize("value", ["3", "{}", "{ file = 3 }", '{ file = "nowhere" }', '{ file = "a", x = 1 }'])
def test_secrets_that_cannot_be_read(write: Write, value: str) -> None:
    (line,) = mistakes(write(f"eval.access_tokens = {value}"))
    assert line.startswith("lockbot.toml:1: eval.access_tokens: ")


def test_the_error_itself_holds_no_secret() -> None:
    """A traceback prints the chain of causes, and pydantic's errors carry their input."""
    with pytest.raises(UsageError) as caught:
        load(None, {"LOCKBOT_EVAL__ACCESS_TOKENS": f"{TOKENS}\n", "LOCKBOT_BUILD__JOBS": "x"})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# Values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("15min", 900),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("3d", 259200),
        ("1w", 604800),
        ("1.5h", 5400),
        ("90", 90),
        ("0", 0),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1 h 2", "1x", "1H", "--1", "1e9", "١s", "1h\n30m", [], None])
def test_durations_that_are_none(text: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse.duration(text)


@QUICK
@given(st.integers(0, parse.LONGEST))
def test_durations_survive_being_written(seconds: int) -> None:
    assert parse.duration(parse.duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 2**29), ("4G", 2**32), ("4 GiB", 2**32), ("1T", 2**40), ("1.5K", 1536), (7, 7)]
)
def test_sizes(text: object, size: int) -> None:
    assert parse.size(text) == size


@pytest.mark.parametrize("text", ["", "4GB", "4g", "G", "1e9", True, 1.0, None, "99999999T"])
def test_sizes_that_are_none(text: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse.size(text)


@QUICK
@given(st.integers(0, 2**50))
def test_sizes_survive_being_written(number: int) -> None:
    assert parse.size(parse.size_text(number)) == number


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("packages.x86_64-linux.tool", ("packages", "x86_64-linux", "tool")),
        ('checks.x86_64-linux."a.b"', ("checks", "x86_64-linux", "a.b")),
        (r'a."b\"c\\d"."\${x}"', ("a", 'b"c\\d', "${x}")),
        ('a."ü b"', ("a", "ü b")),
        ('a."x$y"', ("a", "x$y")),
        ("one", ("one",)),
    ],
)
def test_attribute_paths(text: str, names: tuple[str, ...]) -> None:
    assert parse.attribute_path(text) == names
    assert parse.attribute_path(parse.attribute_text(names)) == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        'a."b',
        'a."b"c',
        "a b",
        ".#a",
        "#a",
        'a."${x}"',
        'a."\\\\${x}"',
        'a."x\ny"',
        "a;b",
        "a.(b)",
        'a.""',
    ],
)
def test_attribute_paths_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse.attribute_path(text)


@QUICK
@given(st.lists(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1), min_size=1))
def test_any_name_can_be_an_attribute(names: list[str]) -> None:
    names = [name for name in names if name.strip()] or ["a"]
    assert parse.attribute_path(parse.attribute_text(tuple(names))) == tuple(names)


@pytest.mark.parametrize(
    "url",
    [
        "file:///srv/x.git",
        "ssh://git@host/x",
        "ssh://host:22/x",
        "https://host/x.git",
        "http://127.0.0.1:8080/x",
        "git@host:path/x",
        "host:x",
        "/srv/x.git",
        "https://[::1]:80/x",
        "ssh://me@host/~/x",
    ],
)
def test_urls(url: str) -> None:
    assert parse.git_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-x",
        "https://u:p@host/x",
        "https://tok@host/x",
        "ssh://u:p@host/x",
        "github:a/b",
        "git+ssh://host/x",
        "x",
        "ext::sh -c x",
        "ext::sh",
        "git://host/x",
        "ftp://h/x",
        "ssh://-oProxyCommand=x/y",
        "-oProxyCommand=x:y",
        "git@-oX:y",
        "host:-x",
        "https:///x",
        "https://host",
        "https://host/x?dir=y",
        "https://host/x#y",
        "a b:c",
        "https://host:port/x",
        "https://[::1/x",
        "~/x",
        "./x",
        "file://",
        "ssh://-l@host/x",
        "host:x\ny",
        "HTTPS://h/x",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|needs|understood"):
        parse.git_url(url)


BRANCHES = ["main", "a/b", "ä", 'a"b', "a'b", "a$(b)", "<b>", "a;b", "a.b", "x@y", "{}", "%s"]
NO_BRANCHES = ["", "-a", "a b", "a..b", "a~b", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "@", "a@{b", "a.", "a.lock"]
NO_BRANCHES += ["/a", "a/", "a//b", ".a", "a/.b", "a.lock/b", "a\tb", "a\x7fb", "HEAD"]


@pytest.mark.parametrize("name", [*BRANCHES, *NO_BRANCHES])
def test_branches_as_git_sees_them(name: str) -> None:
    """git is the judge."""
    git = subprocess.run(
        ["git", "check-ref-format", "--branch", name],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
        cwd="/",
    )
    try:
        parse.branch_name(name)
    except ValueError:
        assert name in NO_BRANCHES
        assert git.returncode != 0 or name in ("@", "HEAD")  # which git reads as the current commit
    else:
        assert name in BRANCHES
        assert git.returncode == 0


# The example, the template and the table


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
            table = table[0] if key.section == "group" else next(iter(table.values()))
        assert key.name in table
        if key.default is not None and key.section not in MANY:
            one = json.dumps(table[key.name]) if key.form.kind == "json" else str(table[key.name])
            got = load(None, {"HOME": "/h", key.form.variable: one})
            assert got == default, key
            seen += 1
    assert seen > 20


def test_examples_of_keys_without_a_default_load(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a=b")
    text = re.sub("^#(?=[a-z[])", "", annotated(EXAMPLE), flags=re.MULTILINE)
    text = re.sub("/run/secrets/[a-z-]+", "token", text)
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


# What may move


def test_an_inputs_table_stands_before_policy(write: Write) -> None:
    path = write("""
        [policy]
        minimum_age = "3d"
        never_compile = ["linux-*"]
        [input.nixpkgs]
        minimum_age = 0
        backwards = "refuse"
        [input."home-manager/nixpkgs"]
        revisions = "commits"
    """)
    book = load(path, {}).policy_rules()
    day = 86400
    assert book.default == InputRules(minimum_age=3 * day, never_compile=("linux-*",))
    assert book.of("nixpkgs") == replace(book.default, minimum_age=0, backwards=PolicyAction.REFUSE)
    assert book.of("home-manager/nixpkgs") == replace(book.default, revisions=Revisions.COMMITS)
    assert book.of("home-manager") == book.default
    assert load(None, {}).policy_rules() == PolicyRules()  # the plain values have the same defaults
    changed = load(path, {"LOCKBOT_INPUT": '{"nixpkgs": {"minimum_age": "1d"}}'}).policy_rules()
    assert changed.of("nixpkgs") == replace(book.default, minimum_age=day, backwards=PolicyAction.REFUSE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[input.a]\nminimum_agee = 1",
            "lockbot.toml:2: input.a.minimum_agee: unknown key; did you mean 'minimum_",
        ),
        ('[input."a/b"]\norigin = "never"', 'lockbot.toml:2: input."a/b".origin: must be one of "allow", "hold"'),
        ("[input]\nminimum_age = 1", "lockbot.toml:2: input.minimum_age: must be a table, not a whole number"),
        ("[policy]\nstale_after = 0", "lockbot.toml:2: policy.stale_after: must be more than 0"),
        ("[policy]\nmax_builds = -1", "lockbot.toml:2: policy.max_builds: must be at least 0"),
        ("[search]\nprobes = 0", "lockbot.toml:2: search.probes: must be at least 1"),
        ('[input."a\\u0007"]\nminimum_age = 1', r'lockbot.toml:1: input."a\u0007": must be one line'),
    ],
)
def test_refused_of_what_may_move(write: Write, text: str, expected: str) -> None:
    (line,) = mistakes(write(text))
    assert expected in line


# Forges


def test_upstream_checks_can_be_wished_for_one_input(write: Write) -> None:
    book = load(write("[input.a]\nupstream_checks = true"), {}).policy_rules()
    assert (book.of("a").upstream_checks, book.of("b").upstream_checks) == (True, False)


def test_a_forges_token_comes_from_a_file_a_credential_or_the_environment(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-file\n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "forge.git.example.org.token").write_text("of-systemd\n")
    (credentials / "forge.other.org.token").write_text("of-another\n")
    path = write('[forge."git.example.org"]\nkind = "gitlab"\ntoken = { file = "token" }\n')
    of_systemd = {"CREDENTIALS_DIRECTORY": str(credentials)}
    variable = {"LOCKBOT_FORGE": '{"git.example.org": {"token": "of-environment"}}'}

    def token(environ: dict[str, str]) -> str | None:
        return load(path, environ).forge["git.example.org"].account().token

    assert token({}) == "of-file"
    assert token(of_systemd) == "of-systemd"
    assert token(of_systemd | variable) == "of-environment"
    got = load(path, of_systemd)
    assert got.forge["git.example.org"].kind is Kind.GITLAB, "the rest of the table stays"
    assert got.forge["other.org"].account() == Account(token="of-another")  # noqa: S106 -- no secret
    for shown in (repr(got), str(got), got.model_dump_json(), repr(got.forge["other.org"].account())):
        assert "of-another" not in shown and "of-systemd" not in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'token = "SECRET"',
            'lockbot.toml:2: forge."a.org".token: is a secret, which does not belong in this file',
        ),
        ('token = { file = "/nowhere" }', 'lockbot.toml:2: forge."a.org".token: cannot read the secret /nowhere'),
        ('kind = "gitea"', 'lockbot.toml:2: forge."a.org".kind: must be one of "github", "gitlab", "forgejo"'),
        ('url = "ftp://a.org"', 'lockbot.toml:2: forge."a.org".url: must be https://HOST/'),
        ('url = "https://me:SECRET@a.org"', 'lockbot.toml:2: forge."a.org".url: must not hold a user name'),
        ('url = "https://a.org/?a=SECRET"', 'lockbot.toml:2: forge."a.org".url: must not hold ?'),
        ('url = "http://a.org"\ntoken = { file = "token" }', "token: must not be sent over http://"),
        ("tokn = 1", "lockbot.toml:2: forge.\"a.org\".tokn: unknown key; did you mean 'token'?"),
    ],
)
def test_refused_of_forges(write: Write, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "token").write_text("SECRET")
    (line,) = mistakes(write(f'[forge."a.org"]\n{text}\n'))
    assert expected in line
    assert "SECRET" not in line


@pytest.mark.parametrize("host", ["A.org", "https://a.org", "a.org/", "a b", ""])
def test_a_forge_is_named_by_its_host(write: Write, host: str) -> None:
    (line,) = mistakes(write(f'[forge."{host}"]\nkind = "gitlab"\n'))
    assert "must be the name of a host" in line


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
    text = re.sub(r"^#(?=name |inputs |\[\[)", "", text, flags=re.MULTILINE)
    assert load(write(text), {}).group[0].inputs == ('a"b\\c', "x]")


def test_a_name_that_is_not_text_is_refused() -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        annotated(Found(path="/a\udcff"))
    annotated(Found(hosts=["a\udcff"], inputs=["a\udcff"]))


@QUICK
@given(st.recursive(st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans(), st.lists))
def test_toml_is_what_toml_reads(value: Any) -> None:
    assert tomllib.loads(f"a = {toml(value)}")["a"] == value


# Costs


def test_importing_the_package_does_not_import_pydantic() -> None:
    code = "import sys, lockbot.errors, lockbot.model, lockbot.process; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_a_good_configuration_does_not_wait_for_tomlkit() -> None:
    code = (
        "import sys; from pathlib import Path; from lockbot.config import load; "
        "load(Path('config/lockbot.toml'), {}); sys.exit('tomlkit' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.fixture(autouse=True)
def _no_local_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the machine's own environment comes in."""
    for name in list(os.environ):
        if name.startswith("LOCKBOT_"):
            monkeypatch.delenv(name)
    yield
