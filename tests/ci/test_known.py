"""What is known of the packages that lockbot is made of: their licences, and their vulnerabilities."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", PROJECT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def licences() -> ModuleType:
    return script("licences")


def test_the_page_of_licences_holds_for_what_is_installed(licences: ModuleType) -> None:
    found = licences.packages()
    assert len(found) > 40
    rows = licences.table(licences.PAGE.read_text()).splitlines(keepends=True)
    assert [one.row for one in found if one.row not in rows] == [], "make licences"
    named = [row.split(" | ")[0].removeprefix("| ") for row in rows]
    assert named == sorted(licences.pinned()), "make licences"


def test_each_licence_is_one_that_is_allowed(licences: ModuleType) -> None:
    assert [one for one in licences.packages() if not one.allowed] == []


@pytest.mark.parametrize(
    ("licence", "runtime", "allowed"),
    [
        ("MIT", True, True),
        ("MIT AND PSF-2.0", True, True),
        ("MIT AND GPL-3.0-or-later", True, False),
        ("GPL-3.0-or-later", True, False),
        ("GPL-3.0-or-later", False, True),
        ("GPL-3.0-or-later OR MIT", True, True),
        ("AGPL-3.0-only OR MIT AND LGPL-2.1-only", False, False),
        ("AGPL-3.0-only", False, False),
        ("BSD License", False, False),
        ("none is named", False, False),
    ],
)
def test_which_licences_are_allowed(licences: ModuleType, licence: str, runtime: bool, allowed: bool) -> None:
    assert licences.Package("x", licence, runtime).allowed is allowed


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ({"license_expression": "MIT", "license": "see there"}, "MIT"),
        ({"license": "Apache 2.0", "classifier": ["License :: OSI Approved :: MIT License"]}, "Apache-2.0"),
        ({"classifier": ["Topic :: X", "License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"license": "Copyright (c)\nall of it"}, "Copyright (c)"),
        ({}, "none is named"),
    ],
)
def test_what_a_package_says_of_its_licence(licences: ModuleType, told: dict[str, Any], licence: str) -> None:
    assert licences.licence("x", told) == licence


def test_a_page_that_lacks_a_package_is_an_error(
    licences: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "licences.md"
    page.write_text("# Licences\n\n" + licences._HEAD + "| left | MIT | by lockbot |\n\nBelow.\n")
    monkeypatch.setattr(licences, "PAGE", page)
    assert licences.main(write=False) == 1
    assert "is not what is installed: make licences" in capsys.readouterr().err
    assert licences.main(write=True) == 0
    assert licences.main(write=False) == 0
    assert page.read_text().endswith(" by lockbot |\n\nBelow.\n") and "| left |" not in page.read_text()
    monkeypatch.setattr(licences, "WITH_LOCKBOT", frozenset({"MIT"}))
    assert licences.main(write=False) == 1
    assert "licences: click is under 'BSD-3-Clause', which is not allowed here" in capsys.readouterr().err


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1", "vulns": [], **more}


BROKEN = package("b", vulns=[{"id": "PYSEC-1", "fix_versions": ["2"]}, {"id": "CVE-2", "fix_versions": []}])
SKIPPED = {"name": "c", "skip_reason": "c could not be looked up"}


@pytest.mark.parametrize(
    ("packages", "lines", "code"),
    [
        ([package("a"), package("a"), package("b")], ["audit: nothing is known of 2 packages"], 0),
        (
            [package("a"), BROKEN, SKIPPED],
            [
                "b 1: PYSEC-1 (mended in 2)",
                "b 1: CVE-2 (mended in no release yet)",
                "c could not be looked up",
                "audit: 2 known in 3 packages: renew the pins (make lock)",
            ],
            1,
        ),
        (
            [package("a"), SKIPPED],
            ["c could not be looked up", "audit: 1 of 2 packages could not be looked up, see above"],
            3,
        ),
    ],
)
def test_what_an_audit_tells(packages: list[dict[str, Any]], lines: list[str], code: int) -> None:
    assert script("audit").told({"dependencies": packages}) == (tuple(lines), code)


def test_an_audit_that_learns_nothing_is_short(packages: int = 40) -> None:
    skipped = [{"name": f"p{number}", "skip_reason": "gone"} for number in range(packages)]
    lines, code = script("audit").told({"dependencies": skipped})
    assert (len(lines), lines[-2], code) == (7, "… and 35 more", 3)
