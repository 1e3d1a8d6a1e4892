"""What an earlier run found out is no evidence in this one: neither to excuse a host, nor to blame an input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import nixes
from tests.sampling import nix_by_turns, some
from tests.update.site import Part, Site, broken, fine


@pytest.fixture
def site(nix: nixes.Nix, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as cleanup:
        made = Site(nix, tmp_path, cleanup)
        cleanup.callback(made.server.close)
        yield made


def waits(site: Site, version: int) -> Part:
    """Fails by its own fault, until the mark is there."""
    return Part(f"plain \"part-{version}\" ''[ -e {site.mark} ] || exit 1; echo {version} >$out'' {{ }}")


def shared(site: Site, version: int, script: str = "") -> Part:
    """Needs a derivation, the same in each version, that fails until the mark is there."""
    dep = f"plain \"dep\" ''[ -e {site.mark} ] || exit 1; echo dep >$out'' {{ }}"
    return Part(f"plain \"part-{version}\" ''echo ${{{dep}}}; {script or f'echo {version} >$out'}'' {{ }}")


def held(document: dict[str, Any]) -> dict[str, str]:
    return {item["input"]: item["reason"] for item in document["held"]}


def _nothing(_: Site) -> None:
    pass


def _feature(site: Site) -> None:
    site.nix_conf = ("extra-experimental-features = fetch-closure",)


def _cores(site: Site) -> None:
    site.settings = {"build": {"cores": "1"}}


def _forget_at_once(site: Site) -> None:
    site.settings = {"search": {"remember_failures": '"0s"'}}


_OTHERWISE: dict[str, tuple[object, ...]] = {
    "retry-failed": (_nothing, _nothing, ["--retry-failed"]),
    "remember-nothing": (_forget_at_once, _nothing, []),
    "another-setting-of-nix": (_nothing, _feature, []),
    "another-setting": (_nothing, _cores, []),
}


@nix_by_turns(
    ("before", "between", "flags"),
    {
        "as-it-is": (_nothing, _nothing, []),
        **dict(some(_OTHERWISE.items(), 3)),
    },
)
def test_a_base_that_failed_once_excuses_nothing(
    site: Site, before: Callable[[Site], None], between: Callable[[Site], None], flags: Sequence[str]
) -> None:
    site.write(waits(site, 1))
    first_locked = site.locked("a")
    site.commit("a", waits(site, 2))
    before(site)
    code, first = site.lockbot("update")
    assert (code, first["outcome"], held(first)) == (1, "rejected", {"a": "only-broken-hosts"})
    site.mark.touch()  # whatever it was is over
    between(site)
    works = site.git("a", "rev-parse", "HEAD").strip()
    site.commit("a", broken(3))
    _, document = site.lockbot("update", *flags)
    assert held(document) == {"a": "breaks"}, document
    kept = before is _nothing and between is _nothing and not flags
    assert site.locked("a") == (first_locked if kept else works), (
        "what failed then works now, once it is forgotten"
    )
    good = site.commit("a", fine(4))
    site.lockbot("update", *flags)
    assert site.locked("a") == good


@nix_by_turns("flags", {"": [], "retry-failed": ["--retry-failed"]})
def test_a_derivation_that_failed_once_is_tried_at_the_base(site: Site, flags: Sequence[str]) -> None:
    """The user merges by hand what failed: there it works now, and what comes next is a real regression. Nor is
    the next one blamed for what failed once."""
    site.write(fine(1))
    site.commit("a", shared(site, 2))
    _, first = site.lockbot("update")
    assert held(first) == {"a": "breaks"}
    site.mark.touch()
    site.nix.run("nix", "flake", "update", cwd=site.directory / "flake")
    site.commit_files("flake", {})
    merged = site.commit("a", shared(site, 3, "echo no such option; exit 1"))
    _, document = site.lockbot("update", *flags)
    assert held(document) == {"a": "breaks"}
    assert "part-3" in document["hosts"][0]["culprit"], document
    assert site.locked("a") != merged
    good = site.commit("a", shared(site, 4))
    _, document = site.lockbot("update", *flags)
    assert (document["outcome"], site.locked("a")) == ("published", good), document


def test_what_was_held_for_a_failure_is_taken_when_asked_again(site: Site) -> None:
    site.write(fine(1))
    new = site.commit("a", waits(site, 2))
    site.lockbot("update")
    site.mark.touch()
    _, still = site.lockbot("update")
    assert held(still) == {"a": "breaks"}, "it is not built again each night"
    _, document = site.lockbot("update", "--retry-failed")
    assert (document["outcome"], site.locked("a")) == ("published", new)


def test_all_green_means_built(site: Site) -> None:
    """An unchanged host that was never built is built; one that fails holds everything back, while it does."""
    site.settings = {"build": {"gate": '"all-green"'}}
    site.write(waits(site, 1))
    new = site.commit("b", fine(2))
    code, document = site.lockbot("update", "--input", "b")
    assert (code, document["outcome"]) == (1, "rejected"), document
    site.mark.touch()
    _, document = site.lockbot("update", "--input", "b")
    assert (document["outcome"], site.locked("b")) == ("published", new), document


def test_the_culprit_is_told_to_programs_everywhere(site: Site) -> None:
    site.write(fine(1))
    site.commit("a", fine(2))
    bad = site.commit("a", broken(3))
    _, run = site.lockbot("update")
    _, shown = site.lockbot("show")
    _, status = site.lockbot("status")
    row = next(row for row in status["inputs"] if row["input"] == "a")
    for culprit in (run["held"][0]["culprit"], shown["held"][0]["culprit"], row["culprit"]):
        assert (culprit["revision"], culprit["exact"], culprit["hosts"]) == (bad, True, ["alpha"])
        assert (culprit["subject"], culprit["author"]) == ("a commit", "Test Person")
        assert culprit["date"].endswith("Z")
    host = next(host for host in shown["hosts"] if host["name"] == "alpha")
    assert (host["answer"], host["base"]) == ("good", {"answer": "good", "evidence": "built"})
