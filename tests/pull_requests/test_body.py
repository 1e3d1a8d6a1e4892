"""What a request says to whoever reviews it, and what no name, subject or failure may make of it."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.model import (
    ChangeKind,
    Difference,
    Failure,
    FailureKind,
    Held,
    HostStatus,
    InputChange,
    Landing,
    Locked,
    PackageChange,
    PackageMark,
    Run,
    SwitchEffects,
    UpstreamChanges,
    UpstreamCommit,
    WarningChange,
)
from lockbot.pull_requests.wording.body import SHORTEST, body
from lockbot.pull_requests.wording.parts import Part, fitted
from tests.pull_requests.parsing import is_folded_well, parse
from tests.report.examples import (
    HOME_OLD,
    HOSTILE,
    HOSTS,
    MORNING,
    MOVED,
    NIXPKGS_NEW,
    NOW,
    built,
    host,
)
from tests.report.forge_links import FORGE_LINKS, LINKED

COMMIT = "c" * 40
GITHUB = 65536
"""Characters of a body on GitHub."""

UPSTREAM = UpstreamChanges(
    "nixpkgs",
    1234,
    (UpstreamCommit(NIXPKGS_NEW, "nginx: 1.27.1 -> 1.27.2 (#5)", "eve", NEW := int(NOW.timestamp())),),
    chosen=True,
    link="https://github.com/NixOS/nixpkgs/compare/33ddeb9...a1b2c3d",
)
DIFFERENCE = Difference(
    tuple(host(name).installable for name in ("db", "web")),
    packages=(PackageChange("openssl", PackageMark.UP, ("3.0.1",), ("3.0.2",)),),
    switch=SwitchEffects(("kernel 6.12.3 → 6.12.5",), ("nginx.service",)),
    warnings=WarningChange(("services.x is deprecated",), ()),
)
WHOLE = replace(
    MORNING, changes=(*MORNING.changes, MOVED), differences=(DIFFERENCE,), upstream=(UPSTREAM,), hosts=HOSTS
)

GOLDEN = """\
This moves **3 inputs** of flake.lock. Before it was proposed, its commit `ccccccc` was judged on top of **main** \
at `bbbbbbb`: **3 of 6 hosts build with it**.

### Inputs

- **home-manager**: 9f3d2c1 (2026-08-01) → 77aa0e2 (2026-08-13), 12 days newer, 1 commit ([compare](<\
https://github.com/nix-community/home-manager/compare/\
9f3d2c1222222222222222222222222222222222...77aa0e2333333333333333333333333333333333>))
  - **home-manager/nixpkgs**: follows nixpkgs, no longer has its own 33ddeb9 (2026-08-09)
- **nixpkgs**: 33ddeb9 (2026-08-09) → a1b2c3d (2026-08-14), 5 days newer, 1234 commits ([compare](<\
https://github.com/NixOS/nixpkgs/compare/\
33ddeb9000000000000000000000000000000000...a1b2c3d111111111111111111111111111111111>))
- **secrets**: 9f3d2c1 (2026-08-01) → 77aa0e2 (2026-07-13), 19 days older
  - **from another place**: now from `github:other/secrets`, was `github:me/secrets`

### Hosts

- **built** (2): db, web
- **unchanged** (1): nas
- **evaluated only** (1): laptop
- **broken before this update, not caused by it**: old: build failed: linux-6.12.30
- **evaluated only, not buildable here** (1): pi (aarch64-linux)

### When you switch

- **needs a reboot**: db, web (kernel 6.12.3 → 6.12.5)
- **restarts**: db and web (nginx.service)

### Warnings

- **new**: db and web (services.x is deprecated)

### Held back

- **nixos-hardware** stays at `9f3d2c1`: host web does not build with a newer one

<details>
<summary>What changes: 1 package on 2 hosts</summary>

- **db and web**: openssl 3.0.1 → 3.0.2

</details>

<details>
<summary>Upstream's commits</summary>

- **nixpkgs**: 1234 commits, those that touch these hosts ([compare](<\
https://github.com/NixOS/nixpkgs/compare/33ddeb9...a1b2c3d>))
  - `a1b2c3d` 2026-08-14 nginx: 1.27.1 -\N{ZERO WIDTH SPACE}\\> 1.27.2 (\\#\N{ZERO WIDTH SPACE}5)

</details>

### What happens next

lockbot moves **main** to this very commit by itself when its checks have passed. When inputs or **main** move \
on, lockbot judges anew and moves this request to what came of it, unless its branch has a commit that is not \
lockbot's: then it is left alone. Close it, and lockbot does not propose these revisions again.

<details>
<summary>How to check it by hand</summary>

- `lockbot verify cccccccccccccccccccccccccccccccccccccccc --build`: whether the commit is what its message says
- `lockbot diff bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccccccccccccccccccc`: what changes \
on each host
- `lockbot review`: what has come to the branch since you last looked, once this has landed
- `lockbot show 20260814T050000Z-1f2e`: all that is known of the run, where lockbot runs

</details>

Made by lockbot, run `20260814T050000Z-1f2e` of 2026-08-14."""


def test_an_ordinary_morning() -> None:
    assert body(WHOLE, COMMIT, GITHUB, landing=Landing.WHEN_CHECKS_PASS) == GOLDEN


def test_same_values_same_text_in_any_order() -> None:
    shuffled = random.Random(1)  # noqa: S311  # an order, not a secret
    for _ in range(5):
        changes, hosts = list(WHOLE.changes), list(WHOLE.hosts)
        shuffled.shuffle(changes)
        shuffled.shuffle(hosts)
        one = replace(WHOLE, changes=tuple(changes), hosts=tuple(hosts))
        assert body(one, COMMIT, GITHUB, landing=Landing.WHEN_CHECKS_PASS) == GOLDEN


@pytest.mark.parametrize(
    ("landing", "words"),
    [
        (Landing.PEOPLE, "Merge it when you like."),
        (
            Landing.WHEN_CHECKS_PASS,
            "lockbot moves **main** to this very commit by itself when its checks have passed.",
        ),
        (Landing.AT_ONCE, "lockbot moves **main** to this very commit by itself, and waits for nothing."),
    ],
)
def test_it_says_how_it_lands(landing: Landing, words: str) -> None:
    assert f"### What happens next\n\n{words}" in body(WHOLE, COMMIT, GITHUB, landing=landing)


def test_it_says_that_the_forge_may_make_another_commit() -> None:
    told = body(WHOLE, COMMIT, GITHUB, landing=Landing.WHEN_CHECKS_PASS, by_forge=True)
    assert "It is merged into **main** by itself when its checks have passed, perhaps as another commit." in told


def test_a_host_that_does_not_build_is_told_with_why() -> None:
    failure = Failure(FailureKind.EVALUATION, "attribute 'x' missing\nat flake.nix:3")
    run = replace(WHOLE, hosts=(built("web", HostStatus.UNJUDGED, failure), built("db", HostStatus.FAILED)))
    told = body(run, COMMIT, GITHUB, landing=Landing.PEOPLE)
    assert "- **failed**: db\n- **could not be judged**: web: evaluation failed: attribute 'x' missing\n" in told
    assert "**0 of 2 hosts build with it**" in told


def hostile(texts: Sequence[str]) -> Run:
    """A run in which strangers have written whatever they can write, `texts` in turn."""
    turn = itertools.cycle(texts)

    def text() -> str:
        return next(turn)

    def state() -> Locked:
        return Locked("github", f"github:o/r/{text()}", text(), rev=text(), last_modified=10**10)

    def difference(name: str) -> Difference:
        return Difference(
            (host(name).installable, text() + name),
            packages=(PackageChange(text(), PackageMark.UP, (text(),), (text(), text())),),
            switch=SwitchEffects((text(),), (text(), text()), notes=(text(),), users_gone=(text(),)),
            warnings=WarningChange((text(),), (text(),)),
            unknown=text(),
        )

    def failure(kind: FailureKind) -> Failure:
        return Failure(kind, text(), text() if kind is FailureKind.BUILD else None)

    names = [text() + str(number) for number in range(6)]
    return replace(
        WHOLE,
        branch=text(),
        changes=(
            *(InputChange(text(), kind, state(), state(), text(), text(), 3) for kind in ChangeKind),
            InputChange(f"a/{text()}", ChangeKind.REFOLLOWED, state(), None, None, text()),
        ),
        hosts=(
            built(names[0]),
            built(names[1], HostStatus.FAILED, failure(FailureKind.BUILD)),
            built(names[2], HostStatus.UNJUDGED, failure(FailureKind.EVALUATION)),
            built(names[3], HostStatus.BROKEN_BEFORE),
            replace(built(names[4], HostStatus.NOT_BUILDABLE_HERE), system=text()),
        ),
        held=(Held(text(), "x", text(), text()), Held(text(), text())),
        notes=(text(), text()),
        differences=tuple(difference(name) for name in names),
        upstream=tuple(
            UpstreamChanges(one, 5, (UpstreamCommit(text(), text(), text()),), note=text(), link=text())
            for one in (texts[0], "nixpkgs", *texts[1:3])
        ),
    )


STRANGERS = st.lists(
    st.one_of(
        st.sampled_from([*HOSTILE, *LINKED, "</details>", "<!--", "```", "https://evil.example/>)<b>"]),
        st.text(max_size=30),
        st.text("-+=:/1.) [x]`*_<>!@#w|~\\&\n", max_size=12),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(STRANGERS, st.sampled_from([SHORTEST, 700, 1500, 4000, 16_000, GITHUB]))
def test_strangers_have_no_say_in_what_it_is(texts: list[str], limit: int) -> None:
    told = body(hostile(texts), COMMIT, limit, landing=Landing.PEOPLE)
    assert SHORTEST // 3 < len(told.encode()) <= limit
    seen = parse(told)
    assert seen.others == set()
    assert is_folded_well(seen.html)
    assert all(re.fullmatch(r"https?://[^\s<>()\[\]]+", link) for link in seen.links)
    assert [text for text in seen.text if FORGE_LINKS.search(text)] == []
    assert not [line for line in told.split("\n") if line.startswith(("/", "\\[", "---", "+++", ";;;", ">>>"))]


@pytest.mark.parametrize(
    "address", ["https://x.example/a)b", "https://x.example/ b", "javascript:alert(1)", "//x"]
)
def test_only_an_address_that_ends_where_it_ends_is_linked(address: str) -> None:
    run = replace(WHOLE, upstream=(replace(UPSTREAM, link=address),))
    assert parse(body(run, COMMIT, GITHUB, landing=Landing.PEOPLE)).links == parse(GOLDEN).links[:2]


@given(st.integers(min_value=SHORTEST, max_value=9000))
def test_whole_entries_are_left_out_and_counted(limit: int) -> None:
    many = tuple(replace(MOVED, input=f"input{number:03}") for number in range(100))
    told = body(replace(WHOLE, changes=many), COMMIT, limit, landing=Landing.PEOPLE)
    assert len(told.encode()) <= limit
    assert told.startswith("This moves **100 inputs** of flake.lock.")
    assert told.endswith("Made by lockbot, run `20260814T050000Z-1f2e` of 2026-08-14.")
    shown = re.findall(
        r"^- \*\*input\d{3}\*\*: 9f3d2c1 \(2026-08-01\) → 77aa0e2 \(2026-07-13\), 19 days", told, re.M
    )
    (left,) = re.findall(r"^- … and (\d+) more inputs$", told, re.M) or ("100",)
    assert len(shown) + int(left) == 100
    missing = {"### Inputs", "### Hosts", "### What happens next", "by hand</summary>"} - {
        part for part in ("### Inputs", "### Hosts", "### What happens next", "by hand</summary>") if part in told
    }
    assert not missing or "`lockbot show 20260814T050000Z-1f2e` tells all of it." in told


def test_no_host_that_needs_a_reboot_is_left_out() -> None:
    names = [f"web-{number:03}" for number in range(400)]
    switch = SwitchEffects(("kernel 6.12.3 → 6.12.5",))
    run = replace(
        WHOLE,
        hosts=tuple(built(name) for name in (*names, "db")),
        differences=(
            Difference(tuple(host(name).installable for name in names), switch=switch),
            Difference((host("db").installable,), switch=SwitchEffects()),
        ),
    )
    told = body(run, COMMIT, 6000, landing=Landing.PEOPLE)
    assert re.search(r"^- \*\*needs a reboot\*\*: (the other 400|web-\{000\.\.399\}) ", told, re.M)
    assert "- **no reboot**: db\n" in told


def test_the_smallest_limit_holds_whatever_the_names_are() -> None:
    run = replace(WHOLE, branch="\U0001f980" * 300, base=HOME_OLD)
    told = body(run, COMMIT, SHORTEST, landing=Landing.AT_ONCE)
    assert len(told.encode()) <= SHORTEST
    assert told.startswith("This moves **3 inputs** of flake.lock.")


def test_what_one_part_leaves_another_gets() -> None:
    small, large = (
        Part(("- a",), 0.5, noun="line"),
        Part(tuple(f"- {number:02}" for number in range(60)), 0.5, noun="line"),
    )
    told = fitted([small, large], 200, "more")
    assert len(told) > 180
    assert told.startswith("- a\n\n- 00\n- 01\n")
    assert told.endswith(f"- … and {60 - told.count('- ') + 2} more lines")
