"""Which version a flake's package has, by every Nix that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.errors import LockbotError
from lockbot.nix import command, installed
from lockbot.nix.evaluate import Limits
from lockbot.nix.evaluate.package_version import LONGEST, CannotEvaluate, PackageVersion, package_version
from lockbot.process import CancelToken, Deadline
from tests import nixes
from tests.conftest import INSTALLED
from tests.git.upstream_repo import Repo
from tests.sampling import nix_by_turns, some

PACKAGES = """
    plain = { version = "2.12"; };
    named = { name = "named-1.0-rc1"; };
    bare = { name = "bare"; };
    nothing = { };
    number = { version = 3; };
    text = "hello";
    set.deep."a.b" = { version = "7"; };
    context = { version = "${builtins.toFile "x" "x"}"; };
    long = { version = builtins.concatStringsSep "" (builtins.genList toString 200); };
    strange = { version = builtins.fromJSON ''"1\\n\\u001b[2J$"''; };
    thrown = throw "renamed to plain";
    broken = { version = throw "it is broken"; };
"""
FLAKE = """
{
  outputs = _:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      of = set: builtins.listToAttrs (map (name: { inherit name; value = set; }) systems);
    in {
      legacyPackages = of { PACKAGES };
      packages = of { plain = { version = "1"; }; own = { version = "5"; }; };
    };
}
"""
FOUND = {
    ("plain",): PackageVersion(True, "2.12"),
    ("own",): PackageVersion(True, "5"),
    ("named",): PackageVersion(True, "1.0-rc1"),
    ("bare",): PackageVersion(True),
    ("nothing",): PackageVersion(True),
    ("number",): PackageVersion(True),
    ("text",): PackageVersion(True),
    ("set", "deep", "a.b"): PackageVersion(True, "7"),
    ("set", "deep", "a", "b"): PackageVersion(False),
    ("gone",): PackageVersion(False),
    ('${builtins.abort "x"}',): PackageVersion(False),
    ('"; in abort "x',): PackageVersion(False),
    ("asked.system",): PackageVersion(False),
}
FAILS = {("thrown",): "renamed to plain", ("broken",): "it is broken"}
LIMITS = Limits(workers=1, memory=2**31, timeout=60)


@pytest.fixture
def flake(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken) -> str:
    text = FLAKE.replace("PACKAGES", PACKAGES)
    return committed(Repo(tmp_path, git_environment, cancel), text)


def committed(repo: Repo, text: str, name: str = "flake.nix") -> str:
    """The locked reference of a flake with this one file."""
    blob = repo.git("hash-object", "-w", "--stdin", stdin=text.encode())
    tree = repo.git("mktree", stdin=f"100644 blob {blob}\t{name}\n".encode())
    commit = repo.git("commit-tree", "-m", "x", tree)
    repo.git("update-ref", "refs/heads/main", commit)
    return f"git+file://{repo.path}?ref=main&rev={commit}"


@pytest.fixture
def ask(nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> command.Nix:
    return installed.find(nix.environment, cancel, tmp_path / "data", {})


def test_every_way_to_have_a_version(ask: command.Nix, flake: str) -> None:
    deadline = Deadline(60, "it")
    asked = list(FOUND) if ask.version == INSTALLED[-1].version else some(FOUND, of=4)
    for package in asked:
        assert package_version(ask, flake, package, LIMITS, deadline) == FOUND[package], package
    assert package_version(ask, flake, ("strange",), LIMITS, deadline).version.startswith("1\n")
    assert len(package_version(ask, flake, ("long",), LIMITS, deadline).version) == LONGEST
    assert "/" in package_version(ask, flake, ("context",), LIMITS, deadline).version
    for package, why in FAILS.items():
        with pytest.raises(CannotEvaluate, match=why):
            package_version(ask, flake, package, LIMITS, deadline)


@nix_by_turns(
    "text",
    {
        "no packages": "{ outputs = _: { }; }",
        "packages that are none": '{ outputs = _: { legacyPackages = 1; packages = "x"; }; }',
        "packages of none": "{ outputs = _: { packages.x86_64-linux = null; }; }",
    },
)
def test_a_flake_without_packages(nix: nixes.Nix, text: str, tmp_path: Path, cancel: CancelToken) -> None:
    where = committed(Repo(tmp_path, dict(nix.environment), cancel), text)
    tool = installed.find(nix.environment, cancel, tmp_path / "data", {})
    assert package_version(tool, where, ("a",), LIMITS, Deadline(60, "it")) == PackageVersion(False)


@nix_by_turns(
    "text", {"no flake": "{ }", "a syntax error": "{ outputs = _: {", "impure": "{ outputs = _: import /etc/x; }"}
)
def test_what_can_not_be_evaluated(nix: nixes.Nix, text: str, tmp_path: Path, cancel: CancelToken) -> None:
    where = committed(Repo(tmp_path, dict(nix.environment), cancel), text)
    tool = installed.find(nix.environment, cancel, tmp_path / "data", {})
    with pytest.raises(CannotEvaluate, match="it can't be evaluated: "):
        package_version(tool, where, ("a",), LIMITS, Deadline(60, "it"))


def test_more_memory_than_there_is(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """The evaluator is ended, and nothing else."""
    text = "{ outputs = _: { packages.x86_64-linux.a.version = toString (builtins.genList (x: x) 100000000); }; }"
    where = committed(Repo(tmp_path, dict(one_nix.environment), cancel), text)
    tool = installed.find(one_nix.environment, cancel, tmp_path / "data", {})
    small = Limits(workers=1, memory=2**27, timeout=60)
    with pytest.raises(LockbotError, match="more memory than the budget of 128 MiB"):
        package_version(tool, where, ("a",), small, Deadline(60, "it"))
