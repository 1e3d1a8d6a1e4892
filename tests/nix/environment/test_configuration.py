"""nix.conf as Nix reads it: the same settings come of the text that a confined Nix is handed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockbot.nix.environment import configuration
from tests import nixes


def written(nix: nixes.Nix, tmp_path: Path) -> dict[str, str]:
    """Each kind of file that Nix reads, with something only it says, and something that a later one overrules."""
    system, user, machine = tmp_path / "system", tmp_path / "user", tmp_path / "xdg"
    for directory in (system / "more", user / "nix", machine / "nix"):
        directory.mkdir(parents=True)
    common = "experimental-features = nix-command flakes\n"
    (system / "nix.conf").write_text(
        f"{common}cores = 3 # by hand\n include more/one.conf\n!include more/none.conf\n"
    )
    (system / "more" / "one.conf").write_text("max-jobs = 5\ninclude two.conf\nsubstituters = https://a.invalid\n")
    (system / "more" / "two.conf").write_text("http-connections = 7\n")
    (machine / "nix" / "nix.conf").write_text("cores = 4\nconnect-timeout = 11\n")
    (user / "nix" / "nix.conf").write_text("cores = 6\nextra-substituters = file:///srv/cache\n")
    return {
        **nix.environment,
        "NIX_CONF_DIR": str(system),
        "XDG_CONFIG_HOME": str(user),
        "XDG_CONFIG_DIRS": str(machine),
        "NIX_CONFIG": "stalled-download-timeout = 13\n",
    }


NAMES = ("cores", "max-jobs", "http-connections", "connect-timeout", "stalled-download-timeout", "substituters")


def test_the_text_makes_the_settings_that_the_files_make(nix: nixes.Nix, tmp_path: Path) -> None:
    environ = written(nix, tmp_path)
    text = tmp_path / "text"
    text.write_text(configuration.text(environ))
    nowhere = {"NIX_CONF_DIR": "/nowhere", "XDG_CONFIG_HOME": "/nowhere", "XDG_CONFIG_DIRS": "/nowhere"}
    handed = {**environ, **nowhere, "NIX_CONFIG": "", "NIX_USER_CONF_FILES": str(text)}
    answers = []
    for variables in (environ, handed):
        asked = nixes.Nix(nix.bin, nix.version, variables)
        shown = json.loads(asked.run("nix", "config", "show", "--json").stdout)
        answers.append({name: shown[name]["value"] for name in NAMES})
    assert answers[0] == answers[1]
    assert answers[0]["cores"] == 6 and answers[0]["http-connections"] == 7


def test_user_files_by_name(tmp_path: Path) -> None:
    first, second = tmp_path / "first.conf", tmp_path / "second.conf"
    first.write_text("cores = 1\n")
    second.write_text("cores = 2\nmax-jobs = 2\n")
    found = configuration.settings(configuration.text({"NIX_USER_CONF_FILES": f"{first}:{second}"}))
    assert (found["cores"], found["max-jobs"]) == ("1", "2"), "the first is the most important"


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "nix.conf").write_text("include nix.conf\ncores = 2\n")
    assert configuration.settings(configuration.text({"NIX_CONF_DIR": str(tmp_path)}))["cores"] == "2"


@pytest.mark.parametrize(
    ("name", "value", "paths"),
    [
        (
            "substituters",
            "https://c.invalid/x file:///srv/cache?priority=1 /mnt/nfs",
            {"/srv/cache", "/mnt/nfs"},
        ),
        ("builders", "@/etc/nix/machines", {"/etc/nix/machines"}),
        ("builders", "ssh://mac x86_64-darwin /root/.ssh/builder 4", {"/root/.ssh/builder"}),
        ("store", "local?root=/srv/root", {"/srv/root"}),
        ("build-dir", "/srv/build", {"/srv/build"}),
        ("trusted-public-keys", "cache.invalid-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY/", set()),
        ("access-tokens", "forge.invalid=/not/a/path", set()),
        ("netrc-file", "/home/u/.netrc", set()),
        ("sandbox", "true", set()),
    ],
)
def test_what_settings_name(name: str, value: str, paths: set[str]) -> None:
    assert configuration.paths({name: value}) == {Path(path) for path in paths}
