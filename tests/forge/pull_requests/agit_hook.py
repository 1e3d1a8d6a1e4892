"""Forgejo's hooks `proc-receive` and `post-receive`: a push to refs/for/BASE makes a pull request, or changes it.

Run by git in a bare repository, as `agit_hook.py proc-receive`. What is pushed is answered as git's documentation
of hooks says (https://git-scm.com/docs/githooks#proc-receive), and refused with Forgejo's words (services/agit).
It must not know lockbot, nor the server beside it, but for the file that both keep.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

State = dict[str, Any]
"""`next`: the next number; `page`: the repository's own; `requests`: by number, as text."""
NOTHING = "0" * 40


@contextmanager
def state_of(repository: Path) -> Iterator[State]:
    """Everything that the server knows of a repository's requests, which nobody else changes meanwhile."""
    with (repository / "forgejo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = repository / "forgejo.json"
        state: State = json.loads(file.read_text())
        yield state
        file.write_text(json.dumps(state))


def new_request(state: State, **fields: Any) -> dict[str, Any]:
    """One that is open, with a number of its own."""
    number = state["next"]
    state["next"] += 1
    made = {
        "number": number,
        "state": "open",
        "merged_as": None,
        "labels": [],
        "assignees": [],
        "reviews": [],
        "comments": [],
        "scheduled": None,
        **fields,
    }
    state["requests"][str(number)] = made
    return made


def open_request(state: State, flow: int, head: str, base: str) -> dict[str, Any] | None:
    """The one that would be the same."""
    for one in state["requests"].values():
        if one["state"] == "open" and (one["flow"], one["head"], one["base"]) == (flow, head, base):
            return one  # type: ignore[no-any-return]  # as JSON has it
    return None


def git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=check)
    return done.stdout.strip()


def _lines() -> Iterator[bytes]:
    """Packets up to the next that ends a list."""
    while size := int(sys.stdin.buffer.read(4), 16):
        yield sys.stdin.buffer.read(size - 4)


def _say(line: str) -> None:
    data = line.encode()
    sys.stdout.buffer.write(b"%04x" % (len(data) + 4) + data)


def _end() -> None:
    sys.stdout.buffer.write(b"0000")
    sys.stdout.buffer.flush()


def proc_receive() -> None:
    (greeting,) = _lines()
    version, _, features = greeting.rstrip(b"\n").partition(b"\0")
    assert version == b"version=1"
    with_options = b"push-options" in features.split()
    _say("version=1\0push-options\n" if with_options else "version=1\n")
    _end()
    commands = [line.decode().rstrip("\n").split(" ", 2) for line in list(_lines())]
    told = [line.decode().rstrip("\n") for line in _lines()] if with_options else []
    options = {key: value for key, _, value in (option.partition("=") for option in told)}
    with state_of(Path(os.environ["GIT_DIR"]).resolve()) as state:
        for _, new, ref in commands:
            _receive(state, new, ref, options)
    _end()


def _receive(state: State, new: str, ref: str, options: dict[str, str]) -> None:
    try:
        number, old = _change(state, new, ref.removeprefix("refs/for/"), options)
    except Refusal as refusal:
        _say(f"ng {ref} {refusal}")
        return
    _say(f"ok {ref}")
    _say(f"option refname refs/pull/{number}/head")
    if old is not None:
        _say(f"option old-oid {old}")
    _say(f"option new-oid {new}")
    if old is not None and not _contains(new, old):
        _say("option forced-update")


class Refusal(Exception):
    """In Forgejo's words."""


def _change(state: State, new: str, target: str, options: dict[str, str]) -> tuple[int, str | None]:
    """The request's number, and its commit before."""
    if new == NOTHING:
        raise Refusal("Cannot delete a non-existent branch.")
    base, topic = _split(target)
    topic = topic or options.get("topic", "")
    if not topic:
        raise Refusal("The topic-branch option is not set")
    user = os.environ["REMOTE_USER"].lower()
    head = topic if topic.startswith(f"{user}/") else f"{user}/{topic}"
    found = open_request(state, 1, head, base)
    if found is not None:
        return found["number"], _update(found, new, options)
    if _contains(f"refs/heads/{base}", new):
        raise Refusal("The target branch already contains this commit")
    subject, _, rest = git("log", "-1", "--format=%B", new).partition("\n")
    title, body = options.get("title") or subject, options.get("description") or rest.lstrip("\n")
    made = new_request(state, flow=1, head=head, base=base, title=title, body=body, author=user, commit=new)
    git("update-ref", f"refs/pull/{made['number']}/head", new)
    return made["number"], None


def _update(found: dict[str, Any], new: str, options: dict[str, str]) -> str:
    old: str = found["commit"]
    if old == new:
        raise Refusal("The new commit is the same as the old commit")
    if "force-push" not in options and not _contains(new, old):
        raise Refusal(
            "Updates were rejected because the tip of your current branch is behind its remote counterpart. If "
            "this is intentional, set the `force-push` option by adding `-o force-push=true` to your `git push` "
            "command."
        )
    git("update-ref", f"refs/pull/{found['number']}/head", new)
    found["commit"] = new
    return old


def _split(target: str) -> tuple[str, str]:
    """BASE, or BASE/TOPIC: both may have slashes."""
    parts = target.split("/")
    for count in [len(parts), *range(1, len(parts))]:
        base = "/".join(parts[:count])
        if git("rev-parse", "--verify", "--quiet", f"refs/heads/{base}", check=False):
            return base, "/".join(parts[count:])
    return target, ""


def _contains(ref: str, commit: str) -> bool:
    asked = ["git", "merge-base", "--is-ancestor", commit, ref]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def post_receive() -> None:
    """Where a request is, or where one is opened."""
    default = git("symbolic-ref", "--short", "HEAD")
    with state_of(Path(os.environ["GIT_DIR"]).resolve()) as state:
        for line in sys.stdin:
            _, new, ref = line.split()
            kind, _, branch = ref.removeprefix("refs/").partition("/")
            if kind == "pull":
                _visit(f"{state['page']}/pulls/{branch.removesuffix('/head')}")
            elif kind == "heads" and new != NOTHING and branch != default:
                found = open_request(state, 0, branch, default)
                if found is not None:
                    _visit(f"{state['page']}/pulls/{found['number']}")
                else:
                    _print(
                        f"Create a new pull request for '{branch}':",
                        f"{state['page']}/compare/{default}...{branch}",
                    )


def _visit(page: str) -> None:
    _print("Visit the existing pull request:", page)


def _print(words: str, page: str) -> None:
    print(f"\n{words}\n  {page}\n", file=sys.stderr)  # noqa: T201  # what git shows as `remote:`


if __name__ == "__main__":
    {"proc-receive": proc_receive, "post-receive": post_receive}[sys.argv[1]]()
