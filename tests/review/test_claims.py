"""Claims against facts, as tables: what is a finding, what is only told, what could not be found out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from lockbot.model import ChangeKind, Failure, FailureKind, HostBuild, HostStatus, InputChange, Locked
from lockbot.nix.lockfile import EMPTY, LockFile, diff
from lockbot.report.trailers import Trailers, parse_trailers, trailer_lines
from lockbot.review import claims
from lockbot.review.claims import FindingKind, Found, HostFound
from tests.report.examples import built

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
LOCK, HASH = "flake.lock", "0" * 32
DRV = f"/nix/store/{HASH}-nixos-system-web.drv"
BROKEN = Failure(FailureKind.BUILD, "hello failed")
NO_NETWORK = Failure(FailureKind.NETWORK, "no route to host")
GONE = Failure(FailureKind.GONE, "no such host")


def kinds(found: Found) -> list[str]:
    return [finding.kind for finding in found.findings]


def moved(name: str, old: str = A, new: str = B) -> InputChange:
    before, after = (Locked("git", "git+x", "git+x", rev=rev) for rev in (old, new))
    return InputChange(name, ChangeKind.UPDATED, before, after)


# -- inputs ----------------------------------------------------------------------------------------------------

NAMED = [("nixpkgs", A, B)]


@pytest.mark.parametrize(
    ("claimed", "changes", "expected"),
    [
        (NAMED, [moved("nixpkgs")], []),
        ([], [], []),
        ([], [moved("nixpkgs")], ["input-not-named"]),
        (NAMED, [moved("nixpkgs"), moved("a/nixpkgs")], ["input-not-named"]),
        (NAMED, [], ["input-not-moved"]),
        (NAMED, [moved("nixpkgs", A, C)], ["input-not-moved"]),
        (NAMED, [moved("nixpkgs", B, A)], ["input-not-moved"]),
        ([*NAMED, ("nixpkgs", A, C)], [moved("nixpkgs")], ["input-not-moved"]),
        (NAMED, [moved("other")], ["input-not-moved", "input-not-named"]),
    ],
)
def test_inputs(
    claimed: Sequence[tuple[str, str, str]], changes: Sequence[InputChange], expected: list[str]
) -> None:
    trailers = Trailers("a run", tuple(claimed))
    assert kinds(claims.compare_inputs(trailers, changes)) == expected


def test_a_message_without_trailers_claims_nothing_of_inputs_and_files() -> None:
    assert claims.compare_inputs(Trailers(), [moved("nixpkgs")]) == Found()
    assert claims.compare_files(Trailers(), ["web.nix"], LOCK, ()) == Found()


def test_what_had_no_room_is_told_and_what_had_some_is_a_finding() -> None:
    """The rule is the message's own: whatever `trailer_lines` leaves out may be left out."""
    many = [moved(f"input-{number}/nixpkgs") for number in range(300)]
    text = "x\n\n" + "\n".join(trailer_lines("run", many, [], limit=24_000))
    trailers = parse_trailers(text)
    assert 0 < trailers.left_out[0] < len(many)
    found = claims.compare_inputs(trailers, many)
    assert kinds(found) == [] and "had no room" in found.notes[0]
    one_more = claims.compare_inputs(trailers, [*many, moved("hidden")])
    assert set(kinds(one_more)) == {"input-not-named"}, "more are missing than were left out"
    few = Trailers("run", tuple(NAMED), left_out=(1, 1))
    assert kinds(claims.compare_inputs(few, [moved("nixpkgs"), moved("hidden")])) == ["input-not-named"]
    assert kinds(claims.compare_hosts(few, [HostFound("web", DRV)])) == ["host-not-named"]


def test_hosts_that_had_no_room_are_told() -> None:
    hosts: list[HostBuild] = [built(f"host-{number}") for number in range(2000)]
    trailers = parse_trailers("x\n\n" + "\n".join(trailer_lines("run", [], hosts, limit=24_000)))
    assert trailers.left_out[1] > 0
    found = claims.compare_hosts(trailers, [HostFound(host.host.name, DRV) for host in hosts])
    assert [kind for kind in kinds(found) if kind != FindingKind.DERIVATION] == []
    assert "had no room" in found.notes[0]


@pytest.mark.parametrize(
    ("files", "allowed", "expected"),
    [
        ([LOCK], [], 0),
        ([LOCK, "web.nix"], [], 1),
        ([LOCK, "deps/a.json"], ["deps/*"], 0),
        ([LOCK, "deps/a.json", "flake.nix"], ["deps/*"], 1),
        (["hosts/flake.lock"], [], 1),
    ],
)
def test_files(files: Sequence[str], allowed: Sequence[str], expected: int) -> None:
    assert kinds(claims.compare_files(Trailers("run"), files, LOCK, allowed)) == ["other-file"] * expected


# -- origins ---------------------------------------------------------------------------------------------------


def github(owner: str = "NixOS", rev: str = A, asked: str | None = None, **more: str) -> dict[str, object]:
    where = {"type": "github", "repo": "nixpkgs"}
    return {"original": {**where, "owner": asked or owner}, "locked": {**where, "owner": owner, "rev": rev} | more}


def git(url: str, asked: str | None = None, rev: str = A) -> dict[str, object]:
    return {"original": {"type": "git", "url": asked or url}, "locked": {"type": "git", "url": url, "rev": rev}}


def tarball(url: str, asked: str) -> dict[str, object]:
    return {
        "original": {"type": "tarball", "url": asked},
        "locked": {"type": "tarball", "url": url, "narHash": f"sha256-{url[-4:]}"},
    }


def lock(root: Mapping[str, object], **nodes: Mapping[str, object]) -> LockFile:
    document = {"version": 7, "root": "root", "nodes": {"root": {"inputs": dict(root)}, **nodes}}
    return LockFile.parse(json.dumps(document))


def one(node: Mapping[str, object]) -> LockFile:
    return lock({"a": "a"}, a=node)


INDIRECT = {"original": {"type": "indirect", "id": "nixpkgs"}, "locked": github()["locked"]}
MIRROR = {
    "original": {"type": "github", "owner": "NixOS", "repo": "nixpkgs"},
    "locked": git("https://x.org/n")["locked"],
}
NESTED = {"original": git("https://x.org/a")["original"], "inputs": {"b": "b"}}
OUTER = [{**NESTED, "locked": git("https://x.org/a", rev=rev)["locked"]} for rev in (A, B)]


@pytest.mark.parametrize(
    ("before", "after", "flake_changed", "expected"),
    [
        (one(github()), one(github(rev=B)), False, (0, 0)),
        (one(github()), one(github("nixos", rev=B)), False, (0, 0)),
        (one(github()), one(github("evil", rev=B)), False, (1, 0)),
        (one(github()), one(github("evil", rev=B)), True, (0, 1)),
        (one(github()), one(github("evil", asked="NixOS", rev=B)), False, (1, 0)),
        (one(github()), one(github("evil", asked="NixOS", rev=B)), True, (1, 0)),
        (one(github()), one(github(rev=B, host="evil.example.org")), False, (1, 0)),
        (one(github()), one(MIRROR), True, (1, 0)),
        (one(git("https://x.org/a")), one(git("https://evil.org/a", "https://x.org/a", B)), False, (1, 0)),
        (one(git("ssh://git@x.org/a")), one(git("ssh://git@x.org/a", rev=B)), False, (0, 0)),
        (one(tarball("https://x.org/1.xz", "https://c.org/a")), one(tarball("https://x.org/2.xz", "https://c.org/a")),
         False, (0, 0)),
        (one(tarball("https://x.org/1.xz", "https://c.org/a")), one(tarball("https://y.org/2.xz", "https://c.org/a")),
         False, (1, 0)),
        (one(tarball("https://x.org/1.xz", "https://c.org/a")), one(tarball("https://y.org/2.xz", "https://c.org/a")),
         True, (1, 0)),
        (one(INDIRECT), one(INDIRECT), False, (0, 0)),
        (EMPTY, one(INDIRECT), False, (0, 1)),
        (EMPTY, one(github()), False, (0, 1)),
        (EMPTY, one(github("evil", asked="NixOS")), True, (1, 0)),
        (one(github()), EMPTY, False, (0, 0)),
        # Nested, and following.
        (lock({"a": "a"}, a=OUTER[0], b=github()), lock({"a": "a"}, a=OUTER[1], b=github("evil")), False, (1, 0)),
        (lock({"a": "a"}, a=OUTER[0], b=github()), lock({"a": "a"}, a=OUTER[0], b=github("evil")), False, (1, 0)),
        (lock({"a": "a", "c": "c"}, a=OUTER[0], b=github(), c=github("evil")),
         lock({"a": "a", "c": "c"}, a={**OUTER[0], "inputs": {"b": ["c"]}}, c=github("evil")), False, (1, 0)),
        (lock({"a": "a", "c": "c"}, a=OUTER[0], b=github(), c=github("evil")),
         lock({"a": "a", "c": "c"}, a={**OUTER[1], "inputs": {"b": ["c"]}}, c=github("evil")), False, (0, 1)),
        (lock({"a": "a", "c": "c"}, a=OUTER[0], b=github(), c=github(rev=B)),
         lock({"a": "a", "c": "c"}, a={**OUTER[0], "inputs": {"b": ["c"]}}, c=github(rev=B)), False, (0, 0)),
    ],
)  # fmt: skip
def test_origins(before: LockFile, after: LockFile, flake_changed: bool, expected: tuple[int, int]) -> None:
    found = claims.compare_origins(diff(before, after), after, flake_changed=flake_changed)
    assert (len(found.findings), len(found.notes)) == expected, found
    assert set(kinds(found)) <= {"origin-changed"}


# -- hosts -----------------------------------------------------------------------------------------------------

SAME = f"{HASH}-nixos-system-web.drv"
OTHER = f"{'1' * 32}-nixos-system-web.drv"


@pytest.mark.parametrize(
    ("status", "claimed", "host", "expected"),
    [
        ("built", SAME, HostFound("web", DRV), "as claimed"),
        ("built", None, HostFound("web", DRV), "as claimed"),
        ("built", "-", HostFound("web", DRV), "as claimed"),
        ("built", "names-commit", HostFound("web", DRV, names_commit=True), "as claimed"),
        ("built", "names-commit", HostFound("web", DRV), "other-derivation"),
        ("built", OTHER, HostFound("web", DRV), "other-derivation"),
        ("unchanged", OTHER, HostFound("web", DRV, built=True), "other-derivation"),
        ("broken-before", OTHER, HostFound("web", DRV), "other-derivation"),
        ("built", SAME, HostFound("web", DRV, BROKEN), "host-fails"),
        ("built", None, HostFound("web", None, BROKEN), "host-fails"),
        ("unchanged", None, HostFound("web", None, BROKEN), "host-fails"),
        ("evaluated", None, HostFound("web", None, BROKEN), "host-fails"),
        ("whatever", None, HostFound("web", None, BROKEN), "host-fails"),
        ("not-buildable-here", None, HostFound("web", None, BROKEN), "host-fails"),
        ("not-buildable-here", SAME, HostFound("web", DRV, NO_NETWORK), "as claimed"),
        ("failed", None, HostFound("web", None, BROKEN), "as claimed"),
        ("broken-before", None, HostFound("web", None, BROKEN), "as claimed"),
        ("broken-before", None, HostFound("web", DRV), "as claimed"),
        ("unjudged", None, HostFound("web", None, NO_NETWORK), "as claimed"),
        ("built", SAME, HostFound("web", None, NO_NETWORK), "unjudged"),
        ("built", SAME, HostFound("web", DRV, NO_NETWORK), "unjudged"),
        ("built", SAME, HostFound("web", None, GONE), "host-gone"),
        ("failed", None, HostFound("web", None, GONE), "host-gone"),
    ],
)
def test_a_host(status: str, claimed: str | None, host: HostFound, expected: str) -> None:
    found = claims.compare_hosts(Trailers("run", hosts=(("web", status, claimed),)), [host])
    said = kinds(found) or ["unjudged" if found.unjudged else "as claimed"]
    assert said == [expected], found


def test_a_host_that_is_not_named() -> None:
    named = Trailers("run", hosts=(("web", "built", None),))
    hosts = [HostFound("web", DRV), HostFound("db", DRV)]
    assert kinds(claims.compare_hosts(named, hosts)) == ["host-not-named"]
    assert kinds(claims.compare_hosts(Trailers(), hosts)) == [], "no claims are made at all"
    assert kinds(claims.compare_hosts(Trailers(), [HostFound("db", None, BROKEN)])) == ["host-fails"]
    assert claims.compare_hosts(Trailers(), [HostFound("db", None, NO_NETWORK)]).unjudged
    assert claims.compare_hosts(named, [HostFound("old", None, GONE)]) == Found(), "it needs no name"


def test_of_a_host_that_nobody_looked_at_nothing_is_said() -> None:
    trailers = Trailers("run", hosts=(("web", "built", OTHER), ("db", "built", OTHER)))
    assert claims.compare_hosts(trailers, []) == Found()
    rows = list(claims.rows(trailers, [HostFound("db", DRV, built=True), HostFound("x", None, NO_NETWORK)]))
    assert [(row.host, row.claimed, row.found) for row in rows] == [
        ("web", f"built {OTHER}", None),
        ("db", f"built {OTHER}", f"built {SAME}"),
        ("x", None, "unjudged: network failed: no route to host"),
    ]


def test_what_every_status_claims_is_decided() -> None:
    broken = [HostFound("web", DRV, BROKEN)]
    claimed = {status: Trailers("r", hosts=(("web", status, None),)) for status in HostStatus}
    fails = {status: kinds(claims.compare_hosts(trailers, broken)) for status, trailers in claimed.items()}
    good = {HostStatus.BUILT, HostStatus.UNCHANGED, HostStatus.EVALUATED}
    assert {status for status, found in fails.items() if found} == good


def test_hostile_amounts_take_no_time() -> None:
    """Nothing is compared each with each: with 20,000 of each kind that would be minutes."""
    number = 20_000
    changes = [moved(f"a{index}") for index in range(number)]
    trailers = Trailers("r", tuple((f"b{index}", A, B) for index in range(number)))
    assert len(claims.compare_inputs(trailers, changes).findings) == 2 * number
    hosts = tuple((f"h{index}", "built", None) for index in range(number))
    assert len(claims.compare_hosts(Trailers("r", hosts=hosts), [HostFound("x", DRV)] * number).findings) == 1


def test_a_host_that_the_flake_only_lists() -> None:
    """It has no derivation before, and none now: that says so, where the others tell theirs."""
    listed = HostFound("web", None, GONE)
    told = Trailers("run", hosts=(("web", "unchanged", None), ("db", "built", SAME)))
    assert not kinds(claims.compare_hosts(told, [listed, HostFound("db", DRV)]))
    older = Trailers("run", hosts=(("web", "unchanged", None), ("db", "built", None)))
    assert kinds(claims.compare_hosts(older, [listed, HostFound("db", DRV)])) == ["host-gone"]
