"""The main job under a user's settings: all that git and Nix document, and each program that git can be told of.

What a tool at hand documents and `strange` has no value for fails by its name. Where the whole table fails, the
setting that it is for is searched by halves.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import nixes
from tests.fleet import Breakage, HostSpec, since
from tests.git.world import script
from tests.sampling import nix_by_turns
from tests.update import strange
from tests.update.world import World

_HOOKS = """
applypatch-msg commit-msg fsmonitor-watchman p4-changelist post-applypatch post-checkout post-commit
post-index-change post-merge post-receive post-rewrite post-update pre-applypatch pre-auto-gc pre-commit
pre-merge-commit pre-push pre-rebase pre-receive prepare-commit-msg proc-receive push-to-checkout
reference-transaction sendemail-validate update
"""


class Strange:
    """A fleet with a remote, whose input `a` has a broken tip, so that its history is asked for, too."""

    def __init__(self, nix: nixes.Nix, directory: Path) -> None:
        directory.mkdir()
        hosts = [HostSpec("web", ["a"], failure=Breakage("throw", since({"a": 3}))), HostSpec("db", ["b"])]
        self.world = World.create(nix, directory, inputs="ab", hosts=hosts, kind="remote")
        self.home = directory / "home"
        self.home.mkdir()
        self.ran = directory / "ran"
        self.program = script(directory / "program", f'echo "$(pwd): $0 $*" >>{self.ran}; exit 1')
        for place in (self.home / "hooks", self.home / "template" / "hooks"):
            for name in _HOOKS.split():
                script(place / name, f'echo "$(pwd): hook $0" >>{self.ran}; exit 1')
        (self.home / "attributes").write_text("* diff=strange merge=strange export-ignore\n")
        (self.home / "ignore").write_text("*\n")
        self.world.environment["HOME"] = str(self.home)
        self.world.environment["NIX_USER_CONF_FILES"] = str(self.home / "nix.conf")
        self.good = self.world.upstreams["a"].commit("second")
        self.world.upstreams["a"].commit("third")
        self.newest = self.world.upstreams["b"].commit("second")

    def git(self, settings: Mapping[str, str], scope: str) -> None:
        """As the user's, the machine's or the repository's own."""
        files = {
            "global": self.home / ".gitconfig",
            "system": self.home / "system",
            "local": self.world.repository / ".git" / "strange",
        }
        files[scope].write_text(strange.git_file(settings))
        if scope == "system":
            self.world.environment["GIT_CONFIG_SYSTEM"] = str(files[scope])
        if scope == "local":
            self.world.git("config", "include.path", "strange")

    def problem(self) -> str:
        """What is wrong with an update in these surroundings; empty: nothing."""
        result = self.world.update()
        if result.code != 0 or result.document.get("outcome") != "partly published":
            return f"{result.code} {result.document.get('error')} {result.stderr[-2000:]} {result.document}"
        if result.document["notes"]:
            return str(result.document["notes"])
        if (self.world.locked("a"), self.world.locked("b")) != (self.good, self.newest):
            return f"not what it should be: {result.document}"
        if self.ran.exists():
            return self.ran.read_text()
        (self.world.repository / ".git" / "strange").unlink(missing_ok=True)
        self.world.check()
        return ""


def culprit(settings: Mapping[str, str], problem: Callable[[Mapping[str, str]], str]) -> str:
    """Empty where all settings at once are no problem, else one that is, with what goes wrong."""
    if not (said := problem(settings)):
        return ""
    names = list(settings)
    while len(names) > 1:
        half = names[: len(names) // 2]
        if found := problem({name: settings[name] for name in half}):
            names, said = half, found
        elif found := problem({name: settings[name] for name in names[len(half) :]}):
            names, said = names[len(half) :], found
        else:
            break  # it takes several
    return f"{', '.join(names)}: {said}"


@nix_by_turns("scope", {scope: scope for scope in ("global", "system", "local")}, fixture="fresh_nix")
def test_no_git_setting_stops_or_misleads_a_run(fresh_nix: nixes.Nix, tmp_path: Path, scope: str) -> None:
    count = 0

    def problem(settings: Mapping[str, str]) -> str:
        nonlocal count
        count += 1
        here = Strange(fresh_nix, tmp_path / str(count))
        every = strange.git_settings(here.program, here.home)
        here.git({name: every[name] for name in settings}, scope)
        return here.problem()

    settings = strange.git_settings(tmp_path, tmp_path)
    if scope == "local":
        settings = {name: value for name, value in settings.items() if name not in _SAYS_WHAT_IT_IS}
    assert not culprit(settings, problem)


_SAYS_WHAT_IT_IS = frozenset({"core.bare", "core.worktree", "core.repositoryFormatVersion"})
"""In a repository's own configuration these say what kind of repository it is."""


def test_no_setting_of_nix_stops_or_misleads_a_run(fresh_nix: nixes.Nix, tmp_path: Path) -> None:
    count = 0

    def problem(settings: Mapping[str, str]) -> str:
        nonlocal count
        count += 1
        here = Strange(fresh_nix, tmp_path / str(count))
        hook = script(here.home / "hook", f"echo hook >>{here.home}/hooked")
        every = strange.nix_settings(fresh_nix, hook, here.home)
        (here.home / "nix.conf").write_text(strange.nix_file({name: every[name] for name in settings}))
        if said := here.problem():
            return said
        wanted = "post-build-hook" in settings
        return "" if wanted is (here.home / "hooked").exists() else "the user's own hook did not run"

    assert not culprit(strange.nix_settings(fresh_nix, tmp_path, tmp_path), problem)


_REFUSING = ("protocol.", "transfer.hide", "core.hooksPath")
"""They do what they are for, to the user's own git too."""


def test_the_tables_values_are_in_order(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """git reads each of them, and so does Nix: what a run passes are settings that somebody can have."""
    here = Strange(one_nix, tmp_path / "here")
    settings = strange.git_settings(Path("/bin/true"), here.home)
    plain = {name: value for name, value in settings.items() if not name.startswith(_REFUSING)}
    here.git(plain, "global")
    environment = {**os.environ, **here.world.environment}
    for words in (
        "status",
        "log -1",
        "diff HEAD",
        "branch",
        "config --list",
        "ls-remote .",
        "merge --ff-only HEAD",
    ):
        done = subprocess.run(
            ["git", "-C", str(here.world.repository), *words.split()],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)


@pytest.mark.parametrize("scope", ["global", "local"])
def test_filters_run_where_git_must_run_them_and_nowhere_else(
    one_nix: nixes.Nix, tmp_path: Path, scope: str
) -> None:
    """In the user's own tree; lockbot's and Nix's copies are as committed."""
    here = Strange(one_nix, tmp_path / "here")
    through = script(here.home / "filter", f'echo "$1 $(pwd)" >>{here.home}/filtered; exec cat')
    here.world.fleet.commit({".gitattributes": "* filter=strange\n"}, "filtered")
    here.world.git("push", "--quiet")
    parts = {f"filter.strange.{part}": f"{through} {part}" for part in ("clean", "smudge")}
    here.git({**parts, "filter.strange.required": "true"}, scope)
    assert not here.problem()
    ran = (here.home / "filtered").read_text().splitlines()
    assert "smudge" in {line.split()[0] for line in ran}, "the user's flake.lock is what the filter makes of it"
    assert {line.split()[1] for line in ran} == {str(here.world.repository)}
