"""ssh keys: an agent of lockbot's has those that need no passphrase, and ends with lockbot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockbot.nix.environment import keys
from tests.nixes import PROJECT
from tests.process.test_process import gone

pytestmark = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="NOT TESTED: ssh keys (no ssh-agent)")
ASK = """\
import os, sys
from lockbot.nix.environment import companions, keys
address = keys.agent(dict(os.environ))
print(address or "", *(agent.pid for agent in companions._running), flush=True)
if len(sys.argv) > 1:
    sys.stdin.read()
"""


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    # Not below this test's directory: an address has to be short.
    with tempfile.TemporaryDirectory(prefix="lb-") as short:
        yield {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": short, "PYTHONPATH": str(PROJECT)}


def key(environ: dict[str, str], name: str, passphrase: str = "") -> Path:
    path = Path(environ["HOME"]) / ".ssh" / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path)]
    subprocess.run(words, env=environ, check=True)
    return path


def listed(environ: dict[str, str]) -> tuple[list[str], int]:
    """The comments of the keys that the agent has which a lockbot makes, and its pid; as long as that lives."""
    with subprocess.Popen(
        [sys.executable, "-c", ASK, "wait"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as asked:
        assert asked.stdout is not None
        assert asked.stdin is not None
        address, *pids = asked.stdout.readline().split() or [""]
        names: list[str] = []
        if address:
            told = {**environ, "SSH_AUTH_SOCK": address}
            said = subprocess.run(["ssh-add", "-l"], env=told, capture_output=True, text=True, check=True)
            names = [line.split()[2] for line in said.stdout.splitlines()]
        asked.stdin.close()
        asked.wait()
    if address:
        assert gone(int(pids[0])), "it ends with lockbot"
        assert not Path(address).parent.exists()
    return names, len(pids)


def test_an_agent_has_the_keys_that_need_no_passphrase(environ: dict[str, str]) -> None:
    key(environ, "plain")
    key(environ, "locked", "a passphrase")
    (Path(environ["HOME"]) / ".ssh" / "config").write_text("Host x\n")
    names, _ = listed(environ)
    assert "plain" in names and "locked" not in names


def test_a_key_that_ssh_is_told_to_use(environ: dict[str, str], tmp_path: Path) -> None:
    elsewhere = key(environ, "plain").rename(tmp_path / "elsewhere")
    assert "plain" not in listed(environ)[0]
    ways = (f"-i {elsewhere}", f"-oIdentityFile={elsewhere}", f"-o IdentityFile={elsewhere} -v")
    for command in (f"ssh {way}" for way in ways):
        assert "plain" in listed({**environ, "GIT_SSH_COMMAND": command})[0], command


def test_an_agent_of_the_users_that_has_keys_will_do(environ: dict[str, str]) -> None:
    plain = key(environ, "plain")
    address = f"{environ['TMPDIR']}/theirs"
    with subprocess.Popen(["ssh-agent", "-D", "-a", address], env=environ, stdout=subprocess.DEVNULL) as theirs:
        try:
            while not Path(address).exists():
                assert theirs.poll() is None
            told = {**environ, "SSH_AUTH_SOCK": address}
            assert "plain" in listed(told)[0], "theirs has no key"
            subprocess.run(["ssh-add", "-q", str(plain)], env=told, check=True)
            assert listed(told) == ([], 0)
        finally:
            theirs.kill()


def test_what_is_no_secret_may_be_read(environ: dict[str, str]) -> None:
    plain = key(environ, "plain")
    directory = plain.parent
    key(environ, "config")  # a key of that name is one all the same
    (directory / "known_hosts").write_text("x\n")
    (directory / "authorized_keys").write_text("x\n")
    found = {path.name for path in keys.public(environ) if path.parent == directory}
    assert found == {"plain.pub", "config.pub", "known_hosts"}
