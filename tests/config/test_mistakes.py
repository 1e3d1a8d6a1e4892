"""Mistakes: every one at once, with its place and the nearest name."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.config import keys, load
from lockbot.config.errors import line_of
from lockbot.config.template import toml
from lockbot.errors import UsageError
from tests.config.reading import QUICK, Write, mistakes


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
        ('commit.verify = "/x"', 'commit.verify: needs commit.sign = "ssh"'),
        ('commit = { sign = "gpg", verify = "/x" }', 'commit.verify: needs commit.sign = "ssh"'),
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
        ('publish.merge = "at-once"', "publish.merge: is for pull requests: set publish.mode"),
        ("publish.auto_merge = true", "publish.auto_merge: says nothing while people merge: set publish.merge"),
        ('[publish]\nmode = "request"\nauto_merge = true', "publish.auto_merge: says nothing while people merge"),
        ('publish.branches = " x"', "publish.branches: cannot begin the name of a branch"),
        ('publish.branches = "a.lock/"', "publish.branches: cannot begin the name of a branch"),
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
