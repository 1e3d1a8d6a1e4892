"""Pull requests on a Forgejo, with real pushes; and the Forgejo itself, where it must do as the real one does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockbot.forge.forgejo import Forgejo
from lockbot.forge.http import Client, Patience
from lockbot.forge.pull_requests.forgejo import ForgejoRequests
from lockbot.forge.pull_requests.interface import Path as RepositoryPath
from lockbot.forge.pull_requests.interface import People, RequestSeen, Right, Wording
from lockbot.forge.responses import NoResponse, NoRight, NotThere, Refused, Renamed, RequestState
from lockbot.process import CancelToken
from tests.forge.pull_requests.forgejo import ForgejoStandIn
from tests.forge.pull_requests.githost import GitHost
from tests.forge.server import Reply
from tests.upstream import run_git

NAME = "fleet/hosts"
PATH: RepositoryPath = ("fleet", "hosts")
BRANCH = "lockbot/nixpkgs"
FORGE = ForgejoRequests()
Edit = Callable[..., ForgejoStandIn]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    tokens = {"secret-token": "lockbot", "alices-token": "alice", "bobs-token": "bob"}
    with GitHost(tmp_path / "served", tokens) as running:
        running.create(NAME)
        yield running


@pytest.fixture
def clone(host: GitHost, tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone", tmp_path, host)
    made.git("init", "--quiet", "--initial-branch=main", ".")
    made.git("remote", "add", "origin", made.address)
    made.commit("first", "flake.lock", "1\n")
    made.git("push", "--quiet", "origin", "main")
    return made


@pytest.fixture
def forgejo(host: GitHost, clone: Clone) -> ForgejoStandIn:
    del clone  # there is something to ask for
    made = ForgejoStandIn(host, NAME)
    host.api, host.pushed = made, made.pushed
    return made


class Clone:
    """A clone that pushes with lockbot's token."""

    def __init__(self, path: Path, home: Path, host: GitHost, token: str = "secret-token") -> None:  # noqa: S107
        path.mkdir()
        self.path = path
        self.address = f"http://lockbot:{token}@{host.host}/{NAME}.git"
        person = {"NAME": "lockbot", "EMAIL": "lockbot@example.org"}
        self._environment = {
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **{f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in person.items()},
        }

    def git(self, *arguments: str) -> str:
        return run_git(self.path, self._environment, *arguments).strip()

    def commit(self, message: str, file: str, text: str) -> str:
        (self.path / file).write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")

    def update(self, text: str = "2\n", branch: str = BRANCH) -> str:
        """A commit on top of main, pushed as a branch."""
        self.git("checkout", "--quiet", "--detach", "origin/main")
        commit = self.commit("flake.lock: update", "flake.lock", text)
        self.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/{branch}")
        return commit

    def push(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Whatever comes of it."""
        return subprocess.run(
            ["git", "push", "origin", *arguments],
            cwd=self.path,
            env={"PATH": os.environ["PATH"], **self._environment},
            capture_output=True,
            text=True,
            check=False,
        )


def api_of(host: GitHost, token: str = "secret-token", tries: int = 1) -> Client:  # noqa: S107
    patience = Patience(timeout=20, tries=tries, delay=0.01, between=0)
    headers = Forgejo().headers(token)
    return Client(
        f"{host.url}/api/v1",
        headers,
        CancelToken(),
        lambda: datetime.now(UTC),
        patience,
        "repository or pull request",
    )


@pytest.fixture
def api(host: GitHost, forgejo: ForgejoStandIn) -> Client:
    del forgejo
    return api_of(host)


def changes(host: GitHost) -> list[tuple[str, str]]:
    return [(call.method, call.path.partition(NAME)[2]) for call in host.calls if call.method != "GET"]


def opened(
    api: Client, title: str = "Update nixpkgs", body: str = "What is new", draft: bool = False
) -> RequestSeen:
    return FORGE.open(api, PATH, BRANCH, "main", Wording(title, body, draft))


# -- the repository ----------------------------------------------------------------------------------------------


def test_a_repository_as_it_is(api: Client, forgejo: ForgejoStandIn, host: GitHost) -> None:
    seen = FORGE.repository(api, PATH)
    assert (seen.path, seen.may_push, seen.archived, seen.auto_merge) == (PATH, True, False, True)
    forgejo.archived = True
    seen = FORGE.repository(api_of(host, "bobs-token"), PATH)
    assert (seen.may_push, seen.archived) == (False, True)


def test_one_that_was_renamed_is_found_where_it_is_now(api: Client, forgejo: ForgejoStandIn) -> None:
    forgejo.rename("machines/all")
    assert FORGE.repository(api, PATH).path == ("machines", "all")


@pytest.mark.parametrize("moved", [301, 307])
def test_what_was_renamed_is_changed_in_its_new_place_only(
    api: Client, forgejo: ForgejoStandIn, clone: Clone, host: GitHost, moved: int
) -> None:
    clone.update()
    forgejo.rename("fleet/machines")
    forgejo.moved = moved
    with pytest.raises(Renamed) as error:
        opened(api)
    assert error.value.address == f"{host.url}/api/v1/repos/fleet/machines/pulls"
    assert forgejo.requests() == []


@pytest.mark.parametrize(
    "answer", [b"[]", b'{"full_name": 3}', b'{"full_name": "one"}', b'{"full_name": "a/b/c"}']
)
def test_an_answer_that_is_no_repository(api: Client, host: GitHost, answer: bytes) -> None:
    host.faults.append(lambda _: Reply(answer))
    with pytest.raises(NoResponse, match="otherwise than its API"):
        FORGE.repository(api, PATH)


# -- rights ------------------------------------------------------------------------------------------------------

PUSH, OPEN, TALK = "push a branch", "open a pull request", "comment on it and label it"


def rights(api: Client) -> dict[str, Right]:
    found = FORGE.rights(api, PATH, FORGE.repository(api, PATH))
    return {one.what: one for one in found}


def test_a_token_with_every_right(api: Client, forgejo: ForgejoStandIn) -> None:
    assert rights(api) == {what: Right(what, True) for what in (PUSH, OPEN, TALK)}
    assert forgejo.requests() == [], "looking opens nothing"


@pytest.mark.parametrize("gitea", [False, True])
def test_a_scope_that_is_missing_is_told_by_its_name(api: Client, forgejo: ForgejoStandIn, gitea: bool) -> None:
    forgejo.gitea = gitea
    forgejo.scopes["secret-token"] = frozenset({"read:repository", "write:issue"})
    repository = "the scope write:repository"
    assert rights(api) == {
        PUSH: Right(PUSH, False, repository),
        OPEN: Right(OPEN, False, repository),
        TALK: Right(TALK, True),
    }
    forgejo.scopes["secret-token"] = frozenset({"write:repository", "read:issue"})
    assert rights(api)[OPEN].given is True
    assert rights(api)[TALK] == Right(TALK, False, "the scope write:issue")


@pytest.mark.usefixtures("forgejo")
def test_who_may_not_write_may_ask_for_a_merge_nevertheless(host: GitHost) -> None:
    found = rights(api_of(host, "bobs-token"))
    assert found[PUSH] == Right(PUSH, False, "write access to the repository")
    assert found[OPEN].given is True


def test_pull_requests_that_are_turned_off_and_an_archive(
    api: Client, forgejo: ForgejoStandIn, host: GitHost
) -> None:
    forgejo.pull_requests = False
    assert rights(api)[OPEN] == Right(OPEN, False, "pull requests, which are turned off there")
    assert rights(api)[PUSH] == Right(PUSH, True), "branches are pushed all the same"
    forgejo.pull_requests, forgejo.archived = True, True
    host.calls.clear()
    assert {right.lacks for right in rights(api).values()} == {"a repository that is not archived"}
    assert changes(host) == []


def test_an_archive_that_was_made_meanwhile(api: Client, forgejo: ForgejoStandIn) -> None:
    seen = FORGE.repository(api, PATH)
    forgejo.archived = True
    found = FORGE.rights(api, PATH, seen)
    assert [one.given for one in found] == [False, False, False]
    assert "is archived" in found[1].lacks


def test_a_token_that_is_not_known_lacks_everything(api: Client, host: GitHost) -> None:
    seen = FORGE.repository(api, PATH)
    found = FORGE.rights(api_of(host, "no-such-token"), PATH, seen)
    assert [one.given for one in found] == [False, False, False]
    assert "does not accept the token" in found[1].lacks
    assert "no-such-token" not in repr(found)


# -- opening, finding, looking -----------------------------------------------------------------------------------


def test_a_request_is_opened_found_and_looked_at(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    commit = clone.update()
    assert FORGE.find(api, PATH, BRANCH) is None
    made = opened(api)
    assert made == RequestSeen(
        number=1,
        url=f"{host.url}/{NAME}/pulls/1",
        state=RequestState.OPEN,
        branch=BRANCH,
        base="main",
        head=commit,
        wording=Wording("Update nixpkgs", "What is new"),
        author="lockbot",
    )
    assert FORGE.find(api, PATH, BRANCH) == made == FORGE.look(api, PATH, 1)
    newer = clone.update("3\n")
    assert FORGE.look(api, PATH, 1).head == newer
    assert forgejo.request(1)["commit"] == newer


def test_a_second_one_is_refused(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    opened(api)
    with pytest.raises(Refused, match="already exists for these targets") as error:
        opened(api)
    assert error.value.status == 409
    forgejo.close(1)
    assert opened(api).number == 2


def test_a_branch_that_is_not_there_and_one_without_a_title(api: Client, clone: Clone) -> None:
    with pytest.raises(NotThere):
        opened(api)
    clone.update()
    with pytest.raises(Refused, match="Required") as error:
        opened(api, title="")
    assert error.value.status == 422


def test_only_an_open_one_of_the_repository_itself_is_found_whatever_its_base(
    api: Client, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    clone.update()
    clone.git("push", "--quiet", "origin", "main:refs/heads/stable")
    opened(api)
    forgejo.close(1)
    assert FORGE.find(api, PATH, BRANCH) is None
    opened(api)
    forgejo.edit(2, repository=9)
    assert FORGE.find(api, PATH, BRANCH) is None, "a fork has a branch of that name"
    forgejo.edit(2, repository=1)
    forgejo.retarget(2, "stable")
    found = FORGE.find(api, PATH, BRANCH)
    assert found is not None
    assert (found.number, found.base) == (2, "stable")


def test_it_is_found_behind_many_pages_of_others(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    opened(api)
    for at in range(7):
        clone.git("push", "--quiet", "origin", f"main:refs/heads/topic-{at}")
        FORGE.open(api, PATH, f"topic-{at}", "main", Wording("Another", ""))
    forgejo.most = 2
    found = FORGE.find(api, PATH, BRANCH)
    assert found is not None
    assert found.number == 1


def test_a_list_that_never_ends_is_given_up(api: Client, host: GitHost, clone: Clone) -> None:
    clone.update()
    opened(api)
    once = host.api
    host.api = lambda call: Reply(once(replace(call, query={**call.query, "page": "1"})).body)
    with pytest.raises(NoResponse, match="more than 40 pages of open pull requests"):
        FORGE.find(api, PATH, "lockbot/other")


def test_a_deleted_branch_closes_its_request(api: Client, clone: Clone) -> None:
    commit = clone.update()
    opened(api)
    clone.git("push", "--quiet", "origin", f":{BRANCH}")
    seen = FORGE.look(api, PATH, 1)
    assert (seen.state, seen.branch, seen.head) == (RequestState.CLOSED, BRANCH, commit)


@pytest.mark.parametrize("do", ["merge", "squash", "rebase", "fast-forward-only"])
def test_one_that_a_person_merged(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn, do: str
) -> None:
    commit = clone.update()
    opened(api)
    made = forgejo.merge(1, do)
    seen = FORGE.look(api, PATH, 1)
    assert (seen.state, seen.merged_as) == (RequestState.MERGED, made)
    assert host.tip(NAME, "main") == made
    assert (made == commit) == (do in ("rebase", "fast-forward-only")), "it was on top of main"


@pytest.mark.parametrize(
    "change",
    [
        {"head": None},
        {"head": []},
        {"base": "main"},
        {"number": "1"},
        {"number": True},
        {"title": 3},
        {"user": "lockbot"},
        {"state": "strange"},
        {"html_url": "javascript:alert(1)"},
        {"head": {"ref": BRANCH, "sha": 4}},
    ],
)
def test_a_request_in_another_form_than_described(
    api: Client, host: GitHost, clone: Clone, change: dict[str, object]
) -> None:
    clone.update()
    opened(api)
    once = host.api
    host.api = lambda call: Reply({**once(call).body, **change})
    with pytest.raises(NoResponse, match="otherwise than its API"):
        FORGE.look(api, PATH, 1)


def test_a_commit_that_is_none_is_not_taken_for_one(api: Client, host: GitHost, clone: Clone) -> None:
    clone.update()
    opened(api)
    once = host.api
    host.api = lambda call: Reply({**once(call).body, "head": {"ref": BRANCH, "sha": "--exec=evil", "repo_id": 1}})
    assert FORGE.look(api, PATH, 1).head == ""


# -- changing ----------------------------------------------------------------------------------------------------


def test_it_is_changed_only_where_it_says_something_else(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    clone.update()
    seen = opened(api)
    host.calls.clear()
    FORGE.change(api, PATH, seen, seen.wording)
    assert host.calls == []
    FORGE.change(api, PATH, seen, Wording("Update two inputs", "More"))
    assert (forgejo.request(1)["title"], forgejo.request(1)["body"]) == ("Update two inputs", "More")
    FORGE.change(api, PATH, FORGE.look(api, PATH, 1), Wording("Update two inputs", ""))
    assert forgejo.request(1)["body"] == ""


def test_a_draft_is_one_by_its_title(api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    seen = opened(api, draft=True)
    assert forgejo.request(1)["title"] == "WIP: Update nixpkgs"
    assert seen.wording == Wording("Update nixpkgs", "What is new", draft=True)
    host.calls.clear()
    FORGE.change(api, PATH, seen, seen.wording)
    assert host.calls == []
    FORGE.change(api, PATH, seen, Wording("Update nixpkgs", "What is new"))
    assert forgejo.request(1)["title"] == "Update nixpkgs"
    assert not FORGE.look(api, PATH, 1).wording.draft


@pytest.mark.parametrize("prefix", ["wip: ", "[WIP]", "[wip] ", "Draft: ", "[Draft] "])
def test_a_person_made_a_draft_of_it_in_another_way(
    api: Client, clone: Clone, forgejo: ForgejoStandIn, prefix: str
) -> None:
    forgejo.prefixes = ("WIP:", "[WIP]", "Draft:", "[Draft]")
    clone.update()
    opened(api)
    forgejo.edit(1, title=f"{prefix}Update nixpkgs")
    assert FORGE.look(api, PATH, 1).wording == Wording("Update nixpkgs", "What is new", draft=True)


def test_where_drafts_are_called_otherwise_it_is_not_renamed_every_night(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    forgejo.prefixes = ("In progress:",)
    clone.update()
    wording = Wording("Update nixpkgs", "What is new", draft=True)
    seen = opened(api, draft=True)
    host.calls.clear()
    FORGE.change(api, PATH, seen, wording)
    assert host.calls == []


@pytest.mark.parametrize("title", ["x" * 300, "ä" * 200, "x" * 250])
def test_a_title_that_is_too_long_is_cut_once(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn, title: str
) -> None:
    clone.update()
    seen = opened(api, title=title, draft=True)
    kept = forgejo.request(1)["title"]
    assert len(kept.encode()) <= 255
    assert "…" not in kept, "it is not for the forge to cut it"
    host.calls.clear()
    FORGE.change(api, PATH, seen, Wording(title, "What is new", draft=True))
    assert host.calls == []


def test_a_title_within_the_limits_is_whole() -> None:
    assert FORGE.limits.title + len("WIP: ") == 255


def test_it_is_closed_and_once_more(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    opened(api)
    FORGE.close(api, PATH, 1)
    FORGE.close(api, PATH, 1)
    assert forgejo.request(1)["state"] == "closed"
    forgejo.reopen(1)
    forgejo.merge(1)
    with pytest.raises(Refused, match="already merged"):
        FORGE.close(api, PATH, 1)


# -- people ------------------------------------------------------------------------------------------------------


def test_it_is_filed_beside_what_people_set(
    api: Client, clone: Clone, forgejo: ForgejoStandIn, host: GitHost
) -> None:
    clone.update()
    opened(api)
    forgejo.edit(1, labels=[1], assignees=["bob"])
    people = People(("dependencies", "automatic"), ("bob", "fleet/maintainers"), ("alice",))
    assert FORGE.file(api, PATH, 1, people) == ()
    found = forgejo.request(1)
    assert (found["labels"], found["assignees"]) == ([1, 2, 40], ["bob", "alice"])
    assert [(one["user"], one["team"]) for one in found["reviews"]] == [("bob", None), (None, "maintainers")]
    host.calls.clear()
    assert FORGE.file(api, PATH, 1, people) == ()
    assert changes(host) == [], "all is there"


def test_nobody_is_asked_to_look_again_who_has(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    opened(api)
    forgejo.review(1, "alice")
    assert FORGE.file(api, PATH, 1, People(reviewers=("Alice",))) == ()
    assert [one["state"] for one in forgejo.request(1)["reviews"]] == ["APPROVED"]


def test_what_is_not_there_is_said_and_keeps_nothing_else_out(
    api: Client, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    clone.update()
    opened(api)
    people = People(("nix", "bug"), ("nobody", "bob", "fleet/ghosts", "lockbot"), ("nobody", "alice"))
    said = FORGE.file(api, PATH, 1, people)
    assert [line.partition(":")[0] for line in said] == [
        "there is no label nix",
        "nobody could not be assigned",
        "nobody could not be asked for a review",
        "fleet/ghosts could not be asked for a review",
        "lockbot could not be asked for a review",
    ]
    assert "poster of pr can't be reviewer" in said[-1]
    found = forgejo.request(1)
    assert (found["labels"], found["assignees"]) == ([1], ["alice"])
    assert [one["user"] for one in found["reviews"]] == ["bob"]


def test_a_person_has_no_organization_to_look_into(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    forgejo.organization = False
    clone.update()
    opened(api)
    said = FORGE.file(api, PATH, 1, People(("automatic", "bug"), ("fleet/maintainers",)))
    assert said[0] == "there is no label automatic"
    assert "fleet/maintainers could not be asked for a review" in said[1]
    assert forgejo.request(1)["labels"] == [1]


def test_labels_of_an_organization_that_the_token_may_not_see(
    api: Client, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    forgejo.scopes["secret-token"] = frozenset({"write:repository", "write:issue"})
    clone.update()
    opened(api)
    said = FORGE.file(api, PATH, 1, People(("automatic", "bug")))
    assert "scope read:organization" in said[0]
    assert said[1:] == ("there is no label automatic",)
    assert forgejo.request(1)["labels"] == [1]


@pytest.mark.usefixtures("forgejo")
def test_who_may_not_write_files_nothing(host: GitHost, clone: Clone) -> None:
    clone.update()
    bob = api_of(host, "bobs-token")
    opened(bob)
    said = FORGE.file(bob, PATH, 1, People(("bug",), ("alice",), ("alice",)))
    assert len(said) == 3
    assert "it could not be labelled" in said[0]
    assert "took no notice" in said[1]
    assert "Doer can't choose reviewer" in said[2]


def test_many_labels_are_looked_through(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    forgejo.labels = {f"label-{at}": at for at in range(1, 9)}
    forgejo.most = 3
    clone.update()
    opened(api)
    assert FORGE.file(api, PATH, 1, People(("label-8",))) == ()
    assert forgejo.request(1)["labels"] == [8]


# -- comments ----------------------------------------------------------------------------------------------------


def test_a_comment_is_written_and_edited(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    opened(api)
    first = FORGE.comment(api, PATH, 1, "held", None)
    assert FORGE.comment(api, PATH, 1, "held still", first) == first
    assert [one["body"] for one in forgejo.request(1)["comments"]] == ["held still"]
    forgejo.delete_comment(1, int(first))
    with pytest.raises(NotThere):
        FORGE.comment(api, PATH, 1, "and still", first)
    assert forgejo.request(1)["comments"] == []


def test_only_its_own_comment_is_found(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    seen = opened(api)
    forgejo.comment(1, "alice", "I saw <!-- mark --> in yours")
    assert FORGE.find_comment(api, PATH, seen, "<!-- mark -->") is None
    for at in range(60):
        forgejo.comment(1, "bob", f"{at}")
    own = FORGE.comment(api, PATH, 1, "held <!-- mark -->", None)
    assert FORGE.find_comment(api, PATH, seen, "<!-- mark -->") == own
    assert FORGE.find_comment(api, PATH, seen, "<!-- other -->") is None


def test_a_comment_needs_a_scope_of_its_own(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    forgejo.scopes["secret-token"] = frozenset({"write:repository"})
    clone.update()
    opened(api)
    with pytest.raises(NoRight, match=r"\[write:issue\]"):
        FORGE.comment(api, PATH, 1, "held", None)


# -- checks ------------------------------------------------------------------------------------------------------


def checked(api: Client, commit: str) -> tuple[list[tuple[str, str]], tuple[str, ...] | None]:
    seen = FORGE.checks(api, PATH, "main", commit)
    return [(check.name, check.standing.value) for check in seen.checks], seen.required


def test_checks_and_those_that_a_branch_requires(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    commit = clone.update()
    assert checked(api, commit) == ([], ())
    forgejo.status(commit, "ci / build (push)", "success")
    forgejo.status(commit, "ci / lint (push)", "failure")
    names = [name for name, _ in checked(api, commit)[0]]
    assert names == ["ci / build (push)", "ci / lint (push)"]
    assert checked(api, commit)[1] == ()
    forgejo.required["main"] = ["ci / build*", "deploy"]
    assert checked(api, commit)[1] == ("ci / build (push)", "deploy")


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("ci/build", ["ci/build"]),
        ("ci/*", ["ci/build", "ci/lint"]),
        ("*", ["ci/build", "ci/lint", "a[1]{2}", "*"]),
        ("ci/{build,test}", ["ci/build"]),
        ("{ci/{build,lint},x}", ["ci/build", "ci/lint"]),
        ("ci/?uild", ["ci/build"]),
        ("ci/[!b]*", ["ci/lint"]),
        ("ci/[a-k]*", ["ci/build"]),
        (r"\*", ["*"]),
        (r"a\[1\]\{2\}", ["a[1]{2}"]),
        ("CI/*", []),
    ],
)
def test_patterns_of_required_checks(
    api: Client, clone: Clone, forgejo: ForgejoStandIn, pattern: str, matched: list[str]
) -> None:
    commit = clone.update()
    for name in ("ci/build", "ci/lint", "a[1]{2}", "*"):
        forgejo.status(commit, name, "success")
    forgejo.required["main"] = [pattern]
    assert checked(api, commit)[1] == tuple(matched or [pattern])


def test_a_branch_that_requires_whatever_there_is(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    commit = clone.update()
    forgejo.required["main"] = []
    assert checked(api, commit)[1] == ("*",), "at least one"
    forgejo.status(commit, "build", "pending")
    assert checked(api, commit)[1] == ("build",)


@pytest.mark.parametrize("told", ["ci", 3, ["ci", 3], ["{a,b}" * 20]])
def test_patterns_in_another_form(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn, told: object
) -> None:
    commit = clone.update()
    forgejo.status(commit, "build", "success")
    branch = {"protected": True, "enable_status_check": True, "status_check_contexts": told}
    host.faults.append(lambda call: Reply(branch) if "/branches/" in call.path else None)
    with pytest.raises(NoResponse, match="otherwise than its API"):
        checked(api, commit)


# -- merging -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gitea", [False, True])
def test_it_is_merged_when_its_checks_pass(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn, gitea: bool
) -> None:
    forgejo.gitea, forgejo.required["main"] = gitea, ["build", "test"]
    commit = clone.update()
    seen = opened(api)
    forgejo.status(commit, "build", "success")
    FORGE.merge_when_passed(api, PATH, seen, commit)
    FORGE.merge_when_passed(api, PATH, seen, commit)
    assert FORGE.look(api, PATH, 1).state is RequestState.OPEN
    forgejo.status(commit, "test", "success")
    assert FORGE.look(api, PATH, 1).merged_as == commit == host.tip(NAME, "main")


def test_it_is_merged_at_once_where_they_have_passed(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    forgejo.required["main"] = ["build"]
    commit = clone.update()
    seen = opened(api)
    forgejo.status(commit, "build", "success")
    FORGE.merge_when_passed(api, PATH, seen, commit)
    assert host.tip(NAME, "main") == commit


@pytest.mark.parametrize(
    ("styles", "do"), [(("merge", "squash"), "merge"), (("squash",), "squash"), ((), "merge")]
)
def test_only_a_way_that_is_allowed_is_scheduled(
    api: Client, clone: Clone, forgejo: ForgejoStandIn, styles: tuple[str, ...], do: str
) -> None:
    forgejo.styles, forgejo.required["main"] = styles, ["build"]
    commit = clone.update()
    FORGE.merge_when_passed(api, PATH, opened(api), commit)
    assert forgejo.request(1)["scheduled"]["do"] == do


def test_nothing_is_scheduled_where_no_check_is_required(
    api: Client, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    forgejo.gitea = True
    commit = clone.update()
    seen = opened(api)
    with pytest.raises(Refused, match="no checks are required on its branch main"):
        FORGE.merge_when_passed(api, PATH, seen, commit)
    assert FORGE.look(api, PATH, 1).state is RequestState.OPEN


def test_another_commit_is_not_merged(api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn) -> None:
    forgejo.required["main"] = ["build"]
    commit = clone.update()
    seen = opened(api)
    newer = host.commit_on(NAME, BRANCH, "by hand", {"note": "x"})
    for one in (commit, newer):
        forgejo.status(one, "build", "success")
    with pytest.raises(Refused, match="another commit"):
        FORGE.merge_when_passed(api, PATH, seen, commit)
    assert forgejo.request(1)["state"] == "open"


def test_one_that_comes_between_looking_and_merging_is_not_either(
    api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    forgejo.required["main"] = ["build"]
    commit = clone.update()
    seen = opened(api)
    forgejo.status(commit, "build", "success")

    def person(call: Any) -> None:
        if call.method == "POST":
            host.faults.clear()
            newer = host.commit_on(NAME, BRANCH, "by hand", {"note": "x"})
            forgejo.status(newer, "build", "success")

    host.faults.append(person)
    with pytest.raises(Refused, match="head out of date"):
        FORGE.merge_when_passed(api, PATH, seen, commit)
    assert forgejo.request(1)["state"] == "open"


def test_a_draft_and_who_may_not_merge(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    forgejo.required["main"] = ["build"]
    commit = clone.update()
    seen = opened(api, draft=True)
    with pytest.raises(Refused, match="Work in progress") as error:
        FORGE.merge_when_passed(api, PATH, seen, commit)
    assert error.value.status == 405
    forgejo.mergers = frozenset({"alice"})
    with pytest.raises(Refused, match="not allowed to merge"):
        FORGE.merge_when_passed(api, PATH, seen, commit)


# -- what lockbot pushed to the base itself ----------------------------------------------------------------------


def land(clone: Clone) -> str:
    """The branch's commit, pushed to main as it is."""
    commit = clone.git("rev-parse", "HEAD")
    clone.git("push", "--quiet", "origin", f"{commit}:refs/heads/main")
    return commit


@pytest.mark.parametrize("gitea", [False, True])
def test_a_forge_that_may_be_told_is_told(api: Client, clone: Clone, forgejo: ForgejoStandIn, gitea: bool) -> None:
    forgejo.gitea, forgejo.allow_manual_merge = gitea, True
    clone.update()
    seen = opened(api)
    commit = land(clone)
    assert FORGE.look(api, PATH, 1).state is RequestState.OPEN, "it does not see that itself"
    FORGE.landed(api, PATH, seen, commit)
    FORGE.landed(api, PATH, seen, commit)
    now = FORGE.look(api, PATH, 1)
    assert (now.state, now.merged_as) == (RequestState.MERGED, commit)


def test_one_that_sees_it_is_left_alone(api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn) -> None:
    forgejo.autodetect_manual_merge = True
    clone.update()
    seen = opened(api)
    commit = land(clone)
    host.calls.clear()
    FORGE.landed(api, PATH, seen, commit)
    assert changes(host) == []
    assert FORGE.look(api, PATH, 1).merged_as == commit


def test_one_that_will_see_it_in_a_moment_is_not_closed(
    api: Client, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    forgejo.gitea = True
    clone.update()
    seen = opened(api)
    commit = land(clone)
    forgejo.autodetect_manual_merge = True
    FORGE.landed(api, PATH, seen, commit)
    assert forgejo.request(1)["state"] == "open"


@pytest.mark.parametrize("gitea", [False, True])
def test_where_it_may_not_be_told_the_request_is_closed(
    api: Client, clone: Clone, forgejo: ForgejoStandIn, gitea: bool
) -> None:
    forgejo.gitea = gitea
    clone.update()
    seen = opened(api)
    commit = land(clone)
    FORGE.landed(api, PATH, seen, commit)
    FORGE.landed(api, PATH, seen, commit)
    assert forgejo.request(1)["state"] == "closed"


def test_what_the_base_does_not_have_is_not_said_to_be_there(
    api: Client, clone: Clone, forgejo: ForgejoStandIn
) -> None:
    forgejo.allow_manual_merge = True
    commit = clone.update()
    with pytest.raises(Refused) as error:
        FORGE.landed(api, PATH, opened(api), commit)
    assert error.value.status == 409
    assert forgejo.request(1)["state"] == "open"


def test_a_person_closes_it_meanwhile(api: Client, host: GitHost, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    seen = opened(api)
    commit = land(clone)

    def person(call: Any) -> None:
        if call.method == "POST":
            host.faults.clear()
            forgejo.close(1)

    host.faults.append(person)
    FORGE.landed(api, PATH, seen, commit)
    assert forgejo.request(1)["state"] == "closed"


def test_the_page_on_which_one_is_opened() -> None:
    page = FORGE.page_to_open("https://git.example.org", ("fleet", "hosts"), "lockbot/a b#1", "main")
    assert page == "https://git.example.org/fleet/hosts/compare/main...lockbot/a%20b%231"


# -- the stand-in itself: requests without the API ---------------------------------------------------------------


def refs(clone: Clone) -> dict[str, str]:
    return {ref: commit for commit, ref in map(str.split, clone.git("ls-remote", "origin").splitlines())}


def test_a_push_opens_a_request_and_another_changes_it(api: Client, host: GitHost, clone: Clone) -> None:
    clone.git("checkout", "--quiet", "--detach", "origin/main")
    first = clone.commit("flake.lock: update\n\nWhat is new\n\nMore", "flake.lock", "2\n")
    options = ("-o", "topic=nixpkgs", "-o", "title=Update nixpkgs")
    done = clone.push(f"{first}:refs/for/main", *options)
    assert done.returncode == 0, done.stderr
    assert f"remote:   {host.url}/{NAME}/pulls/1" in done.stderr
    assert refs(clone)["refs/pull/1/head"] == first
    assert "refs/heads/lockbot/nixpkgs" not in refs(clone)
    seen = FORGE.look(api, PATH, 1)
    assert (seen.wording.title, seen.wording.body) == ("Update nixpkgs", "What is new\n\nMore")
    assert (seen.branch, seen.base, seen.head, seen.author) == ("refs/pull/1/head", "main", first, "lockbot")
    assert FORGE.find(api, PATH, "lockbot/nixpkgs") is None

    clone.git("checkout", "--quiet", "--detach", "origin/main")
    second = clone.commit("flake.lock: update", "flake.lock", "3\n")
    refused = clone.push(f"{second}:refs/for/main", *options)
    assert refused.returncode != 0
    assert "force-push=true" in refused.stderr
    assert refs(clone)["refs/pull/1/head"] == first
    assert clone.push(f"{second}:refs/for/main", *options, "-o", "force-push=true").returncode == 0
    assert refs(clone)["refs/pull/1/head"] == second == FORGE.look(api, PATH, 1).head
    again = clone.push(f"{second}:refs/for/main", *options)
    assert "The new commit is the same as the old commit" in again.stderr


def test_numbers_are_shared_and_a_closed_one_is_not_taken_up(api: Client, clone: Clone) -> None:
    commit = clone.update()
    opened(api)
    assert clone.push(f"{commit}:refs/for/main/nixpkgs").returncode == 0
    assert FORGE.look(api, PATH, 2).head == commit
    FORGE.close(api, PATH, 2)
    assert clone.push(f"{commit}:refs/for/main/nixpkgs").returncode == 0
    assert FORGE.look(api, PATH, 3).state is RequestState.OPEN


@pytest.mark.parametrize(
    ("refspec", "options", "words"),
    [
        ("HEAD:refs/for/main", [], "The topic-branch option is not set"),
        ("origin/main:refs/for/main", ["-o", "topic=x"], "The target branch already contains this commit"),
    ],
)
def test_pushes_for_a_branch_that_are_refused(
    clone: Clone, forgejo: ForgejoStandIn, refspec: str, options: list[str], words: str
) -> None:
    clone.update()
    done = clone.push(refspec, *options)
    assert done.returncode != 0
    assert words in done.stderr
    assert forgejo.requests() == []


def test_a_branch_is_pushed_with_the_page_that_opens_a_request(api: Client, host: GitHost, clone: Clone) -> None:
    clone.update()
    done = clone.push("--force", f"HEAD:refs/heads/{BRANCH}2")
    page = FORGE.page_to_open(host.url, PATH, f"{BRANCH}2", "main")
    assert f"remote:   {page}" in done.stderr
    seen = opened(api)
    done = clone.push("--force", f"origin/main:refs/heads/{BRANCH}")
    assert f"remote:   {seen.url}" in done.stderr


def test_git_finds_a_repository_under_its_old_name(api: Client, clone: Clone, forgejo: ForgejoStandIn) -> None:
    clone.update()
    opened(api)
    forgejo.rename("fleet/machines")
    commit = clone.update("4\n")
    assert FORGE.look(api, ("fleet", "machines"), 1).head == commit
