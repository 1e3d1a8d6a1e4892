"""An input that nothing reads is told only where that is certain."""

from __future__ import annotations

import pytest

from lockbot.lint.unused import unused
from tests.lint.locks import github, subject

NODES = {"used": github("used"), "idle": github("idle")}
INPUTS = '{ inputs.used.url = "u"; inputs.idle.url = "i"; '

CERTAIN = [
    "outputs = { self, used, ... }: { x = used.x; }",
    "outputs = { self, used, idle }: { x = used.x; }",
    "outputs = { used, ... }@inputs: { x = inputs.used.y; }",
    "outputs = inputs@{ used, ... }: { x = inputs . used.y; }",
    "outputs = all @ { self, used, ... } : { x = self.y + all.used.y; idle-time = 1; }",
    "outputs = { self, ... }: { x = self.inputs-are-not.these; }",
    "outputs = { used, ... }: used.lib.of { inputs = [ ]; }",
]
UNCERTAIN = [
    "outputs = inputs: { x = inputs.used; }",
    "outputs = { ... }@inputs: used.lib.mkFlake { inherit inputs; }",
    "outputs = { ... }@inputs: used.lib.mkFlake inputs { }",
    "outputs = { ... }@inputs: { x = inputs.${y}; }",
    "outputs = { ... }@inputs: { x = with inputs; y; }",
    "outputs = { ... }@inputs: { x = inputs.idle; }",
    "outputs = { self, ... }: { x = self.inputs.used; }",
    "outputs = { self, ... }: { x = self . inputs; }",
    "outputs = { self, ... }: { x = import ./. { inherit self; }; }",
    "outputs = { self, used, idle }: { x = idle.y; }",
    'outputs = { self, ... }: { x = "${idle}"; }',
    "outputs = { self, ... }: { }; # idle is for the shell",
    "outputs = { self, /* idle */ ... }: { }",
    "outputs = { self, x ? { }, ... }: { }",
    "outputs = import ./outputs.nix",
    "outputs = { self, ... }: { }; } # outputs = here",
    "description = ''none''",
]


@pytest.mark.parametrize("outputs", CERTAIN)
def test_one_that_nothing_reads(outputs: str) -> None:
    looked_at = subject(NODES, flake_nix=INPUTS + outputs + "; }", mentioned=lambda word: word != "idle")
    (found,) = unused(looked_at)
    assert (found.input, found.fix) == ("idle", "# remove: inputs.idle\nnix flake lock")


@pytest.mark.parametrize("outputs", UNCERTAIN)
def test_nothing_is_said_of_what_may_be_read(outputs: str) -> None:
    looked_at = subject(NODES, flake_nix=INPUTS + outputs + "; }", mentioned=lambda word: word != "idle")
    assert list(unused(looked_at)) == []


def test_another_file_may_read_it() -> None:
    looked_at = subject(NODES, flake_nix=INPUTS + CERTAIN[0] + "; }", mentioned=lambda word: word == "idle")
    assert list(unused(looked_at)) == []


@pytest.mark.parametrize("follows", [["idle"], ["idle", "deep"]])
def test_another_input_may_follow_it(follows: list[str]) -> None:
    nodes = {
        "used": github("used", inputs={"x": follows}),
        "idle": github("idle", inputs={"deep": "deep_1"}),
        "deep_1": github("deep"),
    }
    looked_at = subject(nodes, flake_nix=INPUTS + CERTAIN[0] + "; }", mentioned=lambda word: word != "idle")
    assert list(unused(looked_at)) == []


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("outputs = {" + " , " * 300_000, False),
        ("outputs = { a, ... }@inputs: " + "inputs.a " * 100_000, True),
        ("outputs = " * 99_999, False),
        ("outputs = { a, ... }: " + " " * 2_000_000, False),
    ],
    ids=["arguments", "body", "outputs", "larger"],
)
def test_a_long_file_ends_all_the_same(text: str, certain: bool) -> None:
    assert bool(list(unused(subject(NODES, flake_nix=text, mentioned=lambda _: False)))) is certain
