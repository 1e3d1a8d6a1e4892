"""`lockbot demo` as a user sees it: run as a program, with each Nix version, from an environment of their own."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lockbot.commands.demo import sample
from lockbot.process import CancelToken
from tests import forked, nixes

PACKAGES = "0b93ce61ce7eca812ed2223fa70ee8f5e7edad79 2026-10-01T05:00:00+00:00"


def lockbot(*words: str | Path, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.run([sys.executable, "-m", "lockbot", *map(str, words)], env, cwd)


def users_environment(nix: nixes.Nix, tmp_path: Path) -> dict[str, str]:
    """What a user may have: a home, a store that can't be used, settings that would not do."""
    (tmp_path / "home").mkdir()
    return {
        "PATH": nix.environment["PATH"],
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path),
        "NIX_REMOTE": f"unix://{tmp_path}/no-daemon",
        "NIX_CONFIG": "max-jobs = 0",
        "LOCKBOT_REPOSITORY__PATH": "/no/such/flake",
        "LOCKBOT_BUILD__TIMEOUT": "nonsense",
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With a blank, as anybody's directory may have."""
    return tmp_path / "my demo"


def test_the_demo_shows_a_good_update_and_a_bad_one(nix: nixes.Nix, tmp_path: Path, directory: Path) -> None:
    environment = users_environment(nix, tmp_path)
    done = lockbot("demo", "--directory", directory, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    assert "built (3): desk, laptop, web" in told
    assert "unchanged (1): mail" in told
    assert " flake.lock | " in told, "the commit is shown, with the one file that it changes"
    good, rest = told.split("3. Upstream moves on, and breaks a host")
    bad, mixed = rest.split("4. Another input moves on")
    assert "Published" in good and "Rejected" not in good
    for reason in ("Rejected: 1 host would no longer build", "failed (1): mail", "-mailserver-4.0.drv"):
        assert reason in bad
    assert "│ mail.conf:12: tls_ciphers: this option was removed in 4.0" in bad
    assert "with 1 input held back" in mixed and "packages stays at" in mixed and "breaks mail since" in mixed
    assert "Traceback" not in done.stderr

    def git(*words: str) -> str:
        return nix.run("git", "-C", directory / "flake", *words).stdout

    assert git("log", "--format=%an: %s").splitlines() == [
        "lockbot: flake.lock: update themes",
        "lockbot: flake.lock: update packages, themes",
        "You: four hosts",
    ]
    message = git("log", "-1", "--format=%b", "main~1")
    for said in (
        "  desk and laptop: editor 9.0 → 9.1, linux 6.18.1 → 6.18.2\n  web: webserver 1.26 → 1.27\n",
        "  needs a reboot: desk, laptop (kernel 6.18.1 → 6.18.2)\n  no reboot: web\n",
        "  restarts: web (webserver.service)\n",
        "  • webserver: 1.26 -> 1.27\n",
    ):
        assert said in message, "each host's reader knows what changes, and whether to reboot"
    assert git("status", "--porcelain") == "", "the user's files are at the new commit"
    upstream = nix.run("git", "-C", directory / "upstream" / "packages", "rev-list", "HEAD").stdout.split()
    lock = json.loads((directory / "flake" / "flake.lock").read_text())
    assert lock["nodes"]["packages"]["locked"]["rev"] == upstream[1], (
        "the last revision with which all hosts build"
    )
    outputs = [path.name[33:] for path in (directory / "nix" / "store").iterdir() if path.suffix != ".drv"]
    assert {"nixos-system-laptop-25.11", "webserver-1.27"} <= set(outputs), "they were really built"
    assert "mailserver-3.9" in outputs, "so was mail without the update, to know what is at fault"
    assert "mailserver-4.0" not in outputs
    assert list((tmp_path / "home").iterdir()) == [], "nothing is left in the user's home"


def test_what_the_demo_says_to_try_works(one_nix: nixes.Nix, tmp_path: Path, directory: Path) -> None:
    environment = users_environment(one_nix, tmp_path)
    assert lockbot("demo", "--directory", directory, env=environment, cwd=tmp_path).returncode == 0

    def script(*words: str) -> str:
        return one_nix.run("./lockbot", *words, cwd=directory).stdout

    runs = json.loads(script("history", "--json"))["runs"]
    assert [run["outcome"] for run in runs] == ["partly published", "rejected", "published"]
    assert "Held back" in script("show")
    assert script("show", "--log", "mail").startswith("building mailserver 4.0")
    rows = json.loads(script("inputs", "--outdated", "--json"))["inputs"]
    assert {row["input"]: row["outdated"] for row in rows} == {"packages": True, "modules": False, "themes": False}
    one_nix.run("git", "-C", "upstream/packages", "revert", "--no-edit", "HEAD", cwd=directory)
    assert json.loads(script("--quiet", "update", "--json"))["outcome"] == "published"
    assert script("check").count("ok  ") >= 10


def test_revisions_are_the_same_each_time(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    environment = users_environment(one_nix, tmp_path)
    for name in ("one", "two"):
        made = sample.make(tmp_path / name, environment, cancel)
        # Worked out by git, and by nothing of this machine: a change of the sample changes it.
        assert made.git(made.upstream("packages")).ask("log", "-1", "--format=%H %cI").startswith(PACKAGES)


def test_without_a_directory_it_makes_one(one_nix: nixes.Nix, tmp_path: Path) -> None:
    done = lockbot("--quiet", "demo", env=users_environment(one_nix, tmp_path), cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    (made,) = tmp_path.glob("lockbot-demo-*")
    assert str(made) in done.stdout
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_directory_that_is_used_is_refused(one_nix: nixes.Nix, tmp_path: Path) -> None:
    environment = users_environment(one_nix, tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    done = lockbot("demo", "--directory", "full", env=environment, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("lockbot: error: full is not empty")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter"]
    done = lockbot("demo", "--directory", "full/letter/below", env=environment, cwd=tmp_path)
    assert done.returncode == 2
    assert "Not a directory" in done.stderr and "Traceback" not in done.stderr
    done = lockbot("demo", "--directory", "it's", env=environment, cwd=tmp_path)
    assert done.returncode == 2
    assert "quotes" in done.stderr and not (tmp_path / "it's").exists()


@pytest.mark.parametrize("missing", ["git", "nix"])
def test_what_is_missing_is_named_and_nothing_is_left(missing: str, one_nix: nixes.Nix, tmp_path: Path) -> None:
    environment = users_environment(one_nix, tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"git", "nix", "nix-store", "env", "sh"} - {missing}:
        (found,) = [
            place / name
            for place in map(Path, environment["PATH"].split(os.pathsep))
            if os.access(place / name, os.X_OK)
        ][:1]
        (programs / name).symlink_to(found)
    environment["PATH"] = str(programs)
    done = lockbot("demo", env=environment, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == f"lockbot: error: no `{missing}` on PATH"
    assert "install" in done.stderr
    assert not list(tmp_path.glob("lockbot-demo-*"))


def readable_by_others(*programs: Path) -> bool:
    for program in programs:
        try:
            done = subprocess.run(
                [program, "--version"], user=65534, group=65534, capture_output=True, check=False
            )
        except OSError:
            return False
        if done.returncode != 0:
            return False
    return True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_demo_needs_no_root(one_nix: nixes.Nix) -> None:
    """As a user who has no home and owns nothing but one directory."""
    if not readable_by_others(Path(sys.executable), one_nix.bin / "nix"):
        pytest.skip("this Python or this checkout can't be read by other users")
    with tempfile.TemporaryDirectory(prefix="lockbot-nobody-") as place:
        os.chown(place, 65534, 65534)
        done = subprocess.run(
            [sys.executable, "-m", "lockbot", "demo", "--directory", f"{place}/demo"],
            env={"PATH": one_nix.environment["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(nixes.PROJECT)},
            cwd=place,
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Rejected: 1 host would no longer build" in done.stdout
