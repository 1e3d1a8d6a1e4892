"""Nothing takes longer than its size: what strangers write has no natural end, and no deadline ends a search by a
regular expression. Each of these took hours once, or would with a pattern that looks again at what it has seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from lockbot.git import failure as git_failure
from lockbot.nix import blame, failure
from lockbot.nix.evaluate import fault
from lockbot.nix.evaluate.fault import NixError
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.process import Finished
from lockbot.redact import without_secrets
from lockbot.report import escape, trailers
from lockbot.review import subjects
from lockbot.web.logs import ansi
from tests.sampling import EVERYTHING

SIZE = 200_000

pytestmark = pytest.mark.timeout(120)
"""What takes the square of its size takes an hour; what does not, a second."""


def lines(text: str) -> str:
    """In lines as long as are looked at."""
    return "error: x\n" + "\n".join(text[at : at + 2000] for at in range(0, len(text), 2000))


def fault_of(text: str) -> None:
    event = {"action": "msg", "level": 0, "raw_msg": text}
    error = NixError.of(event)
    assert error is not None
    fault.kind(error)
    fetching = {"raw_msg": "while calling the 'fetchTree' builtin", "file": "/x"}
    error = NixError.of(event | {"trace": [fetching, {"raw_msg": text, "file": "/x"}]})
    assert error is not None
    fault.kind(error)


def git_said(text: str) -> None:
    git_failure.explain_remote(Finished(("git", "fetch"), 1, "", f"remote: {text}", 0.0), "the remote")


def url(text: str) -> None:
    str(FlakeRef("git", (("url", text),)))
    str(FlakeRef("tarball", (("url", f"https://{text}"),)))
    with contextlib.suppress(FlakeRefError):
        FlakeRef.read(text)


READERS: dict[str, Callable[[str], object]] = {
    "an error's kind": lambda text: failure.classify(lines(text)),
    "an error's explanation": lambda text: failure.explain(lines(text)),
    "what failed": lambda text: failure.derivation_failures(lines(text)),
    "what was not tried": lambda text: failure.dependency_failures(lines(text)),
    "a failed fetch": lambda text: failure.fetch_kind(lines(text)),
    "a stale fetch": lambda text: failure.stale_fetch_lines(lines(text)),
    "whose fault": fault_of,
    "what ran out": lambda text: (blame._MEMORY.search(text), blame._DISK.search(text)),
    "no network": blame._NO_NETWORK.search,
    "what git says": git_said,
    "a reference": url,
    "an origin": lambda text: without_secrets(f"https://me:secret@h/{text}x"),
    "Markdown": escape.markdown,
    "code": escape.markdown_code,
    "a title": lambda text: escape.request_title(text, 200),
    "a commit's line": escape.commit,
    "HTML": escape.html,
    "a log's line": escape.log_line,
    "a name": escape.name,
    "trailers": lambda text: trailers.parse_trailers(f"x\n\nLockbot-Run: {text}"),
    "a block of trailers": lambda text: trailers.parse_trailers(f"x\n\n{text}-by: y"),
    "a subject": lambda text: list(subjects.named(text)),
    "a log on a page": lambda text: list(ansi.styled_lines(text.split("\n"))),
}
FEW = "1 137 A1 @ a@ : %40 - ? '"
OTHERS = r'A GH- @a a: / // %3A " ` [ { \ error: a- -by: < & #1 ! flake.nix'
PIECES = [
    *FEW.split(),
    *("\x1b[", "error: ", "\n ", "building of '", "repository ", "attempt to fetch", " with value '", '"x" '),
]
MORE = [
    *OTHERS.split(),
    *("\x1b]", "\t", "\r", "  error: error:", "trace: ", "> ", " timed out after ", "builder for '"),
    *("Cannot build 'x'.\n Reason: ", "dependency of derivation '", "hash mismatch in ", "specified: x\n got: "),
    *("fatal: ", "access to path '", " is not equal to ", " is ", "flake configuration setting '", "attribute '"),
    *("expected a ", " but found ", "path '", "cannot import '", "does not contain a ", "revspec '", " Killed"),
    *("memory allocation of 1", "curl: (1", "Lockbot-Run: ", "- ", " ", "flake input attribute '"),
]


@pytest.mark.parametrize("reader", READERS)
def test_what_is_long_takes_no_longer_than_its_size(reader: str) -> None:
    for piece in [*PIECES, *MORE] if EVERYTHING else PIECES:
        READERS[reader](piece * (SIZE // len(piece)))


MIXED = {
    "cubic once": " with value '" * 20_000 + " is not equal to " * 20_000 + " with value '" * 20_000,
    "settings": "flake configuration setting '" * 10_000 + "' is " * 10_000 + "\n",
    "inputs": "flake input attribute '" * 10_000 + " is " * 10_000 + " while " * 10_000,
}


@pytest.mark.parametrize("text", MIXED.values(), ids=MIXED)
def test_an_error_whose_words_repeat_themselves_takes_no_longer_than_its_size(text: str) -> None:
    fault_of(text)


def test_an_error_keeps_its_beginning_and_its_end() -> None:
    """A name in it may be of megabytes."""
    error = NixError.of({"action": "msg", "level": 0, "raw_msg": f"attribute '{'x' * SIZE}' missing"})
    assert error is not None and len(error.words) < 5000
    assert fault.kind(error).own
