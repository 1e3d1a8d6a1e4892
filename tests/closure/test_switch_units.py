"""What a switch does with units: the rules of switch-to-configuration, and what nixpkgs' own test of it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lockbot.closure.switch import switch_effects
from lockbot.model.difference import SwitchEffects
from tests.closure.systems import Store, service

Units = Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    reason: str
    old: Units
    new: Units
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    fstab: tuple[str, str] = field(default=("", ""))


def one(reason: str, old: str, new: str, **expected: tuple[str, ...]) -> Rule:
    """A rule for a.service alone."""
    return Rule(reason, {"a.service": old}, {"a.service": new}, **expected)  # type: ignore[arg-type]  # tests pass fields by name


A = ("a.service",)
PLAIN = service()
CHANGED = service(service="X-Test=1")
SOCKET = "[Socket]\nListenStream=/run/a\n[Install]\nWantedBy=sockets.target\n"
MOUNT = "[Mount]\nWhat=tmpfs\nWhere=/a\nOptions=size=1M\n[Install]\nWantedBy=local-fs.target\n"
TIMER = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"
PATH = "[Path]\nPathExists=/a\n[Install]\nWantedBy=paths.target\n"
SLICE = "[Slice]\nMemoryMax=1G\n[Install]\nWantedBy=multi-user.target\n"
TARGET = "[Unit]\nDescription=T\n[Install]\nWantedBy=multi-user.target\n"
TEMPLATE = "[Service]\nExecStart=/bin/true\n"
WANTED = {"multi-user.target.wants/a@one.service": "-> ../a@.service"}

RULES = [
    one("nothing differs", PLAIN, PLAIN),
    one("another value", PLAIN, service(service="ExecStop=/bin/false"), restart=A),
    one("a key that only NixOS knows is a key, too", PLAIN, CHANGED, restart=A),
    one("a new dependency", PLAIN, service("After=b.service"), restart=A),
    one("restart triggers", service("X-Restart-Triggers=/1"), service("X-Restart-Triggers=/2"), restart=A),
    one("keys in another order", service("After=b\nWants=c"), service("Wants=c\nAfter=b")),
    one("a comment", PLAIN, service("# a=1\n; b=2")),
    one("quotation marks around a value", service(service='Nice="1"'), service(service="Nice=1")),
    one("spaces around the equals sign", service("After=b"), service("After = b")),
    one("a key whose value is set in two steps", service("After=b c"), service("After=b\nAfter=c"), restart=A),
    one("an empty value takes back those before it", service("After=b"), service("After=x\nAfter=\nAfter=b")),
    one("the description", PLAIN, PLAIN.replace("Test", "Other")),
    one("what only failing services look at", PLAIN, service("OnFailure=b.service\nDocumentation=man:b")),
    one("reload triggers that are new", PLAIN, service("X-Reload-Triggers=/1"), reload=A),
    one("other reload triggers", service("X-Reload-Triggers=/1"), service("X-Reload-Triggers=/2"), reload=A),
    one("no reload triggers any more", service("X-Reload-Triggers=/1"), PLAIN),
    one("reload triggers and more", PLAIN, service("X-Reload-Triggers=/1", "X-Test=1"), restart=A),
    one("another way to reload", service(service="ExecReload=/1"), service(service="ExecReload=/2"), reload=A),
    one("a way to reload that is new", PLAIN, service(service="ExecReload=/1"), reload=A),
    one("no way to reload any more", service(service="ExecReload=/1"), PLAIN),
    one("a section that is new", PLAIN, PLAIN + "[X-Test]\nA=1\n", restart=A),
    one("a section by another name", PLAIN + "[X-Test]\nA=1\n", PLAIN + "[X-Test2]\nA=1\n", restart=A),
    one("a section that is gone", PLAIN + "[X-Test]\nA=1\n", PLAIN, restart=A),
    one("even an empty one", PLAIN, PLAIN + "[X-Test]\n", restart=A),
    one("two sections, whatever is in them", "[Install]\nWantedBy=multi-user.target\n",
        "[Unit]\nDescription=x\n[Service]\nExecReload=/1\n[Install]\nWantedBy=multi-user.target\n", restart=A),
    one("where it is wanted", PLAIN, PLAIN.replace("multi-user.target", "multi-user.target sysinit.target")),
    one("stopIfChanged", service(service="X-StopIfChanged=false"),
        service(service="X-StopIfChanged=false\nX-Test=1"), restart=A),
    one("reloadIfChanged", PLAIN, service(service="X-ReloadIfChanged=true\nX-Test=1"), reload=A),
    one("restartIfChanged", PLAIN, service(service="X-RestartIfChanged=false\nX-Test=1"), keep=A),
    one("what the old unit asked for doesn't count", service(service="X-ReloadIfChanged=true"), PLAIN,
        restart=A),
    one("RefuseManualStop", PLAIN, service("RefuseManualStop=true", "X-Test=1"), keep=A),
    one("X-OnlyManualStart", PLAIN, service("X-OnlyManualStart=yes", "X-Test=1"), keep=A),
    one("systemd's other words for no", PLAIN, service(service="X-RestartIfChanged=0\nX-Test=1"), keep=A),
    one("not wanted any more, and the same", PLAIN, PLAIN.replace("WantedBy=multi-user.target", "WantedBy=")),
    Rule("a unit that is gone", {"a.service": PLAIN}, {}, stop=A),
    Rule("a unit that is gone and stays", {"a.service": service("X-StopOnRemoval=false")}, {}),
    Rule("a unit that is masked", {"a.service": PLAIN}, {"a.service": "-> /dev/null"}, stop=A),
    Rule("a unit that is new", {}, {"a.service": PLAIN}, start=A),
    Rule("a unit that is new and wanted by nobody", {}, {"a.service": TEMPLATE}),
    Rule("a unit that was masked", {"a.service": "-> /dev/null"}, {"a.service": PLAIN}, start=A),
    Rule("a unit that nobody wants does not run", {"a.service": TEMPLATE}, {"a.service": TEMPLATE + "X-Test=1\n"}),
    Rule("nor does one that is gone", {"a.service": TEMPLATE}, {}),
    Rule("nor one that is only wanted by a link to nothing",
         {"a.service": TEMPLATE, "multi-user.target.wants/a.service": "-> /dev/null"}, {}),
    Rule("nor what a masked target wants",
         {"b.target": "-> /dev/null", "multi-user.target.wants/b.target": "-> ../b.target", "a.service": TEMPLATE,
          "b.target.wants/a.service": "-> ../a.service"}, {}),
    Rule("what a wanted unit requires runs", {"b.service": service("Requires=a.service"), "a.service": TEMPLATE},
         {"b.service": service("Requires=a.service"), "a.service": TEMPLATE + "X-Test=1\n"}, restart=A),
    Rule("a new unit brings what it wants", {}, {"b.service": service("Wants=a.service"), "a.service": TEMPLATE},
         start=("a.service", "b.service")),
    Rule("an alias is told by the unit's own name", {"a.service": TEMPLATE, "b.service": "-> a.service",
         "multi-user.target.wants/b.service": "-> ../b.service"}, {"a.service": TEMPLATE + "X-Test=1\n",
         "b.service": "-> a.service", "multi-user.target.wants/b.service": "-> ../b.service"}, restart=A),
    Rule("drop-ins count", {"a.service": PLAIN},
         {"a.service": PLAIN, "a.service.d/overrides.conf": "[Service]\nNice=1\n"}, restart=A),
    Rule("a drop-in that only takes back and sets the same", {"a.service": PLAIN},
         {"a.service": PLAIN, "a.service.d/x.conf": "[Service]\nExecStart=\nExecStart=/bin/true\n"}),
    Rule("drop-ins are called .conf", {"a.service": PLAIN},
         {"a.service": PLAIN, "a.service.d/x.txt": "[Service]\nNice=1\n"}),
    Rule("an instance follows its template", {"a@.service": TEMPLATE, **WANTED},
         {"a@.service": TEMPLATE + "X-Test=1\n", **WANTED}, restart=("a@one.service",)),
    Rule("an instance has drop-ins of its own", {"a@.service": TEMPLATE, **WANTED},
         {"a@.service": TEMPLATE, "a@one.service.d/o.conf": "[Service]\nNice=1\n", **WANTED},
         restart=("a@one.service",)),
    Rule("an instance is gone with its drop-ins",
         {"a@.service": TEMPLATE, "a@one.service.d/o.conf": "[Service]\nNice=1\n", **WANTED},
         {"a@.service": TEMPLATE}, stop=("a@one.service",)),
    Rule("an instance whose drop-ins are masked",
         {"a@.service": TEMPLATE, "a@one.service.d/o.conf": "[Service]\nNice=1\n", **WANTED},
         {"a@.service": TEMPLATE, "a@one.service.d/o.conf": "-> /dev/null"}, stop=("a@one.service",)),
    Rule("an instance that was started by hand lives on", {"a@.service": TEMPLATE, **WANTED},
         {"a@.service": TEMPLATE}),
    Rule("a socket is left alone", {"a.socket": SOCKET}, {"a.socket": SOCKET.replace("run/a", "run/b")}),
    Rule("a service that its socket starts again", {"a.socket": SOCKET, "a.service": PLAIN},
         {"a.socket": SOCKET, "a.service": CHANGED}, stop=A, restart=("a.socket",)),
    Rule("a service that says it does not wait for its socket", {"a.socket": SOCKET, "a.service": PLAIN},
         {"a.socket": SOCKET, "a.service": service(service="X-NotSocketActivated=true")},
         restart=("a.service", "a.socket")),
    Rule("a service with sockets by other names", {"b.socket": SOCKET, "a.service": PLAIN},
         {"b.socket": SOCKET, "a.service": service(service="Sockets=b.socket")}, stop=A, restart=("b.socket",)),
    Rule("a service whose socket is gone", {"a.socket": SOCKET, "a.service": PLAIN}, {"a.service": CHANGED},
         restart=A, stop=("a.socket",)),
    Rule("a service that a socket starts from now on", {"a.service": PLAIN},
         {"a.socket": SOCKET, "a.service": CHANGED}, stop=A, start=("a.socket",)),
    Rule("a socket of a service that is only restarted",
         {"a.socket": SOCKET, "a.service": service(service="X-StopIfChanged=false")},
         {"a.socket": SOCKET, "a.service": service(service="X-StopIfChanged=false\nX-Test=1")}, restart=A),
    Rule("an instance's socket is its template's", {"a@.service": TEMPLATE, "a.socket": SOCKET, **WANTED},
         {"a@.service": TEMPLATE + "X-Test=1\n", "a.socket": SOCKET, **WANTED},
         stop=("a@one.service",), restart=("a.socket",)),
    Rule("a mount's options", {"a.mount": MOUNT}, {"a.mount": MOUNT.replace("1M", "9M")}, reload=("a.mount",)),
    Rule("a mount's options that are new", {"a.mount": MOUNT.replace("Options=size=1M\n", "")}, {"a.mount": MOUNT},
         restart=("a.mount",)),
    Rule("what is mounted", {"a.mount": MOUNT}, {"a.mount": MOUNT.replace("tmpfs", "ramfs")},
         restart=("a.mount",)),
    Rule("nobody unmounts / and /nix", {"-.mount": MOUNT, "nix.mount": MOUNT},
         {"-.mount": MOUNT.replace("tmpfs", "ramfs"), "nix.mount": MOUNT.replace("tmpfs", "ramfs")},
         reload=("-.mount", "nix.mount")),
    Rule("a timer", {"a.timer": TIMER}, {"a.timer": TIMER.replace("daily", "weekly")}, restart=("a.timer",)),
    Rule("a timer's service doesn't run", {"a.timer": TIMER, "a.service": TEMPLATE},
         {"a.timer": TIMER, "a.service": TEMPLATE + "X-Test=1\n"}),
    Rule("systemd applies a changed path", {"a.path": PATH}, {"a.path": PATH.replace("/a", "/b")}),
    Rule("and a changed slice", {"a.slice": SLICE}, {"a.slice": SLICE.replace("1G", "2G")}),
    Rule("a target that is gone", {"a.target": TARGET}, {}, stop=("a.target",)),
    Rule("a target that is new", {}, {"a.target": TARGET}, start=("a.target",)),
    Rule("a changed target is started again, as all are", {"a.target": TARGET},
         {"a.target": "[Unit]\nX=1\n" + TARGET}),
    Rule("even where it is stopped first", {"a.target": TARGET},
         {"a.target": "[Unit]\nX-StopOnReconfiguration=true\n" + TARGET}),
    Rule("but not where nobody may start it", {"a.target": TARGET},
         {"a.target": "[Unit]\nX-StopOnReconfiguration=true\nRefuseManualStart=true\n" + TARGET},
         stop=("a.target",)),
    Rule("names with a backslash or a dash", {"a\\x2db.service": PLAIN, "-.service": PLAIN},
         {"a\\x2db.service": CHANGED, "-.service": CHANGED}, restart=("-.service", "a\\x2db.service")),
    Rule("a file of another name is no unit", {"a.service.bak": PLAIN}, {"a.service.bak": CHANGED}),
    Rule("other options in fstab", {}, {}, fstab=("/dev/a /a ext4 defaults 0 2", "/dev/a /a ext4 noatime 0 2"),
         reload=("a.mount",)),
    Rule("another device in fstab", {}, {}, fstab=("/dev/a /a ext4", "/dev/b /a ext4"), restart=("a.mount",)),
    Rule("another device for /", {}, {}, fstab=("/dev/a / ext4 rw", "/dev/b / ext4 rw"), keep=("-.mount",)),
    Rule("other options for /nix, too", {}, {}, fstab=("/dev/a /nix ext4 rw", "/dev/b /nix ext4 ro"),
         reload=("nix.mount",)),
    Rule("a mount that is gone", {}, {}, fstab=("/dev/a /srv/my-data ext4", ""), stop=("srv-my\\x2ddata.mount",)),
    Rule("one that was mounted when asked for", {}, {}, fstab=("/dev/a /a ext4 x-systemd.automount", ""),
         stop=("a.automount",)),
    Rule("a mount that is new", {}, {}, fstab=("", "/dev/a /.a/é ext4"), start=("\\x2ea-\\xc3\\xa9.mount",)),
    Rule("swap that is gone", {}, {}, fstab=("/dev/sda2 none swap", ""), stop=("dev-sda2.swap",)),
    Rule("lines that switch-to-configuration skips", {}, {}, fstab=("/dev/a /a ext4 # mine\nshort", "")),
]  # fmt: skip


def effects(rule: Rule) -> SwitchEffects:
    return SwitchEffects(
        restart=rule.restart, reload=rule.reload, stop=rule.stop, start=rule.start, keep=rule.keep
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.reason)
def test_a_switch_follows_the_rules_of_switch_to_configuration(rule: Rule, tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = store.nixos(rule.old, etc=rule.fstab[0]), store.nixos(rule.new, etc=rule.fstab[1])
    assert switch_effects(old, new) == effects(rule)


NOSTOP = "X-StopIfChanged=false\n"
SIMPLE = service(service="ExecReload=/bin/true")
SIMPLE_NOSTOP = service(service="ExecReload=/bin/true\n" + NOSTOP)
REQUIRED = {
    "required.service": SIMPLE,
    "test.service": service("Requires=required.service", "ExecReload=/bin/true"),
}
INSTANCES = {f"multi-user.target.wants/i@{name}.service": "-> ../x" for name in ("one", "two")}
DROP_INS = {f"i@{name}.service.d/overrides.conf": "[Unit]\nDescription=I\n" for name in ("one", "two")}

SPECIALISATIONS: dict[str, Units] = {
    "": {},
    "simpleService": {"test.service": SIMPLE},
    "simpleServiceDifferentDescription": {"test.service": SIMPLE.replace("Test", "Test unit")},
    "simpleServiceModified": {"test.service": service(service="ExecReload=/bin/true\nX-Test=true")},
    "simpleServiceNostop": {"test.service": SIMPLE_NOSTOP},
    "simpleServiceReload": {"test.service": service(service="ExecReload=/bin/true\nX-ReloadIfChanged=true")},
    "simpleServiceNorestart": {"test.service": service(service="ExecReload=/bin/true\nX-RestartIfChanged=false")},
    "simpleServiceWithExtraSection": {"test.service": SIMPLE_NOSTOP + "[X-Test]\nX-Test-Value=a\n"},
    "simpleServiceWithInstallSection": {"test.service": SIMPLE_NOSTOP + "[Install]\nWantedBy=multi-user.target\n"},
    "simpleServiceReloadTrigger": {"test.service": SIMPLE_NOSTOP + "[Unit]\nX-Reload-Triggers=/dev/null\n"},
    "simpleServiceReloadTriggerModifiedAndSomethingElse": {
        "test.service": SIMPLE_NOSTOP + "[Unit]\nX-Reload-Triggers=/dev/zero\n[Service]\nX-Test=test\n"
    },
    "simpleServiceReloadTriggerModifiedSomethingElse": {
        "test.service": SIMPLE_NOSTOP + "[Service]\nX-Test=test\n"
    },
    "unitWithBackslash": {"escaped\\x2ddash.service": SIMPLE},
    "unitWithRequirement": REQUIRED,
    "unitWithTemplate": {"i@.service": TEMPLATE, **INSTANCES, **DROP_INS},
    "unitWithTemplateModified": {"i@.service": TEMPLATE + "X-Test=test\n", **INSTANCES, **DROP_INS},
    "mount": {"testmount.mount": MOUNT},
    "mountOptionsModified": {"testmount.mount": MOUNT.replace("1M", "10M")},
    "mountModified": {"testmount.mount": MOUNT.replace("1M", "10M").replace("tmpfs", "ramfs")},
    "timer": {"test-timer.timer": TIMER, "test-timer.service": TEMPLATE},
    "timerModified": {"test-timer.timer": TIMER.replace("daily", "weekly"), "test-timer.service": TEMPLATE},
    "hybridSleepModified": {"hybrid-sleep.target": "[Unit]\nDescription=Sleep\nX-Test=true\n"},
    "target": {"test-target.target": TARGET},
    "targetModified": {"test-target.target": TARGET.replace("[Install]", "X-Test=true\n[Install]")},
    "path": {"test-watch.path": PATH, "test-watch.service": TEMPLATE},
}

TEST = ("test.service",)
NIXPKGS = [
    ("", "", {}),
    ("", "simpleService", {"start": TEST}),
    ("simpleService", "simpleService", {}),
    ("simpleService", "simpleServiceDifferentDescription", {}),
    ("simpleServiceDifferentDescription", "simpleServiceModified", {"restart": TEST}),
    ("simpleServiceModified", "simpleServiceNostop", {"restart": TEST}),
    ("simpleServiceNostop", "simpleServiceReload", {"reload": TEST}),
    ("simpleServiceReload", "simpleServiceNorestart", {"keep": TEST}),
    ("simpleService", "unitWithBackslash", {"stop": TEST, "start": ("escaped\\x2ddash.service",)}),
    ("", "unitWithRequirement", {"start": ("required.service", "test.service")}),
    ("unitWithTemplate", "unitWithTemplateModified", {"restart": ("i@one.service", "i@two.service")}),
    ("simpleServiceNostop", "simpleServiceWithExtraSection", {"restart": TEST}),
    ("simpleServiceWithExtraSection", "simpleServiceNostop", {"restart": TEST}),
    ("simpleServiceNostop", "simpleServiceWithInstallSection", {}),
    ("simpleServiceNostop", "simpleServiceReloadTrigger", {"reload": TEST}),
    ("simpleServiceReloadTrigger", "simpleServiceReloadTriggerModifiedAndSomethingElse", {"restart": TEST}),
    (
        "simpleServiceReloadTriggerModifiedAndSomethingElse",
        "simpleServiceReloadTriggerModifiedSomethingElse",
        {},
    ),
    ("mount", "mountOptionsModified", {"reload": ("testmount.mount",)}),
    ("mountOptionsModified", "mountModified", {"restart": ("testmount.mount",)}),
    ("timer", "timerModified", {"restart": ("test-timer.timer",)}),
    ("timerModified", "hybridSleepModified", {"stop": ("test-timer.timer",)}),
    ("hybridSleepModified", "target", {"start": ("test-target.target",)}),
    ("target", "targetModified", {}),
    ("targetModified", "timerModified", {"stop": ("test-target.target",), "start": ("test-timer.timer",)}),
    ("timerModified", "path", {"stop": ("test-timer.timer",), "start": ("test-watch.path",)}),
]


@pytest.mark.parametrize(
    ("before", "after", "expected"), NIXPKGS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_switch_does_what_nixpkgs_tests_that_it_does(
    before: str, after: str, expected: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    """nixos/tests/switch-test.nix, as far as files tell it; a unit that it stops and starts is restarted here."""
    store = Store(tmp_path)
    old, new = store.nixos(SPECIALISATIONS[before]), store.nixos(SPECIALISATIONS[after])
    assert switch_effects(old, new) == SwitchEffects(**expected)
