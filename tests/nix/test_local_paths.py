"""Which files of this machine a lock names: by every way to spell one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockbot.nix.lockfile import LockFile, local_paths
from lockbot.nix.lockfile.local import names_this_machine

REV = "1" * 40


def lock_of(*nodes: dict[str, object]) -> LockFile:
    """A lock whose root has these as its inputs: each `locked`, and asked for like that."""
    labels = [f"n{number}" for number in range(len(nodes))]
    written: dict[str, object] = {"root": {"inputs": dict(zip(labels, labels, strict=True))}}
    for label, attrs in zip(labels, nodes, strict=True):
        written[label] = {"locked": attrs, "original": attrs}
    return LockFile.parse(json.dumps({"version": 7, "root": "root", "nodes": written}))


@pytest.mark.parametrize(
    ("attrs", "path"),
    [
        ({"type": "path", "path": "/home/u/.netrc"}, "/home/u/.netrc"),
        ({"type": "path", "path": "/a/100%25"}, "/a/100%25"),
        ({"type": "path", "path": "./sub"}, None),
        ({"type": "path", "path": "../sub"}, None),
        ({"type": "git", "url": "file:///home/u/private", "rev": REV}, "/home/u/private"),
        ({"type": "git", "url": "file:///home/u/a%20b?dir=c", "rev": REV}, "/home/u/a b"),
        ({"type": "git", "url": "file:/home/u/private", "rev": REV}, "/home/u/private"),
        ({"type": "git", "url": "file://localhost/home/u", "rev": REV}, "/home/u"),
        ({"type": "git", "url": "/home/u/private", "rev": REV}, "/home/u/private"),
        ({"type": "hg", "url": "file:///home/u/private", "rev": REV}, "/home/u/private"),
        ({"type": "tarball", "url": "file:///home/u/x.tar", "narHash": "sha256-"}, "/home/u/x.tar"),
        ({"type": "file", "url": "FILE:///home/u/.netrc", "narHash": "sha256-"}, "/home/u/.netrc"),
        ({"type": "file", "url": "file:///home/u/%2enetrc", "narHash": "sha256-"}, "/home/u/.netrc"),
        ({"type": "file", "url": "file:///home/%00", "narHash": "sha256-"}, None),
        ({"type": "git", "url": "https://example.org/file:/x", "rev": REV}, None),
        ({"type": "git", "url": "ssh://git@example.org/home/u", "rev": REV}, None),
        ({"type": "tarball", "url": "https://example.org/x.tar", "narHash": "sha256-"}, None),
        ({"type": "github", "owner": "file:", "repo": "x", "rev": REV}, None),
        ({"type": "indirect", "id": "nixpkgs"}, None),
    ],
    ids=lambda value: str(value),
)
def test_the_path_of_each_spelling(attrs: dict[str, object], path: str | None) -> None:
    assert local_paths(lock_of(attrs)) == ({Path(path)} if path else set())


def test_all_of_a_lock_and_what_is_asked_for_as_well_as_what_is_locked() -> None:
    locked = {"locked": {"type": "path", "path": "/there"}, "original": {"type": "path", "path": "/link"}}
    beneath = {"locked": {"type": "path", "path": "/deep"}, "original": {"type": "path", "path": "/deep"}}
    nodes = {"root": {"inputs": {"a": "a"}}, "a": locked | {"inputs": {"b": "b"}}, "b": beneath}
    lock = LockFile.parse(json.dumps({"version": 7, "root": "root", "nodes": nodes}))
    assert local_paths(lock) == {Path("/there"), Path("/link"), Path("/deep")}


@pytest.mark.parametrize(
    ("reference", "here"),
    [
        *(
            (ref, True)
            for ref in ("path:/x", "path:%2Fx", "file:///x", "git+file:///x", "GIT+FILE:/x", "file+file:/x")
        ),
        *((ref, True) for ref in ("git+/x", "hg+x", "git+git@example.org:x", "tarball+file:/x", "git+ext::sh")),
        *(
            (ref, False)
            for ref in ("path:./x", "path:../x", "github:o/r", "nixpkgs", "https://example.org/file:/x")
        ),
        *(
            (ref, False)
            for ref in ("git+https://example.org/x", "git+ssh://u@example.org/x", "hg+https://e.org/x")
        ),
    ],
)
def test_a_reference_that_reads_files_of_this_machine(reference: str, here: bool) -> None:
    assert names_this_machine(reference) is here
