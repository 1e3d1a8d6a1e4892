"""What an update means for hosts, told: side by side, in few lines, whatever the names are."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from lockbot.model import (
    ClosureSize,
    ConfigurationChange,
    Difference,
    HostBuild,
    PackageChange,
    PackageMark,
    Review,
    SwitchEffects,
    UpstreamChanges,
    UpstreamCommit,
    WarningChange,
)
from lockbot.report import terminal
from lockbot.report.commit import commit_message
from lockbot.report.review.document import difference_documents
from tests.report.examples import HOSTILE, NIXPKGS, NOW, RUN_ID, built, host

UP, DOWN, CHANGED = PackageMark.UP, PackageMark.DOWN, PackageMark.CHANGED
SSL = PackageChange("openssl", UP, ("3.0.1",), ("3.0.2",), (10, 20))
FOX = PackageChange("firefox", DOWN, ("121",), ("120",), (0, 3 * 2**20), selected=True)
NEW = PackageChange("hello", PackageMark.ADDED, (), ("2.12",), (0, 4096))
GONE = PackageChange("perl", PackageMark.REMOVED, ("5.40", "5.42"), ())
BARE = PackageChange("tool", CHANGED, (), ("a1b2c3d",))
SAME = PackageChange("glibc", PackageMark.REBUILT, ("2.40",), ("2.40",))
KERNEL = ("kernel 6.12.3 → 6.12.5",)


def of(*names: str, **fields: object) -> Difference:
    return Difference(tuple(host(name).installable for name in names), **fields)  # type: ignore[arg-type]  # by name


FLEET = (
    of(
        "web1",
        "web2",
        packages=(FOX, SSL, SAME),
        closure=ClosureSize((0, 2**30), (5, 6)),
        switch=SwitchEffects(KERNEL, ("nginx.service", "sshd.service"), users_gone=("eve",)),
        warnings=WarningChange(("services.x is deprecated",), ()),
    ),
    of(
        "db",
        packages=(GONE, NEW, SSL, BARE),
        switch=SwitchEffects(stop=("old.service",), notes=("a new release",)),
    ),
    of("nas", packages=(SAME,), configuration=ConfigurationChange(1, 0, 2), switch=SwitchEffects()),
    of("home", packages=(SSL,)),
    of("pi", unknown="only evaluated"),
)

GOLDEN = """\
What changes:
  db, home, web1 and web2: openssl 3.0.1 → 3.0.2
  web1 and web2: firefox 121 → 120 (older)
  db: hello 2.12 added, perl 5.40, 5.42 removed, tool without a version
    → a1b2c3d (changed)
  nas: no package has another version (1 rebuilt; configuration: 1
    added, 2 changed)
  pi: not known: only evaluated
  closure size: +1.0 GiB on web1 and web2

When you switch:
  needs a reboot: web1, web2 (kernel 6.12.3 → 6.12.5)
  no reboot: db, nas
  no NixOS system: what a switch does is not known: home
  stops: db (old.service)
  restarts: web1 and web2 (nginx.service, sshd.service)
  users that vanish: web1 and web2 (eve)
  db: a new release

Warnings:
  new: web1 and web2 (services.x is deprecated)
"""
NAMES = ("web1", "web2", "db", "nas", "home", "pi")


def message(
    differences: tuple[Difference, ...],
    names: tuple[str, ...] = NAMES,
    upstream: tuple[UpstreamChanges, ...] = (),
) -> str:
    builds: list[HostBuild] = [built(name) for name in names]
    return commit_message(RUN_ID, [NIXPKGS], builds, now=NOW, links={}, review=Review(differences, upstream))


def review(text: str) -> str:
    """The part of a message that is about the differences."""
    return text[text.index("What changes:") : text.index("\nFlake lock file updates:")]


def test_how_it_reads() -> None:
    assert review(message(FLEET)) == GOLDEN


def test_the_order_of_values_changes_nothing() -> None:
    """A message is written anew to see whether it still holds."""
    for order in itertools.islice(itertools.permutations(FLEET), 0, None, 17):
        assert message(order) == message(FLEET)


def test_without_differences_nothing_is_said() -> None:
    assert "What changes" not in message(())


def fleet(number: int) -> tuple[Difference, ...]:
    """As after an update of nixpkgs: every host has its own packages, units and reasons."""
    luck = random.Random(number)  # noqa: S311 -- the same each time
    packages = [PackageChange(f"package-{n}", UP, (f"1.{n}",), (f"2.{n}",), (n, n * 1000)) for n in range(400)]
    return tuple(
        of(
            f"host-{n}",
            packages=tuple(luck.sample(packages, luck.randrange(1, 300))),
            closure=ClosureSize((0, luck.randrange(2**40)), (1, 2)),
            switch=SwitchEffects(
                KERNEL if n % 3 else (),
                tuple(f"unit-{luck.randrange(99)}.service" for _ in range(40)),
                stop=(f"unit-{n}.service",),
                notes=(f"note {n}",),
            ),
            warnings=WarningChange((f"warning {n} " * 30,), ("an old one",)),
        )
        for n in range(number)
    )


@pytest.mark.parametrize("number", [2, 20, 50])
def test_a_fleet_takes_no_more_than_forty_lines(number: int) -> None:
    names = tuple(f"host-{n}" for n in range(number))
    said = review(message(fleet(number), names))
    assert len(said.splitlines()) <= 40
    assert max(map(len, said.splitlines())) <= 72
    switch = said[said.index("When you switch:") :]
    assert all(f"{name}," in switch or f"{name} (" in switch or f"{name}\n" in switch for name in names)
    assert "more" in said


def test_what_is_cut_off_is_counted() -> None:
    packages = tuple(replace(SSL, name=f"p{n:03}") for n in range(500))
    said = review(message((of("web1", packages=packages),)))
    shown = said.count("→")
    assert f"and {500 - shown} more" in said.replace("\n   ", "")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_does_anything(text: str) -> None:
    names = (text,)
    effects = SwitchEffects((text,), (text,), (text,), (text,), (text,), (text,), (text,), (text,), (text,))
    package = PackageChange(text, UP, (text,), (text, text))
    hostile = replace(
        of(text, packages=(package,), switch=effects, warnings=WarningChange((text,), (text,))), unknown=None
    )
    upstream = (UpstreamChanges("nixpkgs", 9, (UpstreamCommit("1" * 40, text, text),), chosen=True, note=text),)
    said = message((hostile,), names, upstream=upstream)
    plain = message((of("x", packages=(SSL,), switch=SwitchEffects(("a",), ("b",))),), ("x",))
    assert [line for line in said.splitlines() if line and line[0] not in " \t•→"][:1] == plain.splitlines()[:1]
    tops = {line.partition(":")[0] for line in said.splitlines()[1:] if line and not line.startswith(" ")}
    known = {"Hosts", "What changes", "When you switch", "Warnings", "Flake lock file updates"}
    assert {top for top in tops if not top.startswith(("Lockbot-", "•", "nixpkgs"))} <= known
    assert all(character.isprintable() for character in said if character != "\n")
    assert said.encode()
    for one in terminal.review((hostile,), [built(text)]):
        assert all(piece.text.isprintable() for line in one for piece in line)


def test_the_document_has_what_the_contract_says() -> None:
    first = difference_documents(FLEET)[0]
    assert first["hosts"] == ["nixosConfigurations.web1", "nixosConfigurations.web2"]
    assert first["packages"] == [
        {
            "name": "firefox",
            "old": ["121"],
            "new": ["120"],
            "change": "down",
            "size": [0, 3 * 2**20],
            "selected": True,
        },
        {
            "name": "openssl",
            "old": ["3.0.1"],
            "new": ["3.0.2"],
            "change": "up",
            "size": [10, 20],
            "selected": False,
        },
        {
            "name": "glibc",
            "old": ["2.40"],
            "new": ["2.40"],
            "change": "rebuilt",
            "size": [0, 0],
            "selected": False,
        },
    ]
    assert first["configuration"] == {"added": 0, "removed": 0, "changed": 0}
    assert first["closure"] == {"size": [0, 2**30], "paths": [5, 6]}
    assert first["warnings"] == {"new": ["services.x is deprecated"], "gone": []}
    switch = first["switch"]
    assert isinstance(switch, dict)
    assert {name: switch[name] for name in ("reboot", "restart", "reload", "stop", "start", "keep")} == {
        "reboot": list(KERNEL),
        "restart": ["nginx.service", "sshd.service"],
        "reload": [],
        "stop": [],
        "start": [],
        "keep": [],
    }
