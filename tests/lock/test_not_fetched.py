"""What an upstream would have read from this machine's files is refused before Nix reads it, however spelled."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from lockbot.errors import LockbotError
from lockbot.lock.ahead.lookout import Lookout
from lockbot.lock.propose import Limits, Proposal, propose
from lockbot.lock.request import UpdateRequest
from lockbot.lock.selected import NotFetched, SelectedLocks
from lockbot.nix import installed
from lockbot.policy.decide import by_rules
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Fleet, HostSpec, Upstream
from tests.lock.revisions import NoRevisions
from tests.sampling import nix_by_turns
from tests.upstream import run_git

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = "outputs = _: { };"


class Secret:
    """A file, a tarball, a flake and a repository of this machine's, each with the canary in it."""

    def __init__(self, directory: Path) -> None:
        self.canary = f"CANARY-{uuid4().hex}"
        self.directory = directory / "secret"
        self.directory.mkdir()
        (self.directory / "f").write_text(self.canary)
        (self.directory / "flake.nix").write_text(f"{{ {OUTPUTS} }} # {self.canary}")
        with tarfile.open(self.directory / "f.tar", "w") as archive:
            archive.add(self.directory / "flake.nix", "source/flake.nix")
        self.repository = directory / "private"
        self.repository.mkdir()
        environment = nixes.git_environment(directory / "private-home")
        run_git(self.repository, environment, "init", "--quiet", "--initial-branch=main")
        (self.repository / "flake.nix").write_text(f"{{ {OUTPUTS} }} # {self.canary}")
        run_git(self.repository, environment, "add", ".")
        run_git(self.repository, environment, "commit", "--quiet", "--message", "private")
        self.rev = run_git(self.repository, environment, "rev-parse", "HEAD").strip()

    def is_in(self, nix: nixes.Nix) -> bool:
        found = subprocess.run(["grep", "-rqs", self.canary, nix.store], check=False)
        return found.returncode == 0


# `{f}`, `{d}` and `{g}` are the file, its directory and the repository.
SPELLINGS = {
    "path": 'url = "path:{d}/f"; flake = false;',
    "an absolute path": 'url = "{d}/f"; flake = false;',
    "path with slashes": 'url = "path://{d}/f"; flake = false;',
    "path by attributes": 'type = "path"; path = "{d}/f"; flake = false;',
    "a flake": 'url = "path:{d}";',
    "path with a query": 'url = "path:{d}/./f?lastModified=1"; flake = false;',
    "file": 'url = "file://{d}/f"; flake = false;',
    "file of one slash": 'url = "file:{d}/f"; flake = false;',
    "file+file": 'url = "file+file://{d}/f"; flake = false;',
    "percent-encoded": 'url = "file://{d}/%66"; flake = false;',
    "file by attributes": 'type = "file"; url = "file://{d}/f"; flake = false;',
    "upper case": 'type = "file"; url = "FILE://{d}/f"; flake = false;',
    "tarball": 'url = "tarball+file://{d}/f.tar"; flake = false;',
    "tarball as a flake": 'url = "file://{d}/f.tar";',
    "git": 'url = "git+file://{g}"; flake = false;',
    "git of one slash": 'url = "git+file:{g}";',
    "git with a query": 'url = "git+file://{g}?x=y";',
    "git by attributes": 'type = "git"; url = "file://{g}"; flake = false;',
    "git by a path": 'type = "git"; url = "{g}";',
    "git by a relative path": 'type = "git"; url = "../../../../../../../../../../../../../..{g}"; flake = false;',
    "git by what is no URL": 'type = "git"; url = "ext::cat {g}"; flake = false;',
}
Hide = Callable[["Bench", str], None]


class Bench:
    """A fleet with three inputs, of which c moves to a revision that would read the secret."""

    def __init__(self, nix: nixes.Nix, tmp: Path, cancel: CancelToken, rules: InputRules | None = None) -> None:
        self.nix, self.secret = nix, Secret(tmp)
        self.deep = Upstream.create(tmp, "deep")
        self.upstreams = {name: Upstream.create(tmp, name) for name in "ab"}
        self.c = self.upstreams["c"] = Upstream.create(tmp, "c", inputs={"deep": self.deep})
        self.new = Upstream.create(tmp, "new")
        self.fleet = Fleet.create(
            tmp / "fleet", nix, inputs=[*self.upstreams.values()], hosts=[HostSpec("x", ["a"])]
        )
        self.before = {name: self.fleet.locked(name) for name in "abc"}
        self._nix = installed.find(nix.environment, cancel, tmp / "data", {})
        self._rules = PolicyRules(rules or InputRules())

    def lookout(self) -> Lookout:
        return Lookout(self._nix, by_rules(self._rules, NOW), 60)

    def propose(self, request: UpdateRequest | None = None) -> Proposal:
        limits = Limits(timeout=60, retries=0)
        asked = request or UpdateRequest()
        return propose(self._nix, self.fleet.flake, asked, limits, lambda _: None, NoRevisions(), self.lookout())

    def locks(self, proposal: Proposal) -> SelectedLocks:
        assert proposal.base is not None
        return SelectedLocks(self._nix, self.fleet.flake, proposal.base, proposal.asked, 60, self.lookout())

    def declaration(self, spelling: str) -> str:
        said = SPELLINGS[spelling]
        return said.replace("{d}", str(self.secret.directory)).replace("{g}", str(self.secret.repository))

    def move(self) -> dict[str, str]:
        return {name: self.upstreams[name].commit("more") for name in "ab"}


def flake_with(declaration: str, more: str = "") -> str:
    return f"{{ inputs.x = {{ {declaration} }}; {more} {OUTPUTS} }}\n"


def plainly(bench: Bench, declaration: str) -> None:
    """In flake.nix, and there is no lock."""
    bench.c.commit("hostile", files={"flake.nix": flake_with(declaration)})


def deeper(bench: Bench, declaration: str) -> None:
    """In what c's own input asks for."""
    bench.deep.commit("hostile", files={"flake.nix": flake_with(declaration)})
    bench.c.commit("more")


def overridden(bench: Bench, declaration: str) -> None:
    """Said by c of an input of its input's."""
    said = declaration.replace("flake = false;", "")
    asks = f'inputs.deep = {{ url = "{bench.deep.url}"; inputs.x = {{ {said} }}; }};'
    bench.deep.commit("harmless", files={"flake.nix": flake_with('url = "path:./x"; flake = false;')})
    bench.c.commit("hostile", files={"flake.nix": f"{{ {asks} {OUTPUTS} }}"})


def by_a_path(bench: Bench, declaration: str) -> None:
    """In a directory of c's that is an input of c's."""
    files = {"flake.nix": flake_with('url = "path:./sub";'), "sub/flake.nix": flake_with(declaration)}
    bench.c.commit("hostile", files=files)


def forgotten(bench: Bench, declaration: str) -> None:
    """In a flake that c's lock has, with one of its inputs following another: Nix fetches that flake once more."""
    rev = bench.deep.commit("hostile", files={"flake.nix": flake_with(declaration)})
    place = {"type": "git", "url": f"file://{bench.deep.path}"}
    nodes = {
        "root": {"inputs": {"deep": "deep"}},
        "deep": {
            "locked": place | {"rev": rev, "ref": "refs/heads/main"},
            "original": place,
            "inputs": {"y": ["deep"]},
        },
    }
    bench.c.commit("hostile", files=lock_of(nodes))


def lock_of(nodes: Mapping[str, object]) -> dict[str, str]:
    return {"flake.lock": json.dumps({"version": 7, "root": "root", "nodes": nodes})}


PLACES: dict[str, Hide] = {
    "in flake.nix": plainly,
    "two levels deep": deeper,
    "as an override": overridden,
    "in a directory of its own": by_a_path,
    "where a lock is looked through": forgotten,
}


def check_refused(bench: Bench, proposal: Proposal, new: Mapping[str, str]) -> None:
    assert not bench.secret.is_in(bench.nix)
    assert proposal.unfetched.keys() == {"c"}, proposal
    assert "would be read from this machine: " in proposal.unfetched["c"].why
    assert {change.input: change.new.rev for change in proposal.changes if change.new} == new, "the others moved"
    assert bench.fleet.locked("c") == bench.before["c"]
    assert proposal.asked["c"].rev == bench.c.head() != bench.before["c"]
    assert proposal.held == ()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_read_here_is_not_fetched_however_it_is_spelled(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, spelling: str
) -> None:
    bench = Bench(nix, tmp_path, cancel)
    plainly(bench, bench.declaration(spelling))
    new = bench.move()
    check_refused(bench, bench.propose(), new)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spelling", ["path", "a flake", "file", "git"])
def test_wherever_it_is_hidden(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, place: str, spelling: str
) -> None:
    bench = Bench(nix, tmp_path, cancel)
    PLACES[place](bench, bench.declaration(spelling))
    new = bench.move()
    check_refused(bench, bench.propose(), new)


LOCKED: dict[str, Callable[[Secret], dict[str, object]]] = {
    "path": lambda secret: {"type": "path", "path": f"{secret.directory}"},
    "file": lambda secret: {"type": "file", "url": f"file://{secret.directory}/f"},
    "FILE": lambda secret: {"type": "file", "url": f"FILE://{secret.directory}/f"},
    "tarball": lambda secret: {"type": "tarball", "url": f"file://{secret.directory}/f.tar"},
    "git": lambda secret: {"type": "git", "url": f"file://{secret.repository}", "rev": secret.rev},
}


@pytest.mark.parametrize("kind", LOCKED)
@pytest.mark.parametrize("looked_through", [False, True], ids=["", "looked through"])
def test_in_a_lock_of_its_own(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, kind: str, looked_through: bool
) -> None:
    """Asked for as something harmless, and locked at what it is: Nix believes the lock."""
    bench = Bench(nix, tmp_path, cancel)
    harmless = {"type": "github", "owner": "o", "repo": "r"}
    locked = LOCKED[kind](bench.secret) | {"narHash": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
    node: dict[str, object] = {"locked": locked, "original": harmless}
    nodes = {"root": {"inputs": {"x": "x"}}, "x": node | ({"inputs": {"y": ["x"]}} if looked_through else {})}
    files = {"flake.nix": flake_with('url = "github:o/r";')} | lock_of(nodes)
    bench.c.commit("hostile", files=files)
    new = bench.move()
    check_refused(bench, bench.propose(), new)


# -- ways in ----------------------------------------------------------------------------------------------------


@nix_by_turns("spelling", {name: name for name in ("path", "file", "git")})
def test_the_input_alone(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, spelling: str) -> None:
    bench = Bench(nix, tmp_path, cancel)
    plainly(bench, bench.declaration(spelling))
    check_refused(bench, bench.propose(UpdateRequest(("c",))), {})


@nix_by_turns("place", {name: name for name in PLACES})
def test_a_pin(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, place: str) -> None:
    bench = Bench(nix, tmp_path, cancel)
    PLACES[place](bench, bench.declaration("path"))
    pins = {"c": f"{bench.c.url}?rev={bench.c.head()}"}
    with pytest.raises(LockbotError, match="would be read from this machine") as caught:
        bench.propose(UpdateRequest(None, pins))
    assert "policy.new_path" in caught.value.hint
    assert not bench.secret.is_in(nix)
    assert bench.fleet.locked("c") == bench.before["c"]


@nix_by_turns("place", {name: name for name in PLACES})
def test_a_revision_that_is_tried(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, place: str) -> None:
    """The tip is harmless, and what the search steps back to is not."""
    bench = Bench(nix, tmp_path, cancel)
    flake_nix = bench.c.git("show", "HEAD:flake.nix")
    PLACES[place](bench, bench.declaration("path"))
    hostile = bench.c.head()
    bench.deep.commit("harmless again", files={"flake.nix": f"{{ {OUTPUTS} }}"})
    bench.c.commit("harmless again", files={"flake.nix": flake_nix, "flake.lock": bench_lock(bench)})
    new = bench.move()
    proposal = bench.propose()
    assert not bench.secret.is_in(nix)
    assert proposal.unfetched == {}
    if place in ("two levels deep", "as an override"):
        bench.deep.commit("hostile", files={"flake.nix": flake_with(bench.declaration("path"))})
    locks = bench.locks(proposal)
    with pytest.raises(NotFetched, match="would be read from this machine"):
        locks.make({"c": hostile, "a": new["a"]})
    assert not bench.secret.is_in(nix)
    assert locks.make({"a": new["a"]}).changes[0].input == "a"


def bench_lock(bench: Bench) -> str:
    """c's own, with its input at where that is."""
    place = {"type": "git", "url": f"file://{bench.deep.path}"}
    locked = place | {"rev": bench.deep.head(), "ref": "refs/heads/main"}
    nodes = {"root": {"inputs": {"deep": "deep"}}, "deep": {"locked": locked, "original": place}}
    return lock_of(nodes)["flake.lock"]


@nix_by_turns("spelling", {name: name for name in ("path", "file", "git by a path")})
def test_what_flake_nix_newly_asks_for(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, spelling: str) -> None:
    """The input itself is the user's own affair; what it brings along is not."""
    bench = Bench(nix, tmp_path, cancel)
    bench.new.commit("hostile", files={"flake.nix": flake_with(bench.declaration(spelling))})
    bench.fleet.declare(inputs=[*bench.upstreams.values(), bench.new])
    bench.move()
    for request in (None, UpdateRequest(("a",)), UpdateRequest(("new",)), UpdateRequest(())):
        with pytest.raises(LockbotError, match=r"flake\.nix asks for what the policy does not allow: new/x would"):
            bench.propose(request)
        assert not bench.secret.is_in(nix)


def test_what_an_input_brings_along_that_follows_nothing_any_more(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """The user's override kept it out; without that, Nix takes what the input itself asks for."""
    bench = Bench(nix, tmp_path, cancel)
    plainly(bench, bench.declaration("path"))
    path = bench.fleet.flake / "flake.nix"
    before = path.read_text()
    path.write_text(before.replace("inputs = {", 'inputs = { c.inputs.x.follows = "a";', 1))
    bench.fleet.commit({}, "an override")
    assert {change.input for change in bench.propose().changes} == {"c", "c/deep", "c/x"}
    path.write_text(before)
    bench.fleet.commit({}, "no override")
    with pytest.raises(LockbotError, match=r"flake\.nix asks for what the policy does not allow: c/x would"):
        bench.propose(UpdateRequest(("a",)))
    assert not bench.secret.is_in(nix)


# -- and what may be --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instead", ['follows = "a"', 'url = "path:/nowhere"'])
def test_what_the_flake_itself_overrides_is_not_taken_from_upstream(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, instead: str
) -> None:
    bench = Bench(nix, tmp_path, cancel)
    plainly(bench, bench.declaration("path"))
    (tmp_path / "mine").mkdir()
    instead = instead.replace("/nowhere", str(tmp_path / "mine"))
    path = bench.fleet.flake / "flake.nix"
    path.write_text(path.read_text().replace("inputs = {", f"inputs = {{ c.inputs.x.{instead};", 1))
    bench.fleet.commit({}, "an override")
    proposal = bench.propose()
    assert proposal.unfetched == {}
    assert proposal.asked["c"].rev == bench.c.head() == bench.fleet.locked("c")
    assert not bench.secret.is_in(nix)


def test_what_policy_allows_is_fetched(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    bench = Bench(nix, tmp_path, cancel, InputRules(new_path=PolicyAction.ALLOW))
    plainly(bench, bench.declaration("path"))
    proposal = bench.propose()
    assert proposal.unfetched == {}
    assert bench.fleet.locked("c") == bench.c.head()
    assert bench.secret.is_in(nix), "or the other tests show nothing"


def test_what_was_read_here_before_still_is(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    allowed = Bench(nix, tmp_path, cancel, InputRules(new_path=PolicyAction.ALLOW))
    plainly(allowed, allowed.declaration("path"))
    allowed.propose()
    allowed.fleet.commit({}, "with the secret")
    allowed._rules = PolicyRules()
    new = allowed.c.commit("more")
    assert allowed.propose().unfetched == {}
    assert allowed.fleet.locked("c") == new


def test_relative_paths_lie_within_their_flake(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    bench = Bench(nix, tmp_path, cancel)
    sub = {"sub/flake.nix": f"{{ {OUTPUTS} }}", "flake.nix": flake_with('url = "path:./sub";')}
    new = bench.c.commit("a directory of its own", files=sub)
    assert bench.propose().unfetched == {}
    assert bench.fleet.locked("c") == new


# -- who would not be looked at ----------------------------------------------------------------------------------

SHY = {
    "an endless set": "{ inputs = rec { x = { inputs = x; }; }; %s }",
    "overrides without end": "{ inputs = rec { x = { inputs = { y = x; z = x; }; }; }; %s }",
    "a call": '{ inputs.x.url = builtins.concatStringsSep "" [ "path:" "{d}" ]; %s }',
    "a call by its other name": '{ inputs.x.url = __concatStringsSep "" [ "path:" "{d}" ]; %s }',
    "a call that reads": "{ inputs.x.url = builtins.readFile {d}/f; %s }",
    "a fetch": '{ inputs.x.url = (fetchTree { type = "git"; url = "file://{g}"; rev = "{r}"; }).outPath; %s }',
    "a fetch in its outputs": '{ outputs = (builtins.fetchGit { url = "file://{g}"; rev = "{r}"; }).outPath; }',
    "a literal path": "{ inputs.x = { url = {d}/f; flake = false; }; %s }",
    "what starts with no letter": '{ inputs.x = { url = " path:{d}/f"; flake = false; }; %s }',
    "what is not ASCII": '{ inputs.x = { url = "path:{d}/\u00e9"; flake = false; }; %s }',
    "a password": '{ inputs.x = { url = "path:{d}/f#x"; flake = false; }; %s }',
}


@pytest.mark.parametrize("kind", SHY)
def test_what_can_not_be_looked_at_is_not_let_in(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, kind: str
) -> None:
    bench = Bench(nix, tmp_path, cancel)
    text = SHY[kind].replace("%s", OUTPUTS).replace("{d}", str(bench.secret.directory))
    text = text.replace("{g}", str(bench.secret.repository)).replace("{r}", bench.secret.rev)
    bench.c.commit("hostile", files={"flake.nix": text})
    new = bench.move()
    proposal = bench.propose()
    assert not bench.secret.is_in(nix)
    assert bench.fleet.locked("c") == bench.before["c"]
    assert {name: bench.fleet.locked(name) for name in "ab"} == new
    assert {
        *proposal.unfetched,
        *(one.input for one in proposal.unlockable),
        *(one.input for one in proposal.held),
    } == {"c"}


def test_a_flood_of_inputs_ends(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """Each asks for the next twice: nobody could go through all of them."""
    bench = Bench(one_nix, tmp_path, cancel)
    labels = [f"n{number}" for number in range(40)]
    place = {"type": "github", "owner": "o", "repo": "r"}
    nodes: dict[str, object] = {"root": {"inputs": {"x": "n0"}}}
    for label, following in zip(labels, [*labels[1:], ""], strict=True):
        inputs = {"l": following, "r": following} if following else {}
        nodes[label] = {"locked": place | {"rev": "1" * 40}, "original": place, "inputs": inputs}
    bench.c.commit("hostile", files={"flake.nix": flake_with('url = "github:o/r";')} | lock_of(nodes))
    new = bench.move()
    proposal = bench.propose()
    assert {name: bench.fleet.locked(name) for name in "ab"} == new
    (held,) = proposal.unlockable or proposal.held
    assert held.input == "c"
    assert "more than 5000 inputs" in (held.why if not hasattr(held, "detail") else held.detail)


def test_what_was_looked_at_is_what_is_locked(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """Upstream answers otherwise when it is asked once more."""
    bench = Bench(one_nix, tmp_path, cancel)
    harmless = bench.c.commit("harmless")
    lookout = bench.lookout()
    ahead = lookout.ahead(bench.fleet.flake, bench.propose(UpdateRequest(())).old, ["c"], {})
    plainly(bench, bench.declaration("path"))
    assert f"rev={harmless}" in ahead.pins["c"]
    limits = Limits(60, 0)
    propose(bench._nix, bench.fleet.flake, UpdateRequest(), limits, lambda _: None, NoRevisions(), lookout)
    assert bench.fleet.locked("c") == harmless
    assert not bench.secret.is_in(one_nix)
