"""How an update that was judged comes to its branch: by a push, or by a pull request."""

from __future__ import annotations

from enum import StrEnum

from pydantic import ValidationInfo, field_validator

from lockbot.config.sections.section import Names, Section, key
from lockbot.config.types import Flag, GitUrl, Text
from lockbot.model import Landing

_NOT_GITS = ("..", "//", "/.", ".lock/")
"""What no branch's name has in it (git-check-ref-format)."""


class Mode(StrEnum):
    PUSH = "push"
    REQUEST = "request"


class Publish(Section):
    """How an update that was judged comes to its branch."""

    mode: Mode = key(
        Mode.PUSH,
        "`push`: the branch is moved, and pushed; `request`: a branch of lockbot's is pushed, and a pull request "
        "asks to take it (docs/forges.md).",
    )
    merge: Landing = key(
        Landing.PEOPLE,
        "With `request`, who takes it: `people`; or lockbot, by pushing the very commit that was judged, "
        "`when-checks-pass` or `at-once`.",
    )
    auto_merge: Flag = key(
        False,
        "Where lockbot is to take it, and may not push to the branch: let the forge merge when "
        "checks have passed. It makes another commit than the one that was judged; `lockbot verify` compares "
        "the two.",
    )
    draft: Flag = key(
        True,
        "Make it a draft while a host is held back: it does not build with the update, or could not be judged.",
    )
    labels: Names = key((), "What pull requests are labelled with.", example=["flake.lock"])
    reviewers: Names = key((), "Who is asked to review them; `team:NAME` is a team, at GitHub.", example=["alice"])
    assignees: Names = key((), "Who they are assigned to.", example=["alice"])
    branches: Text = key("lockbot/", "How the names of their branches begin.")
    repository: GitUrl | None = key(
        None,
        "Where on the forge the repository is, if git's address of it does not tell: that of its page does.",
        absent="by the address of the remote",
        example="https://git.example.org/owner/nixos",
    )

    @field_validator("branches")
    @classmethod
    def _can_begin_a_branch(cls, branches: str) -> str:
        bad = branches.startswith(("/", "-", ".", "refs/")) or any(part in branches for part in _NOT_GITS)
        if bad or any(letter.isspace() or letter in "~^:?*[\\@" for letter in branches):
            raise ValueError("cannot begin the name of a branch: `lockbot/` can")
        return branches

    @field_validator("merge")
    @classmethod
    def _needs_requests(cls, merge: Landing, info: ValidationInfo) -> Landing:
        if merge is not Landing.PEOPLE and info.data.get("mode") is Mode.PUSH:
            raise ValueError('is for pull requests: set publish.mode = "request", too')
        return merge

    @field_validator("auto_merge")
    @classmethod
    def _needs_landing(cls, auto_merge: bool, info: ValidationInfo) -> bool:
        if auto_merge and info.data.get("merge") is Landing.PEOPLE:
            raise ValueError('says nothing while people merge: set publish.merge = "when-checks-pass", too')
        return auto_merge
