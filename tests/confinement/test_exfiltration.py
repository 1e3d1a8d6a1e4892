"""An input that wants this machine's secrets gets none: whatever it tries, they are in no store path, commit,
database, log, metric or message afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lockbot.nix.environment.daemon import _can_have_sandbox
from tests import nixes
from tests.confinement.secrets import Secrets
from tests.fleet import HostSpec
from tests.landlock import needs_landlock
from tests.notify.server import Server
from tests.update.world import World
from tests.upstream import run_git
from tests.web.test_hostile import pages
from tests.web.world import served

pytestmark = needs_landlock

EVIL_BUILDER = (
    "for file in {files} /proc/self/environ /proc/[0-9]*/environ; do "
    '(while IFS= read -r line || [ -n \\"$line\\" ]; do echo \\"$line\\"; done < $file); '
    "done; echo done > $out"
)
"""A shell's, within a string of Nix's."""


class Thief:
    """A world whose only input is somebody else's: `steals` makes its next commit one that tries."""

    def __init__(self, nix: nixes.Nix, directory: Path) -> None:
        self.world = World.create(nix, directory, kind="remote")
        self.secrets = Secrets.spread(self.world)
        # So that lockbot is a Python of its own: the environment of a forked one is another's.
        self.world.environment["LC_ALL"] = "C.UTF-8"
        self.directory = directory
        self._git = nixes.git_environment(directory / "thief-home")
        self._source = directory / "thief"
        upstream = self.world.upstreams["a"].path
        run_git(directory, self._git, "clone", "--quiet", str(upstream), str(self._source))

    def has_hosts_for(self, expressions: Mapping[str, str]) -> str:
        """One host for each: it says no more than its first error. The expression that each of them evaluates."""
        self.world.fleet.declare(hosts=[HostSpec(name, ["a"]) for name in expressions])
        self.world.fleet.git("push", "--quiet")
        cases = "".join(f"{json.dumps(name)} = {expression};\n" for name, expression in expressions.items())
        return f"{{ {cases} }}.${{host}} or null"

    def steals(self, evaluated: str = "null", built: str = "", inputs: str = "") -> None:
        """Its hosts evaluate this expression, and are built with this derivation; its flake has these inputs."""
        arguments = "{ self, ... }@inputs" if inputs else "{ self }"
        (self._source / "flake.nix").write_text(
            f"{{ inputs = {{ {inputs} }}; outputs = {arguments}: "
            f'{{ lib.part = {{ host, ... }}: {{ value = "x"; evaluated = {evaluated}; script = ""; '
            f"packages = [ {built and f'({built})'} ]; }}; }}; }}\n"
        )
        run_git(self._source, self._git, "commit", "--quiet", "--all", "--message=steal")
        run_git(self._source, self._git, "push", "--quiet", "origin", "HEAD:main")

    def update(self, *further: str) -> str:
        """All that is said of an update, and of it afterwards."""
        said = []
        for words in (("update", "--json"), ("show", "--json"), ("show",), ("metrics",), ("status",), further):
            if words:
                child = self.world.start(argv=self.world.argv(*words))
                stdout, stderr = child.communicate(timeout=120)
                said += [stdout, stderr]
        assert "Traceback" not in "".join(said)
        return "\n".join(said)


@pytest.fixture
def thief(nix: nixes.Nix, tmp_path: Path) -> Thief:
    return Thief(nix, tmp_path / "world-of-it")


def evaluating(secrets: Secrets) -> dict[str, str]:
    """Expressions that read each secret as they are evaluated: purely, for that is how hosts are."""
    zero = "0" * 52
    found = {f"fetchurl {name}": _thrown(f'builtins.fetchurl {{ url = "file://{file}"; sha256 = "{zero}"; }}')
             for name, file in secrets.files.items()}  # fmt: skip
    found |= {f"readFile {name}": _thrown(f"/. + {json.dumps(str(file))}") for name, file in secrets.files.items()}
    private = secrets.files["private"].parent
    tree = f'builtins.fetchTree {{ type = "git"; url = "file://{private}"; rev = "{secrets.rev}"; }}'
    found["fetchTree private"] = _thrown(f'"${{{tree}}}/secret"')
    found["fetchGit private"] = _thrown(
        f'"${{builtins.fetchGit {{ url = "{private}"; rev = "{secrets.rev}"; }}}}/secret"'
    )
    environ = f'builtins.fetchurl {{ url = "file:///proc/self/environ"; sha256 = "{zero}"; }}'
    return found | {"environ": _thrown(environ)}


def hosts_in(said: str) -> dict[str, str]:
    """How each host fared, by what `update --json` said first."""
    document, _ = json.JSONDecoder().raw_decode(said)
    return {host["name"]: host["status"] for host in document["hosts"]}


def _thrown(path: str) -> str:
    return f"throw (builtins.readFile ({path}))"


def building(secrets: Secrets) -> str:
    """A builder without a sandbox that prints each secret, and every environment that it can read."""
    script = EVIL_BUILDER.format(files=" ".join(str(file) for file in secrets.files.values()))
    shell = f'builder = "/bin/sh"; args = [ "-c" "{script}" ];'
    return f'derivation {{ name = "evil"; system = "x86_64-linux"; {shell} }}'


def test_nothing_is_evaluated_out_of_secrets(thief: Thief) -> None:
    tried = evaluating(thief.secrets)
    thief.steals(thief.has_hosts_for(tried))
    said = thief.update()
    statuses = hosts_in(said)
    assert statuses.keys() == tried.keys()
    assert set(statuses.values()) <= {"failed", "unjudged"}
    assert thief.secrets.found(thief.world, said) == set()


def test_nothing_is_built_out_of_secrets(thief: Thief) -> None:
    thief.steals(built=building(thief.secrets))
    said = thief.update("show", "--log", "web")
    assert thief.secrets.found(thief.world, said) == set()
    assert list(thief.world.nix.store.glob("*-evil")), f"it was built: {said}"


def test_nobody_is_told_secrets(thief: Thief) -> None:
    """On any page, or in a message: what failed is quoted in both."""
    world = thief.world
    private = thief.secrets.files["private"].parent
    with Server() as server:
        (world.directory / "target").write_text(f"json://{server.host}/hook")
        world.settings["[notify]"] = f'name = "hook"\nurl = {{ file = "{world.directory / "target"}" }}'
        world.settings["policy"] = 'stale_after = "1s"'
        evaluated = evaluating(thief.secrets)
        hosts = {
            "built": "null",
            "built to be read": f"builtins.readFile ({building(thief.secrets)})",
            "fetched": evaluated["fetchTree private"],
            "read": evaluated["readFile netrc"],
        }
        thief.steals(thief.has_hosts_for(hosts), built=building(thief.secrets))
        said = thief.update()
        thief.steals(inputs=f'x = {{ url = "path:{private}"; flake = false; }};')
        said += thief.update()
        server.settle()
        messages = server.texts
    assert messages, said
    with served(world.config, environ=world.environment) as service:
        shown = pages(service)
    assert any("failed" in text for text in shown.values())
    assert thief.secrets.found(world, said, *messages, *shown.values()) == set()


SANDBOX = "sandbox = true\nsandbox-paths = /bin /lib /lib64 /usr\n"


@pytest.mark.skipif(not _can_have_sandbox(dict(os.environ)), reason="NOT TESTED: Nix's sandbox (no namespaces)")
@pytest.mark.parametrize("installed", nixes.discover(), ids=str)
def test_a_sandbox_stays_one(installed: nixes.Installed) -> None:
    """Of a Nix that opens its store itself; for what is built while a host is evaluated, too."""
    with tempfile.TemporaryDirectory() as place:  # not in /dev, where a sandbox has another in its place
        _stays_one(Thief(nixes.prepare(installed, Path(place, "nix")), Path(place, "world")))


def _stays_one(thief: Thief) -> None:
    thief.world.environment["NIX_CONFIG"] = SANDBOX
    script = 'builder = "/bin/sh"; args = [ "-c" "pwd > $out" ];'
    where = f'derivation {{ name = "where"; system = "x86_64-linux"; {script} }}'
    expected = f'let at = builtins.readFile ({where}); in if at == "/build\n" then null else throw at'
    thief.steals(evaluated=expected)
    said = thief.update()
    assert thief.world.locked() == run_git(thief._source, thief._git, "rev-parse", "HEAD").strip(), said
    thief.steals(built=building(thief.secrets))
    said = thief.update()
    assert thief.secrets.found(thief.world, said) == set()
    assert "by a daemon that lockbot starts" in "".join(
        thief.world.start(argv=thief.world.argv("check")).communicate(timeout=60)
    )


@pytest.mark.parametrize("lacks", ["relaxed", "alias"])
def test_half_a_sandbox_is_told(thief: Thief, lacks: str) -> None:
    thief.world.environment["NIX_CONFIG"] = {
        "relaxed": "sandbox = relaxed\n",
        "alias": "build-use-sandbox = false\n",
    }[lacks]
    said = "".join(thief.world.start(argv=thief.world.argv("check")).communicate(timeout=60))
    words = {"relaxed": "Nix's sandbox is relaxed", "alias": "Nix builds here itself, with no sandbox"}
    assert f"confinement: {words[lacks]}" in said


@pytest.mark.parametrize("way", ["evaluated", "built"])
def test_without_confinement_all_of_it_would_be_found(fresh_nix: nixes.Nix, tmp_path: Path, way: str) -> None:
    """That expressions and the builder steal, and the search sees it. What is stolen stays in its own store."""
    thief = Thief(fresh_nix, tmp_path / "world-of-it")
    thief.world.settings["security"] = 'confine = "never"'
    if way == "built":
        thief.steals(built=building(thief.secrets))
    else:
        thief.steals(thief.has_hosts_for(evaluating(thief.secrets)))
    said = thief.update()
    expected = {*thief.secrets.files, *(["environment"] if way == "built" else [])}
    assert thief.secrets.found(thief.world, said) == expected


def test_nothing_is_built_while_it_is_evaluated(thief: Thief) -> None:
    thief.steals(f"builtins.readFile ({building(thief.secrets)})")
    said = thief.update()
    assert thief.secrets.found(thief.world, said) == set()


def test_no_input_of_an_input_brings_secrets_along(thief: Thief) -> None:
    private = thief.secrets.files["private"].parent
    urls = [f"path:{file}" for file in thief.secrets.files.values()]
    urls += [f"file+file://{file}" for file in thief.secrets.files.values()]
    urls += [f"git+file://{private}?rev={thief.secrets.rev}", "file+file:///proc/self/environ"]
    inputs = " ".join(f'x{number} = {{ url = "{url}"; flake = false; }};' for number, url in enumerate(urls))
    for one in (inputs, *(f'x = {{ url = "{url}"; flake = false; }};' for url in urls[:1])):
        thief.steals(inputs=one)
        said = thief.update()
        assert thief.secrets.found(thief.world, said) == set()


@pytest.fixture
def with_daemon(thief: Thief, tmp_path: Path) -> Iterator[Thief]:
    """Nix's daemon builds, as on most machines; lockbot's Nix only asks it."""
    address = tmp_path / "socket"
    environment = {**thief.world.nix.environment, "NIX_DAEMON_SOCKET_PATH": str(address), "NIX_REMOTE": "local"}
    daemon = subprocess.Popen(
        [str(thief.world.nix.bin / "nix-daemon"), "--daemon"], env=environment, start_new_session=True
    )
    for _ in range(500):
        if address.exists():
            break
        time.sleep(0.01)
    thief.world.environment |= {"NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": str(address)}
    try:
        yield thief
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def test_nothing_is_evaluated_out_of_secrets_beside_a_daemon(with_daemon: Thief) -> None:
    with_daemon.steals(with_daemon.has_hosts_for(evaluating(with_daemon.secrets)))
    said = with_daemon.update()
    assert with_daemon.secrets.found(with_daemon.world, said) == set()


def test_an_honest_update_lands_all_the_same(with_daemon: Thief) -> None:
    new = with_daemon.world.upstreams["a"].commit("second")
    assert with_daemon.world.update()["outcome"] == "published"
    assert with_daemon.world.locked() == new
    with_daemon.world.check()
