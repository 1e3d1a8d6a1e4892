"""GitLab's merge requests, looked at and changed. Knows what its API asks for and answers, not what that is for.

https://docs.gitlab.com/api/merge_requests, /api/projects, /api/notes, /api/users and /api/personal_access_tokens,
and lib/api/merge_requests.rb where these pages are silent. What differs from other forges:

- Reviewers and assignees are given as whole lists of ids; without Premium, all but the first are silently dropped.
- A repository that has moved answers GET with a redirect, and everything else with 405.
- Asked to merge when the pipeline has passed, it merges at once where there is no pipeline yet.
- It sees by itself that the target branch has a request's commits.
- A pipeline of merged results has a commit of its own, and so is none of the request's head.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from lockbot.forge.gitlab import NOT_MERGED, GitLab, merged_as, project
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
    ApiResponse,
    NoRight,
    NotThere,
    Refused,
    Renamed,
    RequestState,
    check_about,
    commit_hash,
    merged,
    number,
    pages,
    table,
    tables,
    text,
    unexpected,
)
from lockbot.report.escape import plain

_DRAFT = "Draft: "
_DRAFTS = re.compile(r"(?:\s*(?:\[draft\]|\(draft\)|draft:))+\s*", re.IGNORECASE)
"""All that it takes for the mark of a draft, at the beginning of a title."""
_STATES = {**NOT_MERGED, "merged": RequestState.MERGED}
_PUSHES = 30
"""The access level of a developer, from which on one may push branches and open requests."""
_SOON = timedelta(days=14)
_NAME = 100


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class GitLabRequests:
    """`clock`: tokens expire here."""

    clock: Callable[[], datetime] = now
    limits = Limits(title=255 - len(_DRAFT), body=1_048_576, comment=1_000_000)
    needs = "the scope api, and the role Developer"
    needs_for_checks = "the scope api"

    def repository(self, api: Api, path: Path) -> RepositorySeen:
        found = table(api(project(path)).document)
        where = tuple(text(found, "path_with_namespace").split("/"))
        if len(where) < 2 or not all(where):
            raise unexpected()
        return RepositorySeen(
            where,
            _may_push(found),
            archived=found.get("archived") is True,
            auto_merge=found.get("jobs_enabled") is not False,
        )

    def rights(self, api: Api, path: Path, seen: RepositorySeen) -> tuple[Right, ...]:
        role = ("the role Developer",) if seen.may_push is False else ()
        switched = () if _has_requests(api, path) else ("merge requests, which are switched off in the project",)
        try:
            token = table(api("/personal_access_tokens/self").document)
        except NoRight:
            return tuple(Right(what, False, "the scope api") for what in (PUSH, _OPEN))
        except NotThere:  # a token of another kind, which has scopes, but does not tell them
            token = {}
        scopes = _scopes(token)
        return (
            _right(PUSH, seen, scopes, ("api", "write_repository"), role),
            _right(_OPEN, seen, scopes, ("api",), (*role, *switched)),
            *self._expires(token),
        )

    def _expires(self, token: Mapping[str, object]) -> tuple[Right, ...]:
        day = text(token, "expires_at")
        if not day:
            return ()
        try:
            left = date.fromisoformat(day[:10]) - self.clock().date()
        except ValueError:
            raise unexpected() from None
        return (Right("keep its token", None, said=f"the token expires on {day[:10]}"),) if left < _SOON else ()

    def find(self, api: Api, path: Path, branch: str) -> RequestSeen | None:
        asked = f"{project(path)}/merge_requests?source_branch={quote(branch, safe='')}&state=opened&per_page=100"
        for answer in pages(api, asked):
            for found in tables(answer.document):
                # A fork's branch may have the same name; of a fork that is gone, there is no number.
                if found.get("source_project_id") == number(found, "target_project_id"):
                    return _seen(found)
        return None

    def look(self, api: Api, path: Path, number: int) -> RequestSeen:
        return _seen(_look(api, path, number))

    def open(self, api: Api, path: Path, branch: str, base: str, wording: Wording) -> RequestSeen:
        document = {
            "source_branch": branch,
            "target_branch": base,
            "title": _title(wording),
            "description": wording.body,
            "squash": False,
        }
        return _seen(table(_send(api, path, "POST", "/merge_requests", document).document))

    def change(self, api: Api, path: Path, seen: RequestSeen, wording: Wording) -> None:
        changed = {}
        if (seen.wording.title, seen.wording.draft) != (wording.title, wording.draft):
            changed["title"] = _title(wording)
        if _lines(seen.wording.body) != _lines(wording.body):
            changed["description"] = wording.body
        if changed:
            check_about(_send(api, path, "PUT", f"/merge_requests/{seen.number}", changed), "iid", seen.number)

    def close(self, api: Api, path: Path, number: int) -> None:
        closing = {"state_event": "close"}
        check_about(_send(api, path, "PUT", f"/merge_requests/{number}", closing), "iid", number)

    def file(self, api: Api, path: Path, number: int, people: People) -> tuple[str, ...]:
        before = _look(api, path, number)
        labels = [label for label in people.labels if label not in _labels(before)]
        changed: dict[str, object] = {"add_labels": ",".join(labels)} if labels else {}
        asked, said = {"reviewer": people.reviewers, "assignee": people.assignees}, list[str]()
        for role, names in asked.items():
            has = _users(before, role)
            asked[role] = tuple(name for name in names if name.lower() not in has and _known(api, name, has, said))
            if asked[role]:
                # The whole list is replaced; whom people chose stays, and stays first.
                changed[f"{role}_ids"] = list(has.values())
        if changed:
            after = table(_send(api, path, "PUT", f"/merge_requests/{number}", changed).document)
            said += _not_done(after, labels, asked)
        return tuple(said)

    def comment(self, api: Api, path: Path, number: int, text: str, known: str | None) -> str:
        notes = f"/merge_requests/{number}/notes"
        if known is not None:
            return _id(_send(api, path, "PUT", f"{notes}/{quote(known, safe='')}", {"body": text}))
        return _id(_send(api, path, "POST", notes, {"body": text}))

    def find_comment(self, api: Api, path: Path, seen: RequestSeen, mark: str) -> str | None:
        notes = f"{project(path)}/merge_requests/{seen.number}/notes?sort=asc&order_by=created_at&per_page=100"
        for answer in pages(api, notes):
            for note in tables(answer.document):
                ours = note.get("system") is not True and _name(note, "author") == seen.author
                if ours and mark in text(note, "body"):
                    return str(number(note, "id"))
        return None

    def checks(self, api: Api, path: Path, base: str, commit: str) -> ChecksSeen:
        del base  # what must pass is said for all branches
        checks = GitLab().checks(api, path, commit)
        needed = _needs_pipeline(api, path)
        if needed is None:
            return ChecksSeen(checks)
        names = tuple(check.name for check in checks) or ("pipeline",)
        return ChecksSeen(checks, names if needed else ())

    def merge_when_passed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        before = _look(api, path, seen.number)
        if before.get("merge_when_pipeline_succeeds") is True and text(before, "sha") == commit:
            return
        # In the seconds between a push and its pipeline, it would take this for `merge now`.
        if not _needs_pipeline(api, path) and not GitLab().checks(api, path, commit):
            why = "there is no pipeline yet, and it would merge without one"
            raise Refused(f"{api.host} can't be told to merge it when its pipeline has passed: {why}", 405, why)
        # `auto_merge` is what `merge_when_pipeline_succeeds` is called since 17.11; each knows its own.
        document = {"sha": commit, "auto_merge": True, "merge_when_pipeline_succeeds": True}
        after = _merge(api, path, before, document)
        if after.get("merge_when_pipeline_succeeds") is not True and text(after, "state") not in _MERGING:
            why = text(after, "merge_error")
            raise Refused(f"{api.host} did not set it to merge: {plain(why, 200)}", 200, plain(why, 300))

    def landed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        del api, path, seen, commit

    def page_to_open(self, site: str, path: Path, branch: str, base: str) -> str:
        where = "/".join(quote(part, safe="") for part in path)
        asked = (
            f"source_branch%5D={quote(branch, safe='')}&merge_request%5Btarget_branch%5D={quote(base, safe='')}"
        )
        return f"{site}/{where}/-/merge_requests/new?merge_request%5B{asked}"


# -- projects and tokens ------------------------------------------------------------------------------------------


def _may_push(found: Mapping[str, object]) -> bool | None:
    """An administrator has no role, nor has somebody who may only read: nobody can tell them apart."""
    permissions = found.get("permissions")
    if permissions is None:
        return None
    roles = [table(permissions).get(name) for name in ("project_access", "group_access")]
    levels = [number(table(role), "access_level") for role in roles if role is not None]
    return max(levels) >= _PUSHES if levels else None


def _has_requests(api: Api, path: Path) -> bool:
    return table(api(project(path)).document).get("merge_requests_enabled") is not False


def _scopes(token: Mapping[str, object]) -> frozenset[str] | None:
    """None: they are not told, or it has finer rights than scopes."""
    scopes = token.get("scopes")
    if scopes is None:
        return None
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise unexpected()
    return None if "granular" in scopes else frozenset(scopes)


_OPEN = "open a merge request"


def _right(
    what: str, seen: RepositorySeen, scopes: frozenset[str] | None, enough: Sequence[str], lacks: Sequence[str]
) -> Right:
    """`enough`: scopes, any of which will do; `lacks`: what is known to be missing beside them."""
    if scopes is not None and scopes.isdisjoint(enough):
        lacks = (*lacks, f"the scope {' or '.join(enough)}")
    known = scopes is not None and seen.may_push is not None
    return Right(what, False if lacks else True if known else None, ", ".join(lacks))


def _needs_pipeline(api: Api, path: Path) -> bool | None:
    """Whether only what has passed may be merged; None: that is not told."""
    needed = table(api(project(path)).document).get("only_allow_merge_if_pipeline_succeeds")
    return needed if isinstance(needed, bool) else None


# -- requests -----------------------------------------------------------------------------------------------------


def _look(api: Api, path: Path, number: int) -> Mapping[str, object]:
    return table(api(f"{project(path)}/merge_requests/{number}").document)


def _send(api: Api, path: Path, method: str, what: str, document: object) -> ApiResponse:
    try:
        return api.send(method, f"{project(path)}{what}", document)
    except Refused as refused:
        if refused.status != 405 or "moved projects" not in refused.words:
            raise
        where = text(table(api(project(path)).document), "web_url")
        raise Renamed(f"{api.host} says that the repository has moved: {plain(where, 200)}", where) from None


def _merge(api: Api, path: Path, before: Mapping[str, object], document: object) -> Mapping[str, object]:
    """Why it can't be merged is in its `detailed_merge_status`; the answer is `405 Method Not Allowed`."""
    try:
        what = f"/merge_requests/{number(before, 'iid')}/merge"
        return table(_send(api, path, "PUT", what, document).document)
    except NoRight:
        base = plain(text(before, "target_branch"), _NAME)
        raise NoRight(f"{api.host} does not let this token merge into {base}", everywhere=False) from None
    except Refused as refused:
        status = plain(text(before, "detailed_merge_status"), _NAME)
        if refused.status not in (405, 406, 422) or not status:
            raise
        raise Refused(f"{refused.message} ({status})", refused.status, f"{refused.words} ({status})") from None


_MERGING = ("merged", "locked")


def _seen(found: Mapping[str, object]) -> RequestSeen:
    state, url = _STATES.get(text(found, "state")), text(found, "web_url")
    if state is None or not url.startswith(("https://", "http://")):
        raise unexpected()
    return RequestSeen(
        number=number(found, "iid"),
        url=url,
        state=state,
        branch=text(found, "source_branch"),
        base=text(found, "target_branch"),
        # Until it has looked at the branch it has no commit.
        head=commit_hash(found, "sha") if text(found, "sha") else "",
        wording=_wording(found),
        author=_name(found, "author"),
        merged_as=merged(merged_as(found), "").commit if state is RequestState.MERGED else None,
    )


def _wording(found: Mapping[str, object]) -> Wording:
    title, draft = text(found, "title"), found.get("draft") is True or found.get("work_in_progress") is True
    mark = _DRAFTS.match(title) if draft else None
    return Wording(title[mark.end() :] if mark else title, text(found, "description"), draft)


def _title(wording: Wording) -> str:
    return f"{_DRAFT}{wording.title}" if wording.draft else wording.title


def _lines(body: str) -> str:
    """A text as it is kept: people's browsers send it with other ends of lines."""
    return body.replace("\r\n", "\n").rstrip()


# -- people -------------------------------------------------------------------------------------------------------


def _name(record: Mapping[str, object], role: str) -> str:
    """The name of who has a role; empty: nobody (any more)."""
    user = record.get(role)
    return "" if user is None else text(table(user), "username")


def _users(found: Mapping[str, object], role: str) -> dict[str, int]:
    """Ids by name, which is in lower case here: names differ in more than that."""
    return {text(user, "username").lower(): number(user, "id") for user in tables(found.get(f"{role}s"))}


def _known(api: Api, name: str, users: dict[str, int], said: list[str]) -> bool:
    """Put who is called so to the `users`, or say that there is nobody."""
    for user in tables(api(f"/users?username={quote(name, safe='')}").document):
        if text(user, "username").lower() == name.lower():
            users[name.lower()] = number(user, "id")
            return True
    said.append(f"{api.host} knows nobody called {plain(name, _NAME)}")
    return False


def _labels(found: Mapping[str, object]) -> list[str]:
    labels = found.get("labels")
    if labels is None:
        return []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise unexpected()
    return labels


def _not_done(
    after: Mapping[str, object], labels: Sequence[str], asked: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """What was asked for and is not there: the answer to the change tells."""
    for label in labels:
        if label not in _labels(after):
            yield f"the label {plain(label, _NAME)} was not added"
    for role, names in asked.items():
        has = _users(after, role)
        for name in names:
            if name.lower() not in has:
                why = "GitLab takes one without Premium, and only who can see the project"
                yield f"{plain(name, _NAME)} was not made its {role}: {why}"


def _id(answer: ApiResponse) -> str:
    return str(number(table(answer.document), "id"))
