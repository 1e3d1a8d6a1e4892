"""Systems as they lie in a store: directories of links to other store paths. No Nix is needed to make them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BASE = {
    "multi-user.target": "[Unit]\nRequires=basic.target\n",
    "basic.target": "[Unit]\nRequires=sysinit.target\nWants=sockets.target timers.target paths.target\n",
    "sysinit.target": "[Unit]\nWants=local-fs.target\n",
    "local-fs.target": "",
    "paths.target": "",
    "sockets.target": "",
    "timers.target": "",
    "hybrid-sleep.target": "[Unit]\nDescription=Sleep\n",
}
"""Targets that every system has."""

ACCOUNTS = '{"users": [{"name": "root"}], "groups": [{"name": "root"}]}'
SWITCHING = {"kernel": "linux-6.12.3/bzImage", "systemd": "systemd-257.2"}


@dataclass(frozen=True)
class Store:
    """A store directory. Links in it say /nix/store/…, wherever it lies."""

    path: Path

    def add(self, name: str, files: Mapping[str, str]) -> str:
        """A store path with these files, and its name. `-> TARGET` stands for a link."""
        entry = f"{_hash(name, repr(sorted(files.items())))}-{name}"
        for inside, text in files.items():
            file = self.path / entry / inside if inside else self.path / entry
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.is_symlink() or file.exists():
                continue
            if text.startswith("-> "):
                file.symlink_to(text.removeprefix("-> "))
            else:
                file.write_text(text)
        return entry

    def nixos(self, units: Mapping[str, str], files: Mapping[str, str] | None = None, etc: str = "") -> Path:
        """A NixOS system. `files` are of the toplevel; `etc` is an fstab."""
        directory = self.add(
            "system-units", self._units({**BASE, "default.target": "-> multi-user.target", **units})
        )
        etc_path = self.add("etc", {"etc/systemd/system": f"-> /nix/store/{directory}", "etc/fstab": etc})
        accounts = self.add("users-groups.json", {"": ACCOUNTS})
        toplevel = {
            "etc": f"-> /nix/store/{etc_path}/etc",
            "activate": f"perl update-users-groups.pl /nix/store/{accounts}\n",
            "nixos-version": "25.05.20250101.abcdef",
            "system": "x86_64-linux",
            "init-interface-version": "systemd 2",
            **{name: self.link(target) for name, target in SWITCHING.items()},
            **(files or {}),
        }
        return self.path / self.add("nixos-system-web-25.05", {k: v for k, v in toplevel.items() if v != "absent"})

    def home(self, units: Mapping[str, str], activate: str = "/nix/store/x-sd-switch/bin/sd-switch\n") -> Path:
        """A generation of Home Manager."""
        inside = {f".config/systemd/user/{name}": text for name, text in self._units(units).items()}
        files = self.add("home-manager-files", {".keep": "", **inside})
        generation = {"home-files": f"-> /nix/store/{files}", "activate": activate}
        return self.path / self.add("home-manager-generation", generation)

    def link(self, name: str, salt: str = "") -> str:
        """A link to a store path of that name, which need not be there."""
        return f"-> /nix/store/{_hash(name, salt)}-{name}"

    def _units(self, units: Mapping[str, str]) -> dict[str, str]:
        """Each unit a link to a store path of its own, and links where it is wanted by another."""
        made = {}
        for name, text in units.items():
            if text.startswith("-> ") or "/" in name:
                made[name] = text
            else:
                entry = self.add("unit-" + name.replace("\\", "-"), {name: text})
                made[name] = f"-> /nix/store/{entry}/{name}"
            for line in text.splitlines():
                wanted_by = line.removeprefix("WantedBy=") if line.startswith("WantedBy=") else ""
                made.update({f"{target}.wants/{name}": f"-> ../{name}" for target in wanted_by.split()})
        return made


def _hash(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]


def service(unit: str = "", service: str = "", wanted_by: str = "multi-user.target") -> str:
    """A service, with more lines in its sections."""
    return (
        f"[Unit]\nDescription=Test\n{unit}\n[Service]\nType=oneshot\nExecStart=/bin/true\n{service}\n"
        f"[Install]\nWantedBy={wanted_by}\n"
    )
