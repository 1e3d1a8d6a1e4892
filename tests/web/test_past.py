"""Pages that the history fills, upon histories with something in every field, harmless and hostile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lockbot.app import App, Place
from lockbot.config import load
from lockbot.errors import LockbotError
from lockbot.git.source import RemoteSource
from lockbot.history.store import History
from lockbot.history.texts import attribute_path
from lockbot.model import (
    ChangeKind,
    ClosureSize,
    CulpritCommit,
    Difference,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Outcome,
    PackageChange,
    PackageMark,
    Run,
    SwitchEffects,
    UpstreamChanges,
    UpstreamCommit,
    WarningChange,
    silent,
)
from lockbot.process import CancelToken
from lockbot.report.document import dump, run_document
from lockbot.web import addresses, rendering, routes
from lockbot.web.page import BadQuery, NotFound, Page
from lockbot.web.view import View
from tests.history.samples import FLAKE, NOON, clock, full_run, locked, run
from tests.report.examples import HOSTILE
from tests.report.test_output import bad_characters
from tests.web.test_logs import Read

# What no database holds as it is (`storable`) leaves gaps that harmless names do not.
NAMES = [name for name in HOSTILE if name and "\0" not in name and "\ud800" not in name]
HARMLESS = [f"name{number}" for number in range(len(NAMES))]


def past(names: Sequence[str]) -> list[Run]:
    """A run that was rejected between two that were published, with these names wherever a name can be."""
    hosts = [Host(name, ("nixosConfigurations", name)) for name in names]
    packages = tuple(PackageChange(name, PackageMark.UP, (name,), (name, "2")) for name in names)
    sizes = [ClosureSize((1, size), (1, 1)) for size, _ in enumerate(names)]
    changed = [
        Difference((host.installable,), packages[:1], closure=size, switch=_effects(names))
        for host, size in zip(hosts, sizes, strict=True)
    ]
    warnings = WarningChange(tuple(names), tuple(names))
    whole = Difference((hosts[0].installable,), packages, warnings=warnings, switch=_effects(names))
    one, two = locked("1" * 40), locked("2" * 40)
    told: dict[str, Any] = {
        "changes": tuple(InputChange(name, ChangeKind.UPDATED, one, two) for name in names),
        "held": tuple(Held(name, name, f"{name}\n", name, _culprit(name)) for name in names),
        "notes": tuple(names),
        "branch": names[0],
        "seconds": dict.fromkeys(("sync", "judge", "publish"), 1.0),
        "upstream": tuple(_upstream(name) for name in names),
    }
    built = tuple(HostBuild(host, HostStatus.BUILT, f"/{host.name}.drv", host.name) for host in hosts)
    broken = tuple(HostBuild(host, HostStatus.FAILED, failure=_failure(host.name)) for host in hosts)
    good: dict[str, Any] = {"outcome": Outcome.PUBLISHED, "hosts": built, **told}
    return [
        run(1, commit="a" * 40, parked=names[0], differences=tuple(changed), **good),
        run(2, outcome=Outcome.REJECTED, hosts=broken, error="\n".join(names), hint=names[0], **told),
        run(3, commit="b" * 40, differences=(whole, *changed[1:]), **good),
    ]


def _upstream(name: str) -> UpstreamChanges:
    return UpstreamChanges(name, 2, (UpstreamCommit(name, name, name),), note=name, link=f"javascript:{name}")


def _culprit(name: str) -> CulpritCommit:
    return CulpritCommit(name, name, name, 1, f"javascript:{name}", (name,), name, exact=False)


def _failure(name: str) -> Failure:
    return Failure(FailureKind.BUILD, f"{name}\n{name}", f"/{name}.drv", (name, name), name)


def _effects(names: Sequence[str]) -> SwitchEffects:
    return SwitchEffects(*(tuple(names) for _ in range(9)))


@contextmanager
def shown(state: Path, runs: Sequence[Run] = (), logs: Sequence[str] = ()) -> Iterator[View]:
    """`logs`: hosts whose log is kept of the second run."""
    state.mkdir(mode=0o700, exist_ok=True)
    with History.open(state / "history.sqlite", clock) as history:
        for one in runs:
            history.save(one)
        for name in logs:
            line = name.replace("\n", " ")
            history.write_log("r00002", name, f"\x1b[31m{line}\x1b[0m\n<b>{line}", 1000)
    environ = {"LOCKBOT_STATE__DIRECTORY": str(state), "HOME": str(state)}
    now = NOON + timedelta(days=1)
    with CancelToken() as cancel:
        app = App(load(None, environ), environ, cancel, silent, lambda: now, read_only=True)
        place = Place(RemoteSource("/srv/flake", "main", False), None, "/srv/flake", state, FLAKE)
        with app.history(place) as found:
            yield View(app, place, found, now)


def ask(view: View, address: str) -> tuple[Page, str]:
    """A page, and what a browser gets."""
    path, _, query = address.partition("?")
    asked = addresses.read(path.encode(), query.encode(), "")
    match = addresses.match(routes.PAGES, asked.page)
    assert match is not None, address
    route, show, names = match
    page = show(view, {**asked.query, **names})
    json.loads(dump(page.document))
    return page, rendering.render(page, view.frame, route)


def pages(view: View, names: Sequence[str]) -> dict[str, str]:
    """Every page of the history, also those of each name."""
    found = ["/runs", "/runs?outcome=rejected", "/runs/latest", "/runs/r00001", "/runs/r00002"]
    found += ["/hosts", "/packages"]
    for name in names:
        written = attribute_path(("nixosConfigurations", name))
        found.append(view.link("hosts", written))
        if len(name) < 1000 and name.strip():
            query = view.link(name)[1:].removesuffix(".html")
            found += [view.link("runs", "r00002", "logs", name), f"/packages?q={query}", f"/runs?input={query}"]
    return {address: ask(view, address)[1] for address in found if len(address) < addresses.LONGEST}


def test_the_elements_are_those_of_harmless_names(tmp_path: Path) -> None:
    """Whatever hosts, inputs, packages, versions, logs and messages say."""
    walks = []
    for which in (HARMLESS, NAMES):
        with shown(tmp_path / f"state-{which is NAMES}", past(which), which) as view:
            walks.append(pages(view, which))
    known: dict[str, set[object]] = {}
    for address, text in walks[0].items():
        known.setdefault(_kind(address), set()).add(_elements(Read(text), _kind(address)))
    assert {_kind(address) for address in walks[1]} == set(known)
    for address, text in walks[1].items():
        read = Read(text)
        assert read.open == [], address
        assert _elements(read, _kind(address)) in known[_kind(address)], address
        assert bad_characters(text) == set(), address
        for _, attributes in read.tags:
            link = attributes.get("href") or attributes.get("action") or "/"
            assert re.match(r"/(?!/)|#|https://github\.com/o/r/", link), link
            assert not set(attributes) & {"style", "onclick", "onerror"}


def _kind(address: str) -> str:
    return re.sub(r"(?<=/hosts/).*|(?<=/logs/).*|(?<=q=).*|(?<=input=).*", "", address)


def _elements(read: Read, kind: str) -> object:
    """In order; of a search, whose text some names have in them, without how many."""
    found = tuple((tag, tuple(attributes)) for tag, attributes in read.tags)
    return frozenset(found) if kind.endswith("q=") else found


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    with shown(tmp_path / "state", [*past(["web", "db"]), full_run(), run(9, flake="other")], ["web"]) as made:
        (tmp_path / "state" / "logs" / "r00003").mkdir(mode=0o700)
        lines = [{"time": "2026", "level": "info", "event": "note", "text": f"n{number}"} for number in range(3)]
        file = tmp_path / "state" / "logs" / "r00003" / "run.jsonl"
        file.write_text("".join(f"{json.dumps(one)}\n" for one in lines) + "half a li")
        file.chmod(0o600)
        yield made


def test_a_run_is_what_show_prints_as_json_and_more(view: View) -> None:
    for name in ("full", "r00001", "r00002", "latest"):
        document = ask(view, f"/runs/{name}")[0].document
        whole = json.loads(dump(run_document(view.history.get(str(document["run"])))))
        told = json.loads(dump(document))
        assert {key: _reduced(told[key], value) for key, value in whole.items()} == whole


def _reduced(told: Any, to: Any) -> Any:
    """Without what only the page has."""
    if isinstance(to, dict):
        return {key: _reduced(told[key], value) for key, value in to.items()}
    return [_reduced(*pair) for pair in zip(told, to, strict=True)] if isinstance(to, list) else told


REFUSED: dict[str, type[LockbotError]] = {
    "/runs/nobody": NotFound,
    "/runs/r0": NotFound,
    "/runs/r00009": NotFound,
    "/runs/r00001/log": NotFound,
    "/runs/r00001/logs/web": NotFound,
    "/runs/nobody/logs/web": NotFound,
    "/runs?before=nobody": BadQuery,
    "/runs?before=r00009": BadQuery,
    "/runs?outcome=levitated": BadQuery,
    "/runs?host=nobody": NotFound,
    "/hosts/nobody": NotFound,
    "/hosts/web?before=nobody": BadQuery,
    "/packages?q=x&before=-1": BadQuery,
    "/packages?q=x&before=99999999999999999999": BadQuery,
    "/packages?q=x&before=%D9%A3": BadQuery,
    "/packages?q=x&host=nobody": NotFound,
}


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_there_is_said_to_be(view: View, address: str) -> None:
    with pytest.raises(REFUSED[address]) as error:
        ask(view, address)
    assert error.value.message and error.value.hint


FOUND = {
    "/runs": ["r00003", "partly published", "published"],
    "/runs?outcome=rejected": ["r00002"],
    "/runs?host=web": ["r00001", "r00002"],
    "/runs/r00003/log": ["n0", "n2"],
    "/runs/r00002/logs/web": ["<b>web"],
    "/runs/full": ["Held back", "what came between", "somewhere after", "kernel 6.12.1", "try again"],
    "/hosts": ["web", "db", "needed", "since"],
    "/hosts/web": ["nixosConfigurations.web", "What runs made of it", "Closure size"],
    "/hosts/nixosConfigurations.web": ["nixosConfigurations.web"],
    "/packages": ["Changed last", "web", "db"],
    "/packages?q=openssl": ["3.0.1, 3.0.2 → 3.0.3", "nixpkgs"],
    "/packages?q=nothing": ["No package on record"],
    "/packages?q=w&host=web": ["web"],
}


@pytest.mark.parametrize("address", FOUND)
def test_what_pages_tell(view: View, address: str) -> None:
    read = Read(ask(view, address)[1])
    text = " ".join(read.text.split())
    html = ask(view, address)[1]
    assert [one for one in FOUND[address] if one not in text and one not in html] == []
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes.get("for") for tag, attributes in read.tags if tag == "label"}
    fields = {attributes.get("id") for tag, attributes in read.tags if tag in ("input", "select")}
    assert {one for one in fields if one} <= labelled


EMPTY = ["/runs", "/hosts", "/packages", "/packages?q=x"]


@pytest.mark.parametrize("address", EMPTY)
def test_pages_of_a_history_in_which_nothing_is(tmp_path: Path, address: str) -> None:
    with shown(tmp_path / "state") as view:
        assert re.search("No (run|package)", ask(view, address)[1])


def test_pages_go_on_where_they_ended(tmp_path: Path) -> None:
    """As links: the addresses are the page's own."""
    many = [replace(past(["web"])[2], id=f"r{n:05}", started=NOON + timedelta(minutes=n)) for n in range(120)]
    with shown(tmp_path / "state", many) as view:
        for start in ("/runs?host=web", "/hosts/web", "/packages?q=web&host=web"):
            seen: list[str] = []
            address: str | None = start
            while address is not None:
                page, text = ask(view, address)
                told: Any = page.document.get("packages") or page.document["runs"]
                told = told if "run" in told[0] else told[0]["changes"]
                seen += [one["run"] for one in told]
                links = [a["href"] for tag, a in Read(text).tags if tag == "a" and a.get("rel") == "next"]
                address = links[0] if links else None
            assert seen == [one.id for one in reversed(many)], start
