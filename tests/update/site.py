"""A flake of two hosts and lockbot beside it, in surroundings that can change between two runs.

`alpha` uses input `a`, `beta` uses input `b`; neither knows of the other. It must not know
lockbot's inside.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests import forked, nixes
from tests.sampling import UNREVIEWED
from tests.upstream import run_git

_FLAKE = """\
{ inputs.a = { url = "git+file://@SITE@/a"; flake = false; };
  inputs.b = { url = "git+file://@SITE@/b"; flake = false; };
  outputs = { self, a, b }: let
    plain = name: script: more: derivation ({
      inherit name; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
      args = [ "-c" script ]; site = "@SITE@";
    } // more);
    host = name: input: { config.system.build.toplevel =
      plain "nixos-system-${name}" "echo ${toString (import "${input}/part.nix" { inherit plain; root = ./.; })} >$out" { };
    };
  in builtins.seq (import "${a}/list.nix") { nixosConfigurations = { alpha = host "alpha" a; beta = host "beta" b; }; };
}
"""  # noqa: E501
FINE = "null"
Settings = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Part:
    """What a version of an input is: what its host builds, and what the flake's list of hosts needs of it."""

    value: str
    list: str = FINE


def fine(version: int) -> Part:
    return Part(f'plain "part-{version}" "echo {version} >$out" {{ }}')


def broken(version: int, how: str = "build") -> Part:
    script = f"plain \"part-{version}\" ''echo {version}: no such option; exit 1'' {{ }}"
    return Part(script if how == "build" else f'throw "{version}: this option was removed"')


class Site:
    """The flake, its inputs, lockbot with one state directory, and the surroundings they are in."""

    def __init__(self, nix: nixes.Nix, directory: Path, cleanup: ExitStack, *, reviewed: bool = False) -> None:
        """`reviewed`: lockbot finds out what an update means for hosts."""
        self.nix = nix
        self.directory = directory
        self.cleanup = cleanup
        self.environment = {**nix.environment, "PYTHONPATH": str(nixes.PROJECT)}
        self.environment |= {} if reviewed else UNREVIEWED
        self.settings: Settings = {}
        self.nix_conf: tuple[str, ...] = ()
        self.mark = directory / "mark"
        """While it is not there, what waits for it is in trouble."""
        self.server = _Server(str(directory))

    def __str__(self) -> str:
        return str(self.directory)

    def write(self, first: Part) -> None:
        """The flake, locked at version 1 of both inputs."""
        self.commit("a", first)
        self.commit("b", fine(1))
        self.commit_files("flake", {"flake.nix": _FLAKE.replace("@SITE@", str(self))})
        self.nix.run("nix", "flake", "lock", cwd=self.directory / "flake")
        self.commit_files("flake", {})

    def commit(self, name: str, part: Part) -> str:
        """A new version of an input; its revision."""
        return self.commit_files(name, {"part.nix": f"{{ plain, root }}: {part.value}", "list.nix": part.list})

    def commit_files(self, name: str, files: Mapping[str, str]) -> str:
        repository = self.directory / name
        if not repository.exists():
            repository.mkdir()
            self.git(name, "init", "--quiet", "--initial-branch=main")
        for path, text in files.items():
            (repository / path).write_text(text)
        self.git(name, "add", "--all")
        self.git(name, "commit", "--quiet", "--allow-empty", "--message", "a commit")
        return self.git(name, "rev-parse", "HEAD").strip()

    def git(self, name: str, *arguments: str) -> str:
        return run_git(self.directory / name, self.nix.environment, *arguments)

    @property
    def head(self) -> str:
        return self.git("flake", "rev-parse", "main").strip()

    def locked(self, name: str) -> str:
        lock = json.loads(self.git("flake", "show", "main:flake.lock"))
        return str(lock["nodes"][lock["nodes"]["root"]["inputs"][name]]["locked"]["rev"])

    def break_nix_store(self, word: str) -> None:
        """From now on `nix-store` fails where this is among its arguments."""
        programs = self.directory / "programs"
        programs.mkdir()
        (programs / "nix-store").write_text(
            f'#!/bin/sh\ncase " $* " in *" {word} "*) echo "error: broken on purpose" >&2; exit 1;; esac\n'
            f'exec {self.nix.bin}/nix-store "$@"\n'
        )
        (programs / "nix-store").chmod(0o755)
        self.environment["PATH"] = f"{programs}:{self.environment['PATH']}"

    def build_the_base(self) -> None:
        """Its result lies in the store then."""
        host = "nixosConfigurations.alpha.config.system.build.toplevel"
        self.nix.run("nix", "build", "--no-link", f"{self}/flake#{host}")

    def lockbot(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Its exit code, and what it says as JSON."""
        sections: dict[str, dict[str, str]] = {
            "repository": {"path": json.dumps(f"{self}/flake")},
            "state": {"directory": json.dumps(f"{self}/state"), "min_free": '"0"'},
            "build": {"retries": "0", "options": "{ download-attempts = 1 }"},
        }
        for section, lines in self.settings.items():
            sections.setdefault(section, {}).update(lines)
        text = ""
        for section, lines in sections.items():
            text += "\n".join([f"[{section}]", *(f"{key} = {value}" for key, value in lines.items()), ""])
        config = self.directory / "lockbot.toml"
        config.write_text(text)
        done = forked.run(
            [sys.executable, "-m", "lockbot", "--config", str(config), *arguments, "--json"],
            {**self.environment, "NIX_CONFIG": "\n".join(self.nix_conf)},
        )
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, document


class _Server:
    """A port that refuses to be connected to until it opens; then it serves one text, whatever is asked for."""

    def __init__(self, text: str) -> None:
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._http = HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
        self._http.server_bind()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/asset"

    def open(self) -> None:
        self._http.server_activate()
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
