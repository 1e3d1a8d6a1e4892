"""Runs and builds to put into a history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lockbot.model import (
    Answer,
    ChangeKind,
    ClosureSize,
    Comment,
    ConfigurationChange,
    CulpritCommit,
    Difference,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostKind,
    HostStatus,
    InputChange,
    Judgement,
    Locked,
    Move,
    News,
    Outcome,
    PackageChange,
    PackageMark,
    PullRequest,
    PullRequestState,
    RequestDone,
    RequestStep,
    Run,
    SwitchEffects,
    Text,
    UpstreamChanges,
    UpstreamCommit,
    WarningChange,
)

FLAKE = "/srv/flake?ref=main"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def clock() -> datetime:
    return NOON


def host(name: str) -> Host:
    return Host(name, ("nixosConfigurations", name, "config", "system", "build", "toplevel"))


def failed(name: str, kind: FailureKind = FailureKind.BUILD) -> HostBuild:
    failure = Failure(kind, "boom", "/nix/store/x-boom.drv", ("line one", "line two"), "all\nof\nit")
    return HostBuild(host(name), HostStatus.FAILED, "/nix/store/y.drv", None, "x86_64-linux", failure)


def built(name: str) -> HostBuild:
    return HostBuild(host(name), HostStatus.BUILT, f"/nix/store/{name}.drv", f"/nix/store/{name}", "x86_64-linux")


def locked(rev: str) -> Locked:
    return Locked("github", f"github:o/r/{rev}", "github:o/r/main", rev, "main", "sha256-abc=", 1_700_000_000)


def run(number: int = 0, repository: str = "/srv/flake", flake: str = FLAKE, **fields: object) -> Run:
    """A run with an outcome; a higher number is a minute later."""
    started = NOON + timedelta(minutes=number)
    fields = {"flake": flake, "outcome": Outcome.UNCHANGED, **fields}
    return Run(f"r{number:05}", repository, started, **fields)  # type: ignore[arg-type]  # tests pass fields by name


CULPRIT = CulpritCommit(
    "5" * 40, "break it", "Eve", 1_700_000_000, "https://x/y", ("web", "db"), "4" * 40, exact=False
)


DIFFERENCE = Difference(
    ("nixosConfigurations.alpha.config.system.build.toplevel",),
    (PackageChange("openssl", PackageMark.UP, ("3.0.1", "3.0.2"), ("3.0.3",), (10, 2**40), selected=True),),
    ConfigurationChange(1, 2, 3),
    ClosureSize((1, 2), (3, 4)),
    SwitchEffects(("kernel 6.12.1 → 6.12.2",), ("nginx.service",), keep=("a.mount",), users_gone=("eve",)),
    WarningChange(("new \x1b[1m",), ("gone",)),
)
UPSTREAM = UpstreamChanges(
    "nixpkgs", 17, (UpstreamCommit("6" * 40, "a subject", "Eve", 1_700_000_000),), note="so"
)


PULL_REQUEST = PullRequest(
    id="full-1",
    flake="FLAKE",
    base="main",
    group="a b",
    branch="lockbot/update-main=a",
    run="full",
    commit="c" * 40,
    parent="b" * 40,
    opened=NOON,
    changed=NOON,
    state=PullRequestState.OPEN,
    pushed="a" * 40,
    number=5,
    url="https://git.example.org/o/r/pulls/5",
    moves=(Move("a", "1" * 40, "2" * 40), Move("b", None, "3" * 40)),
    hosts={"web": "built", "db": "unchanged"},
    text=Text("a title", "a body", True, "digest"),
    comment=Comment((News(NOON, "something happened"),), "77", "other"),
    filed=True,
    left_alone="someone pushed",
    waits="a check",
    merged_as="d" * 40,
    tidied=True,
)


def full_run(name: str = "full") -> Run:
    """A run with something in every field."""
    old = old_run(name)
    bad, good = Judgement(Answer.BAD, "build"), Judgement(Answer.GOOD, "present")
    unknown = Judgement(Answer.UNJUDGED, "network", evaluated=False)
    alpha, dotted, check = old.hosts
    return replace(
        old,
        flake=FLAKE,
        hosts=(
            replace(alpha, here=good, warnings=("old", "older")),
            replace(dotted, here=bad, base=unknown),
            replace(check, base=good),
        ),
        held=(replace(old.held[0], culprit=CULPRIT), *old.held[1:]),
        differences=(DIFFERENCE, Difference(("checks.c",), unknown="only evaluated")),
        upstream=(UPSTREAM,),
        requests=(
            RequestDone(RequestStep.OPENED, "lockbot/update-main", "c" * 40, 5, "https://x/5", ("a",), "said"),
            RequestDone(RequestStep.LEFT_ALONE, "lockbot/update-main=b"),
        ),
    )


def old_run(name: str = "full") -> Run:
    """What the first lockbots knew of that run: one is in version1.sqlite.gz."""
    return Run(
        id=name,
        repository="/srv/flake",
        started=NOON,
        outcome=Outcome.PARTLY_PUBLISHED,
        finished=NOON + timedelta(seconds=61.5),
        branch="main",
        base="b" * 40,
        candidate="c" * 40,
        commit="d" * 40,
        parked="lockbot/update",
        pushed=True,
        dry_run=True,
        changes=(
            InputChange("nixpkgs", ChangeKind.UPDATED, locked("1" * 40), locked("2" * 40), commits=17),
            InputChange("a/b", ChangeKind.REFOLLOWED, None, locked("3" * 40), old_follows="nixpkgs"),
            InputChange("c", ChangeKind.REFOLLOWED, Locked("path", "path:/x", "path:/x"), new_follows="a/b"),
        ),
        hosts=(
            built("alpha"),
            failed("my.dotted host"),
            HostBuild(
                Host("check", ("checks", "x86_64-linux", "c"), HostKind.ATTRIBUTE, True), HostStatus.EVALUATED
            ),
        ),
        held=(Held("home-manager", "breaks-host", "alpha does not build with it", "4" * 40), Held("c", "too-new")),
        notes=("do this by hand", "and that"),
        error="something",
        hint="try again",
        seconds={"sync": 0.25, "judge": 60.0},
    )
