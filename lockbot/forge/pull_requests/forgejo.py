"""Forgejo's and Gitea's pull requests. Knows their API, and nothing of git nor of what a request is for.

https://codeberg.org/api/swagger#/repository and #/issue: repoGet, repoListPullRequests, repoCreatePullRequest,
repoEditPullRequest, repoMergePullRequest, repoListPullReviews, repoCreatePullReviewRequests, repoGetBranch,
issueListLabels, issueAddLabel, issueGetComments, issueCreateComment, issueEditComment; orgListLabels. What the
descriptions leave open is as in https://codeberg.org/forgejo/forgejo/src/branch/forgejo/routers/api/v1/repo/pull.go
(in https://github.com/go-gitea/gitea/blob/main/routers/api/v1/repo/pull.go the same).

A reviewer that is called ORGANIZATION/TEAM is a team.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from lockbot.forge.forgejo import Forgejo, listed, repository, standing
from lockbot.forge.pull_requests.forgejo_checks import required
from lockbot.forge.pull_requests.forgejo_people import file
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
    NoRight,
    NotThere,
    Refused,
    RequestState,
    check_about,
    number,
    table,
    tables,
    text,
    unexpected,
)
from lockbot.policy.upstream_checks import Standing

_TITLE = 255
"""Bytes that are kept of a title; the rest is cut off without a word (models/issues: SplitStringAtByteN)."""
_DRAFT = "WIP: "
_PREFIX = re.compile(r"(?:\[(?:WIP|Draft)\]|(?:WIP|Draft):)\s*", re.IGNORECASE)
"""What makes a draft of a request, where it begins its title. `WIP:` and `[WIP]` are the defaults of
`WORK_IN_PROGRESS_PREFIXES`, the others are usual; nobody is told what an instance has."""

_STYLES = (
    ("allow_fast_forward_only_merge", "fast-forward-only"),
    ("allow_merge_commits", "merge"),
    ("allow_rebase_explicit", "rebase-merge"),
    ("allow_rebase", "rebase"),
    ("allow_squash_merge", "squash"),
)
"""Ways to merge, and what says that a repository allows each; that with which the judged commit itself lands
comes first."""


class ForgejoRequests:
    # Texts were 65,535 bytes long in MySQL once, and are LONGTEXT since.
    limits = Limits(title=_TITLE - len(_DRAFT), body=65_535, comment=65_535)
    needs = "the scopes write:repository and write:issue, and write access to the repository"
    needs_for_checks = "the scope read:repository"

    def repository(self, api: Api, path: Path) -> RepositorySeen:
        found = table(api(repository(path)).document)
        now = tuple(text(found, "full_name").split("/"))
        if len(now) != 2 or not all(now):
            raise unexpected()
        permissions = found.get("permissions")
        may_push = table(permissions).get("push") if permissions is not None else None
        return RepositorySeen(
            now, may_push if isinstance(may_push, bool) else None, archived=found.get("archived") is True
        )

    def rights(self, api: Api, path: Path, seen: RepositorySeen) -> tuple[Right, ...]:
        """A token's scopes are told to nobody. They are looked at before what is asked for, and that before the
        request itself: one that says nothing (422) shows them, and can't open anything."""
        if seen.archived:
            opening = commenting = "a repository that is not archived"
        else:
            opening = _lacking(api, f"{repository(path)}/pulls")
            commenting = _lacking(api, f"{repository(path)}/issues/0/comments")
        pushing = "write access to the repository" if seen.may_push is False else opening.removeprefix(_OFF)
        return (
            Right(PUSH, False if pushing else seen.may_push, pushing),
            Right("open a pull request", not opening, opening),
            Right("comment on it and label it", not commenting, commenting),
        )

    def find(self, api: Api, path: Path, branch: str) -> RequestSeen | None:
        # `GET pulls/BASE/BRANCH` wants to know the base, and finds closed ones, too.
        for found in listed(api, f"{repository(path)}/pulls?state=open", "open pull requests"):
            head, base = table(found.get("head")), table(found.get("base"))
            # One that was pushed to refs/for/ has no branch, though it may be called as one is.
            if text(head, "ref") == branch and number(head, "repo_id") == number(base, "repo_id"):
                return _request(found)
        return None

    def look(self, api: Api, path: Path, number: int) -> RequestSeen:
        return _request(table(api(_pull(path, number)).document))

    def open(self, api: Api, path: Path, branch: str, base: str, wording: Wording) -> RequestSeen:
        document = {"title": _title(wording), "body": wording.body, "head": branch, "base": base}
        return _request(table(api.send("POST", f"{repository(path)}/pulls", document).document))

    def change(self, api: Api, path: Path, seen: RequestSeen, wording: Wording) -> None:
        title, body = _title(wording), wording.body
        if title == _title(seen.wording) and body == seen.wording.body:
            return
        answer = api.send("PATCH", _pull(path, seen.number), {"title": title, "body": body})
        check_about(answer, "number", seen.number)

    def close(self, api: Api, path: Path, number: int) -> None:
        check_about(api.send("PATCH", _pull(path, number), {"state": "closed"}), "number", number)

    def file(self, api: Api, path: Path, number: int, people: People) -> tuple[str, ...]:
        return file(api, path, number, people)

    def comment(self, api: Api, path: Path, number: int, text: str, known: str | None) -> str:
        if known is not None:
            api.send("PATCH", f"{repository(path)}/issues/comments/{quote(known, safe='')}", {"body": text})
            return known
        answer = api.send("POST", f"{repository(path)}/issues/{number}/comments", {"body": text})
        return str(_number(table(answer.document), "id"))

    def find_comment(self, api: Api, path: Path, seen: RequestSeen, mark: str) -> str | None:
        # They come all at once.
        for comment in tables(api(f"{repository(path)}/issues/{seen.number}/comments").document):
            if seen.author and _login(comment) == seen.author and mark in text(comment, "body"):
                return str(number(comment, "id"))
        return None

    def checks(self, api: Api, path: Path, base: str, commit: str) -> ChecksSeen:
        checks = Forgejo().checks(api, path, commit)
        branch = table(api(f"{repository(path)}/branches/{quote(base)}").document)
        return ChecksSeen(checks, required(branch, [check.name for check in checks]))

    def merge_when_passed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        """Where they have passed, at once: one that is scheduled waits for the next check that passes (in
        Forgejo), and none may come.

        What is scheduled takes whatever the newest commit is then: `head_commit_id` holds only for what is merged
        at once. And it waits only for checks that the branch requires; without any, the first that passes would
        do (in Gitea none has to).
        """
        now = self.look(api, path, seen.number)
        if now.head != commit:
            raise Refused(f"{api.host} has another commit in the pull request by now", 409, "head out of date")
        checks = self.checks(api, path, now.base, commit)
        if not checks.required:
            why = f"no checks are required on its branch {now.base}, so it would wait for none"
            raise Refused(f"{api.host} can't merge it when checks pass: {why}", 409, why)
        merge: dict[str, object] = {"Do": self._style(api, path), "head_commit_id": commit}
        if not _passed(checks):
            merge["merge_when_checks_succeed"] = True
        try:
            api.send("POST", f"{_pull(path, seen.number)}/merge", merge)
        except Refused as error:
            if error.status != 409 or "already scheduled" not in error.words:
                raise

    def landed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        """It sees that itself only where `autodetect_manual_merge` is on. Where it may not be told either
        (`allow_manual_merge`), the request is closed."""
        if self.look(api, path, seen.number).state is not RequestState.OPEN:
            return
        try:
            merge = {"Do": "manually-merged", "MergeCommitID": commit}
            api.send("POST", f"{_pull(path, seen.number)}/merge", merge)
            return
        except NotThere:
            pass  # closed meanwhile
        except Refused as error:
            # 405: not allowed, or merged meanwhile; 422: an older one knows no such way.
            if error.status not in (405, 422):
                raise
        if table(api(repository(path)).document).get("autodetect_manual_merge") is True:
            return  # it will see it in a moment (Gitea; Forgejo does not say)
        if self.look(api, path, seen.number).state is RequestState.OPEN:
            self.close(api, path, seen.number)

    def page_to_open(self, site: str, path: Path, branch: str, base: str) -> str:
        owner, name = (quote(part, safe="") for part in path)
        return f"{site}/{owner}/{name}/compare/{quote(base)}...{quote(branch)}"

    def _style(self, api: Api, path: Path) -> str:
        """How it is merged. One that is not allowed is scheduled nevertheless, and then never merged."""
        found = table(api(repository(path)).document)
        return next((style for allowed, style in _STYLES if found.get(allowed) is True), "merge")


_number = number
"""Where a parameter is called so."""


def _pull(path: Path, number: int) -> str:
    return f"{repository(path)}/pulls/{number}"


def _request(found: Mapping[str, object]) -> RequestSeen:
    head, base, status = table(found.get("head")), table(found.get("base")), standing(found)
    title, url, sha = text(found, "title"), text(found, "html_url"), text(head, "sha")
    if not url.startswith(("https://", "http://")):
        raise unexpected()
    prefix = _PREFIX.match(title)
    draft = prefix is not None or found.get("draft") is True
    return RequestSeen(
        number=number(found, "number"),
        url=url,
        state=status.state,
        # `ref` is refs/pull/N/head once the branch is gone. One that never had any has no label.
        branch=text(head, "label") or text(head, "ref"),
        base=text(base, "ref"),
        head=sha if COMMIT.fullmatch(sha) else "",
        wording=Wording(title[prefix.end() :] if prefix else title, text(found, "body"), draft),
        author=_login(found),
        merged_as=status.commit,
    )


def _login(record: Mapping[str, object]) -> str:
    """Of whoever made it."""
    user = record.get("user")
    return text(table(user), "login") if user is not None else ""


def _title(wording: Wording) -> str:
    """As it is kept: so that one that is too long is not changed again and again."""
    whole = (_DRAFT if wording.draft else "") + wording.title
    return whole.encode()[:_TITLE].decode(errors="ignore")


def _passed(seen: ChecksSeen) -> bool:
    green = {check.name for check in seen.checks if check.standing is Standing.GREEN}
    return len(green) == len({check.name for check in seen.checks}) and green.issuperset(seen.required or ())


_SCOPE = re.compile(r"\b(?:read|write):[a-z]+")


_OFF = "pull requests, which are turned off there"


def _lacking(api: Api, path: str) -> str:
    """What is missing for a POST there, found by one that asks for nothing; empty: nothing is."""
    try:
        api.send("POST", path, {})
    except NoRight as error:
        scope = _SCOPE.search(error.message)
        return f"the scope {scope[0]}" if scope else error.message
    except NotThere:
        return _OFF
    except Refused as error:
        return "" if error.status == 422 else error.message
    raise unexpected()
