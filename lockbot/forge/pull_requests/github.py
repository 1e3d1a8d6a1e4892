"""Pull requests on GitHub: what is asked, and what the answers mean.

https://docs.github.com/en/rest, there pulls/pulls, pulls/review-requests, issues (a pull request is one: its
labels, assignees and comments), branches/branches and repos/rules. It must not know why one is made, nor git.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from lockbot.forge.github import NOT_MERGED, GitHub, repository_at
from lockbot.forge.pull_requests.github_graphql import mutate
from lockbot.forge.pull_requests.interface import (
    PUSH,
    Api,
    ChecksSeen,
    Limits,
    Path,
    People,
    RepositorySeen,
    RequestSeen,
    Right,
    Wording,
)
from lockbot.forge.responses import (
    COMMIT,
    ApiResponse,
    NoRight,
    NotThere,
    Refused,
    RequestState,
    check_about,
    commit_hash,
    not_merged,
    number,
    pages,
    table,
    tables,
    text,
    unexpected,
)
from lockbot.nix.forges import is_plain
from lockbot.policy.upstream_checks import Standing

_NO_DRAFTS = "Draft pull requests are not supported"
_NO_CONVERSION = "to convert the pull request"
"""What is said where the plan has no drafts: of a new one, and of one that is there already."""
_NOTHING_NEW = "No commits between"
_CLEAN = "is in clean status"
_OPEN = "open a pull request"
_ROLE = "the role Write"
_TEAM = "team:"
_METHODS = (
    ("allow_merge_commit", "MERGE"),  # the only one that leaves the judged commit in the branch's history
    ("allow_rebase_merge", "REBASE"),
    ("allow_squash_merge", "SQUASH"),
)


class GitHubRequests:
    """`reviewers` may be teams of the organization: `team:SLUG`."""

    # As its refusals say: "is too long (maximum is 65536 characters)".
    limits = Limits(title=256, body=65536, comment=65536)
    needs = "Contents: write and Pull requests: write (of a classic token, the scope repo)"
    needs_for_checks = "Checks: read and Commit statuses: read"

    def repository(self, api: Api, path: Path) -> RepositorySeen:
        found = table(api(repository_at(path)).document)
        now = tuple(text(found, "full_name").split("/"))
        if len(now) != 2 or not is_plain(now):
            raise unexpected()
        # Who may not write is not told whether requests can merge themselves: it is tried then.
        auto_merge = _flag(found, "allow_auto_merge") is not False
        return RepositorySeen(now, _may_push(found), _flag(found, "archived") is True, auto_merge)

    def rights(self, api: Api, path: Path, seen: RepositorySeen) -> tuple[Right, ...]:
        del path  # what would change something is not redirected: it is asked where the repository is now
        try:
            answer = api(repository_at(seen.path))
        except NoRight as error:
            return tuple(Right(what, False, error.lacks) for what in (PUSH, _OPEN))
        found = table(answer.document)
        if answer.scopes is not None:
            return _rights_by_scopes(found, answer.scopes)
        return _push_right(found), _open_right(api, seen.path, found)

    def find(self, api: Api, path: Path, branch: str) -> RequestSeen | None:
        """The newest, where there are several with different bases."""
        head = quote(f"{path[0]}:{branch}", safe="")
        for answer in pages(api, f"{_pulls(path)}?state=open&head={head}&per_page=100"):
            for found in tables(answer.document):
                # The filter is ignored where it makes no sense to GitHub, and a fork may have the same owner.
                if _is_own(found) and text(_part(found, "head"), "ref") == branch:
                    return _seen(found)
        return None

    def look(self, api: Api, path: Path, number: int) -> RequestSeen:
        return _seen(table(api(_pull(path, number)).document))

    def open(self, api: Api, path: Path, branch: str, base: str, wording: Wording) -> RequestSeen:
        asked = {"title": wording.title, "body": wording.body, "head": branch, "base": base}
        try:
            answer = api.send("POST", _pulls(path), asked | {"draft": wording.draft})
        except Refused as error:
            if not wording.draft or _NO_DRAFTS not in error.words:
                raise
            answer = api.send("POST", _pulls(path), asked | {"draft": False})
        return _seen(table(answer.document))

    def change(self, api: Api, path: Path, seen: RequestSeen, wording: Wording) -> None:
        had = seen.wording
        pairs = (("title", had.title, wording.title), ("body", had.body, wording.body))
        if changed := {name: new for name, old, new in pairs if old != new}:
            check_about(api.send("PATCH", _pull(path, seen.number), changed), "number", seen.number)
        if wording.draft and not had.draft:
            _make_draft(api, seen)
        elif had.draft and not wording.draft:
            mutate(api, "markPullRequestReadyForReview", {"pullRequestId": seen.handle})

    def close(self, api: Api, path: Path, number: int) -> None:
        check_about(api.send("PATCH", _pull(path, number), {"state": "closed"}), "number", number)

    def file(self, api: Api, path: Path, number: int, people: People) -> tuple[str, ...]:
        issue = f"{repository_at(path)}/issues/{number}"
        reviews = f"{_pull(path, number)}/requested_reviewers"
        return (
            *_add(api, f"{issue}/labels", "labels", people.labels),
            *_add(api, f"{issue}/assignees", "assignees", people.assignees),
            *_ask_for_reviews(api, reviews, people.reviewers),
        )

    def comment(self, api: Api, path: Path, number: int, text: str, known: str | None) -> str:
        issues = f"{repository_at(path)}/issues"
        if known is not None:
            return _id(api.send("PATCH", f"{issues}/comments/{quote(known, safe='')}", {"body": text}))
        return _id(api.send("POST", f"{issues}/{number}/comments", {"body": text}))

    def find_comment(self, api: Api, path: Path, seen: RequestSeen, mark: str) -> str | None:
        for answer in pages(api, f"{repository_at(path)}/issues/{seen.number}/comments?per_page=100"):
            for found in tables(answer.document):
                if seen.author and _login(found) == seen.author and mark in text(found, "body"):
                    return str(number(found, "id"))
        return None

    def checks(self, api: Api, path: Path, base: str, commit: str) -> ChecksSeen:
        return ChecksSeen(GitHub().checks(api, path, commit), _required(api, path, base))

    def merge_when_passed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        """GitHub compares `commit` now, not when it merges: what who may push adds later is merged with it.

        It schedules nothing that it could merge at once: where checks have passed, that is done."""
        found = table(api(_pull(path, seen.number)).document)
        if found.get("auto_merge") is not None and _seen(found).head == commit:
            return
        method = _method(api, path)
        asked = {"pullRequestId": seen.handle, "expectedHeadOid": commit, "mergeMethod": method}
        try:
            mutate(api, "enablePullRequestAutoMerge", asked)
        except Refused as error:
            if _CLEAN not in error.words or not _passed(self.checks(api, path, seen.base, commit)):
                raise
            now = {"sha": commit, "merge_method": method.lower()}
            api.send("PUT", f"{_pull(path, seen.number)}/merge", now)

    def landed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        """It sees that by itself."""
        del api, path, seen, commit

    def page_to_open(self, site: str, path: Path, branch: str, base: str) -> str:
        owner, name, into, of = (quote(part, safe="") for part in (*path, base, branch))
        return f"{site}/{owner}/{name}/compare/{into}...{of}?expand=1"


def _pulls(path: Path) -> str:
    return f"{repository_at(path)}/pulls"


def _pull(path: Path, number: int) -> str:
    return f"{_pulls(path)}/{number}"


# -- what an answer says


def _seen(found: Mapping[str, object]) -> RequestSeen:
    head, base = _part(found, "head"), _part(found, "base")
    # A list's entries have no `merged`.
    merged = bool(text(found, "merged_at"))
    # Of one that is not merged, `merge_commit_sha` is a trial.
    as_commit = text(found, "merge_commit_sha") if merged else ""
    return RequestSeen(
        number=number(found, "number"),
        url=text(found, "html_url"),
        state=RequestState.MERGED if merged else not_merged(text(found, "state"), NOT_MERGED).state,
        branch=_named(head, "ref"),
        base=_named(base, "ref"),
        head=commit_hash(head, "sha"),
        wording=Wording(text(found, "title"), text(found, "body"), _flag(found, "draft") is True),
        author=_login(found),
        merged_as=as_commit if COMMIT.fullmatch(as_commit) else None,
        handle=_named(found, "node_id"),
    )


def _is_own(found: Mapping[str, object]) -> bool:
    """Whether a request's branch is one of the repository's own. A fork that is gone is null."""
    source = _part(found, "head").get("repo")
    return source is not None and number(table(source), "id") == number(_part(_part(found, "base"), "repo"), "id")


def _may_push(found: Mapping[str, object]) -> bool | None:
    """What the account may do, whatever its token may."""
    return _flag(_part(found, "permissions"), "push") if found.get("permissions") is not None else None


def _part(record: Mapping[str, object], name: str) -> Mapping[str, object]:
    return table(record.get(name))


def _named(record: Mapping[str, object], name: str) -> str:
    if not (value := text(record, name)):
        raise unexpected()
    return value


def _flag(record: Mapping[str, object], name: str) -> bool | None:
    """Yes or no; None: it is not told."""
    value = record.get(name)
    if value is not None and not isinstance(value, bool):
        raise unexpected()
    return value


def _login(found: Mapping[str, object]) -> str:
    """Who wrote it; nobody, where the account is gone."""
    return text(_part(found, "user"), "login") if found.get("user") is not None else ""


def _id(answer: ApiResponse) -> str:
    return str(number(table(answer.document), "id"))


# -- rights


def _rights_by_scopes(found: Mapping[str, object], scopes: tuple[str, ...]) -> tuple[Right, ...]:
    """Of a classic token, which may what its account may, within its scopes:
    https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps"""
    enough = "repo" in scopes or ("public_repo" in scopes and _flag(found, "private") is False)
    lacks, push = "" if enough else "the scope repo", _may_push(found)
    pushing = Right(PUSH, push, "" if push else _ROLE) if enough else Right(PUSH, False, lacks)
    return pushing, Right(_OPEN, enough, lacks)


def _push_right(found: Mapping[str, object]) -> Right:
    """Of a fine-grained token, or an app's: nothing tells what it may, but it may no more than its account."""
    return Right(PUSH, False, _ROLE) if _may_push(found) is False else Right(PUSH, None, "Contents: write")


def _open_right(api: Api, path: Path, found: Mapping[str, object]) -> Right:
    """Nothing tells whether such a token may open one, but asking for one that can't be: of a branch into itself.
    Who may not is refused for that (403, 404), who may for having nothing to merge (422)."""
    unknown, branch = Right(_OPEN, None, "Pull requests: write"), text(found, "default_branch")
    if not branch:
        return unknown
    asked = {"title": "May lockbot open a pull request?", "head": branch, "base": branch}
    try:
        api.send("POST", _pulls(path), asked)
    except Refused as error:
        return Right(_OPEN, True) if _NOTHING_NEW in error.words else unknown
    except NoRight as error:
        return Right(_OPEN, False, _permissions(error.lacks) or unknown.lacks)
    except NotThere:
        return Right(_OPEN, False, unknown.lacks)
    raise unexpected()


def _permissions(told: str) -> str:
    """As its pages call them: `pull_requests=write` is `Pull requests: write`."""
    return re.sub(r"\b([a-z_]+)=([a-z]+)", lambda one: f"{one[1].replace('_', ' ').capitalize()}: {one[2]}", told)


# -- what is changed


def _make_draft(api: Api, seen: RequestSeen) -> None:
    try:
        mutate(api, "convertPullRequestToDraft", {"pullRequestId": seen.handle})
    except (Refused, NoRight) as error:
        told = error.words if isinstance(error, Refused) else error.lacks
        if _NO_DRAFTS not in told and _NO_CONVERSION not in told:
            raise


def _add(api: Api, address: str, name: str, wanted: tuple[str, ...]) -> Iterator[str]:
    """Labels or assignees, beside those that are there; a sentence where that can't be done."""
    if not wanted:
        return
    try:
        found = api.send("POST", address, {name: list(wanted)}).document
    except (NoRight, NotThere, Refused) as error:
        yield f"{name} ({', '.join(wanted)}): {error.message}"
        return
    # Labels are answered as a list, assignees within the request; who can't be assigned is left out.
    listed = found if isinstance(found, list) else table(found).get(name)
    has = {(text(one, "name") or text(one, "login")).casefold() for one in tables(listed)}
    if missing := [one for one in wanted if one.casefold() not in has]:
        yield f"{api.host} did not take these {name}: {', '.join(missing)}"


def _ask_for_reviews(api: Api, address: str, wanted: tuple[str, ...]) -> Iterator[str]:
    """All at once; where that is refused, one by one: one who can't be asked keeps no other from being asked."""
    if not wanted:
        return
    try:
        api.send("POST", address, _reviewers(wanted))
    except Refused as error:
        if len(wanted) == 1:
            yield f"a review by {wanted[0]}: {error.message}"
            return
        for one in wanted:
            yield from _ask_for_reviews(api, address, (one,))
    except (NoRight, NotThere) as error:
        yield f"reviews by {', '.join(wanted)}: {error.message}"


def _reviewers(wanted: tuple[str, ...]) -> dict[str, list[str]]:
    return {
        "reviewers": [one for one in wanted if not one.startswith(_TEAM)],
        "team_reviewers": [one.removeprefix(_TEAM) for one in wanted if one.startswith(_TEAM)],
    }


def _passed(seen: ChecksSeen) -> bool:
    """Each that has reported, one at least; what is required has, where GitHub would merge."""
    return bool(seen.checks) and all(check.standing is Standing.GREEN for check in seen.checks)


def _method(api: Api, path: Path) -> str:
    """How the repository lets requests be merged, which who may not write is not told."""
    found = table(api(repository_at(path)).document)
    return next((method for name, method in _METHODS if _flag(found, name) is not False), "MERGE")


# -- what must pass


def _required(api: Api, path: Path, base: str) -> tuple[str, ...] | None:
    """By both of GitHub's ways to protect a branch, of which either may be hidden from who asks."""
    branch = quote(base, safe="")
    found: dict[str, None] = {}
    hidden = 0
    for names, address in (
        (_protecting, f"branches/{branch}"),
        (_ruling, f"rules/branches/{branch}?per_page=100"),
    ):
        try:
            found |= dict.fromkeys(names(api, f"{repository_at(path)}/{address}"))
        except (NoRight, NotThere):
            hidden += 1
    return None if hidden == 2 else tuple(found)


def _protecting(api: Api, address: str) -> list[str]:
    protection = table(api(address).document).get("protection")
    checks = table(protection).get("required_status_checks") if protection is not None else None
    if checks is None:
        return []
    contexts = table(checks).get("contexts") or []
    if not isinstance(contexts, list) or not all(isinstance(one, str) for one in contexts):
        raise unexpected()
    return [*contexts, *_contexts(table(checks).get("checks"))]


def _ruling(api: Api, address: str) -> list[str]:
    rules = [rule for answer in pages(api, address) for rule in tables(answer.document)]
    parameters = [_part(rule, "parameters") for rule in rules if text(rule, "type") == "required_status_checks"]
    return [name for one in parameters for name in _contexts(one.get("required_status_checks"))]


def _contexts(checks: object) -> list[str]:
    return [_named(check, "context") for check in tables(checks)]
