"""docs/configuration.md, and every configuration that a page shows, against the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lockbot.config import load, reference
from lockbot.git import settings
from lockbot.nix import environment
from tests.docs.pages import DOCS, EVERY_PAGE, coded, rows
from tests.nixes import PROJECT

PAGE = DOCS["configuration"]
SHOWN = [pytest.param(text, id=str(page)) for page in EVERY_PAGE for text in page.blocks("toml")]
DROP_INS = [text for page in EVERY_PAGE for text in page.blocks("ini")]


def test_the_tables_are_the_programs_own() -> None:
    assert reference.written(PAGE.text) == PAGE.text, (
        "`python -m lockbot.config.reference docs/configuration.md` writes them anew"
    )


def test_every_section_has_its_heading_in_the_order_of_the_file() -> None:
    assert re.findall(r"^### (\[.*)$", PAGE.text, re.MULTILINE) == reference.headings()


def test_a_page_that_lacks_a_section_is_not_written() -> None:
    with pytest.raises(ValueError, match="it should have repository, state"):
        reference.written(re.sub(r"<!-- the keys of state.*?-->", "", PAGE.text))


@pytest.mark.parametrize("text", SHOWN)
def test_a_configuration_that_is_shown_is_right(text: str, tmp_path: Path) -> None:
    file = tmp_path / "lockbot.toml"
    file.write_text(text)
    load(file, {"HOME": str(tmp_path)}, secrets=False)


def test_there_are_some() -> None:
    assert len(SHOWN) >= 5 and DROP_INS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("text", DROP_INS)
def test_a_drop_in_that_is_shown_is_right(text: str, tmp_path: Path) -> None:
    unit = (PROJECT / "systemd" / "lockbot.service").read_text()
    (tmp_path / "lockbot.service").write_text(unit.replace("/opt/lockbot/bin/lockbot", "/bin/true"))
    (tmp_path / "lockbot.service.d").mkdir()
    (tmp_path / "lockbot.service.d" / "ours.conf").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "lockbot.service")],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ours.conf" not in done.stderr


def test_the_settings_that_are_obeyed_and_those_that_are_not() -> None:
    """Those of git that are let through, and those of Nix that lockbot sets: the lists are whole, and true."""
    text = PAGE.section("Your git and Nix settings")
    assert sorted(coded(" ".join(cells[0] for cells in rows(text)))) == sorted(settings.LET_THROUGH)
    assert {f"`{name}`" for name in settings.LOCKBOTS_OWN} <= set(re.findall(r"`http\.[^`]+`", text))
    own = coded(text.split("lockbot sets")[1].split(" itself")[0])
    assert {*own, "extra-experimental-features"} == set(environment.SETTINGS)
