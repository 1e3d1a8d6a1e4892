"""Merge requests on GitLab: each thing that lockbot does with one, against its API, after real pushes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lockbot.forge.gitlab import GitLab
from lockbot.forge.http import Client, Patience
from lockbot.forge.pull_requests.gitlab import GitLabRequests
from lockbot.forge.pull_requests.interface import People, RequestForge, RequestSeen, Right, Wording
from lockbot.forge.responses import NoResponse, NoRight, NotThere, Refused, Renamed, RequestState
from lockbot.policy.upstream_checks import Standing
from lockbot.process import CancelToken
from tests.forge.pull_requests.githost import Call, GitHost
from tests.forge.pull_requests.gitlab import GitLabStandIn
from tests.forge.pull_requests.gitlab_project import Request
from tests.forge.pull_requests.working_copy import WorkingCopy
from tests.forge.server import Reply

NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
PATH = ("group", "deep", "fleet")
NAME = "/".join(PATH)
BRANCH = "lockbot/update"
TOKEN = "secret-token"  # noqa: S105
WORDING = Wording("Update nixpkgs", "All hosts build.\n\n- nixpkgs: 1 → 2\n")
FORGE: RequestForge = GitLabRequests(lambda: NOW)


@dataclass
class World:
    host: GitHost
    gitlab: GitLabStandIn
    clone: WorkingCopy
    cancel: CancelToken
    first: str

    def api(self, token: str | None = TOKEN) -> Client:
        patience = Patience(timeout=20, delay=0.01, between=0)
        headers = GitLab().headers(token)
        return Client(f"{self.host.url}/api/v4", headers, self.cancel, lambda: NOW, patience, "repository")

    def push(self, subject: str = "update", branch: str = BRANCH, on: str | None = None) -> str:
        commit = self.clone.commit(subject, on or self.first)
        done = self.clone.send(commit, branch)
        assert done.returncode == 0, done.stderr
        return commit

    def opened(self, wording: Wording = WORDING, branch: str = BRANCH) -> RequestSeen:
        self.push(f"update {branch}", branch)
        return FORGE.open(self.api(), PATH, branch, "main", wording)

    def changes(self) -> list[Call]:
        return [call for call in self.host.calls if call.method != "GET"]


@pytest.fixture
def world(tmp_path: Path, cancel: CancelToken) -> Iterator[World]:
    with GitHost(tmp_path / "forge") as host:
        host.create(NAME)
        gitlab = GitLabStandIn(host, NAME)
        clone = WorkingCopy(host, NAME, tmp_path / "clone")
        first = clone.commit("first")
        assert clone.send(first, "main").returncode == 0
        yield World(host, gitlab, clone, cancel, first)


# -- repositories and tokens --------------------------------------------------------------------------------------


def test_a_repository_is_where_it_says_and_what_one_may_do_there(world: World) -> None:
    seen = FORGE.repository(world.api(), PATH)
    assert (seen.path, seen.may_push, seen.archived, seen.auto_merge) == (PATH, True, False, True)
    world.gitlab.archived = True
    assert FORGE.repository(world.api(), PATH).archived


@pytest.mark.parametrize(("level", "may"), [(20, False), (30, True), (50, True)])
def test_from_developers_on_they_push(world: World, level: int, may: bool) -> None:
    world.gitlab.user("lockbot", level)
    assert FORGE.repository(world.api(), PATH).may_push is may
    commit = world.clone.commit("update", world.first)
    pushed = world.clone.send(commit, BRANCH)
    assert (pushed.returncode == 0) is may, pushed.stderr


def test_without_a_role_nobody_knows_whether_one_may_push(world: World) -> None:
    world.gitlab.access.clear()
    assert FORGE.repository(world.api(), PATH).may_push is None
    assert FORGE.repository(world.api(None), PATH).may_push is None


def test_a_repository_that_moved_is_found_and_named(world: World) -> None:
    request = world.opened()
    world.gitlab.rename("group/fleet")
    seen = FORGE.repository(world.api(), PATH)
    assert seen.path == ("group", "fleet")
    assert FORGE.look(world.api(), PATH, request.number).url.endswith("/group/fleet/-/merge_requests/1")
    found = FORGE.find(world.api(), PATH, BRANCH)
    assert found is not None and found.number == 1
    with pytest.raises(Renamed) as renamed:
        FORGE.close(world.api(), PATH, request.number)
    assert renamed.value.address == f"{world.host.url}/group/fleet"
    assert "moved" in renamed.value.message and "group/fleet" in renamed.value.message


def test_a_private_repository_is_not_there_for_others(world: World) -> None:
    world.gitlab.private = True
    assert FORGE.repository(world.api(), PATH).path == PATH
    world.gitlab.access.clear()
    with pytest.raises(NotThere):
        FORGE.repository(world.api(), PATH)


def rights(world: World, token: str | None = TOKEN) -> dict[str, Right]:
    seen = FORGE.repository(world.api(), PATH)
    return {right.what: right for right in FORGE.rights(world.api(token), PATH, seen)}


@pytest.mark.parametrize(
    ("scopes", "pushes", "opens"),
    [
        (("api",), True, True),
        (("read_api", "write_repository"), True, False),
        (("read_api",), False, False),
        (("granular",), None, None),
    ],
)
def test_a_tokens_scopes_say_what_it_can_do(
    world: World, scopes: tuple[str, ...], pushes: bool | None, opens: bool | None
) -> None:
    seen = FORGE.repository(world.api(), PATH)
    world.gitlab.scopes[TOKEN] = scopes
    if scopes == ("granular",):
        # Such a token has the project's rights; the stand-in knows only scopes.
        world.host.faults.append(lambda call: Reply({}) if call.path.endswith("fleet") else None)
    push, opening = FORGE.rights(world.api(), PATH, seen)
    assert (push.given, opening.given) == (pushes, opens)
    assert push.lacks == ("" if pushes is not False else "the scope api or write_repository")
    assert opening.lacks == ("" if opens is not False else "the scope api")


def test_a_role_that_does_not_do_is_said_so(world: World) -> None:
    world.gitlab.user("lockbot", 20)
    assert [right.lacks for right in rights(world).values()] == ["the role Developer"] * 2
    assert all(right.given is False for right in rights(world).values())


def test_merge_requests_that_are_switched_off_can_not_be_opened(world: World) -> None:
    world.gitlab.merge_requests_enabled = False
    found = rights(world)
    assert found["push a branch"].given is True
    assert found["open a merge request"].given is False
    assert "switched off" in found["open a merge request"].lacks


def test_without_a_token_nothing_can_be_done(world: World) -> None:
    assert {right.given for right in rights(world, None).values()} == {False}
    assert {right.lacks for right in rights(world, None).values()} == {"the scope api"}


def test_what_another_kind_of_token_can_do_is_not_known(world: World) -> None:
    said = Reply({"message": "400 Bad request - This endpoint requires a personal access token"}, 400)
    world.host.faults.append(lambda call: said if call.path.endswith("/self") else None)
    assert [right.given for right in rights(world).values()] == [None, None]


@pytest.mark.parametrize(("day", "said"), [("2026-12-10", True), ("2026-12-11", False), (None, False)])
def test_a_token_that_expires_soon_is_told_of(world: World, day: str | None, said: bool) -> None:
    if day is not None:
        world.gitlab.expires[TOKEN] = day
    found = rights(world)
    assert ("keep its token" in found) is said
    if said:
        assert found["keep its token"] == Right("keep its token", None, said=f"the token expires on {day}")


# -- opening, finding, changing, closing --------------------------------------------------------------------------


def test_one_is_opened_and_found_as_it_is(world: World) -> None:
    opened = world.opened()
    tip = world.host.tip(NAME, BRANCH)
    page = f"{world.host.url}/{NAME}/-/merge_requests/1"
    assert opened == RequestSeen(1, page, RequestState.OPEN, BRANCH, "main", str(tip), WORDING, "lockbot")
    assert FORGE.find(world.api(), PATH, BRANCH) == opened == FORGE.look(world.api(), PATH, 1)
    assert FORGE.find(world.api(), PATH, "lockbot/other") is None


def test_what_was_judged_is_not_squashed_into_another_commit(world: World) -> None:
    world.opened()
    (call,) = world.changes()
    assert call.document["squash"] is False


def test_a_draft_is_one_and_its_title_is_without_the_mark(world: World) -> None:
    draft = replace(WORDING, draft=True)
    seen = world.opened(draft)
    assert seen.wording == draft
    assert world.gitlab.requests[1].title == "Draft: Update nixpkgs"
    FORGE.change(world.api(), PATH, seen, WORDING)
    assert world.gitlab.requests[1].title == "Update nixpkgs"


@pytest.mark.parametrize("title", ["[Draft] it", "(draft) it", "DRAFT: it", "Draft: [draft] it"])
def test_each_mark_of_a_draft_is_known(world: World, title: str) -> None:
    world.opened()
    world.gitlab.requests[1].title = title
    assert FORGE.look(world.api(), PATH, 1).wording == replace(WORDING, title="it", draft=True)


def test_a_forks_request_of_the_same_branch_is_not_ours(world: World) -> None:
    ours = world.opened()
    for number in range(2, 140):
        world.gitlab.requests[number] = Request(
            number, "stranger", BRANCH, "main", "mine", "", ours.head, fork=True
        )
    found = FORGE.find(world.api(), PATH, BRANCH)
    assert found is not None and found.number == 1, "on the second page"
    world.gitlab.close(1)
    assert FORGE.find(world.api(), PATH, BRANCH) is None


def test_a_second_one_is_refused_with_its_number(world: World) -> None:
    world.opened()
    with pytest.raises(Refused) as refused:
        FORGE.open(world.api(), PATH, BRANCH, "main", WORDING)
    assert refused.value.status == 409
    assert refused.value.words == "Another open merge request already exists for this source branch: !1"


@pytest.mark.parametrize(
    ("base", "title", "status"), [(BRANCH, "x", 422), ("main", "x" * 256, 400), ("main", " ", 400)]
)
def test_what_it_refuses_says_why(world: World, base: str, title: str, status: int) -> None:
    world.push()
    with pytest.raises(Refused) as refused:
        FORGE.open(world.api(), PATH, BRANCH, base, Wording(title, ""))
    assert refused.value.status == status and refused.value.words in refused.value.message
    assert refused.value.words != ""


def test_the_longest_wording_is_taken(world: World) -> None:
    limits = FORGE.limits
    wording = Wording("x" * limits.title, "y" * limits.body, draft=True)
    seen = world.opened(wording)
    assert seen.wording == wording
    FORGE.comment(world.api(), PATH, 1, "z" * limits.comment, None)


def test_a_token_without_the_scope_is_told_so(world: World) -> None:
    world.push()
    world.gitlab.scopes[TOKEN] = ("read_api",)
    with pytest.raises(NoRight) as no:
        FORGE.open(world.api(), PATH, BRANCH, "main", WORDING)
    assert "insufficient_scope" in no.value.message and TOKEN not in no.value.message


def test_only_what_differs_is_changed(world: World) -> None:
    seen = world.opened()
    before = len(world.changes())
    FORGE.change(world.api(), PATH, seen, WORDING)
    browsers = replace(seen, wording=replace(WORDING, body=WORDING.body.replace("\n", "\r\n")))
    FORGE.change(world.api(), PATH, browsers, WORDING)
    assert len(world.changes()) == before
    FORGE.change(world.api(), PATH, seen, replace(WORDING, body="less"))
    FORGE.change(world.api(), PATH, seen, replace(WORDING, title="Update more"))
    assert [call.document for call in world.changes()[before:]] == [
        {"description": "less"},
        {"title": "Update more"},
    ]


def test_a_request_follows_its_branch(world: World) -> None:
    seen = world.opened()
    newer = world.push("newer")
    assert newer != seen.head
    assert FORGE.look(world.api(), PATH, 1).head == newer


def test_closing_twice_is_no_error_and_closed_stays_closed(world: World) -> None:
    world.opened()
    FORGE.close(world.api(), PATH, 1)
    FORGE.close(world.api(), PATH, 1)
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.CLOSED
    world.push("another night")
    assert FORGE.find(world.api(), PATH, BRANCH) is None


def test_one_without_its_branch_stays_open(world: World) -> None:
    seen = world.opened()
    world.gitlab.delete_branch(1)
    assert FORGE.look(world.api(), PATH, 1) == seen


def test_one_that_is_being_merged_is_open(world: World) -> None:
    world.opened()
    world.gitlab.requests[1].state = "locked"
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.OPEN


# -- merged -------------------------------------------------------------------------------------------------------


def test_our_own_push_of_its_commit_merges_it(world: World) -> None:
    seen = world.opened()
    assert world.clone.send(seen.head, "main").returncode == 0
    FORGE.landed(world.api(), PATH, seen, seen.head)
    after = FORGE.look(world.api(), PATH, 1)
    assert (after.state, after.merged_as) == (RequestState.MERGED, seen.head)
    assert len(world.changes()) == 1, "GitLab saw it by itself"


@pytest.mark.parametrize("how", ["merge", "squash", "ff"])
def test_however_people_merge_it_the_commit_is_known(world: World, how: str) -> None:
    seen = world.opened()
    landed = world.gitlab.merge(1, how)
    after = FORGE.look(world.api(), PATH, 1)
    assert (after.state, after.merged_as) == (RequestState.MERGED, landed)
    assert (landed == seen.head) is (how == "ff")


def test_one_that_people_aim_elsewhere_says_so(world: World) -> None:
    world.opened()
    world.push("a base", "stable")
    world.gitlab.retarget(1, "stable")
    found = FORGE.find(world.api(), PATH, BRANCH)
    assert found is not None and found.base == "stable"


# -- filing -------------------------------------------------------------------------------------------------------


def test_labels_are_added_to_peoples(world: World) -> None:
    world.opened()
    world.gitlab.requests[1].labels = ["theirs"]
    people = People(labels=("update", "nix::flake"))
    assert FORGE.file(world.api(), PATH, 1, people) == ()
    assert world.gitlab.requests[1].labels == ["theirs", "update", "nix::flake"]
    before = len(world.changes())
    assert FORGE.file(world.api(), PATH, 1, people) == ()
    assert len(world.changes()) == before, "asks for nothing that is there"


def test_a_label_that_is_two_to_gitlab_is_said_so(world: World) -> None:
    world.opened()
    assert FORGE.file(world.api(), PATH, 1, People(labels=("a,b",))) == ("the label a,b was not added",)


def test_reviewers_and_assignees_are_added_to_peoples(world: World) -> None:
    world.gitlab.premium = True
    for name in ("alice", "bob", "carol"):
        world.gitlab.user(name, 30)
    world.opened()
    world.gitlab.requests[1].reviewers = ["carol"]
    said = FORGE.file(world.api(), PATH, 1, People(reviewers=("Alice", "carol"), assignees=("bob",)))
    assert said == ()
    assert world.gitlab.requests[1].reviewers == ["carol", "alice"]
    assert world.gitlab.requests[1].assignees == ["bob"]


def test_who_is_dropped_without_premium_is_named(world: World) -> None:
    for name in ("alice", "bob"):
        world.gitlab.user(name, 30)
    world.opened()
    (said,) = FORGE.file(world.api(), PATH, 1, People(reviewers=("alice", "bob")))
    assert said.startswith("bob was not made its reviewer")
    assert world.gitlab.requests[1].reviewers == ["alice"]
    world.gitlab.requests[1].reviewers = ["bob"]
    (said,) = FORGE.file(world.api(), PATH, 1, People(reviewers=("alice",)))
    assert said.startswith("alice was not made its reviewer")
    assert world.gitlab.requests[1].reviewers == ["bob"], "whom people chose stays"


def test_who_is_not_there_is_named_and_the_rest_is_done(world: World) -> None:
    world.opened()
    people = People(labels=("update",), reviewers=("nobody",), assignees=("lockbot",))
    assert FORGE.file(world.api(), PATH, 1, people) == (f"{world.host.host} knows nobody called nobody",)
    assert world.gitlab.requests[1].labels == ["update"]
    assert world.gitlab.requests[1].assignees == ["lockbot"]


# -- comments -----------------------------------------------------------------------------------------------------


def test_a_comment_is_written_and_edited(world: World) -> None:
    world.opened()
    first = FORGE.comment(world.api(), PATH, 1, "one", None)
    assert FORGE.comment(world.api(), PATH, 1, "two", first) == first
    assert [note.body for note in world.gitlab.requests[1].notes] == ["two"]
    world.gitlab.requests[1].notes.clear()
    with pytest.raises(NotThere):
        FORGE.comment(world.api(), PATH, 1, "three", first)
    assert world.gitlab.requests[1].notes == []


def test_a_comment_on_what_is_not_there_says_so(world: World) -> None:
    with pytest.raises(NotThere):
        FORGE.comment(world.api(), PATH, 9, "one", "4")


def test_our_own_comment_is_found_among_many(world: World) -> None:
    seen = world.opened()
    assert FORGE.find_comment(world.api(), PATH, seen, "<!-- mark -->") is None
    world.gitlab.comment(1, "I quote <!-- mark -->")
    for number in range(130):
        world.gitlab.comment(1, f"talk {number}")
    world.gitlab.comment(1, "changed the description <!-- mark -->", "lockbot").system = True
    ours = FORGE.comment(world.api(), PATH, 1, "it builds\n\n<!-- mark -->", None)
    assert FORGE.find_comment(world.api(), PATH, seen, "<!-- mark -->") == ours


# -- checks and merging by itself ---------------------------------------------------------------------------------


def test_the_pipeline_is_the_check_and_may_have_to_pass(world: World) -> None:
    commit = world.opened().head
    assert FORGE.checks(world.api(), PATH, "main", commit).checks == ()
    assert FORGE.checks(world.api(), PATH, "main", commit).required == ()
    world.gitlab.pipeline(commit, "running")
    (check,) = FORGE.checks(world.api(), PATH, "main", commit).checks
    assert check.standing is Standing.PENDING
    assert FORGE.checks(world.api(), PATH, "main", commit).required == ()
    world.gitlab.pipeline_must_succeed = True
    assert FORGE.checks(world.api(), PATH, "main", commit).required == (check.name,)
    world.gitlab.pipelines.clear()
    assert FORGE.checks(world.api(), PATH, "main", commit).required == ("pipeline",)


def test_whether_it_has_to_pass_may_not_be_told(world: World) -> None:
    commit = world.opened().head
    world.host.faults.append(lambda call: Reply({"id": 7}) if call.path.endswith("fleet") else None)
    assert FORGE.checks(world.api(), PATH, "main", commit).required is None


def test_it_merges_itself_when_its_pipeline_has_passed(world: World) -> None:
    seen = world.opened()
    world.gitlab.pipeline(seen.head, "running")
    FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    before = len(world.changes())
    FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    assert len(world.changes()) == before, "it is set already"
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.OPEN
    world.gitlab.pipeline(seen.head, "success")
    after = FORGE.look(world.api(), PATH, 1)
    assert after.state is RequestState.MERGED and after.merged_as == world.host.tip(NAME, "main")
    assert world.host.has(NAME, "main", seen.head)


def test_one_that_has_passed_is_merged_at_once(world: World) -> None:
    seen = world.opened()
    world.gitlab.pipeline(seen.head, "success")
    FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.MERGED


def test_one_without_a_pipeline_is_not_merged_unlooked_at(world: World) -> None:
    seen = world.opened()
    with pytest.raises(Refused, match="no pipeline yet"):
        FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.OPEN
    api, document = world.api(), {"sha": seen.head, "auto_merge": True}
    api.send("PUT", "/projects/group%2Fdeep%2Ffleet/merge_requests/1/merge", document)
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.MERGED, "that is what GitLab would do"


def test_where_pipelines_must_succeed_it_waits_for_one(world: World) -> None:
    world.gitlab.pipeline_must_succeed = True
    seen = world.opened()
    FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.OPEN
    world.gitlab.pipeline(seen.head, "success")
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.MERGED


def test_another_commit_is_not_merged(world: World) -> None:
    seen = world.opened()
    world.gitlab.pipeline(seen.head, "running")
    FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    person = world.host.commit_on(NAME, BRANCH, "mine", {"mine": "x"})
    world.gitlab.pipeline(person, "success")
    assert FORGE.look(world.api(), PATH, 1).state is RequestState.OPEN
    with pytest.raises(Refused) as refused:
        FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    assert refused.value.status == 409 and "SHA does not match" in refused.value.words


def test_why_it_can_not_be_merged_is_said(world: World) -> None:
    seen = world.opened()
    world.gitlab.pipeline(seen.head, "failed")
    with pytest.raises(Refused) as refused:
        FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    assert refused.value.status == 405 and refused.value.words == "405 Method Not Allowed (mergeable)"


def test_who_may_not_merge_is_told_so_not_that_the_token_is_bad(world: World) -> None:
    seen = world.opened()
    world.gitlab.pipeline(seen.head, "running")
    world.gitlab.may_merge = 50
    with pytest.raises(NoRight) as no:
        FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)
    assert no.value.message == f"{world.host.host} does not let this token merge into main"
    assert not no.value.everywhere


def test_where_gitlab_did_nothing_that_is_said(world: World) -> None:
    seen = world.opened()
    world.gitlab.pipeline(seen.head, "running")
    shown = world.gitlab(Call("GET", "/api/v4/projects/7/merge_requests/1", {}, {}, None, TOKEN)).body
    world.host.faults.append(
        lambda call: Reply(shown | {"merge_error": "it broke"}) if call.method == "PUT" else None
    )
    with pytest.raises(Refused, match="it broke"):
        FORGE.merge_when_passed(world.api(), PATH, seen, seen.head)


# -- the rest -----------------------------------------------------------------------------------------------------


def test_the_page_on_which_one_is_opened() -> None:
    url = urlsplit(FORGE.page_to_open("https://gitlab.com", PATH, "lockbot/a&b#c", "main?"))
    assert (url.netloc, url.path, url.fragment) == ("gitlab.com", f"/{NAME}/-/merge_requests/new", "")
    assert parse_qs(url.query) == {
        "merge_request[source_branch]": ["lockbot/a&b#c"],
        "merge_request[target_branch]": ["main?"],
    }


HOSTILE: list[object] = [
    None, [], "x", 7, {}, {"iid": "1"}, {"iid": 1, "state": "opened"}, {"iid": True, "state": "open"},
    {"iid": 1, "state": "gone", "web_url": "https://x"}, {"iid": 1, "state": "opened", "web_url": "javascript:x"},
    {"iid": 1, "state": "opened", "web_url": "https://x", "sha": "zz"},
    {"iid": 1, "state": "opened", "web_url": "https://x", "author": "me"},
    {"iid": 1, "state": "opened", "web_url": "https://x", "title": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("document", HOSTILE, ids=repr)
def test_an_answer_that_is_none_is_said_to_be(world: World, document: object) -> None:
    world.host.faults.append(lambda _: Reply(document))
    for ask in (
        lambda: FORGE.look(world.api(), PATH, 1),
        lambda: FORGE.open(world.api(), PATH, BRANCH, "main", WORDING),
        lambda: FORGE.repository(world.api(), PATH),
    ):
        with pytest.raises(NoResponse):
            ask()


LABELLED: list[object] = [{"labels": "x"}, {"labels": [1]}, {"reviewers": {}}, {"assignees": [{"username": "x"}]}]


@pytest.mark.parametrize("document", LABELLED, ids=repr)
def test_people_that_are_none_are_said_to_be(world: World, document: object) -> None:
    world.host.faults.append(lambda _: Reply(document))
    with pytest.raises(NoResponse):
        FORGE.file(world.api(), PATH, 1, People(("a",), ("b",), ("c",)))


@pytest.mark.parametrize("document", [{}, ["x"], [{"source_project_id": 7}], [{"body": 7}]], ids=repr)
def test_lists_that_are_none_are_said_to_be(world: World, document: object) -> None:
    seen = world.opened()
    world.host.faults.append(lambda _: Reply(document))
    with pytest.raises(NoResponse):
        FORGE.find(world.api(), PATH, BRANCH)
    if document != [{"source_project_id": 7}]:
        with pytest.raises(NoResponse):
            FORGE.find_comment(world.api(), PATH, replace(seen, author=""), "mark")


@pytest.mark.parametrize("document", [{"scopes": "api"}, {"scopes": [1]}, {"expires_at": "soon"}, []], ids=repr)
def test_tokens_that_are_none_are_said_to_be(world: World, document: object) -> None:
    seen = FORGE.repository(world.api(), PATH)
    world.host.faults.append(lambda call: Reply(document) if call.path.endswith("/self") else None)
    with pytest.raises(NoResponse):
        FORGE.rights(world.api(), PATH, seen)
