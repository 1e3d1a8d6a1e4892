"""The fleet of the soak and everything around it: what changes from one night to the next, and what must hold.

Who judges a commit here is no Nix: what each upstream commit breaks is known, for it was made here.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.soak.clock.sitecustomize import ROW
from tests import nixes
from tests.fleet import Fleet, HostSpec, Input, Upstream
from tests.upstream import run_git

DAY = timedelta(days=1).total_seconds()
KEEP_DAYS = 30
_FIRST_INPUTS, _MOST_INPUTS, _FEWEST_INPUTS = 3, 5, 2
_FIRST_HOSTS, _MOST_HOSTS, _FEWEST_HOSTS = 3, 4, 2
_BAD = 0.15
"""Of upstream's commits."""

CONFIGURATION = """\
[repository]
path = "{path}"
{more}
[state]
directory = "{state}"
keep_days = {keep_days}
min_free = "4M"
[schedule]
when = "0 4 * * *"
time_zone = "UTC"
[run]
fetch_timeout = "1m"
[eval]
timeout = "1m"
[build]
retries = 0
[search]
probes = 12
[[notify]]
name = "all"
url = {{ file = "{secret}" }}
events = ["broke", "recovered", "held-too-long", "silent-too-long", "failed", "published"]
"""


class Clock:
    """The days of the soak: `clock/sitecustomize.py` reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ahead = 0.0
        self._rows = b""
        self.move(0)

    def move(self, seconds: float) -> None:
        self._ahead += seconds
        # In whole: a reader must never find half of a row.
        self._rows += ROW.pack(time.time(), self._ahead)
        aside = self.path.with_suffix(".new")
        aside.write_bytes(self._rows)
        aside.replace(self.path)

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self._ahead, UTC)

    def to_the_next_night(self) -> None:
        """Just after 04:00, for which the schedule is."""
        now = self.now()
        night = now.replace(hour=4, minute=0, second=1, microsecond=0)
        night += timedelta(days=1) if night <= now else timedelta()
        self.move((night - now).total_seconds())


@dataclass
class Fault:
    """What lies in the world's way until `undo`."""

    name: str
    undo: list[tuple[Path, Path]] = field(default_factory=list)
    """Renamed from, to."""


class World:
    """`chance` decides everything; two worlds of one seed see the same."""

    def __init__(self, directory: Path, installed: nixes.Installed, chance: random.Random) -> None:
        self.directory, self.chance = directory, chance
        self.nix = nixes.prepare(installed, directory / "nix")
        self.clock = Clock(directory / "clock")
        self.state = directory / "state"
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self._made = {"input": 0, "host": 0, "branch": 0}
        self.inputs = [Input(self._upstream()) for _ in range(_FIRST_INPUTS)]
        hosts = [self._host(self.inputs) for _ in range(_FIRST_HOSTS)]
        self.fleet = Fleet.create(directory / "fleet", self.nix, inputs=self.inputs, hosts=hosts)
        self.remote = self.fleet.add_remote()
        self._other = directory / "colleague"
        self._environment = nixes.git_environment(directory / "home")
        run_git(directory, self._environment, "clone", "--quiet", str(self.remote), str(self._other))
        self.peoples: set[str] = {self.fleet.head()}
        """Commits on the branch that are not lockbot's."""
        self.held: dict[str, int] = {}
        self.side: tuple[str, int] | None = None
        """A second flake of the repository, on a branch of its own: its name, and for how many nights it stays."""
        self.config = self._configure("main")

    def _configure(self, branch: str) -> Path:
        config = self.directory / f"{branch}.toml"
        secret = self.directory / "notify-url"
        config.write_text(
            CONFIGURATION.format(
                path=self.fleet.path,
                more=f'branch = "{branch}"',
                state=self.state,
                keep_days=KEEP_DAYS,
                secret=secret,
            )
        )
        return config

    # -- what changes

    def pass_a_day(self) -> list[str]:
        """What people and upstreams do in a day, in words."""
        chance, told = self.chance, []
        if self.diverged:
            self._tidy_tree()
            self._push()
            told.append("people bring their commits together")
        for one in self.inputs:
            told += self._work_upstream(one)
        changes = (
            (0.08, self._add_input),
            (0.08, self._remove_input),
            (0.05, self._rename_input),
            (0.08, self._add_host),
            (0.07, self._remove_host),
            (0.15, self._commit_here),
            (0.15, self._commit_elsewhere),
            (0.08, self._leave_unsaved),
            (0.08, self._side_flake),
        )
        for likely, change in changes:
            if chance.random() < likely:
                told += [change()]
        return [one for one in told if one]

    def _work_upstream(self, one: Input) -> Iterator[str]:
        upstream, chance = one.upstream, self.chance
        if chance.random() < 0.03:
            old = upstream.git("rev-list", "--max-count=4", "HEAD").split()[-1]
            upstream.reset(old)
            upstream.commit("rewritten")
            yield f"{upstream.name} is force-pushed"
        elif chance.random() < 0.15:
            if chance.random() < _BAD:
                hosts = [chance.choice([host.name for host in self.fleet.hosts])]
                if chance.random() < 0.5:
                    upstream.break_evaluation(hosts=hosts)
                else:
                    upstream.break_build(hosts=hosts)
                yield f"{upstream.name} breaks {hosts[0]}"
            elif self._broken(upstream, upstream.head()):
                upstream.fix()
            else:
                for _ in range(chance.randint(1, 3)):
                    upstream.commit("newer")

    def _upstream(self) -> Upstream:
        self._made["input"] += 1
        return Upstream.create(self.directory / "upstreams", f"input{self._made['input']}")

    def _host(self, inputs: list[Input]) -> HostSpec:
        self._made["host"] += 1
        labels = [one.label for one in inputs]
        uses = sorted(self.chance.sample(labels, min(3, len(labels))))
        return HostSpec(f"host{self._made['host']}", uses=uses)

    def _add_input(self) -> str:
        if len(self.inputs) >= _MOST_INPUTS:
            return ""
        new = Input(self._upstream())
        hosts = [replace(host, uses=[*host.uses, new.label]) for host in self.fleet.hosts[:1]]
        return self._declare([*self.inputs, new], [*hosts, *self.fleet.hosts[1:]], f"{new.label} is added")

    def _remove_input(self) -> str:
        if len(self.inputs) <= _FEWEST_INPUTS:
            return ""
        gone = self.chance.choice(self.inputs)
        left = [one for one in self.inputs if one is not gone]
        hosts = [
            replace(host, uses=[name for name in host.uses if name != gone.label]) for host in self.fleet.hosts
        ]
        self.held.pop(gone.label, None)
        return self._declare(left, hosts, f"{gone.label} is removed")

    def _rename_input(self) -> str:
        old = self.chance.choice(self.inputs)
        new = replace(old, name=f"{old.upstream.name}-{self.chance.randint(2, 9999)}")
        hosts = [
            replace(host, uses=[new.label if name == old.label else name for name in host.uses])
            for host in self.fleet.hosts
        ]
        self.held.pop(old.label, None)
        inputs = [new if one is old else one for one in self.inputs]
        return self._declare(inputs, hosts, f"{old.label} is called {new.label}", lock=True)

    def _add_host(self) -> str:
        sound = [one for one in self.inputs if not self._broken_when_locked(one)]
        if len(self.fleet.hosts) >= _MOST_HOSTS or not sound:
            return ""
        new = self._host(sound)
        return self._declare(self.inputs, [*self.fleet.hosts, new], f"{new.name} is added")

    def _remove_host(self) -> str:
        if len(self.fleet.hosts) <= _FEWEST_HOSTS:
            return ""
        gone = self.chance.choice(self.fleet.hosts)
        left = [host for host in self.fleet.hosts if host is not gone]
        return self._declare(self.inputs, left, f"{gone.name} is removed")

    def _declare(self, inputs: list[Input], hosts: list[HostSpec], told: str, *, lock: bool = False) -> str:
        """A change of the flake, as people make it: most lock it, too."""
        self._tidy_tree()
        locked = lock or self.chance.random() < 0.7
        new = [one for one in inputs if one not in self.inputs]
        if locked and any(self._broken(one.upstream, one.upstream.head()) for one in new):
            return ""  # nobody takes what does not build
        before = self.fleet.head()
        self.fleet.inputs, self.fleet.hosts, self.inputs = tuple(inputs), tuple(hosts), inputs
        self.fleet.declare(inputs=inputs, hosts=hosts)
        if locked:
            self.nix.run("nix", "flake", "lock", cwd=self.fleet.path)
            self.fleet.commit({}, "lock")
        self._people_made(before)
        self._push()
        return told

    def _commit_here(self) -> str:
        self._tidy_tree()
        before = self.fleet.head()
        self.fleet.commit({"notes.txt": f"{self.chance.random()}\n"}, "a note")
        self._people_made(before)
        if self.chance.random() < 0.7:
            self._push()
            return "a commit here, pushed"
        return "a commit here"

    def _commit_elsewhere(self) -> str:
        git = self._colleague
        git("fetch", "--quiet")
        git("reset", "--quiet", "--hard", "origin/main")
        (self._other / "other.txt").write_text(f"{self.chance.random()}\n")
        git("add", "--all")
        git("commit", "--quiet", "--message", "a colleague's")
        git("push", "--quiet", "origin", "HEAD:main")
        self.peoples.add(git("rev-parse", "HEAD").strip())
        return "a commit elsewhere, pushed"

    def _leave_unsaved(self) -> str:
        (self.fleet.path / "notes.txt").write_text("not committed\n")
        return "a file is left changed"

    def _side_flake(self) -> str:
        if self.side is not None:
            return ""
        self._made["branch"] += 1
        name = f"side{self._made['branch']}"
        self.fleet.git("branch", "--no-track", name, "main")
        self.side = (name, self.chance.randint(1, 2))
        self._configure(name)
        return f"a flake on branch {name}"

    def side_is_over(self) -> None:
        """A night has passed on the second flake's branch."""
        assert self.side is not None
        name, left = self.side
        self.side = (name, left - 1) if left > 1 else None
        if self.side is None:
            self.fleet.git("branch", "-D", name)
            (self.directory / f"{name}.toml").unlink()

    def _colleague(self, *words: str) -> str:
        return run_git(self._other, self._environment, *words)

    def _people_made(self, before: str) -> None:
        self.peoples.update(self.fleet.git("rev-list", f"{before}..HEAD").split())

    def _tidy_tree(self) -> None:
        """People finish what they have begun, and take what others have pushed, by a merge where they must."""
        git = self.fleet.git
        git("checkout", "--quiet", "--force", "main")
        git("clean", "--quiet", "--force", "-d")
        git("fetch", "--quiet", "origin")
        before = self.fleet.head()
        git("merge", "--quiet", "--no-edit", "--strategy-option=theirs", "origin/main")
        merged = self.fleet.head()
        if merged not in (before, self.fleet.head("origin/main")):
            self.peoples.add(merged)

    def _push(self) -> None:
        with contextlib.suppress(AssertionError):
            self.fleet.git("push", "--quiet", "origin", "main")

    # -- what must hold

    def _broken(self, upstream: Upstream, revision: str) -> frozenset[str]:
        part = json.loads(upstream.git("show", f"{revision}:part.json"))
        return frozenset(part["hosts"]) if part["kind"] is not None else frozenset()

    def _broken_when_locked(self, one: Input) -> bool:
        try:
            return bool(self._broken(one.upstream, self.fleet.locked(one.label)))
        except (KeyError, ValueError):
            return True

    def broken_hosts(self, ref: str) -> list[str]:
        """Hosts that don't build at a commit of the fleet's, by what its lock and its flake say."""
        described = json.loads(self.fleet.git("show", f"{ref}:fleet.json"))
        lock = self.fleet.lock(ref)
        nodes, names = lock["nodes"], lock["nodes"]["root"].get("inputs", {})
        found = []
        for host in described["hosts"]:
            for name in host["uses"]:
                if name not in names:
                    continue  # people have not locked it yet
                locked = nodes[names[name]]["locked"]
                path = Path(locked["url"].removeprefix("file://"))
                part = json.loads(run_git(path, self._environment, "show", f"{locked['rev']}:part.json"))
                if part["kind"] is not None and host["name"] in part["hosts"]:
                    found.append(f"{host['name']} by {name}")
        return found

    def problems(self, before: str, after: str) -> Iterator[str]:
        """What is wrong with what came onto the remote's branch."""
        git = self.fleet.git
        git("fetch", "--quiet", "origin")
        if git("rev-list", "--count", before, f"^{after}").strip() != "0":
            yield f"{before[:10]} is no ancestor of {after[:10]}"
        for commit in git("rev-list", f"{before}..{after}").split():
            if commit in self.peoples:
                continue
            if git("show", "-s", "--format=%an", commit).strip() != "lockbot":
                yield f"{commit[:10]} is nobody's"
            changed = git("diff", "--name-only", f"{commit}^", commit).split()
            if changed != ["flake.lock"]:
                yield f"{commit[:10]} of lockbot's changes {changed}"
            was = set(self.broken_hosts(f"{commit}^"))
            if worse := [host for host in self.broken_hosts(commit) if host not in was]:
                yield f"{commit[:10]} of lockbot's breaks {', '.join(worse)}"

    def damage(self) -> Iterator[str]:
        """What `git fsck` says of the user's repositories, and locks that nobody holds."""
        for path in (self.fleet.path / ".git", self.remote):
            try:
                run_git(path, self._environment, "fsck", "--connectivity-only", "--no-dangling", "--no-progress")
            except AssertionError as error:
                yield f"{path}: {error}"
            for lock in path.rglob("*.lock"):
                yield f"{lock} is left"

    @property
    def diverged(self) -> bool:
        """Whether people have pushed other commits than they have here: they alone can bring that together."""
        sides = self.fleet.git("rev-list", "--left-right", "--count", "main...origin/main").split()
        return "0" not in sides

    @property
    def remote_head(self) -> str:
        return run_git(self.remote, self._environment, "rev-parse", "main").strip()

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
