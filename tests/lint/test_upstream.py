"""What upstream's answers say: a branch that is gone, a newer tag; and what is no finding."""

from __future__ import annotations

import pytest

from lockbot.git.inputs.upstream import Tip
from lockbot.lint import Kind, Severity
from lockbot.lint.upstream import Asked, judge, newer_tag, unasked
from lockbot.model import FailureKind
from lockbot.nix.flakeref import FlakeRef

REV = "1" * 40
GONE = Tip(None, problem="there is no branch or tag next upstream", failure=FailureKind.NOT_FOUND)
DOWN = Tip(None, problem="github.com can't be reached", failure=FailureKind.NETWORK)


def asked(url: str, tip: Tip, *, is_reached: bool = True, tags: tuple[str, ...] = ()) -> Asked:
    return Asked(("it",), FlakeRef.read(url), tip, is_reached, tags)


@pytest.mark.parametrize(
    ("tag", "tags", "newer"),
    [
        ("v1.2", ["v1.1", "v1.2", "v1.10", "v1.9"], "v1.10"),
        ("v1.2", ["v1.2"], None),
        ("v1.2", [], None),
        ("v1.2", ["v2.0-rc1", "v2.0.beta", "2.0", "release-3", "nightly"], None),
        ("v1.2", ["v1.2.0"], "v1.2.0"),
        ("1.0.0", ["1.0.1", "v9"], "1.0.1"),
        ("refs/tags/v1", ["v1", "v2"], "v2"),
        ("release-24.05", ["release-24.05", "release-24.11", "branch-off-25.05"], "release-24.11"),
        ("nightly", ["v1"], None),
        ("v1", ["v" + "9" * 4000, "v" + "1." * 2000], None),
    ],
)
def test_the_newest_tag_of_the_same_form(tag: str, tags: list[str], newer: str | None) -> None:
    assert newer_tag(tag, tags) == newer


@pytest.mark.parametrize(
    ("answer", "kind", "severity", "said", "fix"),
    [
        (asked("github:o/it/next", GONE), Kind.GONE_BRANCH, Severity.ERROR, "no branch or tag next upstream",
         '# its default branch:\ninputs.it.url = "github:o/it";'),
        (asked("github:o/it/v1.2", Tip(REV, "refs/tags/v1.2"), tags=("v1.2", "v1.3")), Kind.NEWER_TAG,
         Severity.WARNING, "names the tag v1.2, and upstream has v1.3", 'inputs.it.url = "github:o/it/v1.3";'),
        (asked("git+https://h/it?ref=refs/tags/v1", Tip(REV, "refs/tags/v1"), tags=("v2",)), Kind.NEWER_TAG,
         Severity.WARNING, "upstream has v2", 'inputs.it.url = "git+https://h/it?ref=refs/tags/v2";'),
    ],
)  # fmt: skip
def test_what_is_found(answer: Asked, kind: Kind, severity: Severity, said: str, fix: str) -> None:
    (found,) = judge([answer])
    assert (found.kind, found.severity, found.input, found.fix) == (kind, severity, "it", fix)
    assert said in found.message
    assert unasked([answer]) == {}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (asked("github:o/it/next", Tip(REV, "refs/heads/next")), None),
        (asked("github:o/it", Tip(REV, "refs/heads/main"), tags=("v9",)), None),
        (asked("github:o/it/v1", Tip(REV, "refs/heads/v1"), tags=("v2",)), None),
        (asked("github:o/it/next", DOWN), DOWN.problem),
        (asked("github:o/it/next", GONE, is_reached=False), GONE.problem),
    ],
    ids=["there", "default", "a branch that looks like a tag", "no network", "a repository that is not shown"],
)
def test_nobody_is_blamed_for_what_is_not_known(answer: Asked, why: str | None) -> None:
    assert list(judge([answer])) == []
    assert unasked([answer]) == ({("it",): why} if why is not None else {})
