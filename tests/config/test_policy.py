"""What may move, for all inputs and for one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockbot.config import load
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules, RevisionKind
from tests.config.reading import Write, mistakes


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
    assert book.of("home-manager/nixpkgs") == replace(book.default, revisions=RevisionKind.COMMITS)
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


def test_upstream_checks_can_be_wished_for_one_input(write: Write) -> None:
    book = load(write("[input.a]\nupstream_checks = true"), {}).policy_rules()
    assert (book.of("a").upstream_checks, book.of("b").upstream_checks) == (True, False)
