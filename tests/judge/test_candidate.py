"""Every host gets its right verdict, and the blame only where it is earned. Real Nix, real builds."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lockbot import process
from lockbot.errors import Cancelled
from lockbot.judge import gate
from lockbot.judge.candidate import Judge
from lockbot.judge.verdict import Checkout, Judged, Known, Limits
from lockbot.model import (
    Candidate,
    Event,
    Failure,
    FailureKind,
    Gate,
    Host,
    HostBuild,
    HostEvaluating,
    HostStatus,
    Retrying,
)
from lockbot.nix import build, evaluate, installed
from lockbot.nix.evaluate import pool
from lockbot.nix.flakeref import local_flake
from lockbot.process import CancelToken, Deadline
from tests import nixes
from tests.fleet import Breakage, Fleet, HostSpec, Upstream, since, together

EVALUATION = evaluate.Limits(workers=2, memory=2**32, timeout=60, retries=1, delay=0.1)
BUILD = build.Limits(timeout=4, silence=60, retries=1, delay=0.1)


def hosts_of(fleet: Fleet) -> tuple[Host, ...]:
    return tuple(Host(spec.name, spec.attribute) for spec in fleet.hosts)


@dataclass
class Court:
    """A fleet, one lock later: judges the newest commit against the one before."""

    nix: nixes.Nix
    tmp: Path
    cancel: CancelToken
    fleet: Fleet
    base: str
    candidate: str
    events: list[Event] = field(default_factory=list)

    def judge(
        self,
        *,
        known: Sequence[HostBuild] = (),
        evaluation: evaluate.Limits = EVALUATION,
        building: build.Limits = BUILD,
        hosts: Sequence[Host] = (),
        carried: Sequence[HostBuild] = (),
        remembered: Sequence[str] = (),
    ) -> Judged:
        """`remembered`: derivations that another run has seen fail."""
        nix = installed.find(self.nix.environment, self.cancel, self.tmp / "data", {})
        judge = Judge(nix, Checkout(self.fleet.path), Limits(evaluation, building), self.events.append)
        return judge.judge(
            Candidate(self.base, self.candidate, ()),
            hosts or hosts_of(self.fleet),
            known=Known(
                {made.host.attribute: made for made in known},
                {drv: Failure(FailureKind.BUILD, "in another run", culprit=drv) for drv in remembered},
            ),
            carried=carried,
        )


def court(nix: nixes.Nix, tmp: Path, cancel: CancelToken, hosts: Sequence[HostSpec], inputs: str = "ab") -> Court:
    """Hosts that use inputs `a` (which moves from 1 to 2) and `b` (which stands still)."""
    upstreams = [Upstream.create(tmp, name) for name in inputs]
    fleet = Fleet.create(tmp / "fleet", nix, inputs=upstreams, hosts=hosts)
    base = fleet.head()
    upstreams[0].commit("second")
    return Court(nix, tmp, cancel, fleet, base, fleet.update("a"))


def by_name(judged: Judged) -> dict[str, HostBuild]:
    return {made.host.name: made for made in judged.verdict.builds}


def second(kind: str) -> Breakage:
    """Broken by a's second commit."""
    return Breakage(kind, together({"a": "2"}))  # type: ignore[arg-type]  # a name in breakage.nix


def test_nine_hosts_get_nine_verdicts(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    here = court(
        nix,
        tmp_path,
        cancel,
        [
            HostSpec("fine", ["a"], chain=2),
            HostSpec("dotted.name", ["a"]),
            HostSpec("unchanged", ["b"]),
            HostSpec("throws", ["a"], failure=second("throw")),
            HostSpec("recurses", ["a"], failure=second("infinite-recursion")),
            HostSpec("needs", ["a"], failure=second("deep-dependency")),
            HostSpec("hash", ["a"], failure=second("hash-mismatch")),
            HostSpec("slow", ["a"], failure=second("timeout")),
            HostSpec("arm", ["a"], system="aarch64-linux"),
        ],
    )
    judged = here.judge()
    found = by_name(judged)
    assert {name: made.status for name, made in found.items()} == {
        "fine": HostStatus.BUILT,
        "dotted.name": HostStatus.BUILT,
        "unchanged": HostStatus.UNCHANGED,
        "throws": HostStatus.FAILED,
        "recurses": HostStatus.FAILED,
        "needs": HostStatus.FAILED,
        "hash": HostStatus.FAILED,
        "slow": HostStatus.UNJUDGED,
        "arm": HostStatus.NOT_BUILDABLE_HERE,
    }
    kinds = {name: made.failure.kind for name, made in found.items() if made.failure is not None}
    assert kinds == {
        "throws": FailureKind.EVALUATION,
        "recurses": FailureKind.EVALUATION,
        "needs": FailureKind.BUILD,
        "hash": FailureKind.HASH_MISMATCH,
        "slow": FailureKind.TIMEOUT,
        "arm": FailureKind.PLATFORM,
    }
    culprits = {name: made.failure.culprit or "" for name, made in found.items() if made.failure is not None}
    assert culprits["needs"].endswith("-host-needs-broken.drv"), "traced to the root, not the toplevel"
    assert culprits["hash"].endswith("-host-hash-source.drv")
    assert culprits["slow"].endswith("-host-slow.drv")
    failure = found["needs"].failure
    assert failure is not None and "broken on purpose" in failure.tail
    assert gate.blocking(judged.verdict.builds, Gate.NO_REGRESSION) == tuple(
        made for made in judged.verdict.builds if made.status in (HostStatus.FAILED, HostStatus.UNJUDGED)
    )
    assert "host-unchanged" not in here.fleet.built(), "what is the same is not built"


def test_what_was_broken_before_is_not_the_updates_fault(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    here = court(
        nix,
        tmp_path,
        cancel,
        [
            HostSpec("fine", ["a"]),
            HostSpec("throws", ["a"], failure="throw"),
            HostSpec("fails", ["a"], failure="build"),
            HostSpec("worse", ["a"], failure=Breakage("throw", since({"a": 2}))),
        ],
    )
    judged = here.judge()
    assert {name: made.status for name, made in by_name(judged).items()} == {
        "fine": HostStatus.BUILT,
        "throws": HostStatus.BROKEN_BEFORE,
        "fails": HostStatus.BROKEN_BEFORE,
        "worse": HostStatus.FAILED,
    }
    assert [made.host.name for made in gate.blocking(judged.verdict.builds, Gate.ALL_GREEN)] == [
        "throws",
        "fails",
        "worse",
    ]
    status = {names[1]: made.status for names, made in judged.base.items()}
    assert status["fails"] is HostStatus.FAILED
    assert status["worse"] is HostStatus.BUILT, "its base was built, to know whom to blame"
    before = len(here.fleet.built())
    again = here.judge(known=list(judged.base.values()))
    assert by_name(again)["fails"].status is HostStatus.BROKEN_BEFORE
    # fails (2's derivation) is tried again; its base, which is remembered, is not
    assert here.fleet.built()[before:] == ["host-fails"]


def test_a_remembered_base_is_not_evaluated_again(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    here = court(one_nix, tmp_path, cancel, [HostSpec("x", ["a"]), HostSpec("y", ["b"])])
    first = here.judge()
    here.events.clear()
    second_time = here.judge(known=list(first.base.values()))
    assert second_time.verdict == first.verdict
    assert [event.at for event in here.events if isinstance(event, HostEvaluating)].count("base") == 0


def test_an_input_that_only_fails_for_the_network_is_not_blamed(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    here = court(one_nix, tmp_path, cancel, [HostSpec("x", ["a"])])
    wrapper = tmp_path / "bin"
    wrapper.mkdir()
    (wrapper / "nix-store").write_text(
        "#!/bin/sh\n"
        'case "$*" in *--realise*) echo "error: unable to download \'https://cache.invalid/x\':'
        " Couldn't resolve host name (6)\" >&2; exit 1;; esac\n"
        f'exec {one_nix.bin}/nix-store "$@"\n'
    )
    (wrapper / "nix-store").chmod(0o755)
    environment = dict(one_nix.environment) | {"PATH": f"{wrapper}:{one_nix.environment['PATH']}"}
    here.nix = replace(one_nix, environment=environment)
    failure = here.judge().verdict.builds[0].failure
    assert failure is not None and failure.kind is FailureKind.NETWORK and "resolve host" in failure.message
    assert sum(isinstance(event, Retrying) for event in here.events) == 1, "tried again, as often as configured"


def test_an_evaluation_that_never_ends_is_ended(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    here = court(
        one_nix,
        tmp_path,
        cancel,
        [HostSpec("endless", ["a"], failure=second("endless-evaluation")), HostSpec("fine", ["a"])],
    )
    judged = here.judge(evaluation=replace(EVALUATION, timeout=1.5, workers=1))
    found = by_name(judged)
    assert found["fine"].status is HostStatus.BUILT
    assert found["endless"].status is HostStatus.UNJUDGED
    failure = found["endless"].failure
    assert failure is not None and failure.kind is FailureKind.TIMEOUT


def test_cancelling_ends_builds_and_evaluations(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    here = court(
        one_nix,
        tmp_path,
        cancel,
        [HostSpec("silent", ["a"], failure="silent"), HostSpec("endless", ["a"], failure="endless-evaluation")],
    )
    timer = threading.Timer(2, lambda: cancel.cancel("SIGTERM"))
    timer.start()
    with pytest.raises(Cancelled):
        here.judge(building=replace(BUILD, timeout=600))
    timer.join()


def test_the_runs_own_deadline_is_not_a_hosts_timeout(one_nix: nixes.Nix, tmp_path: Path) -> None:
    with CancelToken(Deadline(3, "the run")) as cancel:
        here = court(one_nix, tmp_path, cancel, [HostSpec("endless", ["a"], failure="endless-evaluation")])
        with pytest.raises(Exception, match="the run took longer"):
            here.judge()


def is_evaluator(pid: int) -> bool:
    """Not what builds meanwhile; not a child before its program starts, which seems to hold all that we hold."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"eval" in argv


@pytest.mark.parametrize("between_looks", [pool.SAMPLE_SECONDS, 0.3], ids=["in time", "late"])
def test_memory_stays_within_the_budget(
    one_nix: nixes.Nix,
    tmp_path: Path,
    cancel: CancelToken,
    monkeypatch: pytest.MonkeyPatch,
    between_looks: float,
) -> None:
    """One evaluator needs 450 MiB here: two are begun, one is ended, and every host is judged all the same."""
    monkeypatch.setattr(pool, "SAMPLE_SECONDS", between_looks)
    budget = 640 * 2**20
    here = court(one_nix, tmp_path, cancel, [HostSpec(f"h{n}", ["a"], cost=6_000_000) for n in range(3)])
    peak = 0
    over = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not over.wait(0.02):
            family = [pid for pid, _ in process.descendants(os.getpid()) if is_evaluator(pid)]
            peak = max(peak, sum(process.resident_bytes(pid) for pid in family))

    sampler = threading.Thread(target=sample)
    sampler.start()
    judged = here.judge(evaluation=replace(EVALUATION, memory=budget))
    over.set()
    sampler.join()
    assert {made.status for made in judged.verdict.builds} == {HostStatus.BUILT}
    assert budget / 2 < peak <= budget
    both = [event for event in here.events if isinstance(event, HostEvaluating)]
    assert len(both) > 6, "some were begun, ended to save memory, and begun again: the budget was felt"


def test_a_host_too_large_for_the_budget_says_so(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    here = court(one_nix, tmp_path, cancel, [HostSpec("huge", ["a"], failure=second("endless-evaluation"))])
    judged = here.judge(evaluation=replace(EVALUATION, memory=2**20))
    failure = by_name(judged)["huge"].failure
    assert failure is not None
    assert failure.kind is FailureKind.MEMORY


def test_a_collected_derivation_is_evaluated_again(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    here = court(one_nix, tmp_path, cancel, [HostSpec("x", ["a"])])
    wrapper = tmp_path / "bin"
    wrapper.mkdir()
    # Once, a collector takes the derivation just before it is built.
    (wrapper / "nix-store").write_text(
        "#!/bin/sh\n"
        f'if [ ! -e {tmp_path}/done ]; then case "$*" in *--realise*) : >{tmp_path}/done;'
        f' for last; do :; done; {one_nix.bin}/nix-store --delete "${{last%!*}}" >/dev/null 2>&1;; esac; fi\n'
        f'exec {one_nix.bin}/nix-store "$@"\n'
    )
    (wrapper / "nix-store").chmod(0o755)
    environment = dict(one_nix.environment) | {"PATH": f"{wrapper}:{one_nix.environment['PATH']}"}
    here.nix = replace(one_nix, environment=environment)
    assert by_name(here.judge())["x"].status is HostStatus.BUILT
    assert (tmp_path / "done").exists()


def test_a_carried_host_is_not_looked_at_again(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    here = court(one_nix, tmp_path, cancel, [HostSpec("x", ["a"]), HostSpec("y", ["b"])])
    first = here.judge()
    carried = [made for made in first.verdict.builds if made.status is HostStatus.UNCHANGED]
    here.events.clear()
    assert here.judge(known=list(first.base.values()), carried=carried).verdict == first.verdict
    assert {event.host for event in here.events if isinstance(event, HostEvaluating)} == {"x"}


def test_a_hostile_flake_cannot_forge_a_result(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """Names with quotes, dollars and newlines; a trace that looks like an answer."""
    names = ['a"b', "${x}", "new\nline", "Ünï — ✓", "back\\slash", "--option", "a b"]
    here = court(nix, tmp_path, cancel, [HostSpec(name, ["a"]) for name in names])
    assert {made.host.name: made.status for made in here.judge().verdict.builds} == dict.fromkeys(
        names, HostStatus.BUILT
    )
    flake = local_flake(here.fleet.path, here.candidate)
    hosts = evaluate.host_names(
        installed.find(here.nix.environment, cancel, tmp_path / "data", {}), flake, Deadline(60, "names")
    )
    assert {host.name for host in hosts} == set(names)
    assert {host.attribute for host in hosts} == {spec.attribute for spec in here.fleet.hosts}


def test_an_attribute_that_is_no_derivation(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    here = court(one_nix, tmp_path, cancel, [HostSpec("x", ["a"])])
    found = by_name(here.judge(hosts=[Host("set", ("nixosConfigurations", "x", "config"))]))
    assert found["set"].status is HostStatus.BROKEN_BEFORE
    assert found["set"].failure == replace(
        found["set"].failure or Failure(FailureKind.UNKNOWN, ""),
        kind=FailureKind.EVALUATION,
        message="this attribute is not a derivation: it can't be built",
    )


def test_what_is_the_same_without_the_update_is_not_waited_for(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """It is begun while that is not known yet, and given up then."""
    here = court(one_nix, tmp_path, cancel, [HostSpec("same", ["b"], seconds=600), HostSpec("new", ["a"])])
    judged = here.judge(
        evaluation=replace(EVALUATION, workers=1), building=replace(BUILD, timeout=3600, silence=3600)
    )
    assert {name: made.status for name, made in by_name(judged).items()} == {
        "same": HostStatus.UNCHANGED,
        "new": HostStatus.BUILT,
    }


def test_what_hosts_are_without_the_update_is_asked_last(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    here = court(one_nix, tmp_path, cancel, [HostSpec(name, ["a"]) for name in ("x", "y", "z")])
    here.judge(evaluation=replace(EVALUATION, workers=1))
    asked = [event.at for event in here.events if isinstance(event, HostEvaluating)]
    assert asked == ["candidate"] * 3 + ["base"] * 3


def test_what_another_run_remembers_is_no_evidence_of_this_one(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """Of a host that is the same without the update: nothing was seen of it."""
    here = court(one_nix, tmp_path, cancel, [HostSpec("same", ["b"]), HostSpec("new", ["a"])])
    drv = here.fleet.derivation(here.fleet.hosts[0])
    judged = here.judge(remembered=[drv])
    (same, new) = judged.verdict.builds
    assert (same.status, new.status) == (HostStatus.UNCHANGED, HostStatus.BUILT)
    assert same.here is not None
    assert same.here.evidence == "not-built"
    assert all(made.failure is None for made in judged.base.values())
