"""A fleet whose repository is on a forge, and lockbot, which publishes by pull requests, night after night."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fleet import HostSpec
from tests.nixes import Nix
from tests.pull_requests.forges import NAME, TOKEN, Forge, Shown
from tests.sampling import UNREVIEWED
from tests.update.world import Result, World, finish
from tests.upstream import run_git

_HOSTS = (HostSpec("web", ["a"]), HostSpec("db", ["b"]))


class Nights:
    """Host `web` uses input `a`, host `db` uses input `b`. lockbot has a token, for git, too; or git has one, and
    lockbot none (`token` False). `local`: lockbot works in
    the fleet's own repository, whose remote is on the forge."""

    def __init__(
        self,
        nix: Nix,
        directory: Path,
        forge: Forge,
        *,
        token: bool = True,
        local: bool = False,
        publish: str = "",
        more: str = "",
    ) -> None:
        self.forge = forge
        self.world = World.create(nix, directory, inputs="ab", hosts=_HOSTS)
        self.world.environment |= UNREVIEWED | {"NO_PROXY": "*"}
        host = forge.host
        url = f"{host.url}/{NAME}.git"
        run_git(
            self.world.fleet.path,
            self.world.fleet._environment,
            "push",
            "--quiet",
            url.replace("://", f"://x:{TOKEN}@"),
            "main",
        )
        secret = directory / "token"
        secret.write_text(TOKEN)
        secret.chmod(0o600)
        self.world.settings["repository"] = "" if local else f'url = "{url}"\nbranch = "main"'
        if local:
            self.world.fleet.git("remote", "add", "origin", url)
        self.world.settings["publish"] = f'mode = "request"\n{publish}'
        lines = f'kind = "{forge.kind}"\nurl = "{host.url}{forge.api}"'
        if token:
            lines += f'\ntoken = {{ file = "{secret}" }}\ngit = true'
        else:
            helper = directory / "helper"
            helper.write_text(f"#!/bin/sh\necho username=x\necho password={TOKEN}\n")
            helper.chmod(0o755)
            count = int(self.world.environment.get("GIT_CONFIG_COUNT", "0"))
            self.world.environment |= {
                "GIT_CONFIG_COUNT": str(count + 1),
                f"GIT_CONFIG_KEY_{count}": "credential.helper",
                f"GIT_CONFIG_VALUE_{count}": str(helper),
            }
        self.world.settings[f'forge."{host.host}"'] = lines
        for section in filter(None, more.split("\n\n")):
            name, _, rest = section.partition("\n")
            self.world.settings[name.strip("[]")] = rest

    # -- lockbot ------------------------------------------------------------------------------------------

    def night(self, *arguments: str, ends: int = 0) -> Result:
        """`lockbot update`, to its end."""
        result = self.world.update(*arguments)
        assert result.code == ends, (result.stderr, result.document)
        return result

    def settle(self, ends: int = 0) -> dict[str, Any]:
        result = finish(self.world.start(argv=self.world.argv("requests", "--settle", "--all", "--json")))
        assert result.code == ends, (result.stderr, result.document)
        return dict(result.document)

    def listed(self) -> list[dict[str, Any]]:
        """What lockbot itself remembers, the newest first."""
        result = finish(self.world.start(argv=self.world.argv("requests", "--all", "--json")))
        assert result.code == 0, result.stderr
        return list(result.document["pull_requests"])

    def upstream(self, *names: str) -> None:
        """A new commit in each of these inputs."""
        for name in names:
            self.world.upstreams[name].commit("more")

    def newest(self, name: str) -> str:
        """An input's newest commit."""
        return self.world.upstreams[name].git("rev-parse", "HEAD").strip()

    # -- the forge ----------------------------------------------------------------------------------------

    def tip(self, branch: str = "main") -> str:
        tip = self.forge.host.tip(NAME, branch)
        assert tip is not None, branch
        return tip

    def open(self) -> list[Shown]:
        return [one for one in self.forge.requests() if one.state == "open"]

    def only(self) -> Shown:
        """The one request that is open."""
        (one,) = self.open()
        return one

    def locked(self, name: str, branch: str = "main") -> str:
        lock = json.loads(self.forge.host.git(NAME, "show", f"{self.tip(branch)}:flake.lock"))
        return str(lock["nodes"][lock["nodes"]["root"]["inputs"][name]]["locked"]["rev"])

    def person_commits(self, branch: str = "main", file: str = "README") -> str:
        """Somebody's own commit on a branch, there at once."""
        return self.forge.host.commit_on(NAME, branch, "by hand", {file: "x\n"})

    def adds_host(self, *hosts: HostSpec) -> None:
        """Somebody changes the flake on main: these hosts beside the two; the lock is as it is there."""
        fleet, url = self.world.fleet, self.forge.host.url.replace("://", f"://x:{TOKEN}@")
        fleet.git("fetch", "--quiet", f"{url}/{NAME}.git", "main")
        fleet.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        fleet.declare(hosts=[*_HOSTS, *hosts])
        fleet.git("push", "--quiet", f"{url}/{NAME}.git", "main")

    def meanwhile(self, service: str, act: Callable[[], object]) -> None:
        """Once, just before git's next `push` or `fetch` is served."""

        def between(asked: str, _repository: str) -> None:
            if asked == service:
                self.forge.host.between = lambda _service, _repository: None
                act()

        self.forge.host.between = between

    # -- what must hold -----------------------------------------------------------------------------------

    def check(self, people: set[str] = frozenset()) -> None:  # type: ignore[assignment]  # is only read
        """Every commit on main that is no person's was judged, as the history says; no two requests of one group
        are open; nothing that a person has committed is gone."""
        host = self.forge.host
        judged = self._judged()
        for commit in host.git(NAME, "rev-list", "--first-parent", "main").splitlines():
            mail = host.git(NAME, "show", "-s", "--format=%ce", commit)
            if mail == "lockbot@localhost":
                assert commit in judged, f"{commit} is on main, and nobody judged it"
                assert all(status in ("built", "unchanged") for status in judged[commit].values()), judged
        for commit in people:
            assert host.git(NAME, "branch", "--contains", commit), f"{commit} is on no branch any more"
        branches = [one.branch for one in self.open()]
        assert len(branches) == len(set(branches)), branches
        for one in self.forge.requests():
            ours = [text for text in self.forge.comments(one.number) if "<!-- lockbot" in text]
            assert len(ours) <= 1, ours
        self.world_holds_no_token()

    def _judged(self) -> dict[str, dict[str, str]]:
        """Commit → how each host fared with it, by the records of runs and of requests."""
        found = {one["commit"]: dict(one["hosts"]) for one in self.listed()}
        for run in self.world.runs():
            shown = self.world.show(run["id"])
            if shown["candidate"]:
                found[shown["candidate"]] = {host["name"]: host["status"] for host in shown["hosts"]}
        return found

    def world_holds_no_token(self) -> None:
        for path in (self.world.directory / "state").rglob("*"):
            if path.is_file():
                assert TOKEN.encode() not in path.read_bytes(), path
        for one in self.forge.requests():
            assert TOKEN not in repr((one, self.forge.comments(one.number)))
