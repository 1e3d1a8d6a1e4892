"""Which files commits of an input changed.

The caches hold commits only. The folders of these commits and of their parents are fetched aside (no history, no
files' contents), and thrown away: for 3,000 commits of nixpkgs about 10 MB. Nothing more is fetched behind our
back. Must not know why anybody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockbot.git import failure
from lockbot.git.command import Git
from lockbot.git.failure import RemoteError
from lockbot.git.inputs.cache import Cache
from lockbot.git.inputs.upstream import REMOTE
from lockbot.git.sync import run_remote
from lockbot.model import FailureKind
from lockbot.process import Listener
from lockbot.redact import without_secrets

MOST_COMMITS = 5_000
"""So many are looked at: a fortnight of nixpkgs."""
MOST_FILES = 50
"""So many of one commit are told: one that changes more changes them all alike."""
_FILTER = "blob:none"
_NO_FILTER = "filtering not recognized by server"


def changed_files(
    cache: Cache, commits: Sequence[str], wanted: Callable[[str], bool]
) -> dict[str, tuple[str, ...]]:
    """Commit → which of the wanted files it changed, against its first parent; those that changed some.

    At most the first MOST_COMMITS are looked at, and of them those whose parent is known. Raises RemoteError, of a
    server that can't leave files out, too.
    """
    pairs = _with_parents(cache, commits[:MOST_COMMITS])
    if not pairs:
        return {}
    with cache.aside() as place:
        _fetch(cache, place, sorted({rev for pair in pairs for rev in pair}))
        return _compare(cache.git.at(place), pairs, wanted)


def _with_parents(cache: Cache, commits: Sequence[str]) -> list[tuple[str, str]]:
    asked = "".join(f"{rev}\n" for rev in commits).encode()
    walk = ("rev-list", "--no-walk=unsorted", "--parents", "--stdin")
    listed = [line.split() for line in cache.git.run(*walk, stdin=asked).stdout.splitlines()]
    return [(words[0], words[1]) for words in listed if len(words) > 1]


def _fetch(cache: Cache, place: Path, commits: Sequence[str]) -> None:
    shown = without_secrets(cache.origin.url)

    def heard(line: str) -> None:
        # It would send every file: told before the first of them comes.
        if _NO_FILTER in line:
            raise RemoteError(FailureKind.UNKNOWN, f"{shown} can't leave files out of what it sends")

    options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance")
    limits = (f"--filter={_FILTER}", "--depth=1", "--stdin")
    git = cache.remote_git(_FILTER).at(place).configured(("fetch.unpackLimit", "1"))
    finished = run_remote(
        git,
        shown,
        *("fetch", *options, *limits, "--", REMOTE),
        stdin="".join(f"{rev}\n" for rev in commits).encode(),
        listener=Listener(on_stderr=heard),
    )
    if finished.code != 0:
        raise failure.explain_remote(finished, shown)


def _compare(
    git: Git, pairs: Sequence[tuple[str, str]], wanted: Callable[[str], bool]
) -> dict[str, tuple[str, ...]]:
    reader = _Reader(wanted)
    asked = "".join(f"{rev} {parent}\n" for rev, parent in pairs).encode()
    compare = ("diff-tree", "--stdin", "-r", "--no-renames")
    # Names with control characters are quoted then, and so are no names that anybody wants.
    plainly = git.configured(("core.quotePath", "false"))
    plainly.run(*compare, stdin=asked, listener=Listener(on_stdout=reader.line))
    return {rev: tuple(files) for rev, files in reader.found.items()}


@dataclass
class _Reader:
    """Hears a commit, then the files that it changed: `:MODE MODE BLOB BLOB LETTER`, a tab, and the name."""

    wanted: Callable[[str], bool]
    found: dict[str, list[str]] = field(default_factory=dict)
    at: str = ""

    def line(self, line: str) -> None:
        if not line.startswith(":"):
            self.at = line
        elif self.wanted(line := line.partition("\t")[2]):
            files = self.found.setdefault(self.at, [])
            if len(files) < MOST_FILES:
                files.append(line)
