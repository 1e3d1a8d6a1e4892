"""Generated flakes in real git repositories: hosts that use inputs, and breakage where and when it is wanted.

    a, b = (Upstream.create(tmp_path, name) for name in "ab")
    web = HostSpec("web", uses=["a", "b"], failure=Breakage("throw", together({"a": "2", "b": "2"})))
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=[a, b], hosts=[web])
    a.commit("second")                  # a's value is now "2"
    b.break_build(hosts=["web"])        # with b's newest commit web, and only web, fails to build

The Nix half lies in fleet_nix/. It must not know lockbot. Derivations carry the fleet's directory, so that no two
fleets in one store share a build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.nixes import Nix, git_environment
from tests.upstream import EPOCH, HOUR, TEMPLATES, FailureName, Input, Upstream, nix_string, run_git

__all__ = ["Breakage", "Fleet", "HostSpec", "Input", "Upstream", "When", "apart", "since", "together"]

Kind = Literal["nixos", "darwin", "home", "package"]


@dataclass(frozen=True)
class When:
    """A rule over inputs' values: fleet.nix says what each means."""

    rule: Literal["always", "together", "apart", "since"] = "always"
    values: Mapping[str, str | int] = field(default_factory=dict)


def together(values: Mapping[str, str]) -> When:
    """Broken only while every one of these inputs has that value."""
    return When("together", values)


def apart(values: Mapping[str, str]) -> When:
    """Broken while some of these inputs have that value and others do not: they work only together."""
    return When("apart", values)


def since(values: Mapping[str, int]) -> When:
    """Broken from that (numeric) value of each of these inputs on."""
    return When("since", values)


@dataclass(frozen=True)
class Breakage:
    """How a host fails, and when. `text` is what it says; breakage.nix has the kinds."""

    kind: FailureName
    when: When = field(default_factory=When)
    text: str = "broken on purpose"


@dataclass(frozen=True)
class HostSpec:
    """One host. `uses` names inputs of the fleet; `cost` is turns of a loop in its evaluation (a million: ~0.1 s);
    `seconds` is how long its build sleeps; `chain` is the length of its private chain of dependencies."""

    name: str
    uses: Sequence[str] = ()
    kind: Kind = "nixos"
    system: str = "x86_64-linux"
    failure: Breakage | FailureName | None = None
    uses_self_rev: bool = False
    cost: int = 0
    seconds: float = 0
    chain: int = 0

    @property
    def attribute(self) -> tuple[str, ...]:
        """The path from the flake to the toplevel."""
        match self.kind:
            case "nixos":
                return ("nixosConfigurations", self.name, "config", "system", "build", "toplevel")
            case "darwin":
                return ("darwinConfigurations", self.name, "system")
            case "home":
                return ("homeConfigurations", self.name, "activationPackage")
            case "package":
                return ("packages", self.system, self.name)

    @property
    def derivation(self) -> str:
        """The name of its derivation: the store allows fewer characters than a flake does."""
        return "host-" + re.sub(r"[^A-Za-z0-9+._?=-]", "-", self.name)

    def as_json(self) -> dict[str, Any]:
        failure = Breakage(self.failure) if isinstance(self.failure, str) else self.failure
        described: dict[str, Any] = {"kind": None, "text": "", "when": {"rule": "always", "values": {}}}
        if failure is not None:
            when = {"rule": failure.when.rule, "values": dict(failure.when.values)}
            described = {"kind": failure.kind, "text": failure.text, "when": when}
        fields = {
            name: getattr(self, name) for name in ("name", "kind", "system", "uses_self_rev", "cost", "chain")
        }
        return fields | {
            "uses": list(self.uses),
            "seconds": self.seconds,
            "derivation": self.derivation,
            "failure": described,
        }


class Fleet:
    """The user's flake, in a repository with a work tree, on branch `main`."""

    def __init__(self, path: Path, nix: Nix, flake_dir: str) -> None:
        self.path = path
        self.flake = path / flake_dir
        self.flake_dir = flake_dir
        self.branch = "main"
        self.hosts: tuple[HostSpec, ...] = ()
        self.inputs: tuple[Input, ...] = ()
        self._nix = nix
        self._state = path.with_name(f"{path.name}-state")
        self._environment = git_environment(self._state / "home")
        self._commits = 0

    @classmethod
    def create(
        cls,
        directory: Path,
        nix: Nix,
        *,
        inputs: Sequence[Upstream | Input] = (),
        hosts: Sequence[HostSpec] = (),
        flake_dir: str = "",
        lock: bool = True,
    ) -> Fleet:
        """Write, lock (with the real Nix) and commit a flake. `flake_dir` puts it into a sub-directory."""
        fleet = cls(directory, nix, flake_dir)
        fleet.flake.mkdir(parents=True)
        fleet.git("init", "--quiet", "--initial-branch=main", ".")
        fleet.inputs = tuple(Input(one) if isinstance(one, Upstream) else one for one in inputs)
        fleet.hosts = tuple(hosts)
        fleet._write()
        if lock:
            fleet.git("add", "--all")
            nix.run("nix", "flake", "lock", cwd=fleet.flake)
        fleet.commit({}, "first")
        return fleet

    def git(self, *arguments: str, check: bool = True) -> str:
        """Run git as the user would, in their tree; its standard output."""
        return run_git(self.path, self._environment, *arguments, check=check)

    def head(self, ref: str = "HEAD") -> str:
        return self.git("rev-parse", ref).strip()

    def commit(self, files: Mapping[str, str], subject: str) -> str:
        """Write files (below the repository's root) and commit everything; the new revision."""
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", "--all")
        self._commits += 1
        date = f"{EPOCH + self._commits * HOUR} +0000"
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        run_git(self.path, self._environment | dates, "commit", "--quiet", "--allow-empty", "--message", subject)
        return self.head()

    def declare(
        self, *, inputs: Sequence[Upstream | Input] | None = None, hosts: Sequence[HostSpec] | None = None
    ) -> str:
        """Change the fleet's own flake, and commit; the lock stays as it is."""
        if inputs is not None:
            self.inputs = tuple(Input(one) if isinstance(one, Upstream) else one for one in inputs)
        if hosts is not None:
            self.hosts = tuple(hosts)
        self._write()
        return self.commit({}, "change the fleet")

    def update(self, *names: str) -> str:
        """What a person does by hand: `nix flake update`, commit. The new revision."""
        self._nix.run("nix", "flake", "update", *names, cwd=self.flake)
        return self.commit({}, f"update {', '.join(names) or 'all'}")

    def lock(self, ref: str | None = None) -> dict[str, Any]:
        """flake.lock, parsed: of the work tree, or of a commit."""
        name = "/".join(filter(None, (self.flake_dir, "flake.lock")))
        text = (self.path / name).read_text() if ref is None else self.git("show", f"{ref}:{name}")
        parsed: dict[str, Any] = json.loads(text)
        return parsed

    def locked(self, name: str, ref: str | None = None) -> str:
        """The revision that an input of the root is locked at."""
        nodes = self.lock(ref)["nodes"]
        revision: str = nodes[nodes["root"]["inputs"][name]]["locked"]["rev"]
        return revision

    def url(self, rev: str | None = None) -> str:
        """The flake reference of this fleet, at a revision or as it lies in the tree."""
        query = [f"{key}={value}" for key, value in (("dir", self.flake_dir), ("rev", rev)) if value]
        return f"git+file://{self.path}" + ("?" + "&".join(query) if query else "")

    def derivation(self, host: HostSpec, rev: str | None = None) -> str:
        """Evaluate one host: its .drv. Not through an installable, whose names can hold no quotes. Raises
        AssertionError with Nix's own words when the evaluation fails."""
        leads = "".join(f".{nix_string(name)}" for name in host.attribute[1:])
        return self._nix.run(
            "nix", "eval", "--raw", f"{self.url(rev)}#{host.attribute[0]}", "--apply", f"set: set{leads}.drvPath"
        ).stdout

    def add_remote(self, name: str = "origin") -> Path:
        """A bare repository beside this one, with the branch pushed and tracked; its path."""
        remote = self.path.with_name(f"{self.path.name}-{name}.git")
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(remote))
        self.git("remote", "add", name, str(remote))
        self.git("push", "--quiet", "--set-upstream", name, self.branch)
        return remote

    def built(self) -> list[str]:
        """The names of the derivations whose build has begun, in order, each as often as that happened."""
        record = self._state / "builds"
        return record.read_text().split() if record.exists() else []

    def _write(self) -> None:
        flake = ["{", "inputs = {", *(one.declaration() for one in self.inputs), "};"]
        flake += ["outputs = inputs: import ./fleet.nix inputs;", "}"]
        (self.flake / "flake.nix").write_text("\n".join(flake) + "\n")
        for name in ("fleet.nix", "breakage.nix"):
            (self.flake / name).write_text((TEMPLATES / name).read_text())
        described = {
            "state": str(self._state),
            "inputs": [one.label for one in self.inputs],
            "hosts": [host.as_json() for host in self.hosts],
        }
        (self.flake / "fleet.json").write_text(json.dumps(described, indent=1))
