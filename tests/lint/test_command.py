"""`lockbot lint` on real repositories: which lock is meant, what is told where, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockbot.cli import cli
from lockbot.errors import LockbotError
from lockbot.lint import Kind, Severity
from tests import nixes
from tests.cli.test_cli import lockbot
from tests.lint.locks import github, lock_text, node
from tests.sampling import nix_by_turns
from tests.upstream import run_git

FLAKE = '{ inputs.it.url = "github:o/it"; outputs = inputs: { x = inputs.it; }; }\n'
WHY = "whoever sits on the way chooses what an update brings"
SOUND = lock_text({"it": github("it")})
UNSAFE = lock_text({"it": node({"type": "tarball", "url": "http://example.org/it.tar.gz"})})


@dataclass(frozen=True)
class Place:
    """A repository with a flake, and an environment with no Nix in it unless one is given."""

    path: Path
    env: Mapping[str, str]

    def git(self, *words: str) -> str:
        return run_git(self.path, dict(self.env), *words)

    def commit(self, **files: str) -> Place:
        for name, text in files.items():
            (self.path / name.replace("_", ".")).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=x")
        return self

    def lint(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """In this process, which is quicker: what differs in one of its own, `lockbot` shows."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd or self.path)
            for name in set(os.environ) - set(self.env):
                patch.delenv(name)
            done = CliRunner().invoke(cli, ["lint", *words], env=self.env, standalone_mode=False)
        if isinstance(done.exception, LockbotError):
            return subprocess.CompletedProcess((), done.exception.exit_code, done.stdout, str(done.exception))
        assert done.exception is None, done.exc_info
        return subprocess.CompletedProcess((), done.return_value, done.stdout, done.stderr)

    def kinds(self, *words: str, code: int = 1, cwd: Path | None = None) -> list[str]:
        return [finding["kind"] for finding in findings(self.lint("--json", *words, cwd=cwd), code)]


def findings(done: subprocess.CompletedProcess[str], code: int) -> list[dict[str, Any]]:
    """What the contract for programs says, and nothing else."""
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert list(document) == ["findings"]
    for finding in document["findings"]:
        assert list(finding) == ["kind", "severity", "input", "message", "fix"]
        assert finding["kind"] in set(Kind) and finding["severity"] in set(Severity)
        assert all(isinstance(finding[name], str) and finding[name] for name in ("message", "fix"))
        assert finding["input"] is None or isinstance(finding["input"], str)
    return list(document["findings"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    env = nixes.git_environment(tmp_path / "home") | {
        "PATH": "/usr/bin:/bin",
        "LOCKBOT_STATE__DIRECTORY": str(tmp_path / "state"),
    }
    (tmp_path / "flake").mkdir()
    made = Place(tmp_path / "flake", env)
    made.git("init", "--quiet", "--initial-branch=main", ".")
    return made


def test_a_lock_that_is_in_order(place: Place) -> None:
    done = place.commit(flake_nix=FLAKE, flake_lock=SOUND).lint()
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("flake.lock of main (") and done.stdout.endswith(": nothing to complain of\n")
    assert "not compared with flake.nix: no `nix` on PATH" in done.stderr
    assert not (place.path.parent / "state").exists(), "nothing is written, not even lockbot's own"


def test_errors_and_warnings_are_told_apart(place: Place) -> None:
    nodes = {"it": json.loads(UNSAFE)["nodes"]["it"], "path": node({"type": "path", "path": "/x"})}
    done = place.commit(flake_nix=FLAKE, flake_lock=lock_text(nodes)).lint()
    assert done.returncode == 1
    first, *told = done.stdout.splitlines()
    assert first.endswith(": 1 error, 1 warning")
    assert told == [
        "",
        "Errors",
        f"  it: http:// has no transport security: {WHY} [insecure]",
        '      inputs.it.url = "https://example.org/it.tar.gz";',
        "",
        "Warnings",
        "  path: /x lies on this machine only: nobody else can fetch it [local-path]",
        "      # push it to where others can fetch it, and name that",
        '      inputs.path.url = "…";',
    ]
    del nodes["it"]
    assert place.commit(flake_lock=lock_text(nodes)).kinds(code=0) == ["local-path"]


def test_what_is_not_committed_is_not_meant(place: Place) -> None:
    place.commit(flake_nix=FLAKE, flake_lock=SOUND)
    (place.path / "flake.lock").write_text(UNSAFE)
    done = place.lint("--json")
    assert findings(done, 0) == []
    assert "the work tree has changes that are not committed: this is about main (" in done.stderr
    assert place.commit().kinds() == ["insecure"]


def test_no_branch_and_no_history_are_needed(place: Place) -> None:
    """A checkout as CI makes it."""
    place.commit(flake_nix=FLAKE, flake_lock=SOUND).commit(flake_lock=UNSAFE)
    shallow = place.path.parent / "shallow"
    place.git("clone", "--quiet", "--depth=1", place.path.as_uri(), str(shallow))
    place.git("-C", str(shallow), "checkout", "--quiet", "--detach")
    done = place.lint(cwd=shallow)
    assert done.returncode == 1
    assert done.stdout.startswith("flake.lock of a detached HEAD (")
    bare = place.path.parent / "bare.git"
    place.git("clone", "--quiet", "--bare", str(place.path), str(bare))
    assert place.kinds(cwd=bare) == ["insecure"]


def test_a_flake_below_the_repositorys_top(place: Place) -> None:
    (place.path / "[a]").mkdir()
    (place.path / "[a]" / "flake.nix").write_text(FLAKE)
    (place.path / "[a]" / "flake.lock").write_text(UNSAFE)
    place.commit(flake_nix=FLAKE, flake_lock=SOUND)
    assert place.kinds(code=0) == []
    assert place.kinds(cwd=place.path / "[a]") == ["insecure"]


def test_another_branch_and_a_url_are_looked_at_where_the_configuration_names_them(place: Place) -> None:
    place.commit(flake_nix=FLAKE, flake_lock=UNSAFE).git("switch", "--quiet", "--create", "mended")
    place.commit(flake_lock=SOUND)
    assert place.kinds(code=0) == []
    (place.path / "lockbot.toml").write_text('[repository]\nbranch = "main"\n')
    assert place.kinds() == ["insecure"]
    elsewhere = place.path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lockbot.toml").write_text(f'[repository]\nurl = "{place.path.as_uri()}"\nbranch = "main"\n')
    assert place.kinds(cwd=elsewhere) == ["insecure"]


@pytest.mark.parametrize(
    ("lock", "ignored", "kind"),
    [
        (None, "", "no-lock"),
        (SOUND, "", "not-committed"),
        (SOUND, "*.lock\n", "ignored"),
        (None, "/flake.lock", "ignored"),
    ],
)
def test_a_lock_that_git_does_not_have(place: Place, lock: str | None, ignored: str, kind: str) -> None:
    place.commit(flake_nix=FLAKE, _gitignore=ignored)
    if lock is not None:
        (place.path / "flake.lock").write_text(lock)
    assert place.kinds() == [kind]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n<<<<<<< ours\n", "flake.lock:2:1: the lock file has git's conflict markers in it"),
        ("", "flake.lock:1:1: the lock file is empty"),
        (lock_text({}, version=8), "lock file version 8 is too new"),
        (lock_text({"a": github("a", inputs={"b": ["c"]})}), 'the input "b" follows "c", which does not exist'),
        (lock_text({"a": github("a", inputs={"b": ["a", "b"]})}), 'the input "b" follows itself in a circle'),
        (lock_text({"a": "nothing\x1b[2J"}), '"a" must be an object'),
    ],
    ids=["conflict", "empty", "too new", "nowhere", "circle", "no node"],
)
def test_a_lock_that_cannot_be_read(place: Place, text: str, said: str) -> None:
    (found,) = findings(place.commit(flake_nix=FLAKE, flake_lock=text).lint("--json"), 1)
    assert (found["kind"], found["input"]) == ("unreadable", None)
    assert said in found["message"] and found["message"].startswith("flake.lock:")


def test_a_lock_that_is_a_link(place: Place) -> None:
    (place.path / "flake.lock").symlink_to("/etc/passwd")
    (found,) = findings(place.commit(flake_nix=FLAKE).lint("--json"), 1)
    assert (found["kind"], "flake.lock is no regular file at main" in found["message"]) == ("unreadable", True)


@pytest.mark.parametrize("target", ["real/flake.nix", "./real/../real/flake.nix", "again.nix"])
def test_a_flake_nix_that_is_a_link_is_followed_as_nix_does(place: Place, target: str) -> None:
    """What it leads to is flake.nix: an input that is named there only is used by nothing else."""
    (place.path / "real").mkdir()
    asks = '{ inputs.idle.url = "github:o/idle"; outputs = { self, it, ... }: { x = it; }; }\n'
    (place.path / "real" / "flake.nix").write_text(asks)
    (place.path / "again.nix").symlink_to("real/flake.nix")
    (place.path / "flake.nix").symlink_to(target)
    place.commit(flake_lock=lock_text({"it": github("it"), "idle": github("idle")}))
    assert place.kinds(code=0) == ["unused"]
    (place.path / "real" / "flake.nix").write_text("{ }")
    assert "changes that are not committed" in place.lint().stderr


@pytest.mark.parametrize("target", ["/etc/passwd", "../flake.nix", "missing.nix", "flake.nix", "."])
def test_a_flake_nix_that_leads_elsewhere_is_not_followed(place: Place, target: str) -> None:
    (place.path / "flake.nix").symlink_to(target)
    done = place.commit(flake_lock=SOUND).lint()
    assert (done.returncode, "is no regular file at main" in done.stderr) == (2, True)


def test_a_lock_that_is_too_large(place: Place) -> None:
    (found,) = findings(place.commit(flake_nix=FLAKE, flake_lock=" " * (5 << 20)).lint("--json"), 1)
    assert (found["kind"], "5242880 bytes" in found["message"]) == ("unreadable", True)


def test_an_input_that_no_file_names(place: Place) -> None:
    asks = '{ inputs.idle.url = "github:o/idle"; outputs = { self, it, ... }: { x = it; }; }\n'
    lock = lock_text({"it": github("it"), "idle": github("idle")})
    (found,) = findings(place.commit(flake_nix=asks, flake_lock=lock).lint("--json"), 0)
    assert (found["kind"], found["input"]) == ("unused", "idle")
    assert place.commit(module_nix="{ inputs, ... }: inputs.idle.x").kinds(code=0) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [(None, "has no commit"), ({"readme": "x"}, "there is no flake.nix in the repository at main")],
)
def test_a_mistake_ends_with_2(place: Place, files: Mapping[str, str] | None, said: str) -> None:
    if files is not None:
        place.commit(**files)
    done = lockbot("lint", "--json", env=place.env, cwd=place.path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    done = place.lint(cwd=place.path.parent)
    assert (done.returncode, done.stdout) == (2, "") and "is not in a git repository" in done.stderr


def test_names_act_upon_no_terminal(place: Place) -> None:
    evil = "a\x1b[2J\n`reboot`"
    nodes = {evil: node({"type": "path", "path": "/x\x1b]0;y\x07"})}
    place.commit(flake_nix=FLAKE, flake_lock=lock_text(nodes))
    done = lockbot("lint", env=place.env, cwd=place.path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout
    assert r"a\x1b[2J\n`reboot`: /x\x1b]0;y\x07 lies on this machine only" in done.stdout


# -- with Nix --------------------------------------------------------------------------------------------------


def with_nix(place: Place, nix: nixes.Nix) -> Place:
    state = {"LOCKBOT_STATE__DIRECTORY": place.env["LOCKBOT_STATE__DIRECTORY"]}
    return Place(place.path, {**nix.environment, **state})


ASKS = """{
  description = "$${x} \\" \\${ ''";
  inputs.it.url = "github:o/it";
  inputs.tool = { url = "github:o/tool"; inputs.it.follows = "it"; inputs.gone.follows = "it"; };
  outputs = { self, it, tool, implied }: throw "not evaluated: ${it} ${tool}";
}
"""
HAS = {"it": github("it"), "tool": github("tool", inputs={"it": "it_2"}), "it_2": github("it", rev="2")}


@nix_by_turns("broken", {"as it should be": False, "no Nix can read it": True})
def test_flake_nix_is_asked(place: Place, nix: nixes.Nix, broken: bool) -> None:
    place = with_nix(place, nix).commit(flake_nix="{ inputs = " if broken else ASKS, flake_lock=lock_text(HAS))
    done = place.lint("--json")
    found = {(one["kind"], one["input"]) for one in findings(done, 0 if broken else 1)}
    duplicate = {("duplicate", "tool/it")}
    if broken:
        assert found == duplicate
        assert "not compared with flake.nix: Nix can't read flake.nix: syntax error" in done.stderr
    else:
        assert found == duplicate | {
            ("out-of-date", "tool/it"),
            ("out-of-date", "implied"),
            ("no-such-input", "tool/gone"),
        }


@nix_by_turns("name", {"by either": "x"})
def test_what_nix_locks_is_what_flake_nix_asks_for(
    place: Place, nix: nixes.Nix, name: str, tmp_path: Path
) -> None:
    """And the size of a source is that of the store path that Nix has put it to."""
    place = with_nix(place, nix)
    for revision in "12":
        upstream = Place(tmp_path / f"up{revision}", place.env)
        upstream.path.mkdir()
        upstream.git("init", "--quiet", "--initial-branch=main", ".")
        upstream.commit(flake_nix="{ outputs = _: { }; }", data=revision * (3 << 20))
    outer = Place(tmp_path / "outer", place.env)
    outer.path.mkdir()
    outer.git("init", "--quiet", "--initial-branch=main", ".")
    outer.commit(flake_nix=f'{{ inputs.x.url = "git+file://{tmp_path}/up2"; outputs = _: {{ }}; }}')
    urls = f'inputs.{name}.url = "git+file://{tmp_path}/up1"; inputs.outer.url = "git+file://{tmp_path}/outer";'
    place.commit(flake_nix=f"{{ {urls} outputs = inputs: {{ }}; }}")
    nix.run("nix", "flake", "lock", cwd=place.path)
    place.commit()
    assert set(place.kinds(code=0)) == {"local-path"}
    # The same, as if both were one repository at two revisions.
    lock = json.loads((place.path / "flake.lock").read_text())
    for one in lock["nodes"].values():
        if "up" in str(one.get("locked")):
            one["locked"] = {"type": "github", "owner": "o", "repo": "up", "rev": one["locked"]["rev"],
                             "narHash": one["locked"]["narHash"]}  # fmt: skip
            one["original"] = {"type": "github", "owner": "o", "repo": "up"}
    place.commit(flake_lock=json.dumps(lock))
    (found,) = [one for one in findings(place.lint("--json"), 1) if one["kind"] == "duplicate"]
    assert found["message"].endswith("saves 1 of 3 nodes and 3 MiB")


# -- online ----------------------------------------------------------------------------------------------------


def test_upstreams_are_asked(place: Place, tmp_path: Path) -> None:
    upstream = Place(tmp_path / "up", place.env)
    upstream.path.mkdir()
    upstream.git("init", "--quiet", "--initial-branch=main", ".")
    upstream.commit(readme="x")
    for tag in ("v1.2", "v1.10"):
        upstream.git("tag", tag)

    def locked(url: str, ref: str) -> dict[str, Any]:
        source = {"type": "git", "url": url, "ref": ref}
        return node(source | {"rev": "1" * 40}, source)

    here = upstream.path.as_uri()
    nodes = {
        "there": locked(here, "main"),
        "gone": locked(here, "next"),
        "tagged": locked(here, "refs/tags/v1.2"),
        "lost": locked((tmp_path / "nowhere").as_uri(), "main"),
    }
    place.commit(flake_nix=FLAKE, flake_lock=lock_text(nodes))
    # A remote of the user's by the name that lockbot calls an input's by is not asked in its place.
    place.git("remote", "add", "upstream", os.devnull)
    assert set(place.kinds(code=0)) == {"local-path"}, "nobody is asked unless that is wanted"
    done = place.lint("--online", "--json")
    found = {one["input"]: one for one in findings(done, 1) if one["kind"] != "local-path"}
    assert {name: one["kind"] for name, one in found.items()} == {"gone": "gone-branch", "tagged": "newer-tag"}
    assert found["tagged"]["fix"] == f'inputs.tagged.url = "git+{here}?ref=refs/tags/v1.10";'
    assert "lost was not asked: " in done.stderr and "gone was not asked" not in done.stderr
