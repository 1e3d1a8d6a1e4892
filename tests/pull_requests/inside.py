"""A repository on a stand-in forge, and lockbot's pull requests there, in the test's own process, by its clock.

The clone, the history, git and HTTP are real; what a run finds out is made up: a commit with a newer lock. A night
takes a fifth of a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockbot.errors import LockbotError
from lockbot.forge import place as places
from lockbot.forge.clients import Clients
from lockbot.forge.http import Patience
from lockbot.forge.place import Account, Kind
from lockbot.forge.pull_requests.forges import REQUESTS_AT
from lockbot.forge.pull_requests.interface import People
from lockbot.git.clone import open_clone
from lockbot.git.source import RemoteSource
from lockbot.git.sync import TRAILER, Base, sync
from lockbot.history.store import History
from lockbot.model import (
    ChangeKind,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Landing,
    Locked,
    Outcome,
    PullRequest,
    RequestDone,
    Run,
)
from lockbot.process import CancelToken
from lockbot.pull_requests.publisher import Publisher
from lockbot.pull_requests.settings import RequestSettings, way_of
from lockbot.pull_requests.site import Site
from lockbot.pull_requests.wording.texts import COMMENT_MARK
from lockbot.update.context import Offer, Offered
from tests import forked
from tests.forge.pull_requests.githost import Call
from tests.forge.server import Reply
from tests.nixes import git_environment
from tests.pull_requests.forges import NAME, TOKEN, Forge, Shown
from tests.update.world import observe
from tests.upstream import run_git

FLAKE = "flake"
MAIL = "lockbot@localhost"
_HOSTS = tuple(HostBuild(Host(name, ("nixosConfigurations", name)), HostStatus.BUILT) for name in ("db", "web"))


@dataclass(frozen=True)
class Night:
    """What a run would tell of its requests. `commit`: what it judged; None: nothing was new."""

    commit: str | None
    done: tuple[RequestDone, ...]
    notes: tuple[str, ...]
    trouble: LockbotError | None
    landed: str | None

    @property
    def told(self) -> str:
        """What went wrong, in words; empty: nothing."""
        return "\n".join([*self.notes, *([self.trouble.message] if self.trouble else [])])


@dataclass
class Plan:
    """All that a night depends on, but for what lies on the disk and at the forge; `upstream`: each input's newest
    revision, by its number."""

    directory: str
    kind: str
    host: str
    """Its address."""
    api: str
    landing: str = Landing.PEOPLE
    token: bool = True
    hour: int = 0
    upstream: dict[str, int] = field(default_factory=lambda: {"a": 1, "b": 1})
    inputs: tuple[str, ...] | None = None
    """Those that the run is about; None: all."""


class Lockbot:
    """One process of it, in effect. `token` False: git has one, and lockbot has none."""

    def __init__(self, plan: Plan, cancel: CancelToken) -> None:
        self._plan = plan
        url, name, kind = f"{plan.host}/{NAME}.git", plan.host.removeprefix("http://"), Kind(plan.kind)
        account = Account(kind, plan.host + plan.api, TOKEN if plan.token else None)
        self._settings = RequestSettings(Landing(plan.landing), MAIL, People(labels=("bug",)))
        found = places.place_of_git(url, {name: account})
        assert found is not None
        patience = Patience(timeout=5, delay=0.005, between=0)
        _, api = Clients({name: account}, cancel, self._now, patience).of(found, "pull request")
        self._way = way_of(found, account)
        self._place, self._api = found, api
        directory = Path(plan.directory)
        environ = git_environment(directory / "home") | {"NO_PROXY": "*"}
        clone = open_clone(
            directory / "state/clone.git", directory / "state/trees", environ=environ, cancel=cancel
        )
        signing_in = Account(kind, plan.host, TOKEN, git=True).for_git(name)
        assert signing_in is not None
        self.clone = replace(clone, credentials=(signing_in,))
        self.source = RemoteSource(url, "main")
        self.history = History.open(directory / "history.sqlite", self._now)

    def _now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=self._plan.hour)

    def night(self) -> Night:
        """Sync, look after what there is, offer what is new, close what is overtaken: as the update cycle does it.
        A LockbotError ends it; any other is a bug, and the test's."""
        run = Run(f"run-{self._plan.hour:04}", "here", self._now(), branch="main", flake=FLAKE, hosts=_HOSTS)
        self.history.start(run)
        found: list[Offered] = []
        commit = None
        try:
            commit = self._night(run, found)
        except LockbotError as error:
            found.append(Offered(trouble=error))
        landed = [one.landed for one in found if one.landed]
        troubles = [one.trouble for one in found if one.trouble]
        assert len(troubles) < 2
        return Night(
            commit,
            tuple(done for one in found for done in one.done),
            tuple(note for one in found for note in one.notes),
            troubles[0] if troubles else None,
            landed[-1] if landed else None,
        )

    def _night(self, run: Run, found: list[Offered]) -> str | None:
        site = Site(self._place, REQUESTS_AT[self._place.kind], self._api, self._settings, self._plan.token)
        publisher = Publisher(
            self.clone, self.source, self.history, FLAKE, self._settings, self._way, site, self._now
        )
        base = sync(self.clone, self.source)
        if (refusal := publisher.refusal(base)) is not None:
            raise refusal
        found.append(publisher.look_after(base))
        if found[-1].landed is not None:
            base = sync(self.clone, self.source)
        run, commit = self._judge(run, base)
        outcome = Outcome.UNCHANGED
        if commit is not None:
            self.history.save(run)
            found.append(publisher.offer(Offer(run, base, commit, self._plan.inputs, "")))
            outcome = Outcome.FAILED if found[-1].trouble is not None else Outcome.REQUESTED
        run = replace(run, outcome=outcome, requests=tuple(done for one in found for done in one.done))
        self.history.save(run)
        if outcome is not Outcome.FAILED:
            found.append(publisher.close_overtaken(base, run, ""))
        return commit

    def _judge(self, run: Run, base: Base) -> tuple[Run, str | None]:
        """A commit with the newest revisions on top of the base; None: nothing is new."""
        has, newest = self.locked(base.commit), self._plan.upstream
        wanted = {name: newest[name] if name in (self._plan.inputs or has) else old for name, old in has.items()}
        changes = tuple(
            InputChange(name, ChangeKind.UPDATED, _locked(name, has[name]), _locked(name, wanted[name]))
            for name in has
            if has[name] != wanted[name]
        )
        if not changes:
            return run, None
        commit = self.commit(base.commit, wanted, "flake.lock: update", run.id)
        return replace(run, base=base.commit, candidate=commit, changes=changes), commit

    def commit(self, parent: str | None, numbers: dict[str, int], subject: str, run: str = "") -> str:
        blob = self._git("hash-object", "-w", "--stdin", text=json.dumps(_lock(numbers)))
        tree = self._git("mktree", text=f"100644 blob {blob}\tflake.lock\n")
        message = f"{subject}\n\n{f'{TRAILER}: {run}' if run else 'By hand.'}\n"
        return self._git("commit-tree", tree, *(["-p", parent] if parent else []), text=message)

    def _git(self, *arguments: str, text: str) -> str:
        person = {"NAME": "lockbot", "EMAIL": MAIL}
        roles = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in person.items()}
        done = subprocess.run(
            ["git", "-C", str(self.clone.directory), *arguments],
            input=text,
            env={"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", **roles},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def locked(self, commit: str) -> dict[str, int]:
        """Input → number of its revision, of a commit in the clone."""
        asked = ("show", f"{commit}:flake.lock")
        return _numbers(run_git(self.clone.directory, {"PATH": os.environ["PATH"]}, *asked))


class World:
    """The forge, and one lockbot after another."""

    def __init__(
        self,
        directory: Path,
        forge: Forge,
        cancel: CancelToken,
        *,
        landing: Landing = Landing.PEOPLE,
        token: bool = True,
    ) -> None:
        self.forge, self._directory, self._cancel = forge, directory, cancel
        self._plan = Plan(str(directory), forge.kind, forge.host.url, forge.api, landing, token)
        self.upstream = self._plan.upstream
        self._lockbot = Lockbot(self._plan, cancel)
        self.first = first = self._lockbot.commit(None, self.upstream, "first")
        forge.host.git(NAME, "fetch", "--quiet", str(self._lockbot.clone.directory), f"{first}:refs/heads/main")

    # -- runs ---------------------------------------------------------------------------------------------

    def moves(self, *names: str) -> None:
        """A new commit in each of these inputs."""
        for name in names:
            self.upstream[name] += 1

    def night(self, inputs: tuple[str, ...] | None = None) -> Night:
        self._plan.hour += 1
        self._plan.inputs = inputs
        return self._lockbot.night()

    def killed(self, die_at: int | None, meanwhile: Callable[[int], None] = lambda _pid: None) -> list[str]:
        """A night in a process of its own, which dies before a step (from 1); None: it is not told to. Its steps;
        as `update.world.World.observed` has them. `meanwhile` is told its number."""
        self._plan.hour += 1
        self._plan.inputs = None
        self._lockbot.history.close()
        record = self._directory / "steps"
        record.write_text("")
        argv = [sys.executable, "-m", __name__, str(record), str(die_at or ""), json.dumps(asdict(self._plan))]
        process = forked.start(argv, {"PATH": os.environ["PATH"], "NO_PROXY": "*"}, self._directory)
        meanwhile(process.pid)
        _, stderr = forked.ended(process, 60)
        self._lockbot = Lockbot(self._plan, self._cancel)
        assert process.returncode == -signal.SIGKILL or (die_at is None and process.returncode == 0), stderr
        return record.read_text().splitlines()

    def forgets(self) -> None:
        """Its history is lost."""
        self._lockbot.history.close()
        for file in self._directory.glob("history.sqlite*"):
            file.unlink()
        self._lockbot = Lockbot(self._plan, self._cancel)

    # -- what there is ------------------------------------------------------------------------------------

    @property
    def judged(self) -> set[str]:
        """The commits that runs found good."""
        query = "SELECT candidate FROM runs WHERE candidate IS NOT NULL"
        return set(self._lockbot.history.ask(lambda base: [row[0] for row in base.execute(query).fetchall()]))

    def locked(self, commit: str) -> dict[str, int]:
        return _numbers(self.forge.host.git(NAME, "show", f"{commit}:flake.lock"))

    def tip(self, branch: str = "main") -> str | None:
        return self.forge.host.tip(NAME, branch)

    def open(self) -> list[Shown]:
        return [one for one in self.forge.requests() if one.state == "open"]

    def branches(self) -> set[str]:
        return set(self.forge.host.git(NAME, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").split())

    def check_comments(self) -> None:
        """No request has more than one of lockbot's."""
        for one in self.forge.requests():
            ours = [text for text in self.forge.comments(one.number) if COMMENT_MARK in text]
            assert len(ours) < 2, ours

    def kept(self) -> Sequence[PullRequest]:
        return self._lockbot.history.pull_requests(FLAKE).all()

    def calls(self) -> list[str]:
        """What the API was asked since the last look, each once, in order."""
        asked = [called(call) for call in self.forge.host.calls]
        self.forge.host.calls.clear()
        return list(dict.fromkeys(asked))


def called(call: Call) -> str:
    """A call, whichever request and commit it is about."""
    path = "/".join("N" if part.isdigit() or len(part) == 40 else part for part in call.path.split("/"))
    return f"{call.method} {path}"


@contextmanager
def answering(forge: Forge, which: str, reply: Reply | None, *, done: bool = False) -> Iterator[None]:
    """From now on one kind of call is answered so; None: not at all. `done`: what it asked for is done."""

    def fault(call: Call) -> Reply | None:
        if called(call) != which:
            return None
        if done:
            forge.host.api(call)
        if reply is None:
            raise ConnectionResetError("the host hangs up")  # what a server's handler is told then, too
        return reply

    forge.host.faults[:] = [fault]
    yield
    forge.host.faults.clear()


def _locked(name: str, number: int) -> Locked:
    return Locked("git", f"git+file:///{name}?rev={number:040x}", f"git+file:///{name}", rev=f"{number:040x}")


def _numbers(text: str) -> dict[str, int]:
    lock = json.loads(text)
    return {name: int(lock["nodes"][name]["locked"]["rev"], 16) for name in lock["nodes"]["root"]["inputs"]}


def _lock(numbers: dict[str, int]) -> dict[str, object]:
    nodes: dict[str, object] = {"root": {"inputs": {name: name for name in numbers}}}
    for name, number in numbers.items():
        place = {"type": "git", "url": f"file:///{name}"}
        nodes[name] = {"locked": {**place, "rev": f"{number:040x}"}, "original": place}
    return {"nodes": nodes, "root": "root", "version": 7}


def _observed_night(record: str, die_at: str, plan: str) -> None:
    observe(record, die_at)
    lockbot = Lockbot(Plan(**json.loads(plan)), CancelToken())
    lockbot.night()


if __name__ == "__main__":
    _observed_night(*sys.argv[1:])
