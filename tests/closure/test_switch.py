"""What a switch does besides its units: reboots, refusals, accounts, other kinds of hosts, and hostile systems."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lockbot.closure import toplevel
from lockbot.closure.switch import switch_effects
from lockbot.model.difference import SwitchEffects
from tests.closure.systems import Store, service

KERNEL, MODULES, SYSTEMD = "linux-6.12.3/bzImage", "linux-6.12.3-modules", "systemd-257.2"


def switched(store: Store, old: Mapping[str, str], new: Mapping[str, str]) -> SwitchEffects:
    """The effects of these other files in the toplevel."""
    found = switch_effects(store.nixos({}, old), store.nixos({}, new))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        ({"kernel": KERNEL}, {"kernel": KERNEL}, ()),
        ({"kernel": KERNEL}, {"kernel": "linux-6.12.5/bzImage"}, ("kernel 6.12.3 → 6.12.5",)),
        ({"kernel": KERNEL}, {"kernel": KERNEL + " "}, ("kernel 6.12.3, rebuilt",)),
        (
            {"kernel": KERNEL},
            {"kernel": "linux-zen-6.12.5/bzImage"},
            ("kernel linux-6.12.3 → linux-zen-6.12.5",),
        ),
        ({"kernel": "absent"}, {"kernel": KERNEL}, ("kernel none → linux-6.12.3",)),
        ({"systemd": SYSTEMD}, {"systemd": "systemd-258-rc4"}, ("systemd 257.2 → 258-rc4",)),
        ({"firmware": "firmware/a"}, {"firmware": "firmware/b"}, ("firmware",)),
        ({"dtbs": "dtbs"}, {"dtbs": "dtbs "}, ("device trees",)),
        ({"initrd": "initrd-1/initrd"}, {"initrd": "initrd-2/initrd"}, ("initrd",)),
        ({"kernel-modules": MODULES}, {"kernel-modules": MODULES + " "}, ("kernel modules",)),
    ],
)
def test_a_reboot_has_its_reason(
    old: dict[str, str], new: dict[str, str], reasons: tuple[str, ...], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    before, after = (_linked(store, files) for files in (old, new))
    assert switched(store, before, after).reboot == reasons


def _linked(store: Store, files: Mapping[str, str]) -> dict[str, str]:
    return {name: to if to == "absent" else store.link(to.strip(), salt=to) for name, to in files.items()}


@pytest.mark.parametrize(
    ("roots", "reasons"),
    [
        (["kernel", "kernel-modules", "dtbs"], ("kernel 6.12.3, rebuilt",)),
        (["kernel-modules"], ("kernel modules",)),
        (["systemd", "firmware"], ("systemd 257.2, rebuilt", "firmware")),
    ],
)
def test_what_only_follows_from_another_reason_is_not_told(
    roots: list[str], reasons: tuple[str, ...], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    names = {"kernel": KERNEL, "kernel-modules": MODULES, "systemd": SYSTEMD}
    before = {one: store.link(names.get(one, one), "1") for one in [*roots, "initrd"]}
    after = {one: store.link(names.get(one, one), "2") for one in [*roots, "initrd"]}
    assert switched(store, before, after).reboot == reasons


def test_an_initrd_that_is_no_link_is_told_by_its_content(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert switched(store, {"initrd": "1"}, {"initrd": "1", "x": ""}).reboot == ()
    assert switched(store, {"initrd": "1"}, {"initrd": "2"}).reboot == ("initrd",)


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        ("quiet", "quiet", ()),
        ("quiet  splash\n", "quiet splash", ()),
        ("quiet a=1", "quiet a=2", ("kernel parameters +a=2 -a=1",)),
        ("a b", "b a", ("kernel parameters in another order",)),
        ("", "a b c d e f g h", ("kernel parameters +a +b +c +d +e +f and 2 more",)),
        ("", "x" * 5000, (f"kernel parameters +{'x' * 38}…",)),
    ],
)
def test_kernel_parameters_are_told_in_short(old: str, new: str, reasons: tuple[str, ...], tmp_path: Path) -> None:
    assert switched(Store(tmp_path), {"kernel-params": old}, {"kernel-params": new}).reboot == reasons


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        ({}, {"init-interface-version": "systemd 3"}, ("init systemd 2 → systemd 3",)),
        ({"switch-inhibitors": '{"bus": "a"}'}, {"switch-inhibitors": '{"bus": "b"}'}, ("bus a → b",)),
        ({"switch-inhibitors": '{"dbus": "dbus"}'}, {"switch-inhibitors": '{"new": "1"}'}, ()),
        ({"switch-inhibitors": '{"dbus": "dbus"}'}, {}, ()),
        ({"switch-inhibitors": '{"dbus": "dbus"}'}, {"switch-inhibitors": "[[["}, ()),
        (
            {"switch-inhibitors": "/nix/store/a"},
            {"switch-inhibitors": "/nix/store/b"},
            ("packages that the system names as switch inhibitors",),
        ),
    ],
)  # fmt: skip
def test_a_switch_that_is_refused_does_nothing_to_units(
    old: dict[str, str], new: dict[str, str], reasons: tuple[str, ...], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    unit, changed = {"a.service": service()}, {"a.service": service("After=b.service")}
    found = switch_effects(store.nixos(unit, old), store.nixos(changed, new))
    assert found is not None
    assert found.reboot == reasons
    assert found.restart == (() if reasons else ("a.service",))
    said = f"The switch is refused, since this changes: {'; '.join(reasons)}. It takes a reboot."
    assert found.notes == ((said,) if reasons else ())


def test_another_implementation_of_dbus_takes_a_reboot_where_no_inhibitor_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    dbus = store.nixos({"dbus.service": service()})
    broker = store.nixos({"dbus-broker.service": service(), "dbus.service": "-> dbus-broker.service"})
    found = switch_effects(dbus, broker)
    assert found is not None and found.reboot == ("D-Bus implementation dbus → broker",)


def accounts(users: list[str], groups: list[str]) -> str:
    return json.dumps({"users": [{"name": one} for one in users], "groups": [{"name": one} for one in groups]})


def by_script(store: Store, users: list[str], groups: list[str]) -> Path:
    entry = store.add("users-groups.json", {"": accounts(users, groups)})
    return store.nixos({}, {"activate": f"perl -w x.pl '/nix/store/{entry}'\n"})


def by_userborn(store: Store, users: list[str], groups: list[str]) -> Path:
    entry = store.add("userborn.json", {"": accounts(users, groups)})
    unit = f"[Service]\nX-StopIfChanged=false\nExecStart=userborn /nix/store/{entry} /etc\n"
    return store.nixos({"userborn.service": unit}, {"activate": "true"})


def by_sysusers(store: Store, users: list[str], groups: list[str]) -> Path:
    lines = [f'u! {one} 1:{one} "x" /home /sh' for one in users] + [f"g {one} 1" for one in groups]
    etc = store.add("etc", {"sysusers.d/00-nixos.conf": "# Users\n" + "\n".join(lines), "systemd/system/x": ""})
    return store.nixos({}, {"activate": "true", "etc": f"-> /nix/store/{etc}"})


@pytest.mark.parametrize("made", [by_script, by_userborn, by_sysusers])
def test_users_and_groups_that_vanish_are_told(
    made: Callable[[Store, list[str], list[str]], Path], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    old = made(store, ["root", "web", "adm"], ["root", "web", "dev"])
    found = switch_effects(old, made(store, ["root", "new"], ["root", "dev"]))
    assert found is not None
    assert (found.users_gone, found.groups_gone, found.notes) == (("adm", "web"), ("web",), ())


@pytest.mark.parametrize(
    "content",
    ["", "[", "[]", "{}", '{"users": 1, "groups": []}', '{"users": [{"name": 1}], "groups": []}', "[" * 99999],
)
def test_a_list_of_users_that_cannot_be_read_is_said_to_be_unknown(content: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    entry = store.add("users-groups.json", {"": content})
    found = switched(store, {}, {"activate": f"/nix/store/{entry}"})
    assert found.users_gone == ()
    assert found.notes == ("Which users and groups vanish is not known: the new system's list can't be read.",)


def wrapper(store: Store, *checks: str) -> str:
    """What wraps switch-to-configuration, with such checks before the switch."""
    entry = store.add("pre-switch-checks", {"": "".join(f"# pre-switch check {one}\n(true)\n" for one in checks)})
    return f"export PRE_SWITCH_CHECK='/nix/store/{entry}'\nexec x\n"


def test_what_else_matters_is_told_in_sentences(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert switched(
        store,
        {
            "bin/switch-to-configuration": wrapper(store, "old"),
            "specialisation/gone": store.link("1"),
            "specialisation/kept": store.link("1"),
            "specialisation/same": store.link("1"),
        },
        {
            "nixos-version": "25.11.20260101.fedcba",
            "system": "aarch64-linux",
            "bin/switch-to-configuration": wrapper(store, "switchInhibitors", "old", "backup"),
            "specialisation/kept": store.link("2"),
            "specialisation/new": store.link("2"),
            "specialisation/same": store.link("1"),
        },
    ).notes == (
        "NixOS 25.05 becomes 25.11: read its release notes first.",
        "The system is built for aarch64-linux, not x86_64-linux any more: it can't run on the same machine.",
        "New checks run before the switch, and may refuse it: backup.",
        "Specialisations that are gone: gone.",
        "New specialisations: new.",
        "Specialisations change too, and nobody looked at how: kept.",
    )


def test_the_bootspec_says_the_architecture_where_no_file_does(tmp_path: Path) -> None:
    specs = [
        {"system": "absent", "boot.json": json.dumps({"org.nixos.bootspec.v1": {"system": one}})}
        for one in ("a", "b")
    ]
    assert switched(Store(tmp_path), *specs).notes == (
        "The system is built for b, not a any more: it can't run on the same machine.",
    )


def test_units_of_sessions_are_told_apart_from_the_system_s(tmp_path: Path) -> None:
    store = Store(tmp_path)
    systems = []
    for option in ("1", "2"):
        units = {f"systemd/user/u{n}.service": service(service=f"Nice={option}") for n in range(7)}
        same = {"systemd/user/same.service": service(f"Documentation={option}"), "systemd/system/x": ""}
        systems.append(store.nixos({}, {"etc": f"-> /nix/store/{store.add('etc', {**units, **same})}"}))
    found = switch_effects(*systems)
    assert found is not None and found.restart == ()
    assert found.notes == (
        "Units of users' sessions differ (u0.service, u1.service, u2.service, u3.service, u4.service and 2 more):"
        " recent releases of NixOS restart those that run, older ones leave them until the next login.",
    )


HOME = "default.target"
PLAIN = service(wanted_by=HOME)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (PLAIN, PLAIN, {}),
        (PLAIN, service(service="Nice=1", wanted_by=HOME), {"restart": ("a.service",)}),
        (PLAIN, service("Description=Other", wanted_by=HOME), {}),
        (PLAIN, service("X-Reload-Triggers=/1", wanted_by=HOME), {"reload": ("a.service",)}),
        (PLAIN, service("X-SwitchMethod=reload", wanted_by=HOME), {"reload": ("a.service",)}),
        (PLAIN, service("X-SwitchMethod=keep-old", wanted_by=HOME), {"keep": ("a.service",)}),
        (PLAIN, service("X-SwitchMethod=stop-start", wanted_by=HOME), {"restart": ("a.service",)}),
        (PLAIN, service("X-RestartIfChanged=false", wanted_by=HOME), {"keep": ("a.service",)}),
        (PLAIN, service("X-ReloadIfChanged=true", wanted_by=HOME), {"reload": ("a.service",)}),
        (PLAIN, service("RefuseManualStop=true", wanted_by=HOME), {"keep": ("a.service",)}),
        (PLAIN, service("RefuseManualStart=true", wanted_by=HOME), {"stop": ("a.service",)}),
        (PLAIN, None, {"stop": ("a.service",)}),
        (service("RefuseManualStop=true", wanted_by=HOME), None, {}),
        (None, PLAIN, {"start": ("a.service",)}),
        (None, service("RefuseManualStart=true", wanted_by=HOME), {}),
        (None, service(wanted_by="graphical-session.target"), {"start": ("a.service",)}),
    ],
)
def test_home_manager_switches_units_as_sd_switch_does(
    old: str | None, new: str | None, expected: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    before, after = (store.home({"a.service": one} if one else {}) for one in (old, new))
    assert switch_effects(before, after) == SwitchEffects(**expected)


def test_home_manager_may_only_suggest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = store.home({"a.service": PLAIN}), store.home({}, activate="systemd-activate.sh")
    assert switch_effects(old, new) == SwitchEffects(
        notes=("Units differ, and Home Manager only suggests what to do with them.",)
    )


def test_of_nix_darwin_nothing_is_guessed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    common = {"darwin-version": "25.05.abc", "system": "aarch64-darwin", "Library/LaunchDaemons/same.plist": ""}
    old = store.add("darwin-system", {**common, "Library/LaunchDaemons/a.plist": "1"})
    new = store.add(
        "darwin-system", {**common, "Library/LaunchDaemons/a.plist": "2", "darwin-version": "25.11.abc"}
    )
    assert switch_effects(tmp_path / old, tmp_path / new) == SwitchEffects(
        notes=(
            "Services of launchd differ, and what becomes of them is not told: 1.",
            "nix-darwin 25.05 becomes 25.11: read its release notes first.",
        )
    )


def test_other_things_than_two_systems_of_one_kind_are_not_compared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    package, home = tmp_path / store.add("hello-2.12", {"bin/hello": ""}), store.home({})
    for old, new in [
        (package, package),
        (store.nixos({}), home),
        (store.nixos({}), package),
        (home, tmp_path / "x"),
    ]:
        assert switch_effects(old, new) is None
    (tmp_path / "file").write_text("")
    assert switch_effects(tmp_path / "file", tmp_path / "file") is None


def test_a_result_link_stands_for_the_system(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "old").symlink_to(store.nixos({}))
    (tmp_path / "new").symlink_to(store.nixos({"a.service": service()}))
    found = switch_effects(tmp_path / "old", tmp_path / "new")
    assert found is not None and found.start == ("a.service",)


def loop(directory: Path) -> None:
    (directory / "a.service").symlink_to("b.service")
    (directory / "b.service").symlink_to("a.service")


def fifo(directory: Path) -> None:
    os.mkfifo(directory / "a.service")


def binary(directory: Path) -> None:
    (directory / "a.service").write_bytes(b"[Service]\nX=\xff\xfe\0\n")


def no_key(directory: Path) -> None:
    (directory / "a.service").write_text("[Unit\n")


def no_quotation_mark(directory: Path) -> None:
    (directory / "a.service").write_text("[Unit]\nX='a\n")


def sparse(directory: Path) -> None:
    with (directory / "a.service").open("wb") as file:
        file.truncate(1 << 40)


def subdirectory(directory: Path) -> None:
    (directory / "a.service").mkdir()


def outside(directory: Path) -> None:
    (directory / "a.service").symlink_to("/etc/hostname")


def above(directory: Path) -> None:
    (directory / "a.service").symlink_to("../../../../../../etc/hostname")


TOO_MUCH = "Some files of the systems are too large or too many to be read: there may be more to tell."
UNREADABLE = "Units that could not be read, so nothing is told of them: a.service."


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (loop, None),
        (fifo, UNREADABLE),
        (binary, None),
        (no_key, UNREADABLE),
        (no_quotation_mark, UNREADABLE),
        (sparse, UNREADABLE),
        (subdirectory, UNREADABLE),
        (outside, None),
        (above, None),
    ],
)
def test_nothing_in_a_system_stops_the_comparison(
    make: Callable[[Path], None], note: str | None, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    systems = []
    for salt in ("1", "2"):
        units = {
            "default.target": "[Unit]\nWants=a.service ../x.service b\n",
            "z.service": service(f"After={salt}"),
        }
        entry = store.add("etc", {f"systemd/system/{name}": text for name, text in units.items()})
        systems.append(store.nixos({}, {"etc": f"-> /nix/store/{entry}"}))
        make(tmp_path / entry / "systemd" / "system")
    found = switch_effects(*systems)
    assert found is not None
    assert (TOO_MUCH in found.notes) == (make is sparse)
    assert (note in found.notes) == (note is not None) and (make is binary or found.restart == ())


def test_no_file_outside_of_the_store_is_read(tmp_path: Path) -> None:
    """What differs is printed and published: a link to a secret must not bring it there."""
    (tmp_path / "secret").write_text("token=1")
    store = Store(tmp_path / "store")
    store.path.mkdir()
    (store.path / "secret").write_text("not what those links mean")
    for target in (str(tmp_path / "secret"), "/secret", "../../secret", "/proc/self/environ", "/dev/zero"):
        assert switched(store, {"kernel-params": ""}, {"kernel-params": f"-> {target}"}).reboot == ()


@pytest.mark.parametrize(("bound", "value"), [("MOST_NAMES", 5), ("MOST_BYTES", 400)])
def test_a_bound_that_is_met_is_said(
    bound: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toplevel, bound, value)
    store = Store(tmp_path)
    found = switch_effects(store.nixos({}), store.nixos({"a.service": service()}))
    assert found is not None
    assert TOO_MUCH in found.notes


def test_names_in_a_system_need_not_be_text(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = store.nixos({}), store.nixos({}, {"specialisation/.keep": ""})
    directory = os.fsencode(new / "specialisation")
    os.symlink(b"/nix/store/x", directory + b"/\xff\x1b")  # noqa: PTH211 - Path has no bytes
    found = switch_effects(old, new)
    assert found is not None
    assert found.notes == ("New specialisations: .keep, \ufffd\x1b.",)
