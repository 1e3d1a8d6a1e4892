"""Whatever lockbot starts, in whatever command: wrappers in place of Nix, git and hooks try each secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import nixes
from tests.confinement.secrets import Secrets, home_of_its_own
from tests.landlock import needs_landlock
from tests.update.world import World
from tests.upstream import run_git
from tests.web.test_hostile import pages
from tests.web.world import served

pytestmark = needs_landlock

COMMANDS = {
    "update": ["update"],
    "another update": ["update", "--json"],
    "check": ["check"],
    "hosts": ["hosts"],
    "inputs": ["inputs", "--outdated"],
    "status": ["status"],
    "lint": ["lint"],
    "verify": ["verify"],
    "review": ["review"],
    "diff": ["diff"],
    "revert": ["revert", "a"],
    "healthcheck": ["healthcheck"],
    "metrics": ["metrics"],
    "history": ["history"],
    "requests": ["requests"],
    "notify": ["notify"],
}
WITH_KEYS = (" fetch ", " push ", " ls-remote ", " cat-file commit ")
"""What git does with remotes and with signatures: there it may use the user's keys, and nothing of lockbot's."""
USERS_KEYS = {"netrc", "key", "credentials"}


class Tried:
    """What the wrappers have read: program and arguments, and the name of the secret."""

    def __init__(self, world: World, secrets: Secrets) -> None:
        self._file = world.directory / "stolen"
        reading = "\n".join(
            f'if read -r line < {file}; then echo "{name} $words" >> {self._file}; fi 2>/dev/null'
            for name, file in secrets.files.items()
        )
        seen = world.directory / "seen"
        self.script = f'words=$(echo "$0 $*" | tr "\\n" " ")\n{reading}\necho "$words" >> {seen}\n'
        self._seen = seen
        self._world = world

    def wrap(self) -> None:
        for program in ("git", "nix", "nix-store"):
            self._world.wrap(program, f'{self.script}exec $real "$@"')

    def found(self) -> Iterator[tuple[str, str]]:
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        for line in lines:
            name, _, words = line.partition(" ")
            yield name, f"{words} "

    def seen(self) -> list[str]:
        return self._seen.read_text().splitlines()

    def programs(self) -> set[str]:
        return {Path(line.split()[0]).name for line in self.seen()}


def _is_nix(words: str) -> bool:
    return Path(words.split()[0]).name in ("nix", "nix-store")


@pytest.fixture
def tried(one_nix: nixes.Nix, tmp_path: Path) -> Tried:
    world = World.create(one_nix, tmp_path, kind="remote")
    secrets = Secrets.spread(world)
    tried = Tried(world, secrets)
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\n{tried.script}")
    hook.chmod(0o755)
    world.settings["after_update"] = f'commands = [["{hook}"]]\npaths = ["*"]'
    world.settings["[hook]"] = f'event = "published"\ncommand = ["{hook}"]'
    world.upstreams["a"].commit("second")
    tried.wrap()
    return tried


def test_no_program_reads_what_it_has_no_business_with(tried: Tried) -> None:
    world = tried._world
    for words in COMMANDS.values():
        child = world.start(argv=world.argv(*words))
        said = "".join(child.communicate(timeout=120))
        assert "Traceback" not in said and "cannot start" not in said, said
        if words[-1] == "update":
            assert child.returncode == 0, said
    assert tried.programs() >= {"git", "nix", "nix-store", "hook"}
    assert reads_no_more_than_it_may(tried) == set()
    assert any(name == "netrc" for name, _ in tried.found()), "git has the user's keys where it needs them"


def reads_no_more_than_it_may(tried: Tried) -> set[tuple[str, str]]:
    """What was read beyond that. What is neither a key nor lockbot's is open to git, which works wherever it is
    told to, and to the user's own hooks, which may call Nix."""
    return {
        (name, " ".join(words.split()[:9]))
        for name, words in tried.found()
        if (name not in USERS_KEYS or not any(verb in words for verb in WITH_KEYS) or "/git " not in words)
        and (name not in ("private", "nix.conf") or _is_nix(words))
    }


def test_nor_do_those_that_the_page_starts(tried: Tried) -> None:
    world = tried._world
    assert world.update()["outcome"] == "published"
    world.upstreams["a"].commit("third")
    world.update()
    begun = len(tried.seen())
    with served(world.config, environ=world.environment) as service:
        assert len(pages(service)) > 5
    assert len(tried.seen()) > begun
    assert reads_no_more_than_it_may(tried) == set()


def test_without_confinement_all_of_it_is_open(tried: Tried) -> None:
    """That the wrappers would have found it."""
    world = tried._world
    world.settings["security"] = 'confine = "never"'
    world.update()
    names = {name for name, words in tried.found() if "/nix " in words}
    assert names >= {"netrc", "key", "nix.conf", "credentials", "token", "state", "configuration", "private"}


def test_what_the_configuration_names_may_be_read(tried: Tried) -> None:
    world = tried._world
    netrc = Path(world.environment["HOME"]) / ".netrc"
    world.settings["security"] = f'readable = ["{netrc}"]'
    world.update()
    assert {name for name, words in tried.found() if "/nix " in words} == {"netrc"}


def test_signing_uses_the_users_key(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    key = home_of_its_own(world) / ".ssh" / "signing"
    key.parent.mkdir()
    world.nix.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    signers = tmp_path / "signers"
    signers.write_text(f"bot@example.org {key.with_suffix('.pub').read_text()}")
    world.settings["commit"] = f'sign = "ssh"\nsigning_key = "{key}"'
    world.upstreams["a"].commit("second")
    assert world.update()["outcome"] == "published"
    told = run_git(
        world.repository,
        world.fleet._environment,
        *("-c", f"gpg.ssh.allowedSignersFile={signers}", "log", "-1", "--format=%G?", "main"),
    )
    assert told.strip() == "G"


@pytest.mark.parametrize("wanted", ["required", "when-possible", "never"])
def test_check_says_what_holds(one_nix: nixes.Nix, tmp_path: Path, wanted: str) -> None:
    world = World.create(one_nix, tmp_path)
    world.settings["security"] = f'confine = "{wanted}"'
    child = world.start(argv=world.argv("check"))
    said = child.communicate(timeout=120)[0]
    assert child.returncode == 0, said
    if wanted == "never":
        assert "confinement: programs are not confined: the configuration says `never`" in said
    else:
        assert "confinement: Nix, git and hooks read no secret (Landlock, version " in said
        assert "builders read no secret, but write where this user may" in said
