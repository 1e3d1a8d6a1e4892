"""What an update means for each host is found out in the run, and told in its record and in the commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import nixes
from tests.update.site import Part, Site, broken, fine


@pytest.fixture
def site(one_nix: nixes.Nix, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as cleanup:
        made = Site(one_nix, tmp_path, cleanup, reviewed=True)
        cleanup.callback(made.server.close)
        yield made


def attribute(host: str) -> str:
    return f"nixosConfigurations.{host}.config.system.build.toplevel"


def versions(run: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    (difference,) = run["differences"]
    return {one["name"]: (one["old"], one["new"]) for one in difference["packages"] if one["change"] == "up"}


def test_what_hosts_were_is_built_to_compare(nix: nixes.Nix, tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        site = Site(nix, tmp_path, cleanup, reviewed=True)
        cleanup.callback(site.server.close)
        site.write(fine(1))
        site.commit("a", fine(2))
        code, run = site.lockbot("update")
        assert code == 0
        (difference,) = run["differences"]
        assert difference["hosts"] == [attribute("alpha")], "beta is as it was"
        assert versions(run) == {"part": (["1"], ["2"])}
        assert difference["unknown"] is None
        assert difference["closure"]["paths"] == [2, 2]
        assert [one["commits"] for one in run["upstream"]] == [1]
        assert "\nWhat changes:\n  alpha: " in site.git("flake", "log", "-1", "--format=%B")
        assert site.lockbot("show")[1]["differences"] == run["differences"], "it is kept"


WITHOUT = {
    "nothing is compared": ({"review": {"differences": "false"}}, None),
    "nothing is built for it": ({"review": {"build_base": "false"}}, "what it was before is not in the store"),
    "policy forbids it": ({"policy": {"never_compile": '["part-1"]'}}, "what it was before is not in the store"),
    "only evaluated": ({"hosts": {"evaluate_only": '["alpha"]'}}, "only evaluated: it was not built here"),
}


@pytest.mark.parametrize("why", WITHOUT)
def test_what_is_not_known_is_told(site: Site, tmp_path: Path, why: str) -> None:
    settings, unknown = WITHOUT[why]
    site.settings = settings
    site.write(fine(1))
    site.commit("a", fine(2))
    base = site.nix.run("nix", "eval", "--raw", f"{site}/flake#{attribute('alpha')}.outPath", cwd=tmp_path).stdout
    code, run = site.lockbot("update")
    assert code == 0
    assert not Path(base).exists(), "nothing was built for it"
    assert [one["unknown"] for one in run["differences"]] == ([unknown] if unknown is not None else [])
    message = site.git("flake", "log", "-1", "--format=%B")
    assert (f"alpha: not known: {unknown}" in message) == (unknown is not None)
    assert ("What changes" in message) == (unknown is not None)


def test_what_was_built_is_there_for_the_next_run(site: Site) -> None:
    site.settings = {"review": {"build_base": "false"}}
    site.write(fine(1))
    for version in (2, 3):
        site.commit("a", fine(version))
        _, run = site.lockbot("update")
    assert versions(run) == {"part": (["2"], ["3"])}


def warning(version: int, text: str) -> Part:
    return Part(f'builtins.trace "evaluation warning: {text}" ({fine(version).value})')


def test_warnings_that_come_and_go(site: Site) -> None:
    """Also where what hosts were is remembered, and not evaluated again."""
    site.write(warning(1, "first"))
    told = []
    for version, text in ((2, "second"), (3, "third"), (4, "third")):
        site.commit("a", warning(version, text))
        _, run = site.lockbot("update")
        told.append([one["warnings"] for one in run["differences"]])
    assert told == [
        [{"new": ["second"], "gone": ["first"]}],
        [{"new": ["third"], "gone": ["second"]}],
        [{"new": [], "gone": []}],
    ]


def test_a_rejected_update_means_nothing_for_anybody(site: Site) -> None:
    site.write(fine(1))
    site.commit("a", broken(2))
    code, run = site.lockbot("update")
    assert code == 1
    assert run["differences"] == run["upstream"] == []


def test_a_commit_for_each_input_is_told_as_one(site: Site) -> None:
    site.settings = {"search": {"one_commit_per_input": "true"}}
    site.write(fine(1))
    site.commit("a", fine(2))
    site.commit("b", fine(2))
    _, run = site.lockbot("update")
    assert site.git("flake", "rev-list", "--count", "main").strip() == "4", (
        "two commits of the user's, two of lockbot's"
    )
    hosts = {host: one for one in run["differences"] for host in one["hosts"]}
    assert hosts.keys() == {attribute("alpha"), attribute("beta")}
    assert {one["input"] for one in run["upstream"]} == {"a", "b"}


def test_a_host_that_an_update_repairs(site: Site) -> None:
    site.write(broken(1))
    site.commit("a", fine(2))
    code, run = site.lockbot("update")
    assert code == 0
    assert [one["unknown"] for one in run["differences"]] == ["it did not build before"]


def test_trouble_with_telling_is_no_trouble_of_the_update(site: Site) -> None:
    """What prints the closures fails: the store's database is locked by somebody, say."""
    site.write(fine(1))
    site.commit("a", fine(2))
    site.break_nix_store("--dump-db")
    code, run = site.lockbot("update")
    assert code == 0
    assert run["outcome"] == "published"
    (difference,) = run["differences"]
    assert difference["unknown"] == "cannot ask the store about its paths"


def test_what_hosts_were_takes_no_more_than_the_run_has_to_spare(site: Site) -> None:
    """The old system would be built for hours; the update is good, and is published."""
    site.settings = {"run": {"deadline": '"30s"'}, "build": {"timeout": '"3h"', "silence": '"3h"'}}
    site.write(Part('plain "part-1" "sleep 5000; echo 1 >$out" { }'))
    site.commit("a", fine(2))
    code, run = site.lockbot("update")
    assert code == 0
    assert [one["unknown"] for one in run["differences"]] == ["what it was before is not in the store"]


def test_a_failure_that_names_the_commit_does_not_keep_the_message_from_holding(site: Site) -> None:
    site.write(fine(1))
    flake = (site.directory / "flake" / "flake.nix").read_text()
    bad = 'bad = { config.system.build.toplevel = plain "bad-${self.shortRev}" "exit 1" { }; }; alpha = host'
    site.commit_files("flake", {"flake.nix": flake.replace("alpha = host", bad)})
    site.commit("a", fine(2))
    code, run = site.lockbot("update")
    assert code == 0
    assert {host["name"]: host["status"] for host in run["hosts"]} == {
        "alpha": "built",
        "bad": "broken-before",
        "beta": "unchanged",
    }


def test_a_host_that_was_left_out_for_a_while_is_not_new(site: Site) -> None:
    site.write(fine(1))
    told = []
    for version, excluded in ((2, "[]"), (3, '["beta"]'), (4, "[]")):
        site.settings = {"hosts": {"exclude": excluded}}
        site.commit("a", fine(version))
        told.append(site.lockbot("update")[1]["notes"])
    assert told == [[], [], []]


def test_no_host_is_gone_where_the_flake_cannot_be_asked(site: Site) -> None:
    site.settings = {"hosts": {"attributes": '["packages.x86_64-linux.tool"]'}}
    site.write(fine(1))
    flake = (site.directory / "flake" / "flake.nix").read_text()
    tool = flake.replace(
        "in builtins.seq",
        'in { packages.x86_64-linux.tool = (host "tool" a).config.system.build.toplevel; } // builtins.seq',
    )
    site.commit_files("flake", {"flake.nix": tool})
    site.commit("a", fine(2))
    assert site.lockbot("update")[0] == 0
    site.commit_files("flake", {"flake.nix": tool.replace("alpha = host", '${throw "no"} = host')})
    site.commit("a", fine(3))
    _, run = site.lockbot("update")
    assert not [note for note in run["notes"] if "no longer in the flake" in note]


def test_hosts_that_are_new_or_gone(site: Site) -> None:
    site.write(fine(1))
    site.commit("a", fine(2))
    _, first = site.lockbot("update")
    assert not [note for note in first["notes"] if "is new" in note], "the first run knows of no other"
    flake = (site.directory / "flake" / "flake.nix").read_text()
    renamed = flake.replace("beta = host", "gamma = host").replace(
        "alpha = host", 'bad = { config.system.build.toplevel = throw "not yet"; }; alpha = host'
    )
    site.commit_files("flake", {"flake.nix": renamed})
    site.commit("a", fine(3))
    code, run = site.lockbot("update")
    assert code == 0
    status = {host["name"]: host["status"] for host in run["hosts"]}
    assert status == {"alpha": "built", "bad": "new-and-broken", "gamma": "unchanged"}
    assert "bad is new: no earlier run has judged it" in run["notes"]
    assert any(note.startswith("beta is no longer in the flake") for note in run["notes"])
    assert "new, and broken without this update, too:" in site.git("flake", "log", "-1", "--format=%B")
    site.commit("a", fine(4))
    _, run = site.lockbot("update")
    assert {host["name"]: host["status"] for host in run["hosts"]}["bad"] == "broken-before"
    assert not [note for note in run["notes"] if "is new" in note or "no longer" in note]
