"""Of which hosts it is told what differs, and why it is not known of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.model import Failure, FailureKind, Host, HostBuild, HostStatus
from lockbot.nix import command, installed
from lockbot.process import CancelToken
from lockbot.review.differences import compare_hosts
from tests import nixes

WEB = Host("web", ("nixosConfigurations", "web"))
STORE = "/nix/store/00000000000000000000000000000000-"
OLD = HostBuild(WEB, HostStatus.EVALUATED, f"{STORE}old.drv", f"{STORE}old")
NEW = HostBuild(WEB, HostStatus.BUILT, f"{STORE}new.drv", f"{STORE}new")
BROKEN = Failure(FailureKind.BUILD, "broken")
FOREIGN = Failure(FailureKind.PLATFORM, "for another system")

UNKNOWN = {
    "nothing of it is there": (OLD, NEW, "only evaluated: it was not built here"),
    "it was broken": (replace(OLD, failure=BROKEN), NEW, "it did not build before"),
    "it did not evaluate": (replace(OLD, drv=None, failure=BROKEN), NEW, "it did not build before"),
    "nothing here can build it": (
        replace(OLD, failure=FOREIGN),
        replace(NEW, status=HostStatus.NOT_BUILDABLE_HERE, failure=FOREIGN),
        "only evaluated: nothing here can build it",
    ),
    "content-addressed": (replace(OLD, out=None), NEW, "where its result lies is known only when it is built"),
}
UNTOLD = {
    "it is the same": (OLD, replace(NEW, drv=OLD.drv)),
    "another way to the same": (OLD, replace(NEW, out=OLD.out)),
    "it fails": (OLD, replace(NEW, status=HostStatus.FAILED, failure=BROKEN)),
    "it fails as before": (OLD, replace(NEW, status=HostStatus.BROKEN_BEFORE, failure=BROKEN)),
    "it was not judged": (OLD, replace(NEW, status=HostStatus.UNJUDGED)),
    "it is new": (None, NEW),
}


@pytest.fixture
def nix(one_nix: nixes.Nix, cancel: CancelToken, tmp_path: Path) -> command.Nix:
    return installed.find(one_nix.environment, cancel, tmp_path, {})


@pytest.mark.parametrize("why", UNKNOWN)
def test_why_it_is_not_known(nix: command.Nix, why: str) -> None:
    old, new, unknown = UNKNOWN[why]
    store = str(nix.store_directory)
    there = [replace(one, out=one.out and one.out.replace("/nix/store", store)) for one in (old, new)]
    (found,) = compare_hosts(nix, {WEB.attribute: there[0]}, [there[1]])
    assert (found.hosts, found.unknown) == (("nixosConfigurations.web",), unknown)


@pytest.mark.parametrize("why", UNTOLD)
def test_of_which_hosts_nothing_is_told(nix: command.Nix, why: str) -> None:
    old, new = UNTOLD[why]
    assert compare_hosts(nix, {WEB.attribute: old} if old is not None else {}, [new]) == ()
