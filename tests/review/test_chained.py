"""Two updates in turn, told as one."""

from __future__ import annotations

import random

from lockbot.closure.packages import Comparison, compare
from lockbot.model import (
    Closure,
    ConfigurationChange,
    Difference,
    PackageMark,
    StorePath,
    SwitchEffects,
    UpstreamChanges,
    WarningChange,
)
from lockbot.review.chained import chained, chained_upstream

LUCK = random.Random(11)  # noqa: S311 -- the same each time


def closure() -> Closure:
    """A root that refers to packages; the same version can be built in two ways."""
    paths = {}
    for name in "abcdefgh":
        if LUCK.random() < 0.7:
            version, build = LUCK.randrange(3), LUCK.randrange(2)
            path = f"/nix/store/{name}{version}{build}-{name}-{version}"
            paths[path] = StorePath(path, f"{name}-{version}", 1000 + version, pname=name, version=str(version))
    root = StorePath("/nix/store/root", "root", 1, frozenset(paths))
    return Closure(root.path, {root.path: root, **paths})


def difference(found: Comparison, *hosts: str) -> Difference:
    return Difference(hosts, found.packages, found.configuration, found.closure, SwitchEffects())


def test_it_is_what_comparing_the_ends_finds() -> None:
    for _ in range(300):
        compare_with_the_ends()


def compare_with_the_ends() -> None:
    first, second, third = closure(), closure(), closure()
    (whole,) = chained([difference(compare(first, second), "web")], [difference(compare(second, third), "web")])
    ends = compare(first, third)
    told = {(one.name, one.change, one.old, one.new, one.size) for one in whole.packages}
    # What went back to the very same path is told as rebuilt: that it did cannot be seen any more.
    assert {one for one in told if one[1] is not PackageMark.REBUILT} == {
        (one.name, one.change, one.old, one.new, one.size)
        for one in ends.packages
        if one.change is not PackageMark.REBUILT
    }
    assert whole.closure == ends.closure


def test_each_host_by_itself() -> None:
    one = Difference(("x",), switch=SwitchEffects(restart=("c",)))
    first = [Difference(("web", "db"), switch=SwitchEffects(("kernel",), ("a",)))]
    second = [Difference(("web",), switch=SwitchEffects((), ("a", "b"))), Difference(("nas",), switch=one.switch)]
    assert chained(first, second) == (
        Difference(("web",), switch=SwitchEffects(("kernel",), ("a", "b"))),
        Difference(("db",), switch=SwitchEffects(("kernel",), ("a",))),
        Difference(("nas",), switch=one.switch),
    )


def test_what_is_not_known_of_one_is_not_known() -> None:
    known = Difference(("web",), configuration=ConfigurationChange(1), switch=SwitchEffects())
    (found,) = chained([known], [Difference(("web",), unknown="only evaluated")])
    assert found == Difference(("web",), unknown="only evaluated")


def test_what_changes_in_both_steps_is_not_counted_twice() -> None:
    first = Difference(("web",), configuration=ConfigurationChange(1, 2, 2))
    second = Difference(("web",), configuration=ConfigurationChange(3, 0, 1))
    (found,) = chained([first], [second])
    assert found.configuration == ConfigurationChange(4, 2, 2)


def test_warnings_that_come_and_go() -> None:
    first = Difference(("web",), warnings=WarningChange(("stays", "goes"), ("comes back",)))
    second = Difference(("web",), warnings=WarningChange(("comes back", "late"), ("goes",)))
    (found,) = chained([first], [second])
    assert found.warnings == WarningChange(("stays", "late"), ())


def test_upstreams_of_both() -> None:
    a, b, c = (UpstreamChanges(name) for name in "abc")
    assert chained_upstream([a, b], [UpstreamChanges("b", 2), c]) == (a, UpstreamChanges("b", 2), c)
