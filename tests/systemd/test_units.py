"""The units as files: what systemd-analyze says of them, and that they belong together."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nixes import PROJECT

UNITS = sorted((PROJECT / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
LARGEST_EXPOSURE = 1.1

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT TESTED, the units' exposure: there is no systemd-analyze"
)


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


def hardening(unit: Path) -> list[str]:
    """The directives between the two lines that say so, or to the end."""
    _, found, rest = unit.read_text().partition("# -- hardening")
    assert found, f"{unit.name} does not say where its hardening begins"
    ours = rest.partition("# -- end")[0].splitlines()[1:]
    return [line for line in ours if line and not line.startswith("#")]


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_exposure(unit: Path, record_property: Callable[[str, object], None]) -> None:
    done = analyze("security", "--offline=true", "--no-pager", unit)
    figure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert figure is not None, done.stdout + done.stderr
    record_property("told", f"{unit.name}: exposure {figure.group(1)} of at most {LARGEST_EXPOSURE}")
    exposed = "\n".join(line for line in done.stdout.splitlines() if line.startswith("✗"))
    assert float(figure.group(1)) <= LARGEST_EXPOSURE, exposed


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_mistake(unit: Path, tmp_path: Path) -> None:
    for one in UNITS:  # at a path that exists: where it is installed is not what is looked at
        text = one.read_text().replace("/opt/lockbot/bin/lockbot", "/bin/true")
        (tmp_path / one.name).write_text(text)
    done = analyze("verify", "--recursive-errors=no", tmp_path / unit.name)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr


def test_both_services_are_hardened_alike() -> None:
    daemon, update = (
        hardening(PROJECT / "systemd" / name) for name in ("lockbot.service", "lockbot-update.service")
    )
    assert len(daemon) > 25
    assert daemon == update
