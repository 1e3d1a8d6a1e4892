"""`lockbot verify`: what lockbot commits is as claimed, and each way in which a commit can be otherwise is found.

The commits that are looked at are made of an update's own: other files, another message, the same parent. They lie
on no branch.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lockbot.cli import cli
from tests import nixes
from tests.fleet import HostSpec
from tests.sampling import nix_by_turns
from tests.update.world import World

FOLLOWS = {"other-derivation", "host-fails", "not-as-judged"}
"""What may follow: for a host, another content makes another derivation, or none; and the run that the message
names has judged the update itself, whose files are others."""


@dataclass
class Reviewed:
    """An update of `a` that lockbot has committed. `b` has a newer commit, and no update."""

    world: World
    base: str
    update: str
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, nix: nixes.Nix, directory: Path) -> Reviewed:
        hosts = [HostSpec("web", ["a"]), HostSpec("db", ["b"], uses_self_rev=True)]
        world = World.create(nix, directory, inputs="ab", hosts=hosts)
        world.settings["repository"] = 'branch = "main"'  # which need not be checked out
        base = world.head()
        world.upstreams["a"].commit("second")
        assert world.update("--input", "a").code == 0
        world.upstreams["b"].commit("second")
        return cls(world, base, world.head())

    # -- making commits -------------------------------------------------------------------------------------

    def git(self, *arguments: str, stdin: str | None = None, **variables: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.world.repository), *arguments],
            env={**self.world.environment, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    @property
    def message(self) -> str:
        return self.git("show", "--no-patch", "--format=%B", self.update) + "\n"

    @property
    def lock(self) -> dict[str, Any]:
        lock: dict[str, Any] = json.loads(self.git("show", f"{self.update}:flake.lock"))
        return lock

    def commit(
        self,
        files: Mapping[str, str | None],
        message: str | None = None,
        parents: tuple[str, ...] | None = None,
        links: tuple[str, ...] = (),
    ) -> str:
        """The update's tree with other files in it (None: without it)."""
        index = {"GIT_INDEX_FILE": str(self.world.directory / "index")}
        self.git("read-tree", self.update, **index)
        for path, text in files.items():
            if text is None:
                self.git("rm", "--quiet", "--cached", "--", path, **index)
            else:
                blob = self.git("hash-object", "-w", "--stdin", stdin=text)
                mode = "120000" if path in links else "100644"
                self.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", **index)
        tree = self.git("write-tree", **index)
        given = [word for parent in (parents if parents is not None else (self.base,)) for word in ("-p", parent)]
        return self.git("commit-tree", *given, "-F", "-", tree, stdin=self.message if message is None else message)

    # -- looking at them ------------------------------------------------------------------------------------

    def run(self, *arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(
            cli, ["--quiet", "--config", str(self.world.config), "verify", *arguments],
            env={**self.world.environment, **self.environment}, standalone_mode=False,
        )  # fmt: skip
        if done.exception is not None:
            raise done.exception
        return int(done.return_value), done.stdout

    def verify(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code, said = self.run(*arguments, "--json")
        document: dict[str, Any] = json.loads(said)
        return code, document


@pytest.fixture(scope="module")
def _reviewed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[nixes.Nix], Reviewed]:
    made: dict[str, Reviewed] = {}

    def reviewed(nix: nixes.Nix) -> Reviewed:
        if nix.version not in made:
            made[nix.version] = Reviewed.create(nix, tmp_path_factory.mktemp("verify"))
        return made[nix.version]

    return reviewed


@pytest.fixture
def reviewed(_reviewed: Callable[[nixes.Nix], Reviewed], nix: nixes.Nix) -> Reviewed:
    """One for each version, for all tests: none changes it but by commits on no branch."""
    return _reviewed(nix)


@pytest.fixture
def one_reviewed(_reviewed: Callable[[nixes.Nix], Reviewed], one_nix: nixes.Nix) -> Reviewed:
    return _reviewed(one_nix)


def kinds(document: Mapping[str, Any]) -> set[str]:
    return {finding["kind"] for finding in document["findings"]}


# -- as claimed ------------------------------------------------------------------------------------------------


def test_what_lockbot_commits_is_as_claimed(reviewed: Reviewed) -> None:
    code, found = reviewed.verify("main", "--build")
    assert (code, found["findings"], found["unjudged"]) == (0, [], [])
    assert set(found) == {"commit", "as_claimed", "judged", "findings", "hosts", "unjudged", "notes"}
    assert (found["commit"], found["as_claimed"]) == (reviewed.update, True)
    hosts = {row["host"]: row for row in found["hosts"]}
    assert set(hosts) == {"db", "web"}
    assert re.fullmatch(r"built \w{32}-host-web.drv", hosts["web"]["claimed"])
    assert hosts["db"]["claimed"] == "built names-commit"
    for spec in reviewed.world.fleet.hosts:
        drv = reviewed.world.fleet.derivation(spec, reviewed.update)
        assert hosts[spec.name]["found"] == f"built {Path(drv).name}"


def test_a_range_is_each_of_its_commits(one_reviewed: Reviewed) -> None:
    wrong = one_reviewed.commit({"README": "hello"}, parents=(one_reviewed.update,))
    between = f"{one_reviewed.base}..{wrong}"
    code, found = one_reviewed.verify("--range", between, "--no-evaluate")
    assert code == 1
    assert [(one["commit"], one["as_claimed"]) for one in found["commits"]] == [
        (one_reviewed.update, True),
        (wrong, False),
    ]
    code, said = one_reviewed.run("--range", between, "--no-evaluate")
    assert code == 1
    lines = said.splitlines()
    assert len(lines) == 3 and lines[-1] == "2 commits: 1 as claimed, 1 not as claimed"
    assert lines[0].startswith(f"{one_reviewed.update[:12]}  as claimed")
    assert re.search("  not as claimed  .*: .* [(]and 2 more[)]$", lines[1])
    assert one_reviewed.verify("--range", f"{one_reviewed.base}..main", "--host", "web")[0] == 0
    assert one_reviewed.run("--range", "main..main") == (0, "no commits in that range\n")


def test_a_commit_without_trailers_makes_no_claims(one_reviewed: Reviewed) -> None:
    other = one_reviewed.commit({"web.nix": "1"}, "Another's")
    merge = one_reviewed.commit({"web.nix": "1"}, "By hand", parents=(one_reviewed.base, other))
    root = one_reviewed.commit({"web.nix": "1"}, 'Revert "by hand"\n\nThis reverts it.\n', parents=())
    code, found = one_reviewed.verify(merge, "--no-evaluate")
    assert (code, found["findings"], found["hosts"]) == (0, [], [])
    assert "makes no claims" in found["notes"][0] and "merge" in found["notes"][1]
    code, found = one_reviewed.verify(root, "--host", "w*")
    assert (code, found["findings"]) == (0, [])
    assert "makes no claims" in found["notes"][0] and "no parent" in found["notes"][1]
    assert [(row["host"], row["claimed"]) for row in found["hosts"]] == [("web", None)]


# -- and what is not -------------------------------------------------------------------------------------------

Change = Callable[[Reviewed], str]
"""Makes the commit."""


def lock_with(reviewed: Reviewed, change: Callable[[dict[str, Any]], object]) -> str:
    lock = reviewed.lock
    change(lock["nodes"])
    return json.dumps(lock)


def edited(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda reviewed: reviewed.commit({"flake.lock": lock_with(reviewed, change)})


def said(pattern: str, replacement: str) -> Change:
    """Another message."""

    def make(reviewed: Reviewed) -> str:
        message, count = re.subn(pattern, replacement, reviewed.message, flags=re.MULTILINE)
        assert count == 1, reviewed.message
        return reviewed.commit({}, message)

    return make


def with_old_content(reviewed: Reviewed) -> str:
    """The new revision with the old content's hash: the store has that content, and Nix takes it."""
    old = json.loads(reviewed.git("show", f"{reviewed.base}:flake.lock"))["nodes"]["a"]["locked"]
    return edited(lambda nodes: nodes["a"]["locked"].update(narHash=old["narHash"]))(reviewed)


def with_b_moved(reviewed: Reviewed) -> str:
    upstream = reviewed.world.upstreams["b"]
    lock = lock_with(reviewed, lambda nodes: nodes["b"].update(json.loads(_locked_anew(reviewed))["nodes"]["b"]))
    assert upstream.head() in lock
    return reviewed.commit({"flake.lock": lock})


def _locked_anew(reviewed: Reviewed) -> str:
    """The lock as it is after `nix flake update` in a copy."""
    copy = reviewed.world.directory / "copy"
    if not copy.exists():
        reviewed.git("worktree", "add", "--quiet", "--detach", str(copy), reviewed.update)
        reviewed.world.nix.run("nix", "flake", "update", cwd=copy)
    return (copy / "flake.lock").read_text()


def from_elsewhere(reviewed: Reviewed) -> str:
    """The same content, from somebody else's repository."""
    mine = reviewed.world.upstreams["a"].path
    theirs = mine.with_name("evil")
    if not theirs.exists():
        reviewed.git("clone", "--quiet", "--bare", str(mine), str(theirs))
    return edited(lambda nodes: nodes["a"]["locked"].update(url=f"file://{theirs}"))(reviewed)


def broken_at_build(reviewed: Reviewed) -> str:
    described = json.loads(reviewed.git("show", f"{reviewed.update}:fleet.json"))
    described["hosts"][0]["failure"]["kind"] = "build"
    return reviewed.commit({"fleet.json": json.dumps(described)})


def without_input(name: str) -> Change:
    return edited(lambda nodes: nodes["root"]["inputs"].pop(name))


def with_input(name: str, node: str) -> Change:
    return edited(lambda nodes: nodes["root"]["inputs"].update({name: node}))


def with_file(name: str, text: str | None) -> Change:
    return lambda reviewed: reviewed.commit({name: text})


OF_HOSTS = {"other-content", "other-derivation", "host-fails", "host-gone", "host-not-named"}
"""Findings for which hosts must be looked at."""
ANOTHER = f"{'0' * 32}-host-web.drv"
CATCHES: dict[str, tuple[Change, set[str]]] = {
    "a hash edited by hand": (with_old_content, {"other-content"}),
    "a date edited by hand": (
        edited(lambda nodes: nodes["a"]["locked"].update(lastModified=1)),
        {"other-content"},
    ),
    "a branch edited by hand": (
        edited(lambda nodes: nodes["a"]["original"].update(ref="main")),
        {"lock", "origin-changed"},
    ),
    "an input left out": (without_input("b"), {"lock", "input-not-named"}),
    "an input too many": (with_input("c", "a"), {"lock", "input-not-named"}),
    "a node too many": (edited(lambda nodes: nodes.update(c=nodes["a"])), {"lock"}),
    "a lock that is none": (with_file("flake.lock", "<<<<<<< ours\n"), {"lock"}),
    "no lock": (with_file("flake.lock", None), {"lock", "input-not-moved", "input-not-named"}),
    "an input that the message does not name": (said("^Lockbot-Input: a .*\n", ""), {"input-not-named"}),
    "an input that moves besides": (with_b_moved, {"input-not-named"}),
    "an input that does not move": (
        said("^(Lockbot-Input: )a", r"\1b"),
        {"input-not-named", "input-not-moved"},
    ),
    "a node from elsewhere": (from_elsewhere, {"origin-changed"}),
    "another derivation": (said("^(Lockbot-Host: web) .*", rf"\1 built {ANOTHER}"), {"other-derivation"}),
    "a derivation that is not the commit's": (
        said("^(Lockbot-Host: web) .*", r"\1 built names-commit"),
        {"other-derivation"},
    ),
    "another file": (with_file("web.nix", "{ }"), {"other-file"}),
    "a host that is gone": (said("^(Lockbot-Run: .*)", r"\1\nLockbot-Host: mail built"), {"host-gone"}),
    "a host that is not named": (said("^Lockbot-Host: web.*\n", ""), {"host-not-named"}),
    "hosts that do not evaluate": (with_file("fleet.nix", "inputs: throw ''no''"), {"other-file", "host-fails"}),
}


@nix_by_turns(("make", "expected"), CATCHES)
def test_what_is_not_as_claimed_is_found(reviewed: Reviewed, make: Change, expected: set[str]) -> None:
    quick = () if expected & OF_HOSTS else ("--no-evaluate",)
    code, found = reviewed.verify(make(reviewed), *quick)
    assert (code, found["as_claimed"]) == (1, False), found
    assert expected <= kinds(found) and kinds(found) - expected <= FOLLOWS, found
    assert not found["unjudged"]


def test_looking_at_a_forged_lock_leaves_nothing_behind_that_hides_it(one_reviewed: Reviewed) -> None:
    """Nix 2.34 remembers the old content for the new revision, once it has evaluated such a lock."""
    forged = with_old_content(one_reviewed)
    assert "other-content" in kinds(one_reviewed.verify(forged, "--host", "web")[1])
    assert "other-content" in kinds(one_reviewed.verify(forged, "--host", "web")[1])
    assert one_reviewed.verify("main", "--host", "web")[0] == 0


def test_a_host_that_does_not_build_is_found_when_it_is_built(one_reviewed: Reviewed) -> None:
    commit = broken_at_build(one_reviewed)
    assert "host-fails" not in kinds(one_reviewed.verify(commit, "--host", "web")[1])
    code, found = one_reviewed.verify(commit, "--host", "web", "--build")
    assert code == 1 and "host-fails" in kinds(found)
    assert found["hosts"][0]["found"].startswith("failed: build failed: ")
    _, text = one_reviewed.run(commit, "--host", "web", "--build")
    assert text.splitlines()[0].startswith(commit[:12]) and text.splitlines()[-1] == "not as claimed"
    assert "not as claimed: web does not build, and the message says built: build failed" in text


def test_files_that_may_come_with_an_update_are_fine(one_reviewed: Reviewed) -> None:
    commit = one_reviewed.commit({"deps/a.json": "{ }", "b.json": "{ }"})
    one_reviewed.environment["LOCKBOT_AFTER_UPDATE__PATHS"] = '["deps/*"]'
    try:
        _, found = one_reviewed.verify(commit, "--no-evaluate")
    finally:
        one_reviewed.environment.clear()
    said = [finding["message"] for finding in found["findings"] if finding["kind"] == "other-file"]
    assert [message.split()[3] for message in said] == ["b.json,"]


def test_a_flake_that_asks_for_another_place_is_told_and_is_no_finding(one_reviewed: Reviewed) -> None:
    """By hand, with a lock that Nix makes."""
    mine = one_reviewed.world.upstreams["a"]
    moved = mine.path.with_name("moved")
    one_reviewed.git("clone", "--quiet", "--bare", str(mine.path), str(moved))
    flake = one_reviewed.git("show", f"{one_reviewed.update}:flake.nix").replace(str(mine.path), str(moved)) + "\n"
    text = lock_with(
        one_reviewed,
        lambda nodes: [nodes["a"][side].update(url=f"file://{moved}") for side in ("original", "locked")],
    )
    commit = one_reviewed.commit({"flake.nix": flake, "flake.lock": text}, "Another place", (one_reviewed.update,))
    code, found = one_reviewed.verify(commit)
    assert (code, found["findings"]) == (0, [])
    assert any("a is git+file" in note and "flake.nix has changed" in note for note in found["notes"])


# -- what can't be found out, and what is no question ----------------------------------------------------------


def test_what_can_not_be_found_out_is_not_called_wrong(one_reviewed: Reviewed) -> None:
    one_reviewed.environment["NIX_REMOTE"] = f"unix://{one_reviewed.world.directory}/no-daemon"
    try:
        code, found = one_reviewed.verify("main")
        wrong = one_reviewed.verify(one_reviewed.commit({"web.nix": "{ }"}), "--no-evaluate")
        text = one_reviewed.run("main", "--no-evaluate")[1]
    finally:
        one_reviewed.environment.clear()
    assert (code, found["findings"], found["as_claimed"]) == (3, [], False)
    assert any("flake.lock" in sentence for sentence in found["unjudged"])
    assert all(row["found"].startswith("unjudged: ") for row in found["hosts"]) and len(found["hosts"]) == 2
    assert text.splitlines()[-1] == "could not be found out"
    assert (wrong[0], kinds(wrong[1])) == (1, {"other-file", "not-as-judged"}), (
        "what is known to be wrong is told all the same"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "no commit"),
        (["--", "-x"], "cannot be the name"),
        (["main", "--range", "main..main"], "exclude each other"),
        (["--range", "main"], "no range"),
        (["--range", "main..nonsense"], "no commit"),
        (["--no-evaluate", "--build"], "--no-evaluate"),
        (["main", "--host", "wbe"], "no host 'wbe'"),
    ],
)
def test_what_is_no_question_is_a_mistake(one_reviewed: Reviewed, arguments: list[str], message: str) -> None:
    with pytest.raises(Exception, match=message) as error:
        one_reviewed.run(*arguments)
    assert getattr(error.value, "exit_code", None) == 2


def test_no_branch_is_needed_but_the_whole_history(one_reviewed: Reviewed, tmp_path: Path) -> None:
    """A checkout as CI services make it."""
    origin, config = one_reviewed.world.repository, tmp_path / "lockbot.toml"
    one_reviewed.git("clone", "--quiet", "--no-checkout", origin.as_uri(), str(tmp_path / "whole"))
    one_reviewed.git("-C", str(tmp_path / "whole"), "checkout", "--quiet", "--detach", one_reviewed.update)
    one_reviewed.git("-C", str(tmp_path / "whole"), "branch", "--quiet", "-D", "main")
    one_reviewed.git("clone", "--quiet", "--depth=1", origin.as_uri(), str(tmp_path / "shallow"))

    def verify(clone: str, *arguments: str) -> Result:
        state = f'[state]\ndirectory = "{tmp_path}/state"\nmin_free = "0"\n'
        config.write_text(f'[repository]\npath = "{tmp_path}/{clone}"\n{state}')
        words = ["--quiet", "--config", str(config), "verify", "--no-evaluate", *arguments]
        return CliRunner().invoke(cli, words, env=one_reviewed.world.environment, standalone_mode=False)

    assert verify("whole").return_value == 0
    done = verify("whole", "--range", "origin/main^..HEAD")
    assert (done.return_value, one_reviewed.update[:12] in done.stdout) == (0, True)
    assert "is a shallow clone" in str(verify("shallow").exception)


def test_a_link_that_is_flake_nix_changes_with_what_it_leads_to(one_reviewed: Reviewed) -> None:
    flake = one_reviewed.git("show", f"{one_reviewed.update}:flake.nix")
    old, mine = one_reviewed.update, one_reviewed.world.upstreams["a"].path
    linked = one_reviewed.commit(
        {"flake.nix": "real.nix", "real.nix": flake}, "By hand", (old,), links=("flake.nix",)
    )
    url = f"file://{mine}"
    assert flake.count(url) == 1
    text = json.dumps(one_reviewed.lock).replace(f'"{url}"', f'"{url}/.git"')
    files = {"flake.nix": "real.nix", "real.nix": flake.replace(url, f"{url}/.git"), "flake.lock": text}
    moved = one_reviewed.commit(files, "By hand", (linked,), links=("flake.nix",))
    code, found = one_reviewed.verify(moved, "--no-evaluate")
    assert (code, found["findings"]) == (0, [])
    assert any("flake.nix has changed" in note for note in found["notes"])


def test_nothing_of_the_users_is_touched(one_reviewed: Reviewed) -> None:
    refs = one_reviewed.git("for-each-ref")
    assert one_reviewed.verify("HEAD", "--no-evaluate")[0] == 0
    assert one_reviewed.git("for-each-ref") == refs
    assert one_reviewed.git("status", "--porcelain") == ""
    assert not list((one_reviewed.world.place / "worktrees").iterdir())
