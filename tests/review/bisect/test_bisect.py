"""`lockbot bisect` on a real flake: which commit, input and upstream commit made a command fail.

The host's system is a file with the values of its inputs; commands look at that.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockbot.cli import cli
from lockbot.errors import LockbotError
from tests import nixes
from tests.cli.test_cli import lockbot
from tests.conftest import INSTALLED
from tests.fleet import Fleet, HostSpec, Upstream

READ = 'read a b c <"$LOCKBOT_TOPLEVEL"; '
COUNT = 'echo "$LOCKBOT_HOST $LOCKBOT_COMMIT $a" >>"$COUNT"; '


@dataclass(frozen=True)
class House:
    """A flake with a history. `commits`: the older first; `upstream`: the revisions of the input a, by value."""

    nix: nixes.Nix
    directory: Path
    fleet: Fleet
    env: Mapping[str, str]
    commits: tuple[str, ...]
    upstream: Mapping[str, str]

    def bisect(self, *words: str, since: int = 0, to: int | None = None, code: int = 0) -> Any:
        """What it says of the host web, as JSON; or, where it ends with an error, that."""
        ends = ["--since", self.commits[since], *(["--to", self.commits[to]] if to is not None else [])]
        done = self.run("--host", "web", *ends, "--json", *words)
        assert done.returncode == code, done.stdout + done.stderr
        if code > 1:
            return done.stderr
        document = json.loads(done.stdout)
        assert list(document) == [
            *("host", "command", "first_bad", "blame", "input", "upstream", "exact", "among", "reason", "tried")
        ]
        return document

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """In this process, which is quicker."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.fleet.path)
            for name in set(os.environ) - set(self.env):
                patch.delenv(name)
            done = CliRunner().invoke(cli, ["bisect", *words], env=self.env, standalone_mode=False)
        if isinstance(done.exception, LockbotError):
            told = f"{done.exception.message}\n{done.exception.hint}"
            return subprocess.CompletedProcess((), done.exception.exit_code, done.stdout, told)
        assert done.exception is None, done.exc_info
        return subprocess.CompletedProcess((), done.return_value, done.stdout, done.stderr)


def script(test: str) -> tuple[str, ...]:
    return ("--", "sh", "-c", READ + test)


@pytest.fixture(scope="module")
def house(_prepared: Callable[[nixes.Installed], nixes.Nix], tmp_path_factory: pytest.TempPathFactory) -> House:
    nix, directory = _prepared(INSTALLED[-1]), tmp_path_factory.mktemp("bisect")
    a, b, c = (Upstream.create(directory, name) for name in "abc")
    web = HostSpec("web", ["a", "b"])
    fleet = Fleet.create(directory / "fleet", nix, inputs=[a, b, c], hosts=[web])
    commits = [fleet.head()]
    b.commit("b: second")
    commits.append(fleet.update("b"))
    commits.append(fleet.commit({"README": "nothing that the host is made of"}, "words"))
    upstream = {a.value: a.head()}
    for number in range(4):
        upstream[a.value] = a.commit(f"a: number {number}\x1b[2J")
        upstream[a.value] = a.head()
    b.commit("b: third")
    commits.append(fleet.update("a", "b"))
    a.break_build()
    commits.append(fleet.update("a"))
    a.fix()
    commits.append(fleet.update("a"))
    b.commit("b: fourth")
    nix.run("nix", "flake", "update", "b", cwd=fleet.flake)
    commits.append(fleet.declare(hosts=[HostSpec("web", ["a", "b", "c"])]))
    c.commit("c: second")
    nix.run("nix", "flake", "update", "c", cwd=fleet.flake)
    commits.append(fleet.commit({"README": "more words"}, "update c, and more words"))
    env = {**nix.environment, "LOCKBOT_STATE__DIRECTORY": str(directory / "state")}
    return House(nix, directory, fleet, env, tuple(commits), upstream)


def test_the_commit_the_input_and_the_upstream_commit_are_found(house: House) -> None:
    count = house.directory / "count"
    house = replace(house, env={**house.env, "COUNT": str(count)})
    line = script(COUNT + "test $a -lt 4")
    found = house.bisect(*line, to=3)
    assert found["first_bad"]["commit"] == house.commits[3]
    assert found["first_bad"]["subject"] == "update a, b"
    assert (found["blame"], found["input"]["input"], found["exact"]) == ("lock", "a", True)
    assert found["input"]["together_with"] == []
    assert found["upstream"]["revision"] == house.upstream["4"]
    assert found["upstream"]["after"] == house.upstream["3"] != found["input"]["old"]
    assert found["upstream"]["subject"] == "a: number 2\x1b[2J"
    systems = [one["toplevel"] for one in found["tried"] if one["toplevel"]]
    assert not any(one["known"] for one in found["tried"])
    runs = count.read_text().splitlines()
    assert len(runs) == len(set(systems)), "what is the same system is tried once"
    assert {tuple(run.split()[:2]) for run in runs} <= {("web", commit) for commit in house.commits}
    # Again: nothing is built or run, and the same comes of it.
    removed = Path(found["tried"][-1]["toplevel"])
    house.nix.run("nix-store", "--delete", removed)
    done = house.run("--host", "web", "--since", house.commits[0], "--to", house.commits[3], *line)
    assert f"of this command {len(runs)} results are known from before" in done.stderr
    assert f"{len(runs)} systems tried, {len(runs)} of them known from before" in done.stdout
    assert f"lockbot hold a --at {house.upstream['3']}" in done.stdout and "\x1b" not in done.stdout
    assert count.read_text().splitlines() == runs and not removed.exists()
    assert not list((house.directory / "state").glob("repos/*/bisect/*/*")), "what it worked with is gone"


def test_two_inputs_that_do_not_go_together(house: House) -> None:
    found = house.bisect(*script("test $a -lt 3 || test $b -lt 3"), since=2, to=3)
    assert (found["first_bad"]["commit"], found["exact"]) == (house.commits[3], True)
    assert found["input"]["input"] == "a" and found["upstream"] is None
    assert [one["input"] for one in found["input"]["together_with"]] == ["b"]
    moved = [set(one["lock"]) for one in found["tried"] if one["lock"] is not None]
    assert all(one in moved for one in ({"a"}, {"b"}, {"a", "b"}))


HOSTILE = ("$(touch hit)", ";touch hit", "a\nb", "\x1b[2J", "--host", "\udcff")


def test_a_change_of_other_files_is_to_blame(house: House) -> None:
    """And the command gets its arguments as they are."""
    words = house.directory / "words"
    program = f"printf '%s\\n' \"$@\" | tee {words}; " + READ + 'test -z "$c"'
    found = house.bisect("--", "sh", "-c", program, "sh", *HOSTILE, since=5, to=6)
    assert (found["first_bad"]["commit"], found["blame"]) == (house.commits[6], "files")
    assert (found["input"], found["upstream"], found["exact"]) == (None, None, True)
    assert [one["result"] for one in found["tried"] if one["lock"]] == ["good"], "it moves b, too"
    assert os.fsdecode(words.read_bytes()) == "".join(f"{word}\n" for word in HOSTILE)
    assert not (house.fleet.path / "hit").exists()


def test_a_commit_that_changes_the_lock_and_more(house: House) -> None:
    found = house.bisect(*script('test "$c" -lt 2'), since=6)
    assert (found["first_bad"]["commit"], found["blame"]) == (house.commits[7], "lock")
    assert (found["input"]["input"], found["upstream"]["exact"], found["exact"]) == ("c", True, True)
    assert found["upstream"]["subject"] == "c: second"
    assert {one["lock"] and tuple(one["lock"]) for one in found["tried"]} == {None, ("c",)}


def test_what_cannot_be_built_may_be_it(house: House) -> None:
    found = house.bisect(*script("test $a -lt 6"), since=3, to=5)
    assert found["among"] == list(house.commits[4:6])
    assert (found["exact"], found["blame"], found["input"]) == (False, None, None)
    (skipped,) = [one for one in found["tried"] if one["result"] == "skipped"]
    assert skipped["commit"] == house.commits[4] and "build failed" in skipped["why"]


def test_stopped_or_killed_it_goes_on_where_it_was(house: House) -> None:
    count = house.directory / "count-killed"
    env = {**house.env, "PYTHONPATH": str(nixes.PROJECT), "COUNT": str(count)}
    house = replace(house, env=env)
    end = 'case $(wc -l <"$COUNT") in 1) kill -INT $PPID; sleep 600;; 3) kill -9 $PPID; exit 1;; esac; '
    words = ("--host", "web", "--since", house.commits[1], "--to", house.commits[3], "--json")
    line = script(COUNT + end + "test $b -lt 3")
    stopped = lockbot("bisect", *words, *line, env=env, cwd=house.fleet.path)
    assert (stopped.returncode, stopped.stdout) == (130, "")
    assert "stopped: SIGINT\n  the same command line goes on from here" in stopped.stderr
    killed = lockbot("bisect", *words, *line, env=env, cwd=house.fleet.path)
    assert (killed.returncode, killed.stdout) == (-9, "")
    done = house.run(*words, *line)
    found = json.loads(done.stdout)
    assert "of this command 1 result is known from before" in done.stderr
    assert (found["input"]["input"], found["upstream"]["subject"]) == ("b", "b: third")
    assert [one["known"] for one in found["tried"]].count(True) == 1
    systems = {one["toplevel"] for one in found["tried"]}
    assert len(count.read_text().splitlines()) == len(systems) + 2, "the ones in which it ended, twice"


# -- what is not found, and mistakes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--", "true"), 1, "it does not fail at "),
        (("--", "false"), 1, "it fails at "),
        (("--timeout", "0.1s", "--", "sleep", "60"), 3, "can't be told to be good: it took longer than 0.1 s"),
    ],
)
def test_ends_that_are_not_as_they_should_be(house: House, words: tuple[str, ...], code: int, said: str) -> None:
    found = house.bisect(*words, since=2, to=3, code=code)
    if code == 1:
        assert found["reason"].startswith(said) and found["first_bad"] is None and not found["exact"]
    else:
        assert said in found


def test_a_question_that_makes_no_sense_ends_with_2(house: House) -> None:
    (house.fleet.path / "no-program").write_text("true")
    first = house.commits[0]
    side = house.fleet.git("commit-tree", "-p", first, "-m", "aside", f"{first}^{{tree}}").strip()
    mistakes = {
        ("web", first, "--", "no-such-program"): "there is no no-such-program on PATH",
        ("web", first, "--", "./no-such\x1bprogram"): "there is no program ./no-such",
        ("web", first, "--", "./no-program"): "./no-program is not executable\nchmod +x ./no-program",
        ("web", first, "--", "no-program"): "write ./ before its name",
        ("web", first, "--", "/"): "there is no program /",
        ("web", first, "--", ""): "the command's name is empty",
        ("web", "no-such-commit", "--", "true"): "there is no commit 'no-such-commit'",
        ("web", "--help", "--", "true"): "cannot be the name of a commit",
        ("web", side, "--", "true"): "is not among the first parents of main",
        ("wbe", first, "--", "true"): "there is no host wbe; did you mean 'web'?",
    }
    for (host, since, *command), said in mistakes.items():
        done = house.run(f"--host={host}", f"--since={since}", *command)
        assert done.returncode == 2 and said in done.stderr, (command, done.stderr)


def test_between_a_commit_and_itself_there_is_nothing_to_find(house: House) -> None:
    found = house.bisect("--", "true", since=len(house.commits) - 1, code=1)
    assert found["reason"].startswith("there is nothing between the two ends") and found["tried"] == []


def test_no_branch_is_needed(house: House) -> None:
    house.fleet.git("checkout", "--quiet", "--detach")
    try:
        found = house.bisect(*script("false"), since=len(house.commits) - 2, code=1)
    finally:
        house.fleet.git("checkout", "--quiet", "main")
    assert found["reason"] and len(found["tried"]) == 1
