"""What an update means for hosts, told: side by side, in few lines, whatever the names are."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
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
from lockbot.report.escape import name
from lockbot.report.review.document import difference_documents
from lockbot.report.review.layout import fitted
from lockbot.report.review.page import Page
from lockbot.report.review.sentences import Entry
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
  what a switch does is not known: pi
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


def switch_section(text: str) -> str:
    """With every entry in one line."""
    return text[text.index("When you switch:") : text.index("\nFlake lock file updates:")].replace("\n    ", " ")


def rebooting(names: Sequence[str], reasons: Sequence[str], every: int = 2) -> tuple[Difference, ...]:
    """Every other one needs a reboot, for these reasons in turn."""
    return tuple(
        of(
            name,
            packages=(SSL,),
            switch=SwitchEffects(() if n % every else (reasons[n // every % len(reasons)],), (f"{n}.service",)),
        )
        for n, name in enumerate(names)
    )


FRANKFURT = tuple(f"webserver-frankfurt-{n:02}" for n in range(50))
LUCK = random.Random(3)  # noqa: S311 -- the same each time
ENDLESS = tuple(sorted("".join(LUCK.choices("abcdefgh", k=58)) for _ in range(50)))


def test_the_smaller_side_is_named() -> None:
    names = tuple(f"{one}-{n * 7919 % 1000}-rack" for n in range(17) for one in ("mercury", "venus", "earth"))
    said = switch_section(message(rebooting(names, KERNEL, 4), names))
    assert f"needs a reboot: {', '.join(sorted(names[::4]))} (kernel 6.12.3 → 6.12.5)\n" in said
    assert f"no reboot: the other {51 - len(names[::4])}\n" in said
    assert "more lines" in said


def test_the_others_are_those_that_change() -> None:
    names = tuple(f"{one}-{n * 7919 % 1000}-rack" for n in range(17) for one in ("mercury", "venus", "earth"))
    said = switch_section(message(rebooting(names, KERNEL, 4), (*names, "stays")))
    assert f"no reboot: the other {51 - len(names[::4])} that change\n" in said


def test_numbered_hosts_are_told_by_their_numbers() -> None:
    said = switch_section(message(rebooting(FRANKFURT, KERNEL), FRANKFURT))
    even, odd = (", ".join(f"{n:02}" for n in range(first, 50, 2)) for first in (0, 1))
    assert f"needs a reboot: webserver-frankfurt-{{{even}}} (kernel 6.12.3 → 6.12.5)\n" in said
    assert f"no reboot: webserver-frankfurt-{{{odd}}}\n" in said


def test_numbers_in_a_row_and_names_without_one() -> None:
    odd = ("a lone {1,2}", "nas1", "webserver-frankfurt-")
    names = tuple(sorted((*odd, *FRANKFURT, "webserver-frankfurt-7")))
    quiet = {*odd, "webserver-frankfurt-7", *FRANKFURT[8:11], *FRANKFURT[20:22], *FRANKFURT[30:]}
    differences = tuple(
        of(one, packages=(SSL,), switch=SwitchEffects(() if one in quiet else KERNEL, (f"{one}.service",)))
        for one in names
    )
    said = switch_section(message(differences, names))
    assert (
        'no reboot: "a lone {1,2}", nas1, webserver-frankfurt-, webserver-frankfurt-{7, 08..10, 20, 21, 30..49}\n'
        in said
    )
    assert "needs a reboot: webserver-frankfurt-{00..07, 11..19, 22..29} (kernel" in said


def test_groups_of_reasons_that_have_room_are_told_apart() -> None:
    said = switch_section(message(rebooting(FRANKFURT, [f"kernel 6.{n}" for n in range(5)]), FRANKFURT))
    for n in range(5):
        numbers = ", ".join(f"{number:02}" for number in range(n * 2, 50, 10))
        assert f"needs a reboot: webserver-frankfurt-{{{numbers}}} (kernel 6.{n})\n" in said


def test_more_reasons_than_lines_are_told_as_one_group() -> None:
    said = switch_section(message(rebooting(FRANKFURT, [f"kernel 6.{n}" for n in range(25)]), FRANKFURT))
    assert said.count("needs a reboot") == 1
    assert "48} (reasons differ)\n" in said
    assert "no reboot: webserver-frankfurt-{01, 03" in said


def test_where_no_name_has_room_hosts_are_counted() -> None:
    said = switch_section(message(rebooting(ENDLESS, KERNEL), (*ENDLESS, "stays")))
    assert "needs a reboot: 25 of 51 hosts (kernel 6.12.3 → 6.12.5)\n" in said
    assert "no reboot: 25 of 51 hosts\n" in said
    assert f"  lockbot show {RUN_ID} names them\n" in said


def test_names_come_before_all_else_that_a_switch_does() -> None:
    said = switch_section(message(rebooting(ENDLESS[:21], KERNEL, 3), ENDLESS[:21]))
    assert f"needs a reboot: {', '.join(ENDLESS[:21:3])} (kernel 6.12.3 → 6.12.5)\n" in said
    assert said.endswith("no reboot: the other 14\n  … and 21 more lines\n")


def test_whatever_the_names_are_it_stays_within_its_bounds() -> None:
    """And says of each host whether it needs a reboot, or where that can be looked up."""
    for names, reasons in itertools.product(
        (FRANKFURT, ENDLESS, ENDLESS[:20], ENDLESS[:7], tuple(f"{one} \\x" for one in ENDLESS)),
        (KERNEL, [f"kernel 6.{n}" for n in range(25)], ["r" * 300], ["r " * 300]),
    ):
        said = message(rebooting(names, reasons), names)
        lines = review(said).splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 72
        assert "  needs a reboot: " in switch_section(said)
        assert "  no reboot: " in switch_section(said)


@pytest.mark.parametrize("text", [*HOSTILE, "@" * 60, '"' * 60, "/issues/1" * 7, "a" * 60])
def test_no_word_makes_a_line_too_long(text: str) -> None:
    names = tuple(f"{n}{text}"[:80] for n in range(3))
    package = PackageChange(text * 40, UP, (text * 40,), ("1", text * 80))
    differences = tuple(
        of(
            name,
            packages=(package,),
            switch=SwitchEffects((text * n,), (text * 9,)),
            warnings=WarningChange((text,)),
        )
        for n, name in enumerate(names)
    )
    lines = review(message(differences, names)).splitlines()
    assert max(map(len, lines)) <= 72


def test_names_are_shortened_so_that_they_can_be_told_apart() -> None:
    names = tuple('"' * 50 + str(n) for n in range(2))
    said = switch_section(message(rebooting(names, KERNEL), names))
    (first,), (second,) = (re.findall(f"  {label}: (\\S+)", said) for label in ("needs a reboot", "no reboot"))
    assert first != second


def test_all_that_change_are_not_all_hosts() -> None:
    changed = (of(*FRANKFURT[:7], packages=(SSL,), switch=SwitchEffects(KERNEL)),)
    assert (
        review(message(changed, FRANKFURT))
        == """\
What changes:
  all 7 that change: openssl 3.0.1 → 3.0.2

When you switch:
  needs a reboot: all 7 that change (kernel 6.12.3 → 6.12.5)
"""
    )
    assert "  all 7 hosts: openssl" in review(message(changed, FRANKFURT[:7]))


def test_of_thousands_of_packages_no_more_is_laid_out_than_is_seen() -> None:
    asked = []
    page = Page(72, ("web",), ("web",), name, lambda text: asked.append(text) or text)  # type: ignore[func-returns-value]
    lines = fitted([Entry("", ("web",), tuple(f"package-{n} 1 → 2" for n in range(100_000)))], 12, page)
    assert (len(lines), lines[-1].endswith("more")) == (12, True)
    assert len(asked) < 1000


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
