"""How a pull request is filed at Forgejo and Gitea: labels, assignees, reviewers. What people set stays.

https://codeberg.org/api/swagger: issueAddLabel, issueListLabels, orgListLabels, repoEditPullRequest,
repoListPullReviews, repoCreatePullReviewRequests. It must not know why.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from urllib.parse import quote

from lockbot.forge.forgejo import listed, repository
from lockbot.forge.pull_requests.interface import Api, Path, People
from lockbot.forge.responses import NoRight, NotThere, Refused, number, table, tables, text

_NOT_DONE = (NoRight, NotThere, Refused)
"""What keeps one thing from being done, and not the next."""


def file(api: Api, path: Path, request: int, people: People) -> tuple[str, ...]:
    """Sentences about what could not be done."""
    seen = table(api(f"{repository(path)}/pulls/{request}").document)
    return (
        *_label(api, path, request, _missing(people.labels, _names(seen, "labels", "name"))),
        *_assign(api, path, request, people.assignees, _names(seen, "assignees", "login")),
        *_ask(api, path, request, people.reviewers),
    )


def _names(record: Mapping[str, object], field: str, name: str) -> list[str]:
    return [text(one, name) for one in tables(record.get(field))]


def _missing(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """Names are told apart whatever their case is."""
    have = {name.casefold() for name in there}
    return [name for name in dict.fromkeys(wanted) if name.casefold() not in have]


def _label(api: Api, path: Path, request: int, names: Sequence[str]) -> Iterator[str]:
    """By their numbers: names are taken by newer versions only, and those that are none without a word."""
    if not names:
        return
    try:
        known = _numbers(api, f"{repository(path)}/labels")
        if any(name not in known for name in names):
            known = (yield from _of_organization(api, path)) | known
        if ids := [known[name] for name in names if name in known]:
            api.send("POST", f"{repository(path)}/issues/{request}/labels", {"labels": ids})
    except _NOT_DONE as error:
        yield f"it could not be labelled: {error.message}"
        return
    yield from (f"there is no label {name}" for name in names if name not in known)


def _of_organization(api: Api, path: Path) -> Generator[str, None, dict[str, int]]:
    try:
        return _numbers(api, f"/orgs/{quote(path[0], safe='')}/labels")
    except NotThere:
        return {}  # it belongs to a person
    except NoRight:
        yield "the organization's labels are not to be seen (scope read:organization)"
        return {}


def _numbers(api: Api, path: str) -> dict[str, int]:
    return {text(label, "name"): number(label, "id") for label in listed(api, path, "labels")}


def _assign(api: Api, path: Path, request: int, names: Sequence[str], there: Sequence[str]) -> Iterator[str]:
    """One after the other: a name that is not known would keep the others out."""
    assigned = list(there)
    for name in _missing(names, there):
        try:
            pull = f"{repository(path)}/pulls/{request}"
            answer = api.send("PATCH", pull, {"assignees": [*assigned, name]})
        except _NOT_DONE as error:
            yield f"{name} could not be assigned: {error.message}"
            continue
        now = _names(table(answer.document), "assignees", "login")
        # Who may not write there is told that it was changed, and it was not.
        if _missing([name], now):
            yield f"{name} could not be assigned: {api.host} took no notice"
        else:
            assigned = now


def _ask(api: Api, path: Path, request: int, names: Sequence[str]) -> Iterator[str]:
    """Nobody is asked twice, nor who has looked already."""
    if not names:
        return
    pull = f"{repository(path)}/pulls/{request}"
    try:
        there = [_reviewer(path, review) for review in listed(api, f"{pull}/reviews", "reviews")]
    except _NOT_DONE as error:
        yield f"nobody could be asked for a review: {error.message}"
        return
    for name in _missing(names, there):
        try:
            answer = api.send("POST", f"{pull}/requested_reviewers", _asked(name))
        except _NOT_DONE as error:
            yield f"{name} could not be asked for a review: {error.message}"
            continue
        # A team is passed over where the repository is a person's.
        if not tables(answer.document):
            yield f"{name} could not be asked for a review: {api.host} took no notice"


def _asked(name: str) -> dict[str, list[str]]:
    _, slash, team = name.rpartition("/")
    return {"team_reviewers": [team]} if slash else {"reviewers": [name]}


def _reviewer(path: Path, review: Mapping[str, object]) -> str:
    """Who looked, or is asked to: a person, or a team of the organization that the repository belongs to."""
    who, team = review.get("user"), review.get("team")
    if team is not None:
        return f"{path[0]}/{text(table(team), 'name')}"
    return text(table(who), "login") if who is not None else ""
