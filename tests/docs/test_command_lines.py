"""Every command line of README.md and docs/ is run: with the real program, on the demo's flake."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockbot.cli import cli
from tests.docs.house import EXIT_CODES, House, why_not_run
from tests.docs.pages import DOCS, EVERY_PAGE, rows
from tests.nixes import PROJECT

LINES = list(dict.fromkeys(line for page in EVERY_PAGE for line in page.command_lines()))
RUN = [line for line in LINES if why_not_run(line) is None]
LOOKED_AT = [line for line in LINES if why_not_run(line) is not None]


@pytest.mark.timeout(1200)  # a minute and a half of commands, on a busy machine five
def test_each_line_runs(house: House) -> None:
    wrong = [found for line in RUN if (found := house.run(line)) is not None]
    assert not wrong, "\n".join(wrong)


def test_a_line_that_is_wrong_would_be_found(house: House) -> None:
    assert len(RUN) > 50 and "lockbot update --dry-run" in "\n".join(RUN), "they are found at all"
    assert "ended with 2" in (house.run("lockbot update --inputs nixpkgs") or "")
    assert "ended with 1" in (house.run("cat /etc/nixos/no-such-file") or "")


def test_no_exit_code_is_excused_for_nothing() -> None:
    assert set(EXIT_CODES) <= set(RUN)


@pytest.mark.parametrize("line", LOOKED_AT)
def test_a_line_that_is_not_run_is_a_shells(line: str) -> None:
    done = subprocess.run(["bash", "-n", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in lockbots(line):
        parse(words)
    for unit in re.findall(r"lockbot[\w-]*\.(?:service|timer)", line):
        assert (PROJECT / "systemd" / unit).exists(), unit
    for moment in re.findall(r"--on-calendar='([^']+)'", line) if shutil.which("systemd-analyze") else ():
        subprocess.run(["systemd-analyze", "calendar", moment], capture_output=True, check=True)
    for target in re.findall(r"\bmake ([\w-]+)", line):
        subprocess.run(["make", "--dry-run", target], cwd=PROJECT, capture_output=True, check=True)
    for path in re.findall(r"(?<![\w/])(?:config|systemd|tests)/[\w./-]*", line):
        assert (PROJECT / path).exists(), path


def lockbots(line: str) -> Iterator[list[str]]:
    """The words after each `lockbot` that is a program there."""
    for part in re.split(r"&&|;|\|", line.replace("echo '", "").replace("' |", " |")):
        words = shlex.split(part, comments=True)
        others = {"useradd", "install", "systemctl", "journalctl", "git", "cd"}  # there it is a name
        if "lockbot" in words and not others & set(words[:2]):
            yield words[words.index("lockbot") + 1 :]


def parse(words: list[str]) -> None:
    """As click itself would, without running anything."""
    context = cli.make_context("lockbot", list(words))
    at = next((place for place, word in enumerate(words) if word in cli.commands), None)
    if at is None:
        raise click.UsageError(f"no command in {words}")
    cli.commands[words[at]].make_context(words[at], words[at + 1 :], parent=context)


def test_what_only_looks_at_lines_would_find_a_mistake() -> None:
    assert [words for line in LOOKED_AT for words in lockbots(line)], "there are some in them"
    with pytest.raises(click.UsageError):
        parse(["update", "--inputs", "nixpkgs"])
    with pytest.raises(click.UsageError):
        parse(["upgrade"])


# -- commands.md -----------------------------------------------------------------------------------------------


def test_every_command_is_in_the_table() -> None:
    told = [re.findall(r"`lockbot (\w+)`", cells[0])[0] for cells in rows(DOCS["commands"].text)]
    assert sorted(told) == sorted(cli.commands)


@pytest.mark.parametrize("name", cli.commands)
def test_every_option_is_explained(name: str) -> None:
    section = DOCS["commands"].section(f"lockbot {name}")
    has = {one for parameter in cli.commands[name].params for one in parameter.opts if one.startswith("-")}
    assert options(section) == has
    assert "```sh" in section, "it has an example"


def test_the_options_before_a_command_are_explained() -> None:
    told = options(DOCS["commands"].section("Options before the command"))
    assert told == {one for parameter in cli.params for one in parameter.opts} | {"-h", "--help"}


def options(section: str) -> set[str]:
    if not re.search(r"^\| Option", section, re.MULTILINE):
        return set()
    cells = " ".join(row[0] for row in rows(section))
    return set(re.findall(r"(?<=`)-{1,2}[a-z-]+", cells))


def test_the_debian_lines_are_the_ones_that_the_machine_runs() -> None:
    """tests/systemd installs by them: they must not wander to where it does not look."""
    from tests.systemd.machine import installation

    assert any("useradd" in line for line in installation(Path(PROJECT / "README.md")))
