"""`lockbot check` where updates are published by pull requests: what it finds is so, and nothing changes by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.forge.pull_requests.github import Token
from tests.forge.server import Reply
from tests.nixes import Nix
from tests.pull_requests.forges import FORGES, NAME, TOKEN, host_of
from tests.pull_requests.world import Nights
from tests.update.world import finish

WHEN_PASSED = 'mode = "request"\nmerge = "when-checks-pass"'
WORDS = {"github": "pull request", "gitlab": "merge request", "forgejo": "pull request"}
NEEDS = {"github": "Pull requests: write", "gitlab": "the scope api", "forgejo": "write:repository"}


@dataclass
class Checked:
    """A repository on a forge. Each test leaves it as it was."""

    nights: Nights
    there: Any
    """The forge's stand-in."""

    @property
    def host(self) -> str:
        return self.nights.forge.host.host

    def check(self, ends: int = 0) -> dict[str, dict[str, str]]:
        """What is found of pull requests, by level: text → advice. Nothing at the forge is another afterwards."""
        before = self._state()
        world = self.nights.world
        result = finish(world.start(argv=world.argv("check", "--json")))
        assert self._state() == before
        found = [one for one in result.document["checks"] if one["check"] in ("pull requests", "access")]
        assert TOKEN not in repr(found) and "***" not in repr(found)
        by_level: dict[str, dict[str, str]] = {"ok": {}, "warning": {}, "problem": {}}
        for one in found:
            by_level[one["level"]][one["text"]] = one["advice"] or ""
        assert result.code == ends, (result.stderr, by_level)
        return by_level

    def _state(self) -> object:
        forge = self.nights.forge
        comments = [forge.comments(one.number) for one in forge.requests()]
        return forge.requests(), comments, forge.host.git(NAME, "for-each-ref")

    @contextmanager
    def set(self, section: str, lines: str) -> Iterator[None]:
        """Other lines in the configuration."""
        settings = self.nights.world.settings
        before = settings[section]
        settings[section] = lines
        try:
            yield
        finally:
            settings[section] = before

    @property
    def section(self) -> str:
        return f'forge."{self.host}"'

    def without_git(self) -> str:
        return self.nights.world.settings[self.section].replace("git = true", "")

    @contextmanager
    def token(self, text: str) -> Iterator[None]:
        secret = self.nights.world.directory / "token"
        before = secret.read_text()
        secret.write_text(text)
        try:
            yield
        finally:
            secret.write_text(before)

    @contextmanager
    def having(self, **fields: object) -> Iterator[None]:
        """The stand-in is so meanwhile."""
        before = {name: getattr(self.there, name) for name in fields}
        self._put(fields)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            setattr(self.there, name, value)
        if self.nights.forge.kind == "gitlab":
            self.there._tell()

    @contextmanager
    def answering(self, body: object, status: int = 200) -> Iterator[None]:
        faults = self.nights.forge.host.faults
        faults.append(lambda _: Reply(body, status))
        try:
            yield
        finally:
            faults.clear()


Get = Callable[..., Checked]


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Nix, str, bool], Checked]]:
    made: dict[tuple[str, bool], Checked] = {}
    with ExitStack() as stack:

        def get(nix: Nix, kind: str, token: bool) -> Checked:
            if (kind, token) not in made:
                directory = tmp_path_factory.mktemp(kind)
                forge = FORGES[kind](stack.enter_context(host_of(directory / "forge")))
                made[kind, token] = Checked(Nights(nix, directory, forge, token=token), forge.there)  # type: ignore[attr-defined]  # of each
            return made[kind, token]

        yield get


@pytest.fixture
def get(_made: Callable[[Nix, str, bool], Checked], one_nix: Nix) -> Get:
    return lambda kind, *, token=True: _made(one_nix, kind, token)


def only(found: dict[str, str], words: str) -> tuple[str, str]:
    """The one that has these words, and what to do."""
    (one,) = [(text, advice) for text, advice in found.items() if words in text]
    return one


# -- all well -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORGES)
def test_all_is_well(get: Get, kind: str) -> None:
    one = get(kind)
    with one.set("publish", WHEN_PASSED):
        found = one.check()
    assert found["problem"] == {}
    assert f"requests are opened by {one.host}'s API" in found["ok"]
    assert f"the token can open a {WORDS[kind]}" in found["ok"]
    assert f"{one.host} tells how checks stand" in found["ok"]
    # A fine-grained token of GitHub's tells nobody whether it may push.
    unknown = ["nobody says beforehand whether the token can push a branch: it needs Contents: write"]
    assert list(found["warning"]) == (unknown if kind == "github" else [])
    assert not any("comment" in str(call.document) for call in one.nights.forge.host.calls)


@pytest.mark.parametrize("kind", FORGES)
def test_without_a_token_it_is_told_by_which_way(get: Get, kind: str) -> None:
    one = get(kind, token=False)
    with one.having(private=kind == "github"):
        found = one.check()
    assert found["problem"] == {}
    way = {"github": "you open requests yourself", "gitlab": "opened by pushing", "forgejo": "refs/for"}[kind]
    text, advice = only(found["warning"], f"without a token for {one.host}")
    assert way in text and NEEDS[kind] in advice and f'[forge."{one.host}"] token' in advice
    assert any("does not show it without a token" in text for text in found["warning"]) == (kind == "github")


@pytest.mark.parametrize("kind", ["gitlab", "forgejo"])
def test_without_a_token_gitlab_alone_can_wait_for_checks(get: Get, kind: str) -> None:
    one = get(kind, token=False)
    with one.set("publish", f"{WHEN_PASSED}\nauto_merge = true"):
        found = one.check(0 if kind == "gitlab" else 3)
    if kind == "gitlab":
        assert only(found["warning"], "merges them itself then, perhaps as other commits")
    else:
        assert NEEDS[kind] in only(found["problem"], "without a token nobody is told how checks stand")[1]


# -- the token ----------------------------------------------------------------------------------------------------

READ_ONLY: dict[str, dict[str, Any]] = {
    "github": {"rights": {TOKEN: Token(permissions={"contents": "read", "pull_requests": "read"})}},
    "gitlab": {"scopes": {TOKEN: ("read_api", "read_repository")}},
    "forgejo": {"scopes": {TOKEN: frozenset({"read:repository", "write:issue"})}},
}


@pytest.mark.parametrize("kind", FORGES)
def test_a_token_that_may_only_read(get: Get, kind: str) -> None:
    one = get(kind)
    with one.having(**READ_ONLY[kind]):
        found = one.check(3)["problem"]
    text, advice = only(found, f"can't open a {WORDS[kind]} at {one.host}, for want of ")
    assert NEEDS[kind] in text and NEEDS[kind] in advice
    assert (len(found) == 2) == (kind != "github"), "they tell that it may not push, too"


LACKING: dict[str, tuple[str, dict[str, Any], str]] = {
    "a classic token without repo": (
        "github",
        {"rights": {TOKEN: Token(("read:org",))}},
        "can't open a pull request at HOST, for want of the scope repo",
    ),
    "an account that may not write": (
        "github",
        {"writers": set()},
        "can't push a branch at HOST, for want of the role Write",
    ),
    "such an account's classic token": (
        "github",
        {"writers": set(), "rights": {TOKEN: Token(("repo",))}},
        "can't push a branch at HOST, for want of the role Write",
    ),
    "a reporter": (
        "gitlab",
        {"access": {"lockbot": 20}},
        "can't open a merge request at HOST, for want of the role Developer",
    ),
    "no merge requests": (
        "gitlab",
        {"merge_requests_enabled": False},
        "for want of merge requests, which are switched off in the project",
    ),
    "no scope for comments": (
        "forgejo",
        {"scopes": {TOKEN: frozenset({"write:repository"})}},
        "can't comment on it and label it at HOST, for want of the scope write:issue",
    ),
    "a reader": (
        "forgejo",
        {"people": {"lockbot": "read"}},
        "can't push a branch at HOST, for want of write access to the repository",
    ),
    "no pull requests": (
        "forgejo",
        {"pull_requests": False},
        "can't open a pull request at HOST, for want of pull requests, which are turned off there",
    ),
}


@pytest.mark.parametrize(("kind", "fields", "said"), LACKING.values(), ids=LACKING)
def test_the_right_that_is_missing_is_named(get: Get, kind: str, fields: dict[str, Any], said: str) -> None:
    one = get(kind)
    with one.having(**fields):
        found = one.check(3)["problem"]
    assert only(found, said.replace("HOST", one.host))[1]


def test_a_gitlab_token_that_may_not_even_read_is_told_what_it_needs(get: Get) -> None:
    one = get("gitlab")
    with one.having(scopes={TOKEN: ("write_repository",)}):
        assert "the scope api" in only(one.check(3)["problem"], "can't read the repository owner/flake")[1]


def test_a_token_that_ends_soon(get: Get) -> None:
    one = get("gitlab")
    with one.having(expires={TOKEN: "2020-01-01"}):
        assert "make another in time" in only(one.check()["warning"], "the token expires on 2020-01-01")[1]


@pytest.mark.parametrize("kind", FORGES)
def test_a_token_that_is_wrong_or_has_ended(get: Get, kind: str) -> None:
    one = get(kind)
    with one.token("secret-and-wrong"):
        found = one.check(3)
        assert NEEDS[kind] in only(found["problem"], "does not accept the token")[1]
        assert "git signs in with the token" in only(found["problem"], "git can't push")[1]
    assert "secret-and-wrong" not in repr(found)


def test_git_has_a_key_of_its_own_or_none(get: Get) -> None:
    """What the token may push is of no interest then."""
    one = get("gitlab")
    with one.set(one.section, one.without_git()):
        found = one.check(3)
    _, advice = only(found["problem"], "git can't push to")
    assert "credential helper" in advice and f'set git = true in [forge."{one.host}"]' in advice
    assert advice.count("git = true") == 1
    assert "the token can open a merge request" in found["ok"]
    assert not any("push a branch" in text for text in (*found["ok"], *found["warning"]))


def test_git_is_to_take_a_token_that_there_is_not(get: Get) -> None:
    one = get("github")
    lines = [line for line in one.nights.world.settings[one.section].splitlines() if not line.startswith("token")]
    with one.set(one.section, "\n".join(lines)):
        _, advice = only(one.check(3)["problem"], "git can't push to")
    assert "git = true" in advice and "there is none" in advice and f'[forge."{one.host}"] token' in advice


def test_a_branch_that_is_in_the_way_of_lockbots(get: Get) -> None:
    """As git keeps `lockbot/update-main` in a directory `lockbot`, which is a file then."""
    one = get("github")
    git = one.nights.forge.host.git
    git(NAME, "branch", "lockbot", "main")
    try:
        _, advice = only(one.check(3)["problem"], "the branch lockbot is in the way")
        assert "publish.branches" in advice
        with one.set("publish", 'mode = "request"\nbranches = "lockbot-"'):
            assert one.check()["problem"] == {}
    finally:
        git(NAME, "branch", "-D", "lockbot")


# -- the repository -----------------------------------------------------------------------------------------------

HIDDEN: dict[str, dict[str, Any]] = {
    "github": {"private": True, "rights": {TOKEN: Token(("read:org",))}},
    "gitlab": {"private": True, "access": {}},
    "forgejo": {"private": True, "people": {"lockbot": "none"}},
}


@pytest.mark.parametrize("kind", FORGES)
def test_a_repository_that_is_not_shown_is_archived_or_renamed(get: Get, kind: str) -> None:
    one = get(kind)
    with one.having(**HIDDEN[kind]):
        text, advice = only(one.check(3)["problem"], "does not show it to this token")
        assert f"{one.host} has no repository {NAME}" in text and NEEDS[kind] in advice
    with one.having(archived=True):
        found = one.check(3)["problem"]
    assert f"{NAME} is archived at {one.host}: nothing can be pushed there" in found


@pytest.mark.parametrize("kind", FORGES)
def test_a_repository_that_has_another_name_by_now(one_nix: Nix, tmp_path: Path, kind: str) -> None:
    with host_of(tmp_path / "forge") as host:
        forge = FORGES[kind](host)
        nights = Nights(one_nix, tmp_path, forge)
        forge.rename("owner/other")
        found = Checked(nights, None).check()
    assert only(
        found["warning"], f"{NAME} is called owner/other at {host.host} by now: change the remote's address"
    )
    assert found["problem"] == {} and f"the token can open a {WORDS[kind]}" in found["ok"]


# -- who answers --------------------------------------------------------------------------------------------------


def test_what_answers_is_not_what_should(get: Get) -> None:
    one = get("forgejo")
    with one.answering(b"<html>Sign in</html>"):
        _, advice = only(one.check(3)["problem"], "something that is no JSON")
        assert "where its API begins" in advice and "token" not in advice


def test_a_forge_that_can_not_be_reached(get: Get) -> None:
    one = get("gitlab")
    section = one.nights.world.settings[one.section].replace(f"http://{one.host}", "http://127.0.0.1:1")
    with one.set(one.section, section), one.set("publish", WHEN_PASSED):
        found = one.check(3)["problem"]
    assert "where its API begins" in only(found, "can't be reached")[1]
    assert not any("checks" in text for text in found), "it is told once"


def test_checks_that_may_not_be_read(get: Get) -> None:
    one = get("github")
    permissions = {"contents": "write", "pull_requests": "write"}
    with one.having(private=True, rights={TOKEN: Token(permissions=permissions)}):
        assert one.check()["problem"] == {}, "nobody needs them"
        with one.set("publish", WHEN_PASSED):
            assert "Checks: read" in only(one.check(3)["problem"], "checks can't be read")[1]


def test_a_repository_that_lets_no_request_merge_itself(get: Get) -> None:
    one = get("github")
    with one.set("publish", f"{WHEN_PASSED}\nauto_merge = true"):
        assert one.check()["problem"] == {}
        with one.having(auto_merge=False, writers={"lockbot"}):
            assert "turn that on" in only(one.check(3)["problem"], "publish.auto_merge")[1]


def test_a_forge_that_is_not_known(get: Get) -> None:
    one = get("github", token=False)
    settings = one.nights.world.settings
    kept = settings.pop(one.section)
    try:
        found = one.check()
        assert '[forge."HOST"] kind' in only(found["warning"], "on no forge that is known")[1]
        with one.set("publish", WHEN_PASSED):
            assert only(one.check(3)["problem"], "there is no forge to ask for checks")
        with one.set("publish", 'mode = "request"\nrepository = "https://git.example.org/owner/flake"'):
            text = only(one.check(3)["problem"], "is on no forge that is known")[0]
            assert "publish.repository (https://git.example.org/owner/flake)" in text
    finally:
        settings[one.section] = kept


# -- the branch ---------------------------------------------------------------------------------------------------


def test_a_local_branch_without_a_remote_and_one_that_is_ahead(one_nix: Nix, tmp_path: Path) -> None:
    with host_of(tmp_path / "forge") as host:
        nights = Nights(one_nix, tmp_path, FORGES["gitlab"](host))
        one, git = Checked(nights, None), nights.world.fleet.git
        with one.set("repository", ""):
            found = one.check(3)
            assert found["problem"] == {"main is on no remote": "pull requests need one: push the branch there"}
            git("remote", "add", "origin", f"{host.url}/{NAME}.git")
            git("fetch", "--quiet", "origin")
            git("branch", "--quiet", "--set-upstream-to=origin/main", "main")
            assert one.check()["problem"] == {}
            git("commit", "--quiet", "--allow-empty", "--message=not pushed")
            text, _ = only(one.check(3)["problem"], "a pull request would ask for more than the update")
            assert "main has 1 commit(s) that origin/main has not" in text
        with one.set("repository", "push = false"):
            assert only(one.check(3)["problem"], "repository.push is off")
        with one.set("repository", "push = true"):
            host._http.shutdown()
            host._http.server_close()
            assert only(one.check(3)["problem"], "cannot be reached")
