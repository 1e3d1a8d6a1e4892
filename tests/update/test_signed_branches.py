"""Updates of a branch that takes signed commits only, as whoever runs lockbot sees them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import nixes
from tests.update.world import World


@pytest.fixture
def world(one_nix: nixes.Nix, tmp_path: Path) -> World:
    world = World.create(one_nix, tmp_path)
    for name in ("ann", "bot"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    world.settings["commit"] = (
        f'sign = "ssh"\nsigning_key = "{tmp_path}/bot"\nverify = "{tmp_path}/signers"\n'
        'author = "lockbot <lockbot@example.org>"'
    )
    allow(world, "ann", "bot")
    world.upstreams["a"].commit("newer")
    return world


def allow(world: World, *names: str) -> None:
    keys = [(world.directory / f"{name}.pub").read_text() for name in names]
    (world.directory / "signers").write_text("".join(f"{key.split()[-1]} {key}" for key in keys))


def commit(world: World, subject: str, key: str | None) -> str:
    signing = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={world.directory / key}"] if key else []
    world.git(*signing, "commit", "--quiet", "--allow-empty", "-m", subject, *(["-S"] if key else []))
    return world.head()


def checks(world: World) -> dict[str, tuple[str, str]]:
    process = world.start(argv=world.argv("check", "--json"))
    told, _ = process.communicate(timeout=60)
    return {one["check"]: (one["level"], one["text"]) for one in json.loads(told)["checks"]}


def test_an_update_of_a_signed_branch_is_signed(world: World) -> None:
    commit(world, "signed", "ann")
    assert checks(world)["signatures"] == ("ok", f"1 commit of main verified by {world.directory}/signers")
    assert checks(world)["signing"] == ("ok", "lockbot's own key is an allowed signer's")
    result = world.update()
    assert result.code == 0, result.stderr
    assert result["outcome"] == "published"
    world.git("-c", f"gpg.ssh.allowedSignersFile={world.directory}/signers", "verify-commit", "main")
    process = world.start(argv=world.argv("verify", "--no-evaluate", "--json"))
    told, _ = process.communicate(timeout=60)
    assert "it is signed: git finds it good (" in told, "by the file of commit.verify"
    world.upstreams["a"].commit("newer still")
    assert world.update()["outcome"] == "published", "what lockbot committed is verified like anybody's"


def test_nothing_is_built_or_published_on_what_nobody_signed(world: World) -> None:
    unsigned = commit(world, "unsigned", None)
    level, text = checks(world)["signatures"]
    assert level == "problem" and text.startswith(f"commit {unsigned[:12]} by ")
    result = world.update()
    assert result.code == 3
    assert (result["outcome"], result["hosts"], result["candidate"]) == ("failed", [], None)
    assert result["base"] == unsigned
    assert "('unsigned') is not signed by a key in" in result["error"]
    assert "have it signed anew" in result["hint"]
    assert world.update("--dry-run").code == 3
    assert world.head() == unsigned
    commit(world, "signed", "ann")
    assert world.update()["outcome"] == "published", "the head alone, the first time"


def test_a_key_of_lockbots_own_that_may_not_sign_costs_no_build(world: World) -> None:
    allow(world, "ann")
    base = commit(world, "signed", "ann")
    level, text = checks(world)["signing"]
    assert level == "problem" and "its key, SHA256:" in text
    result = world.update()
    assert (result.code, result["outcome"], result["hosts"]) == (3, "failed", [])
    assert "commit " in result["error"] and "by lockbot <lockbot@example.org>" in result["error"]
    assert world.head() == base


def test_a_file_of_allowed_signers_that_cannot_be_used(world: World) -> None:
    commit(world, "signed", "ann")
    (world.directory / "signers").write_text("ann@example.org ssh-ed25519 AAAA\n")
    result = world.update()
    assert result.code == 2
    assert f"{world.directory}/signers:1: no whole key stands there" in result.stderr
    assert checks(world)["signatures"][0] == "problem"
