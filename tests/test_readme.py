"""The README says what is so: its commands parse, its tables and its JSON are the program's own."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from lockbot.cli import cli
from lockbot.config.template import table
from lockbot.git import settings
from lockbot.model import HostStatus, Outcome
from lockbot.nix import environment
from lockbot.report.document import dump, run_document
from tests.nixes import PROJECT
from tests.report.examples import MORNING

README = (PROJECT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the Markdown tables' rows, without their headers."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def command_lines() -> list[list[str]]:
    """Every `lockbot …` that a reader may copy, without `lockbot`."""
    return [shlex.split(line) for line in dict.fromkeys(map(shlex.join, _command_lines()))]


def _command_lines() -> Iterator[list[str]]:
    for block in blocks("sh"):
        for line in block.splitlines():
            for part in re.split(r"&&|;", line.split(" | ")[0]):
                words = shlex.split(part.replace("echo '", "").rstrip("'"), comments=True)
                if "lockbot" in words and "useradd" not in words:  # there it is the service's user
                    yield words[words.index("lockbot") + 1 :]
    for inline in re.findall(r"`lockbot ([^`…]+)`", README):
        if "COMMAND" not in inline and inline not in cli.commands:  # a command's name alone is no command line
            yield shlex.split(inline)


def parse(words: list[str]) -> None:
    """As click itself would, without running anything."""
    context = cli.make_context("lockbot", list(words))
    at = next((place for place, word in enumerate(words) if word in cli.commands), None)
    if at is None:
        raise click.UsageError(f"no command in {words}")
    cli.commands[words[at]].make_context(words[at], words[at + 1 :], parent=context)


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_each_command_line_parses(words: list[str]) -> None:
    parse(words)


def test_a_command_line_that_is_wrong_would_be_found() -> None:
    assert len(command_lines()) > 12, "they are found at all"
    with pytest.raises(click.UsageError):
        parse(["update", "--inputs", "nixpkgs"])
    with pytest.raises(click.UsageError):
        parse(["upgrade"])


def test_every_command_is_in_the_table_with_options_that_it_has() -> None:
    told = {cells[0].strip("`").split()[1]: cells[1] for cells in rows(section("Commands"))[2:]}
    assert told.keys() == cli.commands.keys()
    for name, text in told.items():
        options = {one for parameter in cli.commands[name].params for one in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", text)) <= options, name


def test_the_configuration_table_is_the_programs_own() -> None:
    assert f"\n\n{table()}\n" in README, "paste `lockbot.config.template.table()` into the README"


def test_outcomes_and_exit_codes() -> None:
    told = {cells[0].strip("`"): cells[1] for cells in rows(section("How a run works")) if cells[1].isdigit()}
    assert told == {outcome.value: str(outcome.exit_code) for outcome in Outcome}


def test_every_status_of_a_host_is_explained() -> None:
    told = {cells[0].strip("`") for cells in rows(section("How a run works"))}
    assert told >= set(HostStatus)


def fields(document: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """`run`, `changes[]`, `changes[].input`, … of a document."""
    for name, value in document.items():
        if isinstance(value, list):
            yield f"{prefix}{name}[]"
            for one in value:
                if isinstance(one, dict) and not prefix:
                    yield from fields(one, f"{name}[].")
        else:
            yield f"{prefix}{name}"


def test_the_json_example_has_the_fields_of_the_real_thing() -> None:
    (text,) = blocks("json")
    # By way of JSON, which has no types: a field that is missing in either is found below.
    example, real = json.loads(text), json.loads(dump(run_document(MORNING)))
    assert list(example) == list(real)
    for name in ("changes", "hosts", "held"):
        assert list(example[name][0]) == list(real[name][0])


def test_every_field_of_the_json_is_explained() -> None:
    told = [name for cells in rows(section("JSON"))[2:] for name in re.findall(r"`([^`]+)`", cells[0])]
    assert len(told) == len(set(told))
    real = {name.replace("attribute[]", "attribute") for name in fields(run_document(MORNING))}
    assert set(told) == real


def test_the_settings_that_are_obeyed_and_those_that_are_not() -> None:
    """Those of git that are let through, and those of Nix that lockbot sets: the lists are whole, and true."""
    text = section("Your git and Nix settings")
    told = re.findall(r"`([^`]+)`", " ".join(cells[0] for cells in rows(text)[2:]))
    assert sorted(told) == sorted(settings.LET_THROUGH)
    assert {f"`{name}`" for name in settings.LOCKBOTS_OWN} <= set(re.findall(r"`http\.[^`]+`", text))
    own = re.findall(r"`([^`]+)`", text.split("lockbot sets")[1].split(" itself")[0])
    assert {*own, "extra-experimental-features"} == set(environment.SETTINGS)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (PROJECT / Path(target)).exists(), target
