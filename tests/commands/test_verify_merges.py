"""`lockbot verify` of what people and forges merged: whether it is what was judged, with a history and without.

The commits are those of the stand-ins' merge buttons, in real repositories, or forged in the same way.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import HostSpec
from tests.nixes import Nix
from tests.pull_requests.forges import FORGES, NAME, Shown, host_of
from tests.pull_requests.world import Nights
from tests.sampling import UNREVIEWED
from tests.update.world import World, finish

WAYS = {"github": ("merge", "squash"), "gitlab": ("squash", "merge"), "forgejo": ("squash", "rebase")}
"""How the first request is merged, and how the second."""


@dataclass
class Merged:
    """Two requests of one run, both on the same base. `first` was merged while the base was as it was."""

    nights: Nights
    directory: Path
    base: str
    first: Shown
    second: Shown
    commits: tuple[str, str]
    """As which they were merged."""

    def verify(self, commit: str, *arguments: str, remembers: bool = True) -> tuple[int, dict[str, Any]]:
        """`remembers`: by the lockbot that judged it, not by one that knows nothing yet."""
        world = self.nights.world
        state = self.directory / ("state" if remembers else "other")
        argv = world.argv("verify", commit, "--json", *(arguments or ("--no-evaluate",)))
        result = finish(world.start(argv=argv, XDG_STATE_HOME=str(state)))
        assert result.document, result.stderr
        return result.code, dict(result.document)

    # -- forging ------------------------------------------------------------------------------------------

    def git(self, *arguments: str) -> str:
        return self.nights.forge.host.git(NAME, *arguments)

    def message(self, commit: str) -> str:
        return self.git("show", "--no-patch", "--format=%B", commit)

    def commit(self, tree: str, *parents: str, message: str) -> str:
        """On a branch of its own."""
        given = [word for parent in parents for word in ("-p", parent)]
        made = self.git("commit-tree", tree, *given, "-m", message)
        self.git("update-ref", f"refs/heads/forged-{made}", made)
        return made

    def tampered(self) -> str:
        """The first request's files, but with the lock edited by hand: `b` is at its newer revision, too."""
        lock = json.loads(self.git("show", f"{self.first.head}:flake.lock"))
        lock["nodes"]["b"] = json.loads(self.git("show", f"{self.second.head}:flake.lock"))["nodes"]["b"]
        self.git("update-ref", "refs/heads/tampering", self.first.head)
        made = self.nights.forge.host.commit_on(NAME, "tampering", "x", {"flake.lock": json.dumps(lock)})
        return f"{made}^{{tree}}"


def make(nix: Nix, directory: Path, kind: str, stack: ExitStack) -> Merged:
    forge = FORGES[kind](stack.enter_context(host_of(directory / "forge")))
    nights = Nights(nix, directory, forge, more='[search]\nstrategy = "each"')
    base = nights.tip()
    nights.upstream("a", "b")
    nights.night()
    first, second = nights.open()
    one = forge.merge(first.number, WAYS[kind][0])
    other = forge.merge(second.number, WAYS[kind][1])
    nights.settle()
    return Merged(nights, directory, base, first, second, (one, other))


@pytest.fixture(scope="module")
def _merged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Nix, str], Merged]]:
    made: dict[str, Merged] = {}
    with ExitStack() as stack:

        def merged(nix: Nix, kind: str) -> Merged:
            if kind not in made:
                made[kind] = make(nix, tmp_path_factory.mktemp(kind), kind, stack)
            return made[kind]

        yield merged


@pytest.fixture
def github(_merged: Callable[[Nix, str], Merged], one_nix: Nix) -> Merged:
    """One for all tests: none changes more than branches of its own."""
    return _merged(one_nix, "github")


def kinds(document: dict[str, Any]) -> set[str]:
    return {finding["kind"] for finding in document["findings"]}


def note(document: dict[str, Any], words: str) -> str:
    (one,) = [note for note in document["notes"] if words in note]
    return str(one)


@pytest.mark.parametrize("kind", FORGES)
def test_what_a_forge_merged_is_compared_with_what_was_judged(
    _merged: Callable[[Nix, str], Merged], one_nix: Nix, kind: str
) -> None:
    merged = _merged(one_nix, kind)
    (one, other), (run,) = merged.commits, {row["run"] for row in merged.nights.listed()}
    assert one not in (merged.first.head, merged.second.head)

    code, found = merged.verify(one)
    assert (code, found["findings"], found["as_claimed"]) == (0, [], True)
    assert found["judged"] == {"commit": merged.first.head, "run": run, "remembered": True, "files": []}
    words = f"its files are those of {merged.first.head}, which was judged in run {run}"
    assert note(found, "its files are") == words

    code, found = merged.verify(other)  # the base had moved by then
    assert (code, kinds(found)) == (1, {"not-as-judged"})
    assert found["judged"] == {
        "commit": merged.second.head,
        "run": run,
        "remembered": True,
        "files": ["flake.lock"],
    }
    (finding,) = found["findings"]
    assert finding["message"].endswith(f"not those of {merged.second.head}, which was judged in run {run}: "
                                       "flake.lock differs")  # fmt: skip
    assert note(found, "on top of") == (
        f"{merged.second.head[:12]} was judged on top of {merged.base[:12]}, and this lies on {one[:12]}"
    )


def test_a_merge_is_held_to_what_was_said_of_the_hosts(github: Merged) -> None:
    one, other = github.commits
    code, found = github.verify(one, "--host", "*")
    assert (code, found["findings"]) == (0, [])
    assert all(row["claimed"].split()[1] == row["found"].split()[1] for row in found["hosts"])
    code, found = github.verify(other, "--host", "*")
    assert (code, kinds(found)) == (1, {"not-as-judged", "other-derivation"})


def test_without_the_history_a_merge_says_by_itself_what_it_brings(github: Merged) -> None:
    one, other = github.commits
    code, found = github.verify(one, remembers=False)
    assert (code, found["judged"]["commit"], found["judged"]["remembered"]) == (0, github.first.head, False)
    assert note(found, "its files are those of").endswith(", as its own message says")
    code, found = github.verify(other, remembers=False)  # a squash that has its title alone for a message
    assert (code, found["judged"]) == (0, None)
    assert note(found, "makes no claims")


def test_a_squash_that_has_the_message_is_found_without_having_been_seen(github: Merged) -> None:
    """As GitHub writes it: with the commit's message, and who else wrote it. No lockbot saw it being merged."""
    text = (
        github.message(github.first.head).replace("\n", "\r\n") + "\n\n---------\n\nCo-authored-by: me <m@x.org>"
    )
    same = github.commit(f"{github.first.head}^{{tree}}", github.base, message=text)
    code, found = github.verify(same)
    assert (code, found["findings"], found["judged"]["files"]) == (0, [], [])
    assert found["judged"]["commit"] == github.first.head
    code, found = github.verify(same, remembers=False)
    assert (code, found["findings"], found["judged"]) == (0, [], None)
    assert not [note for note in found["notes"] if "no claims" in note]


def test_a_squash_whose_lock_somebody_has_edited_is_not_what_was_judged(github: Merged) -> None:
    forged = github.commit(github.tampered(), github.base, message=github.message(github.first.head))
    code, found = github.verify(forged)
    assert (code, kinds(found)) == (1, {"not-as-judged", "input-not-named"})
    assert (found["judged"]["commit"], found["judged"]["files"]) == (github.first.head, ["flake.lock"])
    code, found = github.verify(forged, remembers=False)
    assert (code, kinds(found)) == (1, {"input-not-named"}), "what the message claims is looked at all the same"


def test_a_merge_into_which_somebody_has_put_more_is_not_what_was_judged(github: Merged) -> None:
    forged = github.commit(github.tampered(), github.base, github.first.head, message="Merge pull request #1")
    for remembers in (True, False):
        code, found = github.verify(forged, remembers=remembers)
        assert (code, kinds(found)) == (1, {"not-as-judged", "input-not-named"})
        assert found["judged"]["remembered"] is remembers


def test_a_run_that_nobody_knows_proves_nothing(github: Merged) -> None:
    """Neither does the beginning of a run's name, though that is enough for a person to name it by."""
    (run,) = {row["run"] for row in github.nights.listed()}
    for name in (run[:6], "20260101-000000-0000", "-"):
        text = github.message(github.first.head).replace(run, name)
        forged = github.commit(github.tampered(), github.base, message=text)
        assert github.verify(forged)[1]["judged"] is None


def test_of_a_judged_commit_that_is_gone_nothing_can_be_known(
    _merged: Callable[[Nix, str], Merged], one_nix: Nix, tmp_path: Path
) -> None:
    merged = _merged(one_nix, "gitlab")
    merged.nights.settle()
    assert merged.git("for-each-ref", f"--contains={merged.first.head}") == "", "its branch was removed"
    shutil.move(merged.nights.world.place / "clone.git", tmp_path / "clone.git")
    merged.git("gc", "--quiet", "--prune=now")
    code, found = merged.verify(merged.commits[0])
    assert (code, found["findings"], found["as_claimed"]) == (3, [], False)
    assert (found["judged"]["commit"], found["judged"]["files"]) == (merged.first.head, None)
    (said,) = found["unjudged"]
    assert merged.first.head in said and "can't be known" in said


def test_each_commit_of_a_series_is_one_that_was_judged(one_nix: Nix, tmp_path: Path) -> None:
    """It is made of none: the run's record names the last of them alone."""
    world = World.create(one_nix, tmp_path, inputs="ab", hosts=[HostSpec("web", ["a"]), HostSpec("db", ["b"])])
    world.environment |= UNREVIEWED
    world.settings["search"] = 'strategy = "each"'
    for upstream in world.upstreams.values():
        upstream.commit("more")
    assert world.update().code == 0
    argv = world.argv("verify", "--range", "main~2..main", "--no-evaluate", "--json")
    result = finish(world.start(argv=argv))
    assert [(one["judged"], one["findings"]) for one in result["commits"]] == [(None, [])] * 2
