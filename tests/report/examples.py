"""Values that the report tests share: one ordinary morning, and the names that strangers may choose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lockbot.model import (
    ChangeKind,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Locked,
    Outcome,
    Run,
)

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "x\n\nCo-authored-by: evil <e@x>",
    "x\nLockbot-Host: web built",
    "Co-authored-by: evil <e@x>",
    "$(touch /tmp/owned)",
    "../../up",
    "<script>alert(1)</script>",
    "--option",
    "---",
    "@everyone",
    "fixes #12",
    "closes https://forge.example/a/b/issues/12",
    "`id`",
    "**bold** [link](https://evil.example) ![i](https://evil.example/i.png)",
    "[/red] [bold]markup",
    "n" * 10_000,
    "\u202egnp.exe",
    "a\u2066b\u2069",
    "zero\u200bwidth\ufeff\u00ad\u2060",
    "blank\u3164\u2800",
    "\x85\x9bnext\u2028line\u2029",
    "tab\tcr\rnul\0del\x7f",
    "half \ud800 surrogate",
    "",
    " ",
    '"quoted" \\ name',
    "host with spaces",
    "größe",
)

NIXPKGS_OLD, NIXPKGS_NEW = "33ddeb9" + "0" * 33, "a1b2c3d" + "1" * 33
HOME_OLD, HOME_NEW = "9f3d2c1" + "2" * 33, "77aa0e2" + "3" * 33
RUN_ID = "20260814T050000Z-1f2e"
NOW = datetime(2026, 8, 14, 5, tzinfo=UTC)


def locked(place: str, rev: str, day: str) -> Locked:
    moment = int(datetime.fromisoformat(f"{day}T04:00:00+00:00").timestamp())
    return Locked("github", f"github:{place}/{rev}", f"github:{place}", rev=rev, last_modified=moment)


OLD_NIXPKGS, NEW_NIXPKGS = (
    locked("NixOS/nixpkgs", NIXPKGS_OLD, "2026-08-09"),
    locked("NixOS/nixpkgs", NIXPKGS_NEW, "2026-08-14"),
)
NIXPKGS = InputChange("nixpkgs", ChangeKind.UPDATED, OLD_NIXPKGS, NEW_NIXPKGS, commits=1234)
HOME_MANAGER = InputChange(
    "home-manager",
    ChangeKind.UPDATED,
    locked("nix-community/home-manager", HOME_OLD, "2026-08-01"),
    locked("nix-community/home-manager", HOME_NEW, "2026-08-13"),
    commits=1,
)
FOLLOWED = InputChange("home-manager/nixpkgs", ChangeKind.REFOLLOWED, old=OLD_NIXPKGS, new_follows="nixpkgs")
MOVED = InputChange(
    "secrets",
    ChangeKind.UPDATED,
    locked("me/secrets", HOME_OLD, "2026-08-01"),
    locked("other/secrets", HOME_NEW, "2026-07-13"),
)
ADDED = InputChange("disko", ChangeKind.ADDED, new=locked("nix-community/disko", HOME_NEW, "2026-08-13"))
REMOVED = InputChange("agenix", ChangeKind.REMOVED, old=locked("ryantm/agenix", HOME_OLD, "2026-08-01"))

LINKS = {"nixpkgs": "https://github.com/NixOS/nixpkgs/compare/33ddeb9...a1b2c3d"}

HELLO = "/nix/store/" + "a" * 32 + "-hello-2.12.drv"
KERNEL = "/nix/store/" + "b" * 32 + "-linux-6.12.30.drv"
HELLO_FAILED = Failure(
    FailureKind.BUILD,
    f"builder for '{HELLO}' failed with exit code 2",
    HELLO,
    ("checking for gcc... yes", "\x1b[31mmake: *** [Makefile:12: all] Error 2\x1b[0m"),
)
NEEDS_HELLO = Failure(FailureKind.DEPENDENCY, "1 dependency failed", HELLO)
KERNEL_FAILED = Failure(FailureKind.BUILD, f"builder for '{KERNEL}' failed with exit code 1", KERNEL)


def host(name: str) -> Host:
    return Host(name, ("nixosConfigurations", name))


def built(name: str, status: HostStatus = HostStatus.BUILT, failure: Failure | None = None) -> HostBuild:
    return HostBuild(host(name), status, failure=failure)


HOSTS = (
    built("web"),
    built("db"),
    built("nas", HostStatus.UNCHANGED),
    built("laptop", HostStatus.EVALUATED),
    built("old", HostStatus.BROKEN_BEFORE, KERNEL_FAILED),
    HostBuild(host("pi"), HostStatus.NOT_BUILDABLE_HERE, system="aarch64-linux"),
)
HELD = (Held("nixos-hardware", "breaks-host", "host web does not build with a newer one", HOME_OLD),)

MORNING = Run(
    RUN_ID,
    "/etc/nixos",
    NOW,
    Outcome.PARTLY_PUBLISHED,
    NOW + timedelta(minutes=5, seconds=3),
    branch="main",
    base="b" * 40,
    candidate="c" * 40,
    commit="c" * 40,
    pushed=True,
    changes=(NIXPKGS, HOME_MANAGER, FOLLOWED),
    hosts=HOSTS,
    held=HELD,
    notes=("web is built by hand since May",),
    seconds={"sync": 1.2, "judge": 290.0, "publish": 0.1},
)
