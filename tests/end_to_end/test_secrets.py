"""Inputs with secrets in their addresses, through whole runs: they move like any other, and no sink tells them.

`forge.invalid` is reached by git's `insteadOf`, tarballs by HTTP from this machine: with the token or not at all.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import forked, nixes
from tests.nixes import PROJECT, git_environment
from tests.sampling import nix_by_turns, some
from tests.secrets import CANARY
from tests.upstream import run_git

USERS = {"p": f"joe:{CANARY}", "q": CANARY, "r": f"joe:a%40{CANARY}"}
"""Of the git inputs: what stands before the `@`."""
COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("status", "--check"),
    ("inputs",),
    ("inputs", "--json"),
    ("inputs", "--outdated"),
    ("inputs", "--outdated", "--json"),
    ("hosts",),
    ("hosts", "--json"),
    ("history",),
    ("history", "--json"),
    ("show",),
    ("show", "--json"),
    ("show", "--log", "alpha"),
    ("logs",),
    ("logs", "--json"),
    ("metrics",),
    ("healthcheck",),
    ("check",),
)


class Site:
    """A flake, its inputs behind secrets, and lockbot. `said`: whatever was printed, by what printed it."""

    def __init__(self, nix: nixes.Nix, place: Path, port: int) -> None:
        self.nix = nix
        self.place = place
        self.fleet = place / "fleet"
        self.said: dict[str, str] = {}
        self.environment = {
            **nix.environment,
            **git_environment(place / "home"),
            "PATH": nix.environment["PATH"],
            "XDG_CACHE_HOME": str(place / "cache"),
            "XDG_STATE_HOME": str(place / "state"),
            "XDG_DATA_HOME": str(place / "data"),
        }
        for user in USERS.values():
            instead = f"url.file://{place}/.insteadOf"
            self.git(place, "config", "--global", "--add", instead, f"https://{user}@forge.invalid/")
        http = f"127.0.0.1:{port}"
        self.urls = {
            **{name: f"git+https://{user}@forge.invalid/{name}" for name, user in USERS.items()},
            "t": f"http://{http}/t.tar.gz?token={CANARY}",
            "w": f"http://joe:{CANARY}@{http}/w.tar.gz",
            "f": f"file+http://{http}/f.txt?access_token={CANARY}",
        }
        self.fleet.mkdir()
        for name in self.urls:
            self.move(name, "1")
        self.git(self.fleet, "init", "--quiet", "--initial-branch=main", ".")
        self.declare()
        self.run("nix", "flake", "lock", cwd=self.fleet)
        self.git(self.fleet, "add", "--all")
        self.git(self.fleet, "commit", "--quiet", "--message", "first")
        (place / "lockbot.toml").write_text(
            f'[repository]\npath = "{self.fleet}"\n[state]\nmin_free = "0"\n[build]\nretries = 0\n'
        )

    def declare(self) -> None:
        lines = [f'{name} = {{ url = "{url}"; }};' for name, url in self.urls.items() if name != "f"]
        lines.append(f'f = {{ url = "{self.urls["f"]}"; flake = false; }};')
        (self.fleet / "flake.nix").write_text(
            "{ inputs = { " + "\n".join(lines) + " };\n"
            "outputs = i: let host = name: parts: { config.system.build.toplevel = derivation {"
            ' inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c"'
            ' "echo ${toString parts} > $out" ]; }; }; in { nixosConfigurations = {'
            ' alpha = host "alpha" [ i.p.part i.q.part i.r.part ];'
            ' beta = host "beta" [ i.t.part i.w.part (builtins.hashFile "sha256" i.f) ]; }; }; }\n'
        )
        self.git(self.fleet, "add", "--all")

    def move(self, name: str, version: str, script: str = "echo $version > $out") -> None:
        """A new version of an input, the part of which is built by a shell script."""
        if name == "f":
            (self.place / "f.txt").write_text(version)
            return
        flake = (
            f'{{ outputs = i: {{ part = derivation {{ name = "{name}-{version}"; system = "x86_64-linux"; '
            f'builder = "/bin/sh"; version = "{version}"; args = [ "-c" {json.dumps(script)} ]; }}; }}; }}\n'
        )
        source = self.place / name
        if not source.exists():
            source.mkdir()
            self.git(source, "init", "--quiet", "--initial-branch=main", ".")
        (source / "flake.nix").write_text(flake)
        self.git(source, "add", "--all")
        self.git(source, "commit", "--quiet", "--message", f"{name} {version}")
        with tarfile.open(self.place / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(source / "flake.nix", arcname=f"{name}/flake.nix")

    def git(self, directory: Path, *arguments: str) -> str:
        return run_git(directory, self.environment, *arguments)

    def run(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = forked.run(argv, self.environment, cwd or self.place)
        assert argv[0] != "nix" or done.returncode == 0, done.stderr
        return done

    def lockbot(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self.run(sys.executable, "-m", "lockbot", "--config", str(self.place / "lockbot.toml"), *arguments)
        self.said[f"{len(self.said)} {' '.join(arguments)}"] = done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def update(self, *flags: str) -> dict[str, Any]:
        done = self.lockbot(*flags, "update", "--json")
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def states(self) -> dict[str, str]:
        """What names the state of each input in the committed lock."""
        nodes = json.loads(self.git(self.fleet, "show", "main:flake.lock"))["nodes"]
        locked = {name: nodes[label]["locked"] for name, label in nodes["root"]["inputs"].items()}
        return {name: one.get("rev") or one["narHash"] for name, one in locked.items()}

    def leaks(self) -> list[str]:
        """Where the secret is told: printed, in a commit's message, or in a file of lockbot's own."""
        commits = self.git(self.fleet, "log", "--all", "--format=%H %B")
        found = [what for what, text in {**self.said, "a commit": commits}.items() if CANARY in text]
        for file in (self.place / "state").rglob("*"):
            if file.name == "gitconfig":  # what git needs, the secrets in it too, for lockbot's user alone
                assert file.stat().st_mode & 0o777 == 0o600
            elif file.is_file() and file.name not in ("flake.nix", "flake.lock"):
                data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
                if CANARY.encode() in data or CANARY in str(file):
                    found.append(str(file.relative_to(self.place)))
        return found


class _Answer(BaseHTTPRequestHandler):
    place = Path()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        allowed = CANARY in query or "Authorization" in self.headers
        file = self.place / path.strip("/")
        if not allowed or not file.is_file():
            self.send_response(401 if not allowed else 404)
            self.send_header("WWW-Authenticate", 'Basic realm="forge"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(nix: nixes.Nix, tmp_path: Path) -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answer", (_Answer,), {"place": tmp_path}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Site(nix, tmp_path, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@nix_by_turns((), {"": ()})
def test_such_inputs_move_and_fail_like_any_other_and_nothing_tells_of_the_secret(site: Site) -> None:
    # An older Nix left this out.
    lock = json.loads((site.fleet / "flake.lock").read_text())
    del lock["nodes"]["t"]["locked"]["lastModified"]
    (site.fleet / "flake.lock").write_text(json.dumps(lock))
    site.git(site.fleet, "commit", "--quiet", "--all", "--message", "as of old")
    before = site.states()

    for name in site.urls:
        site.move(name, "2")
    published = site.update("--verbose")
    assert (published["outcome"], published["held"]) == ("published", []), published
    after = site.states()
    assert {name for name in after if after[name] != before[name]} == set(site.urls)
    message = site.git(site.fleet, "log", "-1", "--format=%B", "main")
    assert "forge.invalid/p" in message and "older" not in message and "unknown" not in message

    # Its newest revision breaks a host, and the builder says where it looked; the one before is taken.
    site.move("p", "3")
    good = site.git(site.place / "p", "rev-parse", "HEAD").strip()
    words = " ".join([f"cannot fetch {url}" for url in site.urls.values()])
    site.move("p", "4", f"echo '{words}' >&2; exit 1")
    site.move("w", "4", "exit 1")
    partly = site.update("--log-format", "json")
    assert {held["input"]: held["reason"] for held in partly["held"]} == {"p": "breaks", "w": "breaks"}
    assert "unknown" not in json.dumps(partly["held"])
    assert site.states()["p"] == good
    told = [site.lockbot(*command) for command in COMMANDS]
    assert all(done.returncode in (0, 1, 2) for done in told), [done.stderr for done in told]
    assert "***@forge.invalid/q" in site.said[next(what for what in site.said if "show --log" in what)]

    # Nothing can be fetched.
    for name in site.urls:
        if name != "f":
            (site.place / name).rename(site.place / f"{name}-gone")
        (site.place / f"{name}.tar.gz").unlink(missing_ok=True)
    (site.place / "f.txt").unlink()
    failed = site.update()
    assert failed["outcome"] == "failed" and "no input could be fetched" in failed["error"], failed
    for command in some(COMMANDS, 3):
        site.lockbot(*command)
    assert site.leaks() == []


def test_a_rotated_token_is_no_other_origin(site: Site) -> None:
    site.move("q", "2")
    assert site.update()["held"] == []
    new = f"{CANARY}Rotated"
    site.git(
        site.place,
        *("config", "--global", "--add", f"url.file://{site.place}/.insteadOf"),
        f"https://{new}@forge.invalid/",
    )
    site.urls["q"] = f"git+https://{new}@forge.invalid/q"
    site.declare()
    site.git(site.fleet, "commit", "--quiet", "--message", "another token")
    site.move("q", "3")
    document = site.update()
    assert (document["outcome"], document["held"]) == ("published", [])
    assert "now from" not in site.git(site.fleet, "log", "-1", "--format=%B", "main")
    assert site.states()["q"] == site.git(site.place / "q", "rev-parse", "HEAD").strip()
    assert site.leaks() == []


def test_they_move_one_commit_each(site: Site) -> None:
    """Then each is pinned to where it was found to go: by its whole address, which nobody has typed in."""
    with (site.place / "lockbot.toml").open("a") as config:
        config.write("[search]\none_commit_per_input = true\n")
    before = site.git(site.fleet, "rev-parse", "main").strip()
    names = ("p", "t", "w")
    for name in names:
        site.move(name, "2")
    document = site.update()
    assert (document["outcome"], document["held"]) == ("published", []), document
    assert len(site.git(site.fleet, "rev-list", f"{before}..main").split()) == len(names)
    assert site.leaks() == []


def test_one_that_is_typed_in_is_refused_and_not_repeated(site: Site) -> None:
    done = site.lockbot("update", "--override-input", "p", f"git+https://joe:{CANARY}@forge.invalid/p")
    assert done.returncode == 2
    assert "user name or password" in done.stderr
    assert site.lockbot("update", f"https://{CANARY}@forge.invalid/p").returncode == 2
    assert site.leaks() == []


@pytest.mark.parametrize(
    "url", ["https://joe:{}@h/p.git", "https://{}@h/p", "https://h/p.git?private_token={}", "joe:{}@h:p.git"]
)
def test_a_repository_at_such_an_address_is_refused_and_leaves_no_trace(url: str, tmp_path: Path) -> None:
    config = tmp_path / "lockbot.toml"
    config.write_text(f'[repository]\nurl = "{url.replace("{}", CANARY)}"\n')
    environment = {"PATH": nixes.discover()[-1].bin.as_posix() + ":/usr/bin:/bin", "HOME": str(tmp_path)}
    for command in (("update",), ("status",), ("metrics",), ("history",)):
        done = subprocess.run(
            [sys.executable, "-m", "lockbot", "--config", str(config), *command],
            env={**environment, "PYTHONPATH": str(PROJECT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert CANARY not in done.stdout + done.stderr
    files = [file for file in tmp_path.rglob("*") if file != config]
    assert not [file for file in files if CANARY.lower() in str(file).lower()]
    assert not [file for file in files if file.is_file() and CANARY.encode() in file.read_bytes()]


def test_a_crash_tells_no_secret(tmp_path: Path) -> None:
    """A bug of ours, with an address in its words and in those of its cause."""
    url = f"git+https://joe:{CANARY}@forge.invalid/p"
    program = (
        "import sys\nfrom lockbot import app, cli\n"
        "def crash(*given):\n"
        f"    try:\n        raise OSError({url!r})\n"
        f"    except OSError as error:\n        raise ValueError([{url!r}]) from error\n"
        "app.find_config = crash\n"
        "sys.argv = ['lockbot', 'history']\ncli.main()\n"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "ValueError" in done.stderr and "***@forge.invalid" in done.stderr
    assert CANARY not in done.stderr + done.stdout


@pytest.mark.parametrize("terminal", [True, False])
def test_the_daemons_log_tells_no_secret(terminal: bool) -> None:
    import io

    from lockbot.report import events

    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    log = events.configure(stream, {})
    url = f"git+https://joe:{CANARY}@forge.invalid/p"
    log.warning("said", text=url, listed=[url], deep={"a": (url,)})
    try:
        raise ValueError(url)
    except ValueError:
        log.exception("crashed")
    assert "***@forge.invalid" in stream.getvalue()
    assert CANARY not in stream.getvalue()
