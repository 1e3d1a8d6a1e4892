"""Requests opened by a push alone: real pushes with options, and what forges really print on one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockbot.forge.pull_requests.interface import People, Wording
from lockbot.forge.pull_requests.push_options import LONGEST, agit, gitlab, said
from lockbot.report.escape import markdown
from tests.forge.pull_requests.githost import GitHost
from tests.forge.pull_requests.gitlab import GitLabStandIn
from tests.forge.pull_requests.working_copy import WorkingCopy

PATH = ("group", "fleet")
NAME = "/".join(PATH)
BRANCH = "lockbot/update"
WORDING = Wording("Update nixpkgs", "All build.\n\n- nixpkgs: 1 → 2 \u200b@x\n")
NOBODY = People()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with GitHost(tmp_path / "forge") as running:
        running.create(NAME)
        yield running


@pytest.fixture
def standin(host: GitHost) -> GitLabStandIn:
    return GitLabStandIn(host, NAME)


@pytest.fixture
def clone(tmp_path: Path, host: GitHost, standin: GitLabStandIn) -> WorkingCopy:
    del standin  # its hooks have to be there
    made = WorkingCopy(host, NAME, tmp_path / "clone")
    assert made.send(made.commit("first"), "main").returncode == 0
    return made


# -- GitLab -------------------------------------------------------------------------------------------------------


def test_a_push_opens_one_as_it_was_asked_to(host: GitHost, standin: GitLabStandIn, clone: WorkingCopy) -> None:
    standin.user("alice", 30)
    people = People(labels=("update", "a b"), assignees=("alice",))
    commit = clone.commit("update", "main")
    pushed = clone.send(commit, BRANCH, *gitlab("main", WORDING, people))
    assert pushed.returncode == 0, pushed.stderr
    request = standin.requests[1]
    assert (request.title, request.description) == (WORDING.title, WORDING.body.strip())
    assert (request.branch, request.target, request.sha) == (BRANCH, "main", commit)
    assert (request.labels, request.assignees, request.draft) == (["update", "a b"], ["alice"], False)
    page = f"{host.url}/{NAME}/-/merge_requests/1"
    assert said(pushed.stderr, host.host, PATH) == (1, page)


def test_the_next_push_changes_it(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    clone.send(clone.commit("update", "main"), BRANCH, *gitlab("main", WORDING, NOBODY))
    commit = clone.commit("more", "main")
    more = Wording("Update more", "Less.", draft=True)
    pushed = clone.send(commit, BRANCH, *gitlab("main", more, People(labels=("update",))))
    assert said(pushed.stderr, standin.host.host, PATH)[0] == 1
    assert list(standin.requests) == [1]
    request = standin.requests[1]
    assert (request.title, request.description, request.sha) == ("Draft: Update more", "Less.", commit)
    assert request.labels == ["update"]


def test_without_a_body_the_only_commits_message_is_taken(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    commit = clone.commit("update", "main", body="What it brings.\nIn lines.")
    clone.send(commit, BRANCH, *gitlab("main", Wording("Update", ""), NOBODY))
    assert standin.requests[1].description == "What it brings.\nIn lines."


def test_it_merges_itself_if_it_is_asked_to(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    commit = clone.commit("update", "main")
    clone.send(commit, BRANCH, *gitlab("main", WORDING, NOBODY, auto_merge=True))
    assert standin.requests[1].state == "opened"
    standin.pipeline(commit, "success")
    assert standin.requests[1].state == "merged"


def test_a_base_that_is_not_there_opens_nothing(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    pushed = clone.send(clone.commit("update", "main"), BRANCH, *gitlab("nowhere", WORDING, NOBODY))
    assert pushed.returncode == 0 and "does not exist" in pushed.stderr
    assert standin.requests == {}
    page = f"{standin.host.url}/{NAME}/-/merge_requests/new?merge_request%5Bsource_branch%5D=lockbot%2Fupdate"
    assert said(pushed.stderr, standin.host.host, PATH) == (None, page)


def test_options_without_create_open_nothing(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    options = [one for one in gitlab("main", WORDING, NOBODY) if one != "merge_request.create"]
    pushed = clone.send(clone.commit("update", "main"), BRANCH, *options)
    assert "A merge_request.create push option is required" in pushed.stderr
    assert standin.requests == {}


def test_who_may_not_push_opens_nothing(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    standin.user("lockbot", 20)
    pushed = clone.send(clone.commit("update", "main"), BRANCH, *gitlab("main", WORDING, NOBODY))
    assert pushed.returncode != 0 and "not allowed to push" in pushed.stderr
    assert standin.requests == {} and standin.host.tip(NAME, BRANCH) is None


HARMFUL = {
    "newlines": "one\ntwo\r\nthree",
    "controls": "one\x1b[31m\x00two\x07",
    "half a pair": "one \ud800 two",
    "quotes": 'it\'s "one" `two` $(three) \\ ; &',
    "blanks": "  one  ",
    "an option": "x\n-o ci.skip",
    "long": "ü" * 70_000,
}


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL)
def test_whatever_it_says_git_takes_it(standin: GitLabStandIn, clone: WorkingCopy, text: str) -> None:
    people = People(labels=(text,))
    pushed = clone.send(clone.commit("update", "main"), BRANCH, *gitlab("main", Wording(text, text), people))
    assert pushed.returncode == 0, pushed.stderr[-500:]
    title = standin.requests[1].title
    assert len(title) <= 255 and title.isprintable() and title[0] in "oixü"
    assert len(standin.requests[1].description) > 2


def test_several_lines_arrive_as_several(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    wording = Wording("x", "- one\r\n- two\n\n```\nthree\n```\n")
    clone.send(clone.commit("update", "main"), BRANCH, *gitlab("main", wording, NOBODY))
    assert standin.requests[1].description == "- one\n- two\n\n```\nthree\n```"


def test_what_looks_like_the_end_of_a_line_is_none(standin: GitLabStandIn, clone: WorkingCopy) -> None:
    """A stranger's commit subject would begin a quick action by it; a backslash before it helps nobody."""
    said_so = Wording("x", "- " + markdown("fix it \\n/approve") + "\n- `\\n/merge`")
    clone.send(clone.commit("update", "main"), BRANCH, *gitlab("main", said_so, NOBODY))
    lines = standin.requests[1].description.split("\n")
    assert len(lines) == 2 and not any(line.startswith("/") for line in lines)


def test_git_takes_no_longer_option(clone: WorkingCopy) -> None:
    """What LONGEST is for: a bit more, and git gives up."""
    commit = clone.commit("update", "main")
    assert clone.send(commit, BRANCH, "x" * LONGEST).returncode == 0
    assert clone.send(commit, f"{BRANCH}2", "x" * 65_517).returncode != 0
    assert clone.send(commit, f"{BRANCH}3", "x\ny").returncode != 0


def test_an_empty_value_is_no_option() -> None:
    options = gitlab("main", Wording(" ", "\n"), People(labels=("", "\t")))
    assert options == ["merge_request.create", "merge_request.target=main"]


def test_cut_values_are_whole_characters() -> None:
    (long,) = [one for one in gitlab("main", Wording("x", "ü" * 70_000), NOBODY) if "description" in one]
    assert LONGEST - 2 <= len(long.encode()) <= LONGEST and long.endswith("ü…")


# -- AGit ---------------------------------------------------------------------------------------------------------


def test_agit_has_a_topic_and_may_replace_what_was_pushed() -> None:
    assert agit("lockbot", WORDING) == ["topic=lockbot", "title=Update nixpkgs", "force-push=true"]


def test_a_draft_is_marked_in_its_title() -> None:
    draft = Wording("Update", "", draft=True)
    assert agit("lockbot", draft)[1] == "title=WIP: Update"


def test_a_long_topic_is_not_another_requests() -> None:
    one, other = (agit("x" * 120 + end, WORDING)[0] for end in "ab")
    assert len(one) == len("topic=") + 100 and one != other


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL)
def test_whatever_agit_says_git_takes_it(clone: WorkingCopy, text: str) -> None:
    options = agit("lockbot", Wording(text, text))
    pushed = clone.send(clone.commit("update", "main"), BRANCH, *options, ref="refs/for/main")
    assert pushed.returncode == 0, pushed.stderr[-500:]
    assert max(len(option.encode()) for option in options) <= LONGEST


# -- what forges say ----------------------------------------------------------------------------------------------

GITLAB_NEW = """\
remote:
remote: To create a merge request for my-new-branch, visit:
remote:   https://gitlab.example.com/my-group/my-project/-/merge_requests/new?merge_request%5Bsource_branch%5D=my-new-branch
remote:
To https://gitlab.example.com/my-group/my-project.git
 * [new branch]      my-new-branch -> my-new-branch
"""
GITLAB_OPEN = """\
remote: Resolving deltas: 100% (2/2), completed with 2 local objects.
remote: \n\
remote: View merge request for my-new-branch:        \n\
remote:   http://gitlab.example.com/my-group/my-project/-/merge_requests/12        \n\
remote: \n\
To gitlab.example.com:my-group/my-project.git
   7854056..7950ee4  my-new-branch -> my-new-branch
"""
GITLAB_WARNS = """\
remote:
remote: ========================================================================
remote:
remote:    WARNINGS: Error encountered with push options
remote:   'merge_request.create' 'merge_request.target=review/not-exists': Target
remote:   branch my-group/my-project:review/not-exists does not exist
remote:
remote: ========================================================================
remote:
"""
GITHUB_NEW = """\
remote: \n\
remote: Create a pull request for 'add-calculator' on GitHub by visiting:        \n\
remote:      https://github.com/my-group/my-project/pull/new/add-calculator        \n\
remote: \n\
To https://github.com/my-group/my-project.git
"""
GITHUB_WARNS = """\
remote: \n\
remote: GitHub found 3 vulnerabilities on my-group/my-project's default branch. To find out more, visit:
remote:      https://github.com/my-group/my-project/security/dependabot
remote: \n\
"""
FORGEJO_NEW = """\
remote: . Processing 1 references
remote: Processed 1 references in total
remote: \n\
remote: Create a new pull request for 'lockbot/update':
remote:   https://codeberg.org/my-group/my-project/compare/main...lockbot/update
remote: \n\
"""
FORGEJO_OPEN = """\
remote: \n\
remote: Visit the existing pull request:        \n\
remote:   http://localhost:3300/my-group/my-project/pulls/12 merges into main        \n\
remote: \n\
To http://localhost:3300/my-group/my-project.git
 + 4944beb14...330bf09a9 mission/task-1330 -> mission/task-1330 (forced update)
"""
GITEA_AGIT = """\
remote: \n\
remote: Visit the existing pull request:        \n\
remote:   https://gitea.example.com/my-group/my-project/pulls/1        \n\
remote: \n\
remote: . Processing 1 references
To https://gitea.example.com/my-group/my-project.git
 * [new reference]   HEAD -> refs/for/main
"""
MINE = ("my-group", "my-project")
GITLAB_PAGE = "https://gitlab.example.com/my-group/my-project/-/merge_requests"
SAID = {
    "GitLab, none yet": (
        GITLAB_NEW,
        "gitlab.example.com",
        (None, f"{GITLAB_PAGE}/new?merge_request%5Bsource_branch%5D=my-new-branch"),
    ),
    "GitLab, there": (
        GITLAB_OPEN,
        "gitlab.example.com",
        (12, "http://gitlab.example.com/my-group/my-project/-/merge_requests/12"),
    ),
    "GitLab, before 12": (
        GITLAB_OPEN.replace("/-/", "/"),
        "gitlab.example.com",
        (12, "http://gitlab.example.com/my-group/my-project/merge_requests/12"),
    ),
    "GitLab, a warning": (GITLAB_WARNS, "gitlab.example.com", (None, None)),
    "GitHub": (
        GITHUB_WARNS + GITHUB_NEW,
        "github.com",
        (None, "https://github.com/my-group/my-project/pull/new/add-calculator"),
    ),
    "Forgejo, none yet": (
        FORGEJO_NEW,
        "codeberg.org",
        (None, "https://codeberg.org/my-group/my-project/compare/main...lockbot/update"),
    ),
    "Forgejo, there": (
        FORGEJO_OPEN,
        "localhost:3300",
        (12, "http://localhost:3300/my-group/my-project/pulls/12"),
    ),
    "Gitea, AGit": (GITEA_AGIT, "gitea.example.com", (1, "https://gitea.example.com/my-group/my-project/pulls/1")),
    "a new one and one that is there": (
        GITLAB_NEW + GITLAB_OPEN,
        "gitlab.example.com",
        (12, "http://gitlab.example.com/my-group/my-project/-/merge_requests/12"),
    ),
    "other case": (
        GITLAB_OPEN.replace("my-group/my-project/-", "My-Group/my-project/-"),
        "GitLab.example.com",
        (12, "http://gitlab.example.com/My-Group/my-project/-/merge_requests/12"),
    ),
}


@pytest.mark.parametrize(("text", "host_name", "found"), SAID.values(), ids=SAID)
def test_what_forges_say_is_understood(text: str, host_name: str, found: tuple[int | None, str | None]) -> None:
    assert said(text, host_name, MINE) == found


PAGE = "https://gitlab.example.com/my-group/my-project/-/merge_requests/5"
HOSTILE = {
    "another host": PAGE.replace("gitlab.", "evil."),
    "a host that begins so": PAGE.replace("example.com", "example.com.evil.org"),
    "a name before the host": PAGE.replace("://", "://gitlab.example.com@evil.org:443/x?"),
    "a password": PAGE.replace("://", "://user:secret@"),
    "another port": PAGE.replace("example.com", "example.com:8443"),
    "another scheme": PAGE.replace("https", "javascript"),
    "another repository": PAGE.replace("my-project", "my-project2"),
    "a longer path": PAGE.replace("my-group", "x/my-group"),
    "another page": PAGE.replace("merge_requests", "issues"),
    "a number with more behind it": f"{PAGE}x",
    "a query": f"{PAGE}?merge=now",
    "a number that is none": PAGE.replace("/5", "/0"),
    "an endless number": f"{PAGE}{'5' * 20}",
    "an endless address": PAGE.replace("/5", f"/new?{'x' * 500}"),
    "control characters": PAGE.replace("/5", "/new?\x1b[31m"),
    "other letters": PAGE.replace("/5", "/new?\u202e"),
    "letters of another script": PAGE.replace("/5", "/new?ы"),
    "letters that look alike": PAGE.replace("a", "а", 1),
    "brackets": "https://[gitlab.example.com/my-group/my-project/-/merge_requests/5",
    "nothing": "",
}


@pytest.mark.parametrize("url", HOSTILE.values(), ids=HOSTILE)
def test_no_other_address_is_taken(url: str) -> None:
    assert said(f"remote:   {PAGE}", "gitlab.example.com", MINE) == (5, PAGE)
    assert said(f"remote: {url}\n", "gitlab.example.com", MINE) == (None, None)


def test_only_what_the_other_side_said_is_read() -> None:
    assert said(f"error: {PAGE}\n  {PAGE}\n", "gitlab.example.com", MINE) == (None, None)
