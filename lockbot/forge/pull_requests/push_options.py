"""Requests by nothing but a push: the options that ask for one, and what the forge says to it. Pure.

Knows what git can hand on in an option, and each forge's words; it must not push. No option asks for a review.

- git: https://git-scm.com/docs/git-push, `--push-option`: no newline and no NUL; each is one pkt-line.
- GitLab: https://docs.gitlab.com/topics/git/commit, "Push options for merge requests". In a description it reads
  `\\n` as a newline (app/services/merge_requests/push_options_handler_service.rb).
- Forgejo, Gitea: https://forgejo.org/docs/latest/user/agit-support and https://docs.gitea.com/usage/agit-setup.
  Without a description it is the commit's message, after the subject. Forgejo reads `{base64}` before a value
  (modules/git/pushoptions); Gitea, and Forgejo of before that, show it as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from unicodedata import category
from urllib.parse import SplitResult, unquote, urlsplit

from lockbot.forge.pull_requests.interface import Path, People, Wording

LONGEST = 60_000
"""Bytes of one option. A pkt-line takes 65516, and Linux hands on 131072 in a variable, as hooks get them."""
_TITLE, _TOPIC = 255, 100
_URL = 500
_ZERO_WIDTH_SPACE = "\u200b"


def gitlab(base: str, wording: Wording, people: People, *, auto_merge: bool = False) -> list[str]:
    """The values of `-o`, for a push to the request's branch: it is opened, or changed where there is one.
    An empty body leaves the description as it is; of a new one it is the only commit's message then."""
    options = ["merge_request.create", *_valued("merge_request.target", [base])]
    options += _valued("merge_request.title", [_shortened(_line(wording.title), _TITLE)])
    options += _valued("merge_request.description", [_escaped(wording.body)])
    options += _valued("merge_request.label", people.labels)
    options += _valued("merge_request.assign", people.assignees)
    if wording.draft:
        options.append("merge_request.draft")
    if auto_merge:
        # The first is what the second is called since 17.11. Each GitLab ignores the one that it does not know.
        options += ["merge_request.auto_merge", "merge_request.merge_when_pipeline_succeeds"]
    return options


def agit(branch: str, wording: Wording) -> list[str]:
    """The values of `-o`, for a push to `refs/for/BASE`. What was pushed before may be replaced.

    `branch` is the topic, which AGit has in a branch's place: whose pushes have the same one are the same request.
    The description is left to the commit's message: several lines are taken by some of these forges only.
    """
    title = f"WIP: {wording.title}" if wording.draft else wording.title
    options = _valued("topic", [_topic(branch)])
    options += _valued("title", [_shortened(_line(title), _TITLE)])
    return [*options, "force-push=true"]


def said(stderr: str, host: str, path: Path) -> tuple[int | None, str | None]:
    """The request's number and its page (or None and the page that opens one), as the forge said on a push.

    Anybody may have written it: taken is nothing but a page of this very repository, on this host (with its port).
    """
    page = None
    for url in _urls(stderr):
        parts = _page(url, host, path)
        if parts is None:
            continue
        if (match := _REQUEST.fullmatch(parts.path)) is not None and not parts.query:
            return int(match["number"]), url
        if page is None and _NEW.fullmatch(parts.path):
            page = url
    return None, page


# -- options ------------------------------------------------------------------------------------------------------


def _valued(key: str, values: list[str] | tuple[str, ...]) -> list[str]:
    """GitLab takes an option without a value for `true`: there is none without."""
    lines = [_line(value) for value in values]
    return [_fitting(f"{key}={line}", LONGEST) for line in lines if line]


def _line(value: str) -> str:
    """In one line: control characters are blanks."""
    clean = "".join(" " if category(character) == "Cc" else character for character in value)
    return _encodable(clean).strip()


def _escaped(body: str) -> str:
    """GitLab's way of writing several lines. What looks so in the text itself would begin one, and what begins a
    line may be a quick action: a character without width comes between."""
    apart = body.strip().replace("\\n", f"\\{_ZERO_WIDTH_SPACE}n")
    return apart.replace("\r\n", "\n").replace("\n", "\\n")


def _topic(branch: str) -> str:
    """No more than so many characters of it are kept, and what is cut may be another request's."""
    if len(branch) <= _TOPIC:
        return branch
    return f"{branch[: _TOPIC - 9]}-{hashlib.sha256(branch.encode()).hexdigest()[:8]}"


def _shortened(value: str, limit: int) -> str:
    return value if len(value) <= limit else value[: limit - 1] + "…"


def _fitting(value: str, limit: int) -> str:
    """At most so many bytes, no character cut in two."""
    whole = value.encode()
    if len(whole) <= limit:
        return value
    return whole[: limit - len("…".encode())].decode(errors="ignore") + "…"


def _encodable(value: str) -> str:
    """Without half a surrogate pair, which no command line takes."""
    return value.encode(errors="replace").decode()


# -- what is said -------------------------------------------------------------------------------------------------

_REMOTE = "remote:"
_REQUEST = re.compile(r"/(?:(?:-/)?merge_requests|pulls|pull)/(?P<number>[1-9][0-9]{0,9})")
"""GitLab's (of before 12.0 without `-`), Forgejo's and Gitea's, GitHub's."""
_NEW = re.compile(r"/(?:(?:-/)?merge_requests/new|pull/new/.+|compare/.+)")


def _urls(stderr: str) -> Iterator[str]:
    """What may be an address in what the other side printed; git's own lines have the repository's."""
    for line in stderr.splitlines():
        if line.startswith(_REMOTE):
            for word in line.removeprefix(_REMOTE).split():
                if len(word) <= _URL and word.isascii() and word.isprintable():
                    yield word


def _page(url: str, host: str, path: Path) -> SplitResult | None:
    """One of the repository's own pages, its `path` without the repository's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or parts.netloc.lower() != host.lower():
        return None
    where = f"/{'/'.join(path)}"
    if not unquote(parts.path).lower().startswith(f"{where}/".lower()):
        return None
    length = where.count("/")
    return parts._replace(path="/" + "/".join(parts.path.split("/")[length + 1 :]))
