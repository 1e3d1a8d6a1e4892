"""What differs between two closures, as packages: what is one, what its line says, and what is only counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from lockbot.closure.packages import Comparison, compare, compare_all
from lockbot.model.closure import Closure, StorePath
from lockbot.model.difference import ClosureSize, ConfigurationChange, PackageChange, PackageMark

ADDED, REMOVED, REBUILT = PackageMark.ADDED, PackageMark.REMOVED, PackageMark.REBUILT
UP, DOWN, CHANGED = PackageMark.UP, PackageMark.DOWN, PackageMark.CHANGED


def path(name: str, salt: str = "", size: int = 10, references: Iterable[str] = ()) -> StorePath:
    """Its place in the store is made of its name and the salt."""
    return StorePath(place(name, salt), name, size, frozenset(references))


def place(name: str, salt: str = "") -> str:
    return f"/nix/store/{salt:0<32}-{name}"


def system(paths: Sequence[StorePath], selected: Sequence[StorePath] = ()) -> Closure:
    """A NixOS system with these in it, of which some are in its system-path."""
    environment = path("system-path", references=[one.path for one in selected])
    root = path("nixos-system-web-26.05", references=[environment.path])
    return closure(root, environment, *paths, *selected)


def closure(root: StorePath, *paths: StorePath) -> Closure:
    return Closure(root.path, {one.path: one for one in (root, *paths)})


def between(old: Sequence[str], new: Sequence[str]) -> tuple[PackageChange, ...]:
    """Of two systems that hold these."""
    return compare(system([path(name) for name in old]), system([path(name) for name in new])).packages


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("a-1", "a-2", ["a up 1 → 2"]),
        ("a-2", "a-1", ["a down 2 → 1"]),
        ("a-9f3c2d1", "a-8f3c2d1", ["a changed 9f3c2d1 → 8f3c2d1"]),
        ("", "a-1", ["a added  → 1"]),
        ("a-1", "", ["a removed 1 → "]),
        ("a-1 b-1", "a-1 b-2", ["b up 1 → 2"]),
        ("a-10 a-9", "a-9 a-11", ["a up 9, 10 → 9, 11"]),
        ("a-1 a-2", "a-3 a-4", ["a up 1, 2 → 3, 4"]),
        ("a-2 a-3", "a-2.1 a-3.1", ["a up 2, 3 → 2.1, 3.1"]),
        ("a-2 a-3", "a-2.1 a-2.9", ["a changed 2, 3 → 2.1, 2.9"]),
        ("a-1", "a-1 a-2", ["a up 1 → 1, 2"]),
        ("a-1 a-2", "a-1", ["a down 1, 2 → 1"]),
        ("a-1 a-2", "a-2", ["a up 1, 2 → 2"]),
        ("a-1 a-5", "a-3", ["a changed 1, 5 → 3"]),
        ("a-4 a-5 a-6", "a-3", ["a down 4, 5, 6 → 3"]),
        ("openssl-3.0.13-bin openssl-3.0.13", "openssl-3.0.14-bin openssl-3.0.14", ["openssl up 3.0.13 → 3.0.14"]),
        ("openssl-3.0.13", "openssl-3.0.13-man openssl-3.0.13", ["openssl rebuilt 3.0.13 → 3.0.13"]),
        ("python3.12-foo-1.0 foo-7", "python3.12-foo-1.1 foo-7", ["python3.12-foo up 1.0 → 1.1"]),
        ("linux-6.12.3 linux-6.12.3-modules", "linux-6.12.4 linux-6.12.4-modules", ["linux up 6.12.3 → 6.12.4"]),
    ],
)
def test_what_its_line_says(old: str, new: str, told: list[str]) -> None:
    found = between(old.split(), new.split())
    lines = [f"{one.name} {one.change} {', '.join(one.old)} → {', '.join(one.new)}" for one in found]
    assert lines == told


def test_the_same_version_from_another_path_is_rebuilt() -> None:
    found = compare(system([path("a-1", "x", 5)]), system([path("a-1", "y", 7)]))
    assert found.packages == (PackageChange("a", REBUILT, ("1",), ("1",), (5, 7)),)


def test_a_package_is_as_large_as_all_its_paths() -> None:
    """Those that are the same on both sides, too."""
    old = system([path("a-1", size=10), path("a-1-man", size=3), path("a-0.9", size=100)])
    new = system([path("a-2", size=20), path("a-1-man", size=3), path("a-0.9", size=100)])
    (found,) = compare(old, new).packages
    assert (found.old, found.new, found.size) == (("0.9", "1"), ("0.9", "1", "2"), (113, 123))


def test_what_derivations_say_goes_before_names() -> None:
    one = replace(path("foo-2-1.0"), pname="foo-2", version="1.0", output="out")
    other = replace(path("foo-2-1.1-lib"), pname="foo-2", version="1.1", output="lib")
    assert compare(system([one]), system([other])).packages == (
        PackageChange("foo-2", UP, ("1.0",), ("1.1",), (10, 10)),
    )


def test_a_derivation_may_say_that_it_has_no_version() -> None:
    one = replace(path("foo-2", "x"), pname="foo-2")
    other = replace(path("foo-2", "y"), pname="foo-2")
    found = compare(system([], [one]), system([], [other])).packages
    assert found == (PackageChange("foo-2", REBUILT, (), (), (10, 10), selected=True),)


def test_a_version_that_was_none_is_changed() -> None:
    old = system([path("a-1")], [path("tool")])
    new = system([path("a-1")], [path("tool-2")])
    assert [(one.change, one.old, one.new) for one in compare(old, new).packages] == [(CHANGED, (), ("2",))]


BY_NAME = """
    unit-sshd.service unit-script-sshd-start etc etc-nixos-fstab etc-hostname users-groups.json source
    foo-1.0-source CVE-2026-1.patch 0001-fix.diff foo-1.0.tar.gz bar.zip setup-hook.sh die-hook
    X-Restart-Triggers-sshd X-Reload-Triggers-nginx home-manager-files initrd-linux-6.12.3 stage-1-init.sh
    stage-2-init.sh dbus-1 mounts.sh nginx.conf 99-local.rules 10-nixos.network nixos-tmpfiles.d hwdb.bin
    update-users-groups.pl boot.json
"""
UNVERSIONED = "set-environment system-units udev-rules perl-script local-cmds issue"


@pytest.mark.parametrize("name", (BY_NAME + UNVERSIONED).split())
def test_what_is_no_package_is_counted(name: str) -> None:
    x, y = path(name, "x"), path(name, "y")
    assert _counts(compare(system([]), system([x]))) == ((), (1, 0, 0))
    assert _counts(compare(system([x]), system([]))) == ((), (0, 1, 0))
    assert _counts(compare(system([x]), system([y]))) == ((), (0, 0, 1))


@pytest.mark.parametrize("name", BY_NAME.split())
def test_it_is_none_outside_of_a_system_either(name: str) -> None:
    root = path("hello-1", references=[place(name, "x"), place(name, "y")])
    assert _counts(compare(closure(root, path(name, "x")), closure(root, path(name, "y")))) == ((), (0, 0, 1))


def _counts(found: Comparison) -> tuple[tuple[PackageChange, ...], tuple[int, int, int]]:
    own = found.configuration
    return found.packages, (own.added, own.removed, own.changed)


PACKAGES = [
    "unit-1.33.0",
    "etcd-3.5",
    "nginx-1.27",
    "python3.12-hooks-1.0",
    "source-highlight-3.1.9",
    "dbus-1.14.10",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_what_only_sounds_like_configuration(name: str) -> None:
    found = compare(system([path(name, "x")]), system([path(name, "y")]))
    assert [one.change for one in found.packages] == [REBUILT]
    assert found.configuration == ConfigurationChange()


def test_of_several_with_one_name_as_many_have_changed_as_both_have() -> None:
    old = system([path("unit-script", salt) for salt in "abcd"])
    new = system([path("unit-script", salt) for salt in "dxy"])
    assert compare(old, new).configuration == ConfigurationChange(added=0, removed=1, changed=2)


def test_the_system_itself_changes_as_configuration() -> None:
    """By another name each time: the version is in it."""
    old, new = (closure(path(f"nixos-system-web-26.05.{day}.abcdef1")) for day in ("20260101", "20260102"))
    assert _counts(compare(old, new)) == ((), (0, 0, 1))


def test_what_was_chosen_by_name_comes_first() -> None:
    old = system([path("a-1"), path("c-1")], [path("z-1"), path("tool", "x")])
    new = system([path("a-2"), path("c-2")], [path("z-2"), path("tool", "y")])
    found = [(one.name, one.selected) for one in compare(old, new).packages]
    assert found == [("tool", True), ("z", True), ("a", False), ("c", False)]


def test_what_was_chosen_before_or_is_now_is_selected() -> None:
    gone = compare(system([], [path("a-1")]), system([])).packages
    come = compare(system([]), system([], [path("a-1")])).packages
    assert [(one.change, one.selected) for one in (*gone, *come)] == [(REMOVED, True), (ADDED, True)]


@pytest.mark.parametrize("name", ["system-path", "home-manager-path", "user-environment"])
def test_every_environment_is_a_choice(name: str) -> None:
    def made(version: str) -> Closure:
        chosen, other = path(f"b-{version}"), path(f"a-{version}")
        environment = path(name, version, references=[chosen.path])
        return closure(path("home-manager-generation", version), environment, chosen, other)

    found = compare(made("1"), made("2"))
    assert [(one.name, one.selected) for one in found.packages] == [("b", True), ("a", False)]


def test_of_any_two_paths_what_the_root_refers_to_is_selected() -> None:
    """What has no version may be a program there: only a system writes such things itself."""

    def made(version: str, salt: str) -> Closure:
        direct, deep, plain = path(f"direct-{version}"), path(f"deep-{version}"), path("plain", salt)
        return closure(path(f"hello-{version}", references=[direct.path]), direct, deep, plain)

    found = compare(made("1", "x"), made("2", "y"))
    told = [(one.name, one.change, one.selected) for one in found.packages]
    assert told == [("direct", UP, True), ("hello", UP, True), ("deep", UP, False), ("plain", REBUILT, False)]


def test_the_caller_may_know_better_what_is_selected() -> None:
    old, new = system([path("a-1")], [path("b-1")]), system([path("a-2")], [path("b-2")])
    found = compare(old, new, selected=frozenset({place("a-2")})).packages
    assert [(one.name, one.selected) for one in found] == [("a", True), ("b", False)]


def test_the_closure_s_size() -> None:
    old, new = closure(path("r", size=1), path("a-1", size=2)), closure(path("r", size=1))
    assert compare(old, new).closure == ClosureSize((3, 1), (2, 1))


def test_nothing_differs() -> None:
    one = system([path("a-1")], [path("b-1"), path("c")])
    found = compare(one, one)
    assert (found.packages, found.configuration) == ((), ConfigurationChange())


def test_many_hosts_are_compared_as_each_alone() -> None:
    """`plain` is a program on one, and the system's own on the other."""
    plain, other = path("plain", "x"), path("plain", "y")
    pairs = [
        (system([path("a-1"), plain]), system([path("a-2"), other])),
        (closure(path("r"), plain), closure(path("r"), other)),
        (system([path("a-1")], [plain]), system([path("a-1")], [other])),
    ]
    assert list(compare_all(pairs)) == [compare(old, new) for old, new in pairs]
    assert [len(one.packages) for one in compare_all(pairs)] == [1, 1, 1]


def test_a_package_of_very_many_versions() -> None:
    old = system([path(f"a-{number}") for number in range(3000)])
    new = system([path(f"a-{number}") for number in range(1, 3001)])
    (found,) = compare(old, new).packages
    assert (found.change, len(found.old), found.new[-1]) == (UP, 3000, "3000")


def test_the_root_may_be_missing_from_its_closure() -> None:
    empty = Closure(place("r"), {})
    assert compare(empty, closure(path("a-1"))).packages == (PackageChange("a", ADDED, (), ("1",), (0, 10), True),)
    assert [one.change for one in compare(closure(path("a-1")), empty).packages] == [REMOVED]
