"""A machine with secrets where they lie in life, and a search for them wherever they have no business."""

from __future__ import annotations

import bz2
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.nixes import git_environment
from tests.update.world import World
from tests.upstream import run_git

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n"


@dataclass(frozen=True)
class Secrets:
    """`files`: by name, the file that holds the word `CANARY-name`; `rev`: the private repository's commit."""

    files: dict[str, Path]
    rev: str

    @classmethod
    def spread(cls, world: World) -> Secrets:
        home, directory = home_of_its_own(world), world.directory
        files = {
            "netrc": home / ".netrc",
            "key": home / ".ssh" / "id_ed25519",
            "nix.conf": Path(world.environment["XDG_CONFIG_HOME"]) / "nix" / "nix.conf",
            "credentials": directory / "credentials" / "eval.access_tokens",
            "token": directory / "forge-token",
            "state": directory / "state" / "lockbot" / "kept",
            "configuration": directory / "lockbot.toml",
            "private": home / "private" / "secret",
        }
        texts = {
            "netrc": "machine forge.invalid login me password {}\n",
            "key": KEY,
            "nix.conf": "access-tokens = forge.invalid={}\n",
            "credentials": "forge.invalid={}\n",
        }
        for name, file in files.items():
            if name != "configuration":
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(texts.get(name, "{}\n").format(f"CANARY-{name}"))
                file.chmod(0o600)
        world.environment["CREDENTIALS_DIRECTORY"] = str(directory / "credentials")
        world.environment["LOCKBOT_PING__HEARTBEAT_URL"] = "https://watch.invalid/CANARY-environment"
        world.settings['forge."forge.invalid"'] = (
            f'kind = "github"\ntoken = {{ file = "{files["token"]}" }}\n# CANARY-configuration'
        )
        private = files["private"].parent
        environment = git_environment(directory / "private-home")
        if not (private / ".git").exists():  # a worker's tests share a home
            run_git(private, environment, "init", "--quiet")
            run_git(private, environment, "add", "--all")
            run_git(private, environment, "commit", "--quiet", "--message=private")
        return cls(files, run_git(private, environment, "rev-parse", "HEAD").strip())

    def found(self, world: World, *texts: str) -> set[str]:
        """Which of them lie where they should not: in a text, or in a file of the world's but their own."""
        own = {str(file) for file in self.files.values()}
        private = f"{self.files['private'].parent}/"
        places = (
            path.read_bytes()
            for path in files_below(world.directory)
            if str(path) not in own and not str(path).startswith(private)
        )
        store = (path.read_bytes() for path in files_below(world.nix.store))
        # Compressed where they lie: build logs, and what git has.
        logs = (bz2.decompress(path.read_bytes()) for path in self._build_logs(world))
        commits = (
            run_git(path, world.fleet._environment, "log", "--all", "--patch", "--format=raw").encode()
            for path in (world.repository, world.place / "clone.git", *filter(None, [world.remote]))
        )
        every = (*(text.encode() for text in texts), *places, *store, *logs, *commits)
        names = (*self.files, "environment")
        return {name for name in names for content in every if f"CANARY-{name}".encode() in content}

    @staticmethod
    def _build_logs(world: World) -> list[Path]:
        return [path for path in files_below(Path(world.environment["NIX_LOG_DIR"])) if path.suffix == ".bz2"]


def home_of_its_own(world: World) -> Path:
    """Not the one that a worker's tests share: what lies in it is found by all of lockbot's runs."""
    home = world.directory / "own-home"
    home.mkdir()
    (home / ".gitconfig").write_bytes((Path(world.environment["HOME"]) / ".gitconfig").read_bytes())
    world.environment |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    return home


def files_below(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path
