"""Pull requests on GitHub: everything is asked of a stand-in over HTTP, and everything pushed is pushed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockbot.forge.github import GitHub
from lockbot.forge.http import Client, Patience
from lockbot.forge.pull_requests.github import GitHubRequests
from lockbot.forge.pull_requests.interface import People, RequestForge, RequestSeen, Right, Wording
from lockbot.forge.responses import NoResponse, NoRight, NotThere, Refused, Renamed, RequestState
from lockbot.policy.upstream_checks import Standing
from lockbot.process import CancelToken
from tests.forge.pull_requests.githost import Call, GitHost
from tests.forge.pull_requests.github import PREFIX, GitHubStandIn, Token
from tests.forge.pull_requests.working_copy import WorkingCopy
from tests.forge.server import Reply

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOKEN = "secret-token"  # noqa: S105 -- no secret: what must not turn up elsewhere
QUICK = Patience(timeout=2, delay=0.01, between=0)
PATH = ("owner", "repo")
SAYS = Wording("Update nixpkgs", "It builds.")
GITHUB: RequestForge = GitHubRequests()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with GitHost(tmp_path / "host", tokens={TOKEN: "lockbot", "other-token": "person"}) as running:
        running.create("owner/repo")
        yield running


@pytest.fixture
def clone(host: GitHost, tmp_path: Path) -> WorkingCopy:
    made = WorkingCopy(host, "owner/repo", tmp_path / "clone")
    made.push("main", "first")
    return made


@pytest.fixture
def github(host: GitHost, clone: WorkingCopy) -> GitHubStandIn:
    del clone
    host.api = stand_in = GitHubStandIn(host, "owner/repo")
    host.pushed = stand_in.pushed
    return stand_in


Asking = Callable[..., Client]


@pytest.fixture
def asking(host: GitHost, cancel: CancelToken) -> Asking:
    def make(token: str | None = TOKEN, prefix: str = PREFIX) -> Client:
        headers = GitHub().headers(token)
        return Client(f"{host.url}{prefix}", headers, cancel, lambda: NOW, QUICK, "repository or pull request")

    return make


@pytest.fixture
def api(asking: Asking, github: GitHubStandIn) -> Client:
    del github
    return asking()


@pytest.fixture
def opened(api: Client, clone: WorkingCopy) -> RequestSeen:
    clone.push("lockbot/update", "update", on="main")
    return GITHUB.open(api, PATH, "lockbot/update", "main", SAYS)


def look(api: Client, seen: RequestSeen) -> RequestSeen:
    return GITHUB.look(api, PATH, seen.number)


# -- the repository, and what may be done there


def test_a_repository(api: Client, github: GitHubStandIn) -> None:
    seen = GITHUB.repository(api, PATH)
    assert (seen.path, seen.may_push, seen.archived, seen.auto_merge) == (PATH, True, False, True)
    github.archived, github.auto_merge, github.writers = True, False, {"lockbot"}
    seen = GITHUB.repository(api, PATH)
    assert (seen.archived, seen.auto_merge) == (True, False)


def test_a_repository_that_may_not_be_written_to(api: Client, github: GitHubStandIn) -> None:
    github.writers.discard("lockbot")
    assert GITHUB.repository(api, PATH).may_push is False


def test_whether_one_may_push_is_told_to_nobody_without_a_token(asking: Asking, github: GitHubStandIn) -> None:
    assert not github.private
    assert GITHUB.repository(asking(None), PATH).may_push is None


def test_a_repository_that_has_moved(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    github.rename("owner/configuration")
    assert GITHUB.repository(api, PATH).path == ("owner", "configuration")
    assert GITHUB.find(api, PATH, "lockbot/update") == GITHUB.find(
        api, ("owner", "configuration"), "lockbot/update"
    )
    with pytest.raises(Renamed, match=r"moved: http://.*/repositories/1296269/pulls/1"):
        GITHUB.close(api, PATH, opened.number)
    assert github.pulls[1].open


PUSH, OPEN = "push a branch", "open a pull request"


@pytest.mark.parametrize(
    ("token", "private", "rights"),
    [
        (Token(("repo", "gist")), True, (Right(PUSH, True), Right(OPEN, True))),
        (Token(("public_repo",)), False, (Right(PUSH, True), Right(OPEN, True))),
        (Token(()), False, (Right(PUSH, False, "the scope repo"), Right(OPEN, False, "the scope repo"))),
        (Token(), True, (Right(PUSH, None, "Contents: write"), Right(OPEN, True))),
        (
            Token(permissions={"contents": "write", "pull_requests": "read"}),
            False,
            (Right(PUSH, None, "Contents: write"), Right(OPEN, False, "Pull requests: write")),
        ),
    ],
    ids=["repo", "public_repo", "no-scope", "fine-grained", "read-only"],
)
def test_rights(
    api: Client, github: GitHubStandIn, token: Token, private: bool, rights: tuple[Right, ...]
) -> None:
    github.rights[TOKEN], github.private = token, private
    assert GITHUB.rights(api, PATH, GITHUB.repository(api, PATH)) == rights
    assert github.pulls == {}


def test_rights_of_an_account_that_may_not_write(api: Client, github: GitHubStandIn) -> None:
    github.writers.clear()
    assert GITHUB.rights(api, PATH, GITHUB.repository(api, PATH))[0] == Right(PUSH, False, "the role Write")


def test_rights_that_are_gone(api: Client, github: GitHubStandIn, host: GitHost) -> None:
    assert github.pulls == {}
    seen = GITHUB.repository(api, PATH)
    host.tokens.clear()
    assert [right.given for right in GITHUB.rights(api, PATH, seen)] == [False, False]


def test_rights_where_the_probe_tells_nothing(api: Client, github: GitHubStandIn, host: GitHost) -> None:
    seen = GITHUB.repository(api, PATH)
    host.faults.append(lambda call: Reply({"message": "Spammed"}, 422) if call.method == "POST" else None)
    assert GITHUB.rights(api, PATH, seen)[1] == Right(OPEN, None, "Pull requests: write")
    assert github.pulls == {}


def test_rights_are_asked_for_where_the_repository_is_now(api: Client, github: GitHubStandIn) -> None:
    github.rename("owner/configuration")
    assert GITHUB.rights(api, PATH, GITHUB.repository(api, PATH))[1] == Right(OPEN, True)


# -- opening, finding, changing


def test_a_request_is_opened(api: Client, github: GitHubStandIn, clone: WorkingCopy) -> None:
    commit = clone.push("lockbot/update", "update", on="main")
    seen = GITHUB.open(api, PATH, "lockbot/update", "main", SAYS)
    assert seen == RequestSeen(
        number=1,
        url=f"{github.host.url}/owner/repo/pull/1",
        state=RequestState.OPEN,
        branch="lockbot/update",
        base="main",
        head=commit,
        wording=SAYS,
        author="lockbot",
        handle="PR_kw1",
    )
    assert GITHUB.look(api, PATH, 1) == seen
    assert GITHUB.find(api, PATH, "lockbot/update") == seen


def test_a_draft_is_opened(api: Client, github: GitHubStandIn, clone: WorkingCopy) -> None:
    clone.push("lockbot/update", "update", on="main")
    seen = GITHUB.open(api, PATH, "lockbot/update", "main", Wording("t", "b", draft=True))
    assert seen.wording.draft and github.pulls[1].draft


def test_where_there_are_no_drafts_an_ordinary_one_is_opened(
    api: Client, github: GitHubStandIn, clone: WorkingCopy
) -> None:
    github.drafts = False
    clone.push("lockbot/update", "update", on="main")
    seen = GITHUB.open(api, PATH, "lockbot/update", "main", Wording("t", "b", draft=True))
    assert not seen.wording.draft and len(github.pulls) == 1
    GITHUB.change(api, PATH, seen, Wording("t", "c", draft=True))
    assert look(api, seen).wording == Wording("t", "c")


def test_a_second_one_for_a_branch_is_refused(api: Client, opened: RequestSeen) -> None:
    with pytest.raises(Refused, match=r"A pull request already exists for owner:lockbot/update\.") as refused:
        GITHUB.open(api, PATH, opened.branch, "main", SAYS)
    assert refused.value.status == 422
    assert GITHUB.find(api, PATH, opened.branch) == opened


def test_one_that_brings_nothing_is_refused(api: Client, github: GitHubStandIn, clone: WorkingCopy) -> None:
    clone.push_to(clone.git("rev-parse", "HEAD"), "lockbot/update")
    with pytest.raises(Refused, match="No commits between main and lockbot/update"):
        GITHUB.open(api, PATH, "lockbot/update", "main", SAYS)
    assert github.pulls == {}


@pytest.mark.parametrize("wording", [Wording("t" * 257, ""), Wording("t", "b" * 65537)], ids=["title", "body"])
def test_more_than_its_limits_is_refused(api: Client, opened: RequestSeen, wording: Wording) -> None:
    with pytest.raises(Refused, match="is too long"):
        GITHUB.change(api, PATH, opened, wording)
    limits = GITHUB.limits
    GITHUB.change(api, PATH, opened, Wording("t" * limits.title, "b" * limits.body))
    assert len(look(api, opened).wording.body) == 65536
    GITHUB.comment(api, PATH, opened.number, "c" * limits.comment, None)


def test_it_is_found_among_many(api: Client, github: GitHubStandIn, clone: WorkingCopy) -> None:
    clone.push("lockbot/update", "update", on="main")
    for owner in ("stranger/repo", "owner/fork", "owner/other"):
        github.open("lockbot/update", fork=owner)
    github.gone.add("owner/other")
    clone.push("lockbot/other", "other", on="main")
    github.open("lockbot/other")
    assert GITHUB.find(api, PATH, "lockbot/update") is None
    github.most = 1
    github.open("lockbot/update", title="Ours")
    github.open("lockbot/update", fork="owner/younger")
    found = GITHUB.find(api, PATH, "lockbot/update")
    assert found is not None and found.wording.title == "Ours"
    github.close(found.number)
    assert GITHUB.find(api, PATH, "lockbot/update") is None


def test_a_filter_that_is_ignored_finds_no_other_branch(
    api: Client, github: GitHubStandIn, host: GitHost, opened: RequestSeen
) -> None:
    def unfiltered(call: Call) -> Reply | None:
        call.query.pop("head", None)  # type: ignore[attr-defined]
        return None

    host.faults.append(unfiltered)
    assert GITHUB.find(api, PATH, "lockbot/else") is None
    assert GITHUB.find(api, PATH, opened.branch) == opened
    assert len(github.pulls) == 1


def test_branches_with_marks_in_their_names(api: Client, github: GitHubStandIn, clone: WorkingCopy) -> None:
    branch = "lockbot/ü&state=closed#%2F+x"
    clone.push(branch, "update", on="main")
    GITHUB.open(api, PATH, branch, "main", SAYS)
    found = GITHUB.find(api, PATH, branch)
    assert found is not None and found.branch == branch
    github.required[branch] = ["ci"]
    assert GITHUB.checks(api, PATH, branch, found.head).required == ("ci",)


def test_it_follows_its_branch(api: Client, clone: WorkingCopy, opened: RequestSeen) -> None:
    newer = clone.push(opened.branch, "newer", on="main")
    assert look(api, opened).head == newer != opened.head


def test_what_it_says_is_changed(api: Client, host: GitHost, opened: RequestSeen) -> None:
    GITHUB.change(api, PATH, opened, Wording("New", "Other", draft=True))
    seen = look(api, opened)
    assert seen.wording == Wording("New", "Other", draft=True)
    before = len(host.calls)
    GITHUB.change(api, PATH, seen, seen.wording)
    assert len(host.calls) == before, "it says that already"
    GITHUB.change(api, PATH, seen, Wording("New", "Other"))
    assert not look(api, seen).wording.draft
    assert [call.method for call in host.calls[before:]] == ["POST", "GET"]


def test_a_draft_that_may_not_be_made_for_want_of_a_right(
    api: Client, github: GitHubStandIn, opened: RequestSeen
) -> None:
    github.rights[TOKEN] = Token(permissions={"pull_requests": "read"})
    with pytest.raises(NoRight, match="Resource not accessible by personal access token"):
        GITHUB.change(api, PATH, opened, Wording(SAYS.title, SAYS.body, draft=True))


def test_it_is_closed(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    GITHUB.close(api, PATH, opened.number)
    assert look(api, opened).state is RequestState.CLOSED
    assert look(api, opened).merged_as is None, "the trial merge is none"
    github.reopen(opened.number)
    assert look(api, opened).state is RequestState.OPEN


def test_one_that_is_not_there(api: Client, opened: RequestSeen) -> None:
    for ask in (GITHUB.look, GITHUB.close):
        with pytest.raises(NotThere):
            ask(api, PATH, opened.number + 1)


def test_a_private_repository_is_not_there_for_who_may_not_see_it(api: Client, github: GitHubStandIn) -> None:
    github.private, github.rights[TOKEN] = True, Token(permissions={})
    with pytest.raises(NotThere):
        GITHUB.find(api, PATH, "lockbot/update")


# -- how it ends


def test_a_fast_forward_of_the_base_merges_it(api: Client, clone: WorkingCopy, opened: RequestSeen) -> None:
    clone.push_to(opened.head, "main")
    GITHUB.landed(api, PATH, opened, opened.head)
    seen = look(api, opened)
    assert (seen.state, seen.merged_as) == (RequestState.MERGED, opened.head)
    assert GITHUB.find(api, PATH, opened.branch) is None


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_person_merges_it(
    api: Client, github: GitHubStandIn, host: GitHost, clone: WorkingCopy, opened: RequestSeen, method: str
) -> None:
    clone.push("main", "meanwhile", on="main")
    commit = github.merge(opened.number, method)
    seen = look(api, opened)
    assert (seen.state, seen.merged_as) == (RequestState.MERGED, commit)
    assert host.tip("owner/repo", "main") == commit
    assert host.has("owner/repo", "main", opened.head) is (method == "merge")
    assert "update.txt" in host.git("owner/repo", "ls-tree", "--name-only", commit)
    assert "meanwhile.txt" in host.git("owner/repo", "ls-tree", "--name-only", commit)


def test_its_branch_is_deleted(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    github.delete_branch(opened.branch)
    assert look(api, opened).state is RequestState.CLOSED
    with pytest.raises(AssertionError):
        github.merge(opened.number)


def test_its_base_is_another_now(
    api: Client, github: GitHubStandIn, clone: WorkingCopy, opened: RequestSeen
) -> None:
    clone.push_to(clone.git("rev-parse", "origin/main"), "stable")
    github.retarget(opened.number, "stable")
    assert look(api, opened).base == "stable"
    clone.push_to(opened.head, "main")
    assert look(api, opened).state is RequestState.OPEN


# -- filing


PEOPLE = People(("flake", "update"), ("person", "team:infra"), ("person",))


def test_it_is_filed(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    pull = github.pulls[opened.number]
    pull.labels, pull.assignees, pull.reviewers = ["a person's"], ["lockbot"], ["else"]
    assert GITHUB.file(api, PATH, opened.number, PEOPLE) == ()
    assert pull.labels == ["a person's", "flake", "update"]
    assert pull.assignees == ["lockbot", "person"]
    assert (pull.reviewers, pull.teams) == (["else", "person"], ["infra"])


def test_nothing_is_asked_where_nothing_is_to_be_filed(api: Client, host: GitHost, opened: RequestSeen) -> None:
    before = len(host.calls)
    assert GITHUB.file(api, PATH, opened.number, People()) == ()
    assert len(host.calls) == before


def test_who_can_t_be_asked_keeps_nobody_else_from_it(
    api: Client, github: GitHubStandIn, opened: RequestSeen
) -> None:
    people = People(("flake",), ("lockbot", "person", "team:nobody"), ("stranger", "Person"))
    told = GITHUB.file(api, PATH, opened.number, people)
    pull = github.pulls[opened.number]
    assert (pull.labels, pull.reviewers, pull.teams) == (["flake"], ["person"], [])
    assert told[0] == f"{api.host} did not take these assignees: stranger, Person"
    assert "a review by lockbot:" in told[1] and "cannot be requested from pull request author" in told[1]
    assert "a review by team:nobody:" in told[2] and "only be requested from collaborators" in told[2]
    assert len(told) == 3


def test_filing_without_the_right_is_told(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    github.rights[TOKEN] = Token(permissions={"pull_requests": "read"})
    told = GITHUB.file(api, PATH, opened.number, PEOPLE)
    assert len(told) == 3 and all("pull_requests=write" in one for one in told)
    assert github.pulls[opened.number].labels == []


# -- comments


def test_a_comment_is_written_and_edited(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    first = GITHUB.comment(api, PATH, opened.number, "one", None)
    assert GITHUB.comment(api, PATH, opened.number, "two", first) == first
    assert [one.body for one in github.comments.values()] == ["two"]
    github.delete_comment(int(first))
    with pytest.raises(NotThere):
        GITHUB.comment(api, PATH, opened.number, "three", first)
    assert github.comments == {}


def test_its_own_comment_is_found(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    github.most = 2
    for number in range(5):
        github.comment(opened.number, f"thoughts {number}")
    github.comment(opened.number, "> <!-- lockbot --> quoted")
    assert GITHUB.find_comment(api, PATH, opened, "<!-- lockbot -->") is None
    GITHUB.comment(api, PATH, opened.number, "another", None)
    made = GITHUB.comment(api, PATH, opened.number, "mine <!-- lockbot -->", None)
    assert GITHUB.find_comment(api, PATH, opened, "<!-- lockbot -->") == made


# -- checks, and merging by itself


def test_checks_and_which_must_pass(
    api: Client, github: GitHubStandIn, host: GitHost, opened: RequestSeen
) -> None:
    seen = GITHUB.checks(api, PATH, "main", opened.head)
    assert (seen.checks, seen.required) == ((), ())
    host.protect("owner/repo", "main")
    github.required["main"], github.rules["main"] = ["ci", "docs"], ["ci", "rule"]
    github.check(opened.head, "ci", None)
    github.status(opened.head, "hydra", "success")
    seen = GITHUB.checks(api, PATH, "main", opened.head)
    assert [(one.name, one.standing) for one in seen.checks] == [
        ("ci", Standing.PENDING),
        ("hydra", Standing.GREEN),
    ]
    assert seen.required == ("ci", "docs", "rule")


def test_what_must_pass_in_its_newer_form_only(
    api: Client, github: GitHubStandIn, host: GitHost, opened: RequestSeen
) -> None:
    """`contexts` is the older one, which GitHub calls deprecated."""
    github.rules["main"] = ["rule"]
    checks = {"required_status_checks": {"checks": [{"context": "ci", "app_id": 15368}]}}
    host.faults.append(lambda call: Reply({"protection": checks}) if "repo/branches/" in call.path else None)
    assert GITHUB.checks(api, PATH, "main", opened.head).required == ("ci", "rule")


@pytest.mark.parametrize(
    ("hidden", "required"),
    [(("/branches/",), None), (("/repo/branches/",), ("rule",)), (("/rules/",), ("ci",))],
    ids=["both", "protection", "rules"],
)
@pytest.mark.parametrize("status", [403, 404])
def test_what_must_pass_is_hidden(
    api: Client,
    github: GitHubStandIn,
    host: GitHost,
    opened: RequestSeen,
    hidden: tuple[str, ...],
    required: tuple[str, ...] | None,
    status: int,
) -> None:
    github.required["main"], github.rules["main"] = ["ci"], ["rule"]
    host.faults.append(
        lambda call: Reply({"message": "Upgrade"}, status) if any(one in call.path for one in hidden) else None
    )
    assert GITHUB.checks(api, PATH, "main", opened.head).required == required


@pytest.mark.parametrize("prefix", [PREFIX, ""], ids=["enterprise", "github.com"])
def test_it_merges_itself_when_its_checks_pass(
    asking: Asking, github: GitHubStandIn, host: GitHost, opened: RequestSeen, prefix: str
) -> None:
    api = asking(prefix=prefix)
    github.required["main"] = ["ci"]
    github.check(opened.head, "ci", None)
    GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    assert look(api, opened).state is RequestState.OPEN
    github.check(opened.head, "ci", "success")
    seen = look(api, opened)
    assert seen.state is RequestState.MERGED and seen.merged_as == host.tip("owner/repo", "main")
    assert host.has("owner/repo", "main", opened.head)
    assert seen.merged_as != opened.head


@pytest.mark.parametrize("required", [True, False])
def test_one_whose_checks_have_passed_is_merged_right_now(
    api: Client, github: GitHubStandIn, host: GitHost, opened: RequestSeen, required: bool
) -> None:
    """GitHub schedules nothing that it could merge at once."""
    if required:
        github.required["main"] = ["ci"]
    github.check(opened.head, "ci", "success")
    GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    assert look(api, opened).state is RequestState.MERGED
    assert host.has("owner/repo", "main", opened.head)


@pytest.mark.parametrize(("conclusion", "state"), [("failure", "unstable"), ("none", "clean")])
def test_one_that_nothing_holds_up_waits_for_checks_all_the_same(
    api: Client, github: GitHubStandIn, opened: RequestSeen, conclusion: str, state: str
) -> None:
    if conclusion != "none":
        github.check(opened.head, "ci", conclusion)
    with pytest.raises(Refused, match=f"Pull request is in {state} status"):
        GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    assert github.pulls[opened.number].open


def test_what_has_passed_is_not_merged_with_another_commit(
    api: Client, github: GitHubStandIn, clone: WorkingCopy, host: GitHost, opened: RequestSeen
) -> None:
    """Pushed just when it is about to be merged."""
    github.check(opened.head, "ci", "success")

    def push(call: Call) -> Reply | None:
        if call.path.endswith("/merge"):
            host.faults.clear()
            clone.push(opened.branch, "a person's", on=opened.branch)
        return None

    host.faults.append(push)
    with pytest.raises(Refused, match="Head branch was modified"):
        GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    assert github.pulls[opened.number].open


def test_another_commit_is_not_merged(
    api: Client, github: GitHubStandIn, clone: WorkingCopy, opened: RequestSeen
) -> None:
    github.required["main"] = ["ci"]
    clone.push(opened.branch, "a person's", on=opened.branch)
    with pytest.raises(Refused, match="head"):
        GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    assert github.pulls[opened.number].auto_merge is None


@pytest.mark.parametrize(
    ("methods", "chosen"),
    [(["squash", "rebase", "merge"], "merge"), (["squash", "rebase"], "rebase"), (["squash"], "squash")],
)
def test_it_is_merged_in_a_way_that_the_repository_allows(
    api: Client, github: GitHubStandIn, opened: RequestSeen, methods: list[str], chosen: str
) -> None:
    github.methods, github.required["main"] = methods, ["ci"]
    GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    assert github.pulls[opened.number].auto_merge == chosen


def test_merging_by_itself_is_not_allowed(api: Client, github: GitHubStandIn, opened: RequestSeen) -> None:
    github.auto_merge, github.required["main"] = False, ["ci"]
    with pytest.raises(Refused, match="Auto merge is not allowed for this repository"):
        GITHUB.merge_when_passed(api, PATH, opened, opened.head)


@pytest.mark.parametrize("token", [Token(("read:org",)), Token(permissions={"pull_requests": "write"})])
def test_merging_by_itself_takes_a_right(
    api: Client, github: GitHubStandIn, opened: RequestSeen, token: Token
) -> None:
    github.rights[TOKEN], github.required["main"] = token, ["ci"]
    with pytest.raises(NoRight):
        GITHUB.merge_when_passed(api, PATH, opened, opened.head)


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        ({"errors": [{"type": "RATE_LIMITED", "message": "limit"}]}, NoResponse, "its limit of requests"),
        ({"errors": [{"type": "NOT_FOUND", "message": "gone"}]}, NotThere, "gone"),
        ({"errors": [{"message": "Something went wrong"}]}, Refused, "Something went wrong"),
        ({"errors": [{}]}, Refused, "refuses"),
        ({"errors": "no"}, NoResponse, "otherwise than its API"),
        ({"data": None}, NoResponse, "otherwise than its API"),
        ({"data": {"enablePullRequestAutoMerge": None}}, NoResponse, "otherwise than its API"),
        ([], NoResponse, "otherwise than its API"),
    ],
)
def test_answers_of_graphql(
    api: Client,
    github: GitHubStandIn,
    host: GitHost,
    opened: RequestSeen,
    document: object,
    error: type[NoResponse],
    message: str,
) -> None:
    host.faults.append(lambda call: Reply(document) if call.path.endswith("/graphql") else None)
    with pytest.raises(error, match=message) as raised:
        GITHUB.merge_when_passed(api, PATH, opened, opened.head)
    assert type(raised.value) is error
    assert github.pulls[opened.number].auto_merge is None


# -- for a person


def test_the_page_to_open_one() -> None:
    page = GITHUB.page_to_open("https://github.com", PATH, "lockbot/ü?#x", "release 1")
    assert page == "https://github.com/owner/repo/compare/release%201...lockbot%2F%C3%BC%3F%23x?expand=1"
