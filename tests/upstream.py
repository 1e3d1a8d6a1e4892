"""Inputs with a history: bare git repositories, each commit of which may break the hosts that use it.

Bare, because Nix reads a repository with a work tree in place, but fetches and caches a bare one as it does a
remote. Dates are fixed, so that revisions are the same in every run. It must not know lockbot, nor fleets.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from tests.nixes import Nix, git_environment

EPOCH = 1_700_000_000
"""The date of every repository's first commit; each further one is an hour younger."""
HOUR = 3600
TEMPLATES = Path(__file__).parent / "fleet_nix"

EvaluationFailure = Literal[
    "throw", "assert", "assertion", "abort", "missing-attribute", "missing-file", "type", "infinite-recursion",
    "endless-evaluation", "import-from-derivation",
]  # fmt: skip
BuildFailure = Literal[
    "build", "dependency", "deep-dependency", "hash-mismatch", "timeout", "silent", "killed", "no-output", "flaky",
]  # fmt: skip
FailureName = EvaluationFailure | BuildFailure


@dataclass(frozen=True)
class _Part:
    """What one commit of an upstream says: part.json."""

    value: str
    kind: FailureName | None = None
    text: str = ""
    hosts: Sequence[str] = ()


class Upstream:
    """An input: a bare repository with a history. Each commit has a new value ("1", "2", …) unless told otherwise.

    A commit is one `git fast-import`, with no index and no work tree; the breakage stays until `fix`.
    """

    def __init__(
        self, path: Path, name: str, *, flake: bool, inputs: Mapping[str, Upstream], follows: Mapping[str, str]
    ) -> None:
        self.path = path
        self.name = name
        self.flake = flake
        self.branch = "main"
        self._inputs = dict(inputs)
        self._follows = dict(follows)
        self._environment = git_environment(path.parent / f"{path.name}-home")
        self._commits = 0
        self._part = _Part("0")
        self._files: dict[str, str] = {}

    @classmethod
    def create(
        cls,
        directory: Path,
        name: str,
        *,
        flake: bool = True,
        inputs: Mapping[str, Upstream] | None = None,
        follows: Mapping[str, str] | None = None,
    ) -> Upstream:
        """A repository below `directory` with one commit (value "1"). `inputs` are its own, by name; `follows`
        leads from one of them (`base`, `base/deep`) to another input of this flake."""
        upstream = cls(directory / name, name, flake=flake, inputs=inputs or {}, follows=follows or {})
        upstream.path.mkdir(parents=True)
        upstream.git("init", "--quiet", "--bare", "--initial-branch=main", ".")
        upstream.commit("first")
        return upstream

    @property
    def url(self) -> str:
        return f"git+file://{self.path}"

    @property
    def value(self) -> str:
        return self._part.value

    def head(self, ref: str = "HEAD") -> str:
        return self.git("rev-parse", ref).strip()

    def git(self, *arguments: str) -> str:
        return run_git(self.path, self._environment, *arguments)

    def commit(
        self,
        subject: str,
        *,
        value: str | None = None,
        date: int | None = None,
        files: Mapping[str, str] | None = None,
        branch: str | None = None,
    ) -> str:
        """One more commit; its revision. `date` is in seconds since 1970; `files` stay in later commits, too."""
        self._files |= files or {}
        return self._import([(subject, value, date)], branch or self.branch)[0]

    def history(self, subjects: Iterable[str]) -> list[str]:
        """Many commits at once, each with a value of its own. Their revisions, oldest first."""
        return self._import([(subject, None, None) for subject in subjects], self.branch)

    def break_evaluation(
        self, kind: EvaluationFailure = "throw", *, hosts: Sequence[str] = (), text: str = "broken by the input"
    ) -> str:
        """From this commit on, hosts (all, unless named) that use this input fail to evaluate."""
        return self._break(kind, hosts, text)

    def break_build(
        self, kind: BuildFailure = "build", *, hosts: Sequence[str] = (), text: str = "broken by the input"
    ) -> str:
        """From this commit on, hosts (all, unless named) that use this input fail to build."""
        return self._break(kind, hosts, text)

    def fix(self) -> str:
        self._part = _Part(self._part.value)
        return self.commit(f"{self.name}: fix")

    def reset(self, revision: str, branch: str | None = None) -> None:
        """What a force-push does: the branch now ends at another commit."""
        self.git("update-ref", f"refs/heads/{branch or self.branch}", revision)
        described = json.loads(self.git("show", f"{revision}:part.json"))
        self._part = _Part(**{name: value for name, value in described.items() if name != "name"})

    def lock(self, nix: Nix) -> str:
        """Commit the flake.lock that Nix makes for this upstream's own inputs."""
        if "flake.lock" not in self._files:
            checkout = self.path.with_name(f"{self.path.name}-checkout")
            run_git(self.path.parent, self._environment, "clone", "--quiet", str(self.path), str(checkout))
            nix.run("nix", "flake", "lock", cwd=checkout)
            self._files["flake.lock"] = (checkout / "flake.lock").read_text()
        return self.commit(f"{self.name}: lock", value=self.value)

    def _break(self, kind: FailureName, hosts: Sequence[str], text: str) -> str:
        self._part = replace(self._part, kind=kind, hosts=tuple(hosts), text=text)
        return self.commit(f"{self.name}: break with {kind}")

    def _import(self, commits: Sequence[tuple[str, str | None, int | None]], branch: str) -> list[str]:
        exists = _has_ref(self.path, f"refs/heads/{branch}")
        origin = f"refs/heads/{branch}" if exists else f"refs/heads/{self.branch}"
        stream = bytearray()
        for number, (subject, value, date) in enumerate(commits, start=1):
            self._part = replace(self._part, value=value or str(self._commits + 1))
            who = f"Upstream Person <upstream@example.org> {date or EPOCH + self._commits * HOUR} +0000"
            stream += f"commit refs/heads/{branch}\nmark :{number}\nauthor {who}\ncommitter {who}\n".encode()
            stream += _data(subject)
            if number == 1 and self._commits:
                stream += f"from {origin}^0\n".encode()
            stream += b"deleteall\n"
            for path, text in self._tree().items():
                stream += f"M 100644 inline {_quoted(path)}\n".encode() + _data(text)
            stream += f"get-mark :{number}\n".encode()
            self._commits += 1
        done = subprocess.run(
            ["git", "fast-import", "--quiet", "--done", "--force"],
            cwd=self.path,
            env=self._environment,
            input=bytes(stream) + b"done\n",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().split()

    def _tree(self) -> dict[str, str]:
        tree = {"part.json": json.dumps({"name": self.name} | asdict(self._part), indent=1)}
        tree |= {name: (TEMPLATES / name).read_text() for name in ("part.nix", "breakage.nix")}
        if self.flake:
            tree["flake.nix"] = _upstream_flake(self._inputs, self._follows)
        return tree | self._files


@dataclass(frozen=True)
class Input:
    """An upstream as the fleet names it. `ref` is a branch; `follows` leads from a nested input's path to the name
    of another input of the fleet; `url` replaces the upstream's own."""

    upstream: Upstream
    name: str = ""
    ref: str | None = None
    url: str | None = None
    follows: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.name or self.upstream.name

    def declaration(self) -> str:
        url = self.url or self.upstream.url + (f"?ref={self.ref}" if self.ref else "")
        lines = [f"url = {nix_string(url)};"]
        if not self.upstream.flake:
            lines.append("flake = false;")
        for path, target in self.follows.items():
            lines.append(f"{_input_path(path)}.follows = {nix_string(target)};")
        return _attribute(self.label, lines)


def nix_string(text: str) -> str:
    """A Nix string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${").replace("\n", "\\n")
    return f'"{escaped}"'


def _upstream_flake(inputs: Mapping[str, Upstream], follows: Mapping[str, str]) -> str:
    declared = [Input(upstream, name).declaration() for name, upstream in inputs.items()]
    declared += [f"{_input_path(path)[7:]}.follows = {nix_string(to)};" for path, to in follows.items()]
    return "\n".join(
        [
            "{",
            "inputs = {",
            *declared,
            "};",
            "outputs = inputs: {",
            "  lib.part = given: import ./part.nix (given // {",
            '    nested = builtins.removeAttrs inputs [ "self" ];',
            "  });",
            "};",
            "}",
            "",
        ]
    )


def _attribute(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{nix_string(name)} = {{", *lines, "};"])


def _input_path(path: str) -> str:
    """`a/b` → `inputs."a".inputs."b"`."""
    return ".".join(f"inputs.{nix_string(name)}" for name in path.split("/"))


def _data(text: str) -> bytes:
    encoded = text.encode()
    return f"data {len(encoded)}\n".encode() + encoded + b"\n"


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _has_ref(repository: Path, ref: str) -> bool:
    return (repository / ref).exists()  # fast-import and update-ref write loose references


def run_git(directory: Path, environment: Mapping[str, str], *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        raise AssertionError(f"git {arguments} in {directory} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
