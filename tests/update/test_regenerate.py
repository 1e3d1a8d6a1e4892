"""Commands after the update: what they regenerate joins the commit, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockbot.model import Outcome
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Breakage, HostSpec, together
from tests.update.inside import World

SUMMARY = "mkdir -p generated && grep rev flake.lock >generated/revisions && rm -f generated/old"


def after(script: str, paths: list[str]) -> dict[str, str]:
    return {
        "LOCKBOT_AFTER_UPDATE__COMMANDS": json.dumps([["/bin/sh", "-c", script]]),
        "LOCKBOT_AFTER_UPDATE__PATHS": json.dumps(paths),
    }


def test_what_they_change_joins_the_commit(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    bad = Breakage("build", together({"b": "2"}))
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"], failure=bad)], "ab")
    world.fleet.commit({"generated/old": "goes\n", "untouched": "stays\n"}, "files")
    run = world.update(settings=after(SUMMARY, ["generated/*"]))
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    changed = world.fleet.git("diff", "--name-status", "main~1", "main").split()
    assert changed == ["M", "flake.lock", "D", "generated/old", "A", "generated/revisions"]
    text = world.fleet.git("show", "main:generated/revisions")
    assert world.fleet.locked("a", "main") in text
    assert world.fleet.locked("b", "main") in text, "of the lock that was landed, not of one that was tried"
    assert world.upstreams["b"].head() not in text
    assert world.fleet.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo x >elsewhere", "changed what it may not: elsewhere"),
        ("echo no good >&2; exit 3", "ended with code 3"),
        ("echo x >>flake.nix", "changed what it may not: flake.nix"),
    ],
)
def test_what_they_may_not(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, script: str, words: str
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "a")
    before = world.fleet.head("main")
    run = world.update(settings=after(script, ["generated/*"]))
    assert run.outcome is Outcome.FAILED
    assert words in (run.error or "")
    assert world.fleet.head("main") == before


def test_one_that_hangs_is_ended(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "a")
    settings = after("exec sleep 600", ["x"]) | {"LOCKBOT_AFTER_UPDATE__TIMEOUT": "1s"}
    run = world.update(settings=settings)
    assert run.outcome is Outcome.FAILED
    assert "took longer than 1 s" in (run.error or "")
