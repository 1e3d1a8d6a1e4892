"""What keeps a host from being judged and is nobody's fault; each can be put right. Values, and factories.

What is in trouble is the content of input `a` at one version or at both (see `site`), while a mark is missing, a
server is silent, or settings are as they are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from tests import nixes
from tests.update.site import Part, Settings, Site, fine


class Place(StrEnum):
    """Where the trouble is."""

    NEITHER = "neither"
    BASE = "base"
    CANDIDATE = "candidate"
    BOTH = "both"


EVERYWHERE = frozenset(Place)
NOT_THE_BASE = EVERYWHERE - {Place.BASE}
AFTER = frozenset({Place.CANDIDATE})
"""For what is much like another: at the candidate only."""
_SIDES = frozenset({Place.CANDIDATE, Place.BOTH})


def _nothing(_: Site) -> None:
    pass


def _set_the_mark(site: Site) -> None:
    site.mark.touch()


@dataclass(frozen=True)
class Surrounding:
    """`part` is a version that is in trouble as long as `settings` (lockbot's) and `nix` (lines of nix.conf) are
    in force, until `heal`. `healed_nix` are the lines that are in force then."""

    name: str
    part: Callable[[Site, int], Part] = lambda _, version: fine(version)
    settings: Settings = field(default_factory=dict)
    nix: tuple[str, ...] = ()
    healed_nix: tuple[str, ...] = ()
    begin: Callable[[Site], None] = _nothing
    """Before the first run."""
    heal: Callable[[Site], None] | None = _set_the_mark
    """None: only another version of the input is without trouble."""
    places: frozenset[Place] = EVERYWHERE
    spreads: bool = False
    """Nothing else can be judged at the same time: then even `failed` is an honest outcome."""
    by_setting: bool = False
    """No content is in trouble by itself: what is there already, is good."""
    unlisted: bool = False
    """The flake can't say which hosts it has."""
    unless: Callable[[nixes.Nix], str | None] = lambda _: None
    """Why it can't be had here."""

    def trouble(self, site: Site) -> None:
        site.settings, site.nix_conf = self.settings, self.nix
        self.begin(site)

    def end(self, site: Site) -> None:
        site.settings, site.nix_conf = {}, self.healed_nix
        assert self.heal is not None
        self.heal(site)


def _unhurried(text: str, script: str = "", more: str = "") -> str:
    """Built at once where the mark is, else as `script` has it."""
    return f"plain \"{text}\" ''[ -e @MARK@ ] || {{ {script}; }}; echo {text} >$out'' {{ {more} }}"


def _builds(script: str, more: str = "") -> Callable[[Site, int], Part]:
    def part(site: Site, version: int) -> Part:
        return Part(_unhurried(f"part-{version}", script, more).replace("@MARK@", str(site.mark)))

    return part


def _reads(script: str, more: str = "") -> Callable[[Site, int], Part]:
    """An evaluation that reads what a derivation builds."""

    def part(site: Site, version: int) -> Part:
        built = _builds(script, more)(site, version).value
        return Part(f"builtins.readFile ({built})")

    return part


def _source(site: Site, version: int, words: str) -> str:
    text = f"{site} {version}"
    script = f"""[ -e {site.mark} ] || {{ echo "{words}"; exit 1; }}; printf %s "{text}" >$out"""
    return (
        f'plain "source-{version}" \'\'{script}\'\' {{ outputHashMode = "flat"; outputHashAlgo = "sha256"; '
        f'outputHash = "{hashlib.sha256(text.encode()).hexdigest()}"; }}'
    )


def _fetches(words: str) -> Callable[[Site, int], Part]:
    """A fixed-output derivation, whose fetcher has words of its own, or none."""
    return lambda site, version: Part(_source(site, version, words))


def _lists(script: str, *, fixed: bool = False) -> Callable[[Site, int], Part]:
    """A list of hosts that needs what a derivation builds, which may be a fixed-output one."""

    def part(site: Site, version: int) -> Part:
        text = f"{site} {version} list"
        digest = hashlib.sha256(text.encode()).hexdigest()
        more = f'outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "{digest}";' if fixed else ""
        built = f"""derivation {{
          name = "list-{version}"; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; {more}
          args = [ "-c" ''[ -e {site.mark} ] || {{ {script}; }}; printf %s "{text}" >$out'' ];
        }}"""
        return Part(fine(version).value, f"builtins.readFile ({built})")

    return part


def _evaluates(expression: str) -> Callable[[Site, int], Part]:
    """Nix code. @VERSION@, @SITE@, @URL@ and @SHA256@ are put in."""

    def part(site: Site, version: int) -> Part:
        text = expression.replace("@SITE@", str(site)).replace("@VERSION@", str(version))
        return Part(text.replace("@URL@", site.server.url).replace("@SHA256@", site.server.sha256))

    return part


_QUICK = ("extra-experimental-features = fetch-closure",)
"""With it, `builtins ? fetchClosure`: something that an evaluation can see and that a later run can change."""
_LOOP = """(builtins ? fetchClosure || (let
  each = f: builtins.foldl' (x: _: f x); many = builtins.genList (n: n) 3000; same = x: x;
in each (x: each (x: each same x many) x many) true many))"""
_HEAP = "(builtins ? fetchClosure || builtins.all (x: x > 0) (builtins.genList (x: x + 1) 30000000))"
_BUILTIN_FETCH = """derivation {
  name = "source-@VERSION@"; system = "builtin"; builder = "builtin:fetchurl"; url = "@URL@";
  executable = false; unpack = false; preferLocalBuild = true;
  outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "@SHA256@";
}"""
_EVALUATION_FETCH = """builtins.readFile (builtins.fetchurl {
  url = "@URL@"; name = "source-@VERSION@"; sha256 = "@SHA256@";
}) + "-@VERSION@\""""
_LOCAL_FETCH = """builtins.readFile (builtins.fetchurl {
  url = "file://@SITE@/asset"; name = "source-@VERSION@"; sha256 = "@SHA256@";
}) + "-@VERSION@\""""
_GIT_FETCH = """builtins.readFile "${builtins.fetchGit {
  url = "file://@SITE@/source"; rev = builtins.readFile (root + "/rev");
}}/text" + "-@VERSION@\""""


def _asset(site: Site) -> None:
    (site.directory / "asset").write_text(str(site))
    _let_the_asset_be_read(site)


def _let_the_asset_be_read(site: Site) -> None:
    """No flake.nix names it as an input: the configuration has to."""
    site.settings = {**site.settings, "security": {"readable": f'["{site.directory}/asset"]'}}


def _healed_asset(site: Site) -> None:
    _let_the_asset_be_read(site)
    _set_the_mark(site)


def _git_source_away(site: Site) -> None:
    site.commit_files("flake", {"rev": site.commit_files("source", {"text": f"{site}"})})
    (site.directory / "source").rename(site.directory / "away")


def _git_source_back(site: Site) -> None:
    (site.directory / "away").rename(site.directory / "source")


def _small_disk(site: Site) -> None:
    place = site.directory / "builds"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("NOT TESTED: a full disk: no tmpfs can be mounted here")
    site.cleanup.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)
    site.nix_conf = (f"build-dir = {place}",)


def _start_daemon(site: Site) -> None:
    socket, pid = site.directory / "socket", site.directory / "daemon.pid"
    socket.unlink(missing_ok=True)
    daemon = subprocess.Popen(
        [site.nix.bin / "nix-daemon", "--daemon"],
        env={**site.nix.environment, "NIX_REMOTE": "local", "NIX_DAEMON_SOCKET_PATH": str(socket)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    site.cleanup.callback(daemon.wait)
    site.cleanup.callback(daemon.kill)
    pid.write_text(str(daemon.pid))
    site.environment |= {"NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": str(socket)}
    end = time.monotonic() + 10
    while not socket.exists():
        assert time.monotonic() < end, "no nix-daemon"
        time.sleep(0.02)


def _restart_daemon(site: Site) -> None:
    _set_the_mark(site)
    _start_daemon(site)


def _kills_the_daemon(site: Site, version: int) -> Part:
    return _builds(f"kill -9 $(cat {site}/daemon.pid) $PPID; exit 1")(site, version)


def _crypt(site: Site) -> None:
    for part, letters in {"clean": "a-z n-za-m", "smudge": "n-za-m a-z"}.items():
        site.git("flake", "config", f"filter.crypt.{part}", f"tr {letters}")
    site.commit_files("flake", {".gitattributes": "secret.json filter=crypt\n", "secret.json": "true\n"})


def _decrypt(site: Site) -> None:
    site.commit_files("flake", {".gitattributes": "", "secret.json": "true\n"})


def _submodule(site: Site) -> None:
    site.commit_files("sub", {"data": "text"})
    site.git("flake", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"{site}/sub", "sub")
    site.commit_files("flake", {})
    (site.directory / "sub").rename(site.directory / "sub-away")
    shutil.rmtree(site.directory / "flake/.git/modules")  # as on a machine that never had it


def _submodule_back(site: Site) -> None:
    (site.directory / "sub-away").rename(site.directory / "sub")


def _needs_root(_: nixes.Nix) -> str | None:
    return None if os.geteuid() == 0 else "NOT TESTED: this surrounding can only be made by root"


_ALIEN = 'system = "riscv64-linux";'
_RESTRICTED = ("restrict-eval = true", "allowed-uris = git+file:")
_NOWHERE = "ssh-ng://nobody@127.0.0.1"
_IFD = _reads("true")

WORDS = {
    "503": "curl: (22) The requested URL returned error: 503",
    "dns": "curl: (6) Could not resolve host: example.org",
    "tls": "curl: (18) transfer closed with 1000 bytes remaining to read",
    "go": "go: example.org/x@v1.0.0: Get https://example.org/x: dial tcp: lookup example.org: no such host",
    "npm": "npm error code EAI_AGAIN request to https://example.org/x failed, reason: getaddrinfo EAI_AGAIN",
    "cargo": "error: failed to get `serde` as a dependency: download of config.json failed",
    "wget": "wget: server returned error: HTTP/1.1 502 Bad Gateway",
    "git": "fatal: the remote end hung up unexpectedly",
    "own": "error: hash mismatch in fixed-output derivation",
    "none": "",
}

KINDS = (
    Surrounding("build-timeout", _builds("sleep 60"), {"build": {"timeout": '"1s"', "silence": '"1s"'}}),
    Surrounding("silence", _builds("echo begins; sleep 60"), {"build": {"silence": '"1s"'}}, places=AFTER),
    Surrounding("builder-killed", _builds("kill -9 $$")),
    Surrounding("exit-137", _builds("exit 137")),
    Surrounding("exit-143", _builds("exit 143"), places=AFTER),
    Surrounding("says-disk-full", _builds("echo cannot write x: No space left on device; exit 1")),
    Surrounding(
        "says-killed", _builds("echo fatal error: Killed signal terminated program cc1plus; exit 1"), places=AFTER
    ),
    Surrounding(
        "disk-full",
        _builds("head -c 1000000 /dev/zero >big || exit 1"),
        places=NOT_THE_BASE,
        begin=_small_disk,
        unless=_needs_root,
    ),
    Surrounding("long-log", _builds("head -c 9000 /dev/zero"), nix=("max-build-log-size = 1000",), places=AFTER),
    Surrounding("realiser-killed", _builds("kill -9 $PPID; exit 1")),
    Surrounding(
        "evaluation-timeout",
        _evaluates(f'assert {_LOOP}; "@VERSION@"'),
        {"eval": {"timeout": '"3s"'}},
        healed_nix=_QUICK,
        places=AFTER,
    ),
    Surrounding(
        "evaluation-memory",
        _evaluates(f'assert {_HEAP}; "@VERSION@"'),
        {"eval": {"memory": '"400M"'}},
        healed_nix=_QUICK,
    ),
    Surrounding("evaluator-killed", _reads("kill -9 $PPID; exit 1")),
    Surrounding(
        "pure-path",
        _evaluates('builtins.readFile "@SITE@/lockbot.toml"'),
        heal=None,
        places=EVERYWHERE - {Place.NEITHER},
    ),
    Surrounding("pure-system", _evaluates('builtins.currentSystem + "@VERSION@"'), heal=None, places=AFTER),
    Surrounding("pure-search-path", _evaluates("import <nixpkgs> @VERSION@"), heal=None, places=AFTER),
    Surrounding(
        "pure-fetch", _evaluates('builtins.readFile (builtins.fetchurl "@URL@")'), heal=None, places=AFTER
    ),
    Surrounding("restrict-eval", _evaluates(_LOCAL_FETCH), nix=_RESTRICTED, begin=_asset, heal=_healed_asset),
    Surrounding(
        "pipe-operators",
        _evaluates("(@VERSION@ |> toString)"),
        healed_nix=("extra-experimental-features = pipe-operators",),
        unless=lambda nix: "NOT TESTED: pipe operators came with Nix 2.24" if nix.version < "2.24" else None,
    ),
    Surrounding(
        "ca-derivations",
        _builds("true", '__contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";'),
        healed_nix=("extra-experimental-features = ca-derivations",),
        places=AFTER,
    ),
    Surrounding("import-not-allowed", _IFD, {"eval": {"import_from_derivation": "false"}}),
    Surrounding(
        "import-of-source",
        lambda site, version: Part(f"builtins.readFile ({_source(site, version, WORDS['dns'])})"),
    ),
    Surrounding("import-timeout", _reads("sleep 60"), {"eval": {"timeout": '"3s"'}}, places=AFTER),
    Surrounding("import-build-timeout", _reads("sleep 60"), {"build": {"timeout": '"1s"'}}, places=AFTER),
    Surrounding(
        "import-elsewhere", _reads("true", _ALIEN), healed_nix=("extra-platforms = riscv64-linux",), places=AFTER
    ),
    Surrounding("system", _builds("true", _ALIEN), healed_nix=("extra-platforms = riscv64-linux",)),
    Surrounding(
        "feature",
        _builds("true", 'requiredSystemFeatures = [ "quantum" ];'),
        healed_nix=("system-features = quantum",),
    ),
    Surrounding(
        "builder-down",
        _builds("true", _ALIEN),
        nix=(f"builders = {_NOWHERE} riscv64-linux - 1 1 - - -",),
        healed_nix=("extra-platforms = riscv64-linux",),
    ),
    Surrounding("builtin-fetchurl", _evaluates(_BUILTIN_FETCH), heal=lambda site: site.server.open()),
    Surrounding("evaluation-fetchurl", _evaluates(_EVALUATION_FETCH), heal=lambda site: site.server.open()),
    Surrounding(
        "list-timeout",
        lambda _, version: Part(fine(version).value, f"assert {_LOOP}; null"),
        {"eval": {"timeout": '"3s"'}},
        healed_nix=_QUICK,
        unlisted=True,
        places=AFTER,
    ),
    Surrounding("list-killed", _lists("kill -9 $PPID; exit 1"), unlisted=True),
    Surrounding("list-of-source", _lists("exit 1", fixed=True), unlisted=True, places=_SIDES),
    Surrounding(
        "users-group",
        nix=("build-users-group = nobody-has-this-group",),
        unless=_needs_root,
        spreads=True,
        by_setting=True,
        places=NOT_THE_BASE,
    ),
    Surrounding("no-jobs", settings={"build": {"jobs": "0"}}, spreads=True, by_setting=True, places=NOT_THE_BASE),
    Surrounding(
        "only-builder-down",
        settings={"build": {"jobs": "0"}},
        nix=(f"builders = {_NOWHERE} x86_64-linux - 1 1 - - -",),
        spreads=True,
        by_setting=True,
        places=NOT_THE_BASE,
    ),
    Surrounding(
        "daemon-killed",
        _kills_the_daemon,
        begin=_start_daemon,
        heal=_restart_daemon,
        places=NOT_THE_BASE,
        spreads=True,
    ),
    Surrounding("git-source", _evaluates(_GIT_FETCH), begin=_git_source_away, heal=_git_source_back),
    Surrounding(
        "git-filter",
        _evaluates('toString (builtins.fromJSON (builtins.readFile (root + "/secret.json"))) + "@VERSION@"'),
        begin=_crypt,
        heal=_decrypt,
    ),
    Surrounding(
        "submodule",
        _evaluates('builtins.readFile (root + "/sub/data") + "@VERSION@"'),
        begin=_submodule,
        heal=_submodule_back,
    ),
    *(
        Surrounding(f"fetch-{name}", _fetches(words), places=EVERYWHERE if name == "503" else AFTER)
        for name, words in WORDS.items()
    ),
)
