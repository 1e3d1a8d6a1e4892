"""Evaluating real flakes: whose fault an error is, by its structure, whatever words are in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.errors import DeadlineExceeded
from lockbot.model import Failure, FailureKind, Host, HostKind, Retrying
from lockbot.model.host_kinds import Kind
from lockbot.nix import evaluate, flakeref, installed
from lockbot.nix.build import Builder, Target
from lockbot.nix.build import Limits as BuildLimits
from lockbot.nix.evaluate import Evaluation, Explain, Job, Limits, hosts, pool
from lockbot.process import CancelToken, Deadline
from tests import nixes

LIMITS = Limits(workers=2, memory=2**31, timeout=60, retries=1, delay=0.05)
BUILDING = BuildLimits(timeout=30, silence=30, retries=1, delay=0.05, second_chance=True)

PRELUDE = """
  plain = name: script: more: derivation ({
    inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; salt = "SALT";
  } // more);
  fine = plain "fine" "echo ok >$out" { };
  fixed = { outputHashMode = "flat"; outputHashAlgo = "sha256";
    outputHash = "0000000000000000000000000000000000000000000000000000"; };
  reads = drv: plain "reads" "echo ok >$out" { text = builtins.readFile drv; };
"""


class World:
    """A flake of hosts, each one an expression."""

    def __init__(self, raw: nixes.Nix, tmp: Path, cancel: CancelToken, settings: Mapping[str, str]) -> None:
        self.raw = raw
        self.tmp = tmp
        self.events: list[object] = []
        self.nix = installed.find(raw.environment, cancel, tmp / "data", settings)

    def flake(self, hosts: Mapping[str, str], files: Mapping[str, str] | None = None) -> str:
        place = self.tmp / "flake"
        place.mkdir(exist_ok=True)
        text = "\n".join(f'"{name}" = {expression};' for name, expression in hosts.items())
        prelude = PRELUDE.replace("SALT", str(self.tmp))
        flake = f"{{ outputs = {{ self }}: let {prelude} in {{ hosts = {{\n{text}\n}}; }}; }}"
        for name, content in {"flake.nix": flake, **(files or {})}.items():
            (place / name).write_text(content)
        self.raw.run("git", "init", "-q", cwd=place)
        self.raw.run("git", "add", "-A", cwd=place)
        self.raw.run("git", "commit", "-qm", "hosts", "--allow-empty", cwd=place)
        commit = self.raw.run("git", "rev-parse", "HEAD", cwd=place).stdout.strip()
        return flakeref.local_flake(place, commit)

    def evaluate(
        self,
        hosts: Mapping[str, str],
        limits: Limits = LIMITS,
        *,
        files: Mapping[str, str] | None = None,
        explain: Explain | None = None,
    ) -> dict[str, Evaluation]:
        flake = self.flake(hosts, files)
        jobs = [Job(Host(name, ("hosts", name), HostKind.ATTRIBUTE), flake) for name in hosts]
        return self.evaluate_all(jobs, limits, explain)

    def evaluate_all(
        self, jobs: Sequence[Job], limits: Limits = LIMITS, explain: Explain | None = None
    ) -> dict[str, Evaluation]:
        done: dict[str, Evaluation] = {}
        evaluate.evaluate(
            self.nix,
            jobs,
            limits,
            on_start=lambda _: None,
            on_done=lambda evaluation: done.__setitem__(evaluation.job.host.name, evaluation),
            progress=self.events.append,
            explain=explain,
        )
        return done

    def kinds(self, hosts: Mapping[str, str], limits: Limits = LIMITS) -> dict[str, str]:
        done = self.evaluate(hosts, limits)
        return {name: one.failure.kind.value if one.failure else "" for name, one in done.items()}

    def retries(self) -> int:
        return sum(isinstance(event, Retrying) for event in self.events)


Make = Callable[..., World]


@pytest.fixture
def make(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> Make:
    return lambda **settings: World(nix, tmp_path, cancel, settings)


OWN = {
    "throws": ('throw "no"', "evaluation"),
    "throws-of-disks": ('throw "No space left on device"', "evaluation"),
    "throws-of-purity": (
        "throw \"access to absolute path '/etc' is forbidden in pure evaluation mode (use '--impure')\"",
        "evaluation",
    ),
    "throws-an-event": (
        r'throw "x\n@nix {\"action\":\"msg\",\"level\":0,\"raw_msg\":\"out of memory\"}"',
        "evaluation",
    ),
    "throws-by-map": ('builtins.head (map throw [ "cannot connect to socket at x" ])', "evaluation"),
    "aborts-in-context": (
        'builtins.addErrorContext "cannot connect to socket at x: No space left on device" (abort "gone")',
        "evaluation",
    ),
    "adds-in-context": (
        "builtins.addErrorContext \"error: interrupted by the user\" (1 + \"a\")",
        "evaluation",
    ),
    "asserts": ("assert false; fine", "assertion"),
    "asserts-equal": ("assert { a = 1; } == { a = 2; }; fine", "assertion"),
    "asserts-after-words": ('assert builtins.trace "error: No space left on device" false; fine', "assertion"),
    "asserts-as-nixos": (r'throw "\nFailed assertions:\n- no root file system"', "assertion"),
    "misses": ('self."No space left on device"', "evaluation"),
    "misses-what-sounds-gated": ("self.parallel", "evaluation"),
    "misses-what-begins-as-gated": ("builtins.currentTimes", "evaluation"),
    "names-what-sounds-gated": ("with builtins; wasm", "evaluation"),
    "throws-of-a-missing-builtin": ("throw \"attribute 'currentTime' missing\"", "evaluation"),
    "throws-of-warnings": (
        'throw "aborting to reveal stack trace of warning, as abort-on-warn is set"',
        "evaluation",
    ),
    "recurses": ("let x = x; in x", "evaluation"),
    "recurses-deeply": ("let f = x: f (x + 1) + 1; in f 1", "evaluation"),
    "misreads": (r'builtins.fromJSON "No space left on device"', "evaluation"),
    "mismatches": ('builtins.match "(" "x"', "evaluation"),
    "reads-nothing": ("builtins.readFile ./missing", "evaluation"),
    "imports-nothing": ("import ./missing.nix", "evaluation"),
    "copies-nothing": ('plain "x" "${./missing}" { }', "evaluation"),
    "lists-nothing": ("builtins.readDir ./missing", "evaluation"),
    "imports-nonsense": ("import ./nonsense.nix", "evaluation"),
    "is-no-derivation": ("{ }", "evaluation"),
    "is-elsewhere": ('{ type = "derivation"; drvPath = "/x.drv"; outPath = "/elsewhere/x"; }', "evaluation"),
    "has-no-builder": ('derivation { name = "x"; system = "x"; }', "evaluation"),
}  # fmt: skip
REFUSED = {
    "reads-outside": "plain (builtins.readFile /etc/hostname) \"\" { }",
    "copies-outside": 'plain "x" "${/etc/hostname}" { }',
    "knows-the-system": "plain builtins.currentSystem \"\" { }",
    "knows-the-time": "plain (toString builtins.currentTime) \"\" { }",
    "knows-the-time-by-with": "plain (with builtins; toString currentTime) \"\" { }",
    "knows-the-time-by-inherit": "plain (let inherit (builtins) currentTime; in toString currentTime) \"\" { }",
    "knows-the-time-by-another-name": "plain (let b = builtins; in toString b.currentTime) \"\" { }",
    "knows-the-time-in-quotes": 'plain (toString builtins."currentTime") "" { }',
    "knows-the-time-by-getattr": 'plain (toString (builtins.getAttr "currentTime" builtins)) "" { }',
    "knows-the-time-globally": "plain (toString (import ./time.nix)) \"\" { }",
    "knows-the-system-on-the-next-line": "plain builtins\n  .currentSystem \"\" { }",
    "fetches-a-closure": 'with builtins; fetchClosure { fromStore = "x"; }',
    "knows-an-output": 'let inherit (builtins) outputOf; in outputOf fine.drvPath "out"',
    "misses-what-sounds-impure": "self.currentSystem",
    "wants-another-nix": 'builtins."parallel" [ fine ] fine',
    "wants-another-nix-globally": "import ./wasm.nix",
    "searches": "import <nixpkgs>",
    "names-a-store-path": "builtins.storePath \"/x\"",
    "fetches-unlocked": 'builtins.fetchGit { url = "https://example.invalid/x"; }',
    "fetches-without-a-hash": 'builtins.fetchTarball "https://example.invalid/x"',
    "pipes": "import ./pipes.nix",
    "content-addressed": 'plain "x" "" { __contentAddressed = true; outputHashMode = "recursive"; }',
    "runs": 'builtins.exec [ "x" ]',
}  # fmt: skip


def test_the_flake_own_errors_whatever_they_say(make: Make) -> None:
    files = {"nonsense.nix": "{ a ="}
    world = make()
    hosts = {name: text for name, (text, _) in OWN.items()}
    done = world.evaluate(hosts, files=files)
    found = {name: one.failure.kind.value if one.failure else "" for name, one in done.items()}
    assert found == {name: kind for name, (_, kind) in OWN.items()}
    assert world.retries() == 0


NO_FLAKES = {
    "outputs that are no function": "{ outputs = { }; }",
    "outputs that are to be worked out": "{ outputs = import ./outputs.nix; }",
    "inputs that are no set": "{ inputs = [ ]; outputs = _: { }; }",
    "an input that is no set": "{ inputs.a = 1; outputs = _: { }; }",
    "a url that is none": "{ inputs.a.url = 1; outputs = _: { }; }",
    "another attribute of an input": '{ inputs.a = { type = "path"; path = ./.; }; outputs = _: { }; }',
    "neither yes nor no": '{ inputs.a = { url = "path:./a"; flake = 1; }; outputs = _: { }; }',
    "a setting that is none": "{ nixConfig.x = null; outputs = _: { }; }",
    "settings that are none": "{ nixConfig.x = [ 1 ]; outputs = _: { }; }",
    "an attribute that no flake has": "{ hosts = 1; outputs = _: { }; }",
    "no outputs": "{ }",
    "no flake": "[ ]",
    "a tree that is none": '{ outputs = _: { hosts = builtins.fetchTree { type = "git"; url = [ ]; }; }; }',
}


def test_a_flake_that_is_none_is_its_own_fault(make: Make, tmp_path: Path) -> None:
    places = {name: f"none-{number}" for number, name in enumerate(NO_FLAKES)}
    for place in places.values():
        (tmp_path / "flake" / place).mkdir(parents=True)
    world = make()
    flake = world.flake({}, {f"{place}/flake.nix": NO_FLAKES[name] for name, place in places.items()})
    host = ("hosts", "x"), HostKind.ATTRIBUTE
    jobs = [Job(Host(name, *host), f"{flake}&dir={place}") for name, place in places.items()]
    done = world.evaluate_all(jobs)
    found = {name: one.failure.kind.value if one.failure else "" for name, one in done.items()}
    assert found == dict.fromkeys(NO_FLAKES, "evaluation")
    assert world.retries() == 0


def test_what_this_machine_refuses_is_nobody_fault(make: Make) -> None:
    # What is refused at parsing is in a file of its own: else no other host would be looked at.
    files = {"time.nix": "__currentTime", "wasm.nix": "__wasm ./x", "pipes.nix": "1 |> toString"}
    done = make().evaluate(REFUSED, files=files)
    found = {name: one.failure.kind.value if one.failure else "" for name, one in done.items()}
    assert found == dict.fromkeys(REFUSED, "refused")


def test_what_is_read_tells_of_itself(make: Make) -> None:
    """The message and the log are those that a person would see."""
    done = make().evaluate({"a": 'builtins.trace "on the way" (throw "this is broken")'})
    failure = done["a"].failure
    assert failure is not None
    assert failure.message == "this is broken"
    assert "trace: on the way" in failure.log
    assert "… while calling the 'throw' builtin" in failure.log
    assert failure.tail[-1].strip() == "error: this is broken"


def test_an_input_of_another_hash(make: Make) -> None:
    world = make()
    other = world.tmp / "other"
    other.mkdir()
    (other / "file").write_text("text")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "other")):
        world.raw.run("git", *words, cwd=other)
    rev = world.raw.run("git", "rev-parse", "HEAD", cwd=other).stdout.strip()
    locked = f'type = "git"; url = "file://{other}"; rev = "{rev}"; narHash = "sha256-{"A" * 43}=";'
    assert world.kinds({"a": f'reads "${{builtins.fetchTree {{ {locked} }}}}/file"'}) == {"a": "hash-mismatch"}


def test_restricted_evaluation_refuses(make: Make) -> None:
    world = make(**{"restrict-eval": "true", "allowed-uris": "git+file:"})
    fetch = 'import (builtins.fetchTarball { url = "https://example.invalid/x"; sha256 = "HASH"; })'
    found = world.kinds({"a": fetch.replace("HASH", "0" * 52), "b": "fine"})
    assert found == {"a": "refused", "b": ""}


def test_a_warning_that_aborts_is_this_machine_setting(make: Make) -> None:
    late = 'builtins.seq (builtins.warn "old" 1) (throw "no")'
    hosts = {"a": 'builtins.warn "old" fine', "b": "fine", "c": late}
    assert make(**{"abort-on-warn": "true"}).kinds(hosts) == {"a": "refused", "b": "", "c": "refused"}
    assert make().kinds(hosts) == {"a": "", "b": "", "c": "evaluation"}


def test_import_from_derivation_that_is_not_allowed(make: Make) -> None:
    found = make().kinds({"a": "reads fine", "b": "fine"}, replace(LIMITS, import_from_derivation=False))
    assert found == {"a": "refused", "b": ""}


def test_a_dead_network_is_each_host_own_trouble_and_waited_for_once(make: Make) -> None:
    fetch = 'reads (builtins.fetchurl { url = "http://127.0.0.1:9/x"; sha256 = "%s"; })' % ("0" * 52)
    world = make()
    limits = replace(LIMITS, workers=1, retries=2)
    found = world.kinds({**{f"h{number}": fetch for number in range(5)}, "z": "fine"}, limits)
    assert found == {**{f"h{number}": "network" for number in range(5)}, "z": ""}
    assert world.retries() == 2


@pytest.mark.parametrize(
    ("drv", "kind"),
    [
        ('plain "gen" "exit 3" { }', "build"),
        ('plain "gen" "echo $dep" { dep = plain "below" "exit 3" { }; }', "build"),
        ('plain "gen" "echo dead; exit 3" fixed', "source"),
        ('plain "gen" "echo >$out" fixed', "hash-mismatch"),
        ('plain "gen" "exit 137" { }', "killed"),
        ('plain "gen" "echo >$out" { system = "aarch64-linux"; }', "platform"),
        ('plain "gen" "echo cannot write: No space left on device; exit 1" { }', "disk-full"),
    ],
)
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "alone"])
def test_import_from_derivation_fails_as_what_it_imports(make: Make, drv: str, kind: str, asked: bool) -> None:
    world = make()
    with Builder(world.nix, BUILDING, world.events.append) as builder:
        explain = (lambda path: builder.why(Target.of(world.nix, path))) if asked else None
        done = world.evaluate({"a": f"reads ({drv})", "b": "fine"}, explain=explain)
    failure = done["a"].failure
    assert failure is not None and failure.kind == kind
    assert (failure.culprit or "").endswith(("-gen.drv", "-below.drv"))
    assert done["b"].failure is None
    if asked:
        assert failure.message.startswith("wants to read what ")


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "alone"])
def test_import_from_derivation_with_a_dead_builder_host(make: Make, asked: bool) -> None:
    builders = "ssh-ng://nobody@127.0.0.1?remote-program=/nonexistent aarch64-linux"
    world = make(builders=builders)
    with Builder(world.nix, BUILDING, world.events.append) as builder:
        explain = (lambda path: builder.why(Target.of(world.nix, path))) if asked else None
        foreign = 'reads (plain "gen" "echo >$out" { system = "aarch64-linux"; })'
        failure = world.evaluate({"a": foreign}, explain=explain)["a"].failure
    assert failure is not None and failure.kind is FailureKind.BUILDER_HOST


def test_what_builds_at_a_second_try_is_evaluated_again(make: Make) -> None:
    world = make()
    once = f"if [ ! -e {world.tmp}/once ]; then : >{world.tmp}/once; exit 1; fi; echo ok >$out"
    with Builder(world.nix, BUILDING, world.events.append) as builder:
        done = world.evaluate(
            {"a": f'reads (plain "gen" "{once}" {{ }})'},
            explain=lambda path: builder.why(Target.of(world.nix, path)),
        )
    assert done["a"].failure is None and done["a"].drv


def test_what_never_builds_within_an_evaluation_is_not_judged(make: Make) -> None:
    asked: list[str] = []

    def explain(drv: str) -> Failure | None:
        asked.append(drv)
        return None

    done = make().evaluate({"a": 'reads (plain "gen" "exit 1" { })'}, explain=explain)
    assert done["a"].failure is not None and done["a"].failure.kind is FailureKind.UNKNOWN
    assert len(asked) == pool.REBUILDS + 1


def test_what_needs_the_content_addressed_is_judged_by_its_build(make: Make) -> None:
    """Its output is known only after the build."""
    world = make(**{"extra-experimental-features": "nix-command flakes ca-derivations"})
    addressed = '(plain "part" "echo part >$out" { __contentAddressed = true; outputHashMode = "recursive"; })'
    done = world.evaluate(
        {
            "good": f'plain "top" "echo ${{{addressed}}} >$out" {{ }}',
            "bad": f'plain "top" "echo ${{{addressed}}}; exit 3" {{ }}',
        }
    )
    assert {name: one.failure for name, one in done.items()} == {"good": None, "bad": None}
    targets = {name: Target(one.drv, one.out, one.target, one.system) for name, one in done.items()}
    assert {target.out for target in targets.values()} == {""}
    with Builder(world.nix, BUILDING, world.events.append) as builder:
        for target in targets.values():
            builder.want(target)
        results = builder.results()
        assert results[targets["good"].drv] is None
        out = builder.output(targets["good"].drv)
    assert out is not None and Path(out).read_text().startswith(str(world.raw.store))
    failure = results[targets["bad"].drv]
    assert failure is not None and failure.kind is FailureKind.BUILD


def test_a_loud_evaluation_stays_within_bounds(make: Make) -> None:
    loop = 'builtins.foldl\' (done: i: builtins.trace "warning ${toString i}" done)'
    loud = f"{loop} fine (builtins.genList (x: x) 20000)"
    double = "let double = n: s: if n == 0 then s else double (n - 1) (s + s); in"
    huge = f'{double} builtins.trace (double 24 "xx") fine'
    done = make().evaluate({"loud": loud, "huge": huge, "both": f'builtins.seq (({loud}).name) (throw "no")'})
    assert done["loud"].drv and done["huge"].drv
    failure = done["both"].failure
    assert failure is not None and failure.kind is FailureKind.EVALUATION
    assert "trace: warning 19999" in failure.log
    assert len(failure.log.splitlines()) <= 2001


def test_a_daemon_that_is_gone_is_each_host_own_trouble(make: Make, tmp_path: Path) -> None:
    world = make()
    gone = replace(
        world.nix,
        environ={**world.nix.environ, "NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": str(tmp_path / "none")},
    )
    world.nix = gone
    assert world.kinds({"a": "fine", "b": "fine"}) == {"a": "daemon", "b": "daemon"}


def test_names_that_take_too_long(make: Make) -> None:
    world = make()
    world.flake({})
    loop = "builtins.genericClosure { startSet = [ { key = 0; } ]; operator = x: [ { key = x.key + 1; } ]; }"
    endless = f"{{ outputs = {{ self }}: {{ nixosConfigurations = {loop}; }}; }}"
    (world.tmp / "flake" / "flake.nix").write_text(endless)
    world.raw.run("git", "commit", "-qam", "endless", cwd=world.tmp / "flake")
    commit = world.raw.run("git", "rev-parse", "HEAD", cwd=world.tmp / "flake").stdout.strip()
    with pytest.raises(DeadlineExceeded):
        evaluate.host_names(world.nix, flakeref.local_flake(world.tmp / "flake", commit), Deadline(0.5, "asking"))


class Kinds(Kind):
    """As if HostKind had one line more: system-manager's machines, which are derivations themselves."""

    NIXOS = ("nixosConfigurations", ("config", "system", "build", "toplevel"))
    MANAGED = ("systemConfigs", ())


def test_another_kind_of_host_is_one_line(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "HostKind", Kinds)
    world = make()
    derivation = 'builtins.derivation { name = "NAME"; system = "x"; builder = "/x"; }'
    flake = f"""{{ outputs = {{ self }}: {{
      nixosConfigurations.n.config.system.build.toplevel = {derivation.replace("NAME", "nixos")};
      systemConfigs.m = {derivation.replace("NAME", "managed")};
    }}; }}"""
    url = world.flake({}, {"flake.nix": flake})
    found = evaluate.host_names(world.nix, url, Deadline(60, "names"))
    assert [(str(host.kind), host.name) for host in found] == [
        ("nixosConfigurations", "n"),
        ("systemConfigs", "m"),
    ]
    done = world.evaluate_all([Job(host, url) for host in found])
    assert {name: one.drv.rpartition("-")[2] for name, one in done.items()} == {
        "n": "nixos.drv",
        "m": "managed.drv",
    }
    assert Kinds.named() == "nixosConfigurations and systemConfigs"


NAMING = {
    "rev": "self.rev",
    "short": "self.shortRev",
    "or": 'self.rev or "dirty"',
    "source info": "self.sourceInfo.rev",
    "inherited": "(let inherit (self) shortRev; in shortRev)",
    "hashed": 'builtins.hashString "sha256" self.rev',
    "whole": 'builtins.toJSON (removeAttrs self.sourceInfo [ "outPath" ])',
    "by way of outputs": "self.outputs.hosts.rev.text",
    "through a library": "(import ./away.nix) self",
}
"""Texts that depend on the commit's name, however they come by it."""
NOT_NAMING = {
    "path": '"${self}"',
    "date": "toString self.lastModified + self.lastModifiedDate",
    "count": "toString (self.revCount or 0)",
    "hash": "self.narHash",
    "asked": 'if self ? rev then "clean" else "dirty"',
    "names": "toString (builtins.attrNames self ++ builtins.attrNames self.sourceInfo)",
    "other hosts": "toString (builtins.attrNames self.hosts)",
    "kind": "self._type",
}


def test_it_knows_whose_derivation_names_the_commit(make: Make) -> None:
    """Two commits that differ in their message alone: what else differs depends on their name."""
    world = make()
    hosts = {name: f'plain "x" "echo" {{ text = {text}; }}' for name, text in {**NAMING, **NOT_NAMING}.items()}
    first = world.flake(hosts, {"away.nix": "flake: (x: x.shortRev) flake"})
    place = world.tmp / "flake"
    world.raw.run("git", "commit", "-q", "--amend", "-m", "another message", cwd=place)
    second = flakeref.local_flake(place, world.raw.run("git", "rev-parse", "HEAD", cwd=place).stdout.strip())
    one, two = (
        world.evaluate_all([Job(Host(name, ("hosts", name), HostKind.ATTRIBUTE), flake) for name in hosts])
        for flake in (first, second)
    )
    assert {name for name, made in one.items() if made.names_commit} == NAMING.keys()
    assert {name for name in hosts if one[name].drv != two[name].drv} == NAMING.keys()
    itself = f'builtins.mapAttrs (name: host: host.drvPath) (builtins.getFlake "{second}").hosts'
    asked = world.raw.run("nix", "eval", "--json", "--expr", itself, cwd=world.tmp).stdout
    assert json.loads(asked) == {name: made.drv for name, made in two.items()}, "as Nix itself makes them"


def test_warnings_are_told_of_the_host_that_gives_them(make: Make, nix: nixes.Nix) -> None:
    made = make().evaluate(
        {
            "traced": 'builtins.trace "evaluation warning: old ${self}" fine',
            "coloured": r"""builtins.trace (builtins.fromJSON ''"\u001b[35mwarning: use\nthat\u001b[0m"'') fine""",
            "silent": 'builtins.trace "a warning: of none" fine',
        }
    )
    assert {name: one.warnings for name, one in made.items()} == {
        "traced": (f"old {nix.environment['NIX_STORE_DIR']}/source",),
        "coloured": ("use that",),
        "silent": (),
    }
