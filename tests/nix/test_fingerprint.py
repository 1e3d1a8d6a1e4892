"""The word for what decides how hosts fare: another where an answer may be another, the same where it can't."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lockbot.commands import run_config
from lockbot.config import load
from lockbot.nix import command, installed
from lockbot.nix.fingerprint import fingerprint
from lockbot.process import CancelToken
from tests import nixes


def found(nix: nixes.Nix, cancel: CancelToken, tmp: Path, conf: str = "", **more: str) -> command.Nix:
    """That Nix with further lines of nix.conf and variables of the environment, as lockbot calls it."""
    environ = {**nix.environment, "NIX_CONFIG": conf, **more}
    return installed.find(environ, cancel, tmp / "data", {})


def word(nix: nixes.Nix, cancel: CancelToken, tmp: Path, conf: str = "", **more: str) -> str:
    return fingerprint(found(nix, cancel, tmp, conf, **more), {})


def test_it_stays_from_process_to_process(nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> None:
    first = word(nix, cancel, tmp_path)
    assert first == word(nix, cancel, tmp_path)
    assert len(first) == 32


@pytest.mark.parametrize(
    "conf",
    [
        "extra-experimental-features = ca-derivations",
        "sandbox = relaxed",
        "cores = 3",
        "max-jobs = 7",
        "timeout = 9",
        "substituters = https://cache.example.org",
        "builders = ssh://builder x86_64-linux",
    ],
)
def test_what_decides_changes_it(nix: nixes.Nix, cancel: CancelToken, tmp_path: Path, conf: str) -> None:
    assert word(nix, cancel, tmp_path) != word(nix, cancel, tmp_path, conf)


@pytest.mark.parametrize(
    "conf",
    [
        "access-tokens = github.com=ghp_secret",
        "narinfo-cache-negative-ttl = 5",
        "tarball-ttl = 5",
        "log-lines = 5",
        "show-trace = true",
        "bash-prompt = hello",
        "eval-cache = false",
        "http-connections = 5",
        "commit-lockfile-summary = hello",
    ],
)
def test_what_can_change_no_answer_does_not(
    nix: nixes.Nix, cancel: CancelToken, tmp_path: Path, conf: str
) -> None:
    assert word(nix, cancel, tmp_path) == word(nix, cancel, tmp_path, conf)


def test_a_file_of_builders_counts_by_its_content(nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    conf = f"builders = @{machines}"
    missing = word(nix, cancel, tmp_path, conf)
    machines.write_text("ssh://one x86_64-linux\n")
    one = word(nix, cancel, tmp_path, conf)
    machines.write_text("ssh://two x86_64-linux\n")
    assert len({missing, one, word(nix, cancel, tmp_path, conf)}) == 3


def test_another_store_is_another(one_nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> None:
    nix = found(one_nix, cancel, tmp_path)
    other = command.Nix(nix.nix, nix.nix_store, {**nix.environ, "NIX_STORE_DIR": "/else"}, nix.cancel, nix.banner)
    assert fingerprint(nix, {}) != fingerprint(other, {})


@pytest.mark.parametrize(
    ("variables", "same"),
    [
        ({"LOCKBOT_BUILD__TIMEOUT": "7m"}, False),
        ({"LOCKBOT_BUILD__SILENCE": "7m"}, False),
        ({"LOCKBOT_BUILD__CORES": "3"}, False),
        ({"LOCKBOT_BUILD__JOBS": "3"}, False),
        ({"LOCKBOT_EVAL__TIMEOUT": "7m"}, False),
        ({"LOCKBOT_EVAL__MEMORY": "3GiB"}, False),
        ({"LOCKBOT_EVAL__IMPORT_FROM_DERIVATION": "false"}, False),
        ({"LOCKBOT_EVAL__ACCESS_TOKENS": "github.com=ghp_secret"}, True),
        ({"LOCKBOT_EVAL__WORKERS": "3"}, True),
        ({"LOCKBOT_SEARCH__PROBES": "3"}, True),
    ],
)
def test_lockbots_own_limits(
    one_nix: nixes.Nix, cancel: CancelToken, tmp_path: Path, variables: Mapping[str, str], same: bool
) -> None:
    nix = found(one_nix, cancel, tmp_path)
    plain, limited = (
        run_config.fingerprint(load(None, {**one_nix.environment, **more}), nix) for more in ({}, variables)
    )
    assert (plain == limited) == same
