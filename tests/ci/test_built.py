"""What is built of lockbot to be handed on: the same from whoever builds it, and with all that belongs in it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed"),
    pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="this is no git checkout"),
]


def build(project: Path, target: Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(project / ".ci" / "dist.py"), str(target)]
    return subprocess.run(script, capture_output=True, text=True, check=False)


def committed(*places: str) -> set[str]:
    command = ["git", "-C", str(PROJECT), "ls-tree", "-r", "--name-only", "HEAD", "--", *places]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def test_lockbot_is_built_the_same_twice_and_whole(tmp_path: Path) -> None:
    done = build(PROJECT, tmp_path / "dist")
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    assert [line.split("  ")[1] for line in done.stdout.splitlines()] == [str(wheel), str(sdist)]

    names = set(zipfile.ZipFile(wheel).namelist())
    information = {name for name in names if ".dist-info/" in name}
    assert names - information == committed("lockbot"), "templates and style sheets, and nothing that lay about"
    assert {name.partition("/")[2] for name in information} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }

    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2] for member in archive}
    folders = ("lockbot", "config", "systemd", "tests", "docs")
    pages = {name for name in committed() if "/" not in name and name.endswith(".md")}
    assert members == {*committed(*folders), *pages, "LICENSE", "PKG-INFO", "pyproject.toml", ".gitignore"}


PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "small"
version = "1"
[tool.hatch.build.targets.wheel]
only-include = ["small.py"]
[tool.hatch.build.hooks.custom]
"""
HOOK = """\
import os, pathlib
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
class Hook(BuildHookInterface):
    def initialize(self, version, data):
        pathlib.Path("small.py").write_text(f"x = {TELLS!r}")
"""


@pytest.mark.parametrize("tells", ["os.getcwd()", "os.environ['TZ']"])
def test_what_shows_where_it_was_built_is_found_out(tmp_path: Path, tells: str) -> None:
    project = tmp_path / "project"
    (project / ".ci").mkdir(parents=True)
    shutil.copy(PROJECT / ".ci" / "dist.py", project / ".ci")
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "hatch_build.py").write_text(HOOK.replace("TELLS", tells))
    (project / "small.py").write_text("")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=a", "-c", "user.email=a@x"]
    for command in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", "-C", str(project), *command], env=environment, check=True)
    done = build(project, tmp_path / "dist")
    assert done.returncode == 1
    assert "dist: built twice, and not the same: small-1" in done.stderr
    assert not (tmp_path / "dist").exists()
