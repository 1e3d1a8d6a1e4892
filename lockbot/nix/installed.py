"""The Nix of this machine: found, and asked what it can do (`nix __dump-cli`), which its name does not tell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockbot.errors import LockbotError
from lockbot.nix.command import Nix
from lockbot.nix.environment import FEATURES, SETTINGS, Place, environment
from lockbot.process import CancelToken, Deadline

OLDEST = "2.19"


def find(
    environ: Mapping[str, str],
    cancel: CancelToken,
    data_home: Path,
    settings: Mapping[str, str],
    git: Mapping[str, str] | None = None,
    place: Callable[[Mapping[str, str]], Place] | None = None,
) -> Nix:
    """The Nix on PATH, with further settings and git variables. Refuses what is too old, by what it can do.

    `place` makes where it works confined, of its environment.
    """
    git = git or {}
    programs = {name: shutil.which(name, path=environ.get("PATH", "")) for name in ("nix", "nix-store")}
    for name, program in programs.items():
        if program is None:
            raise LockbotError(
                f"no `{name}` on PATH", "install Nix 2.19 or newer (or Lix), or add it to this service's PATH"
            )
    first = environment(environ, data_home, {FEATURES: SETTINGS[FEATURES]}, git)
    nix = Nix(
        nix=Path(programs["nix"] or "").absolute(),
        nix_store=Path(programs["nix-store"] or "").absolute(),
        environ=first,
        cancel=cancel,
        banner="",
        place=place(first) if place is not None else None,
    )
    finished = nix.call(nix.nix, "--version", deadlines=[Deadline(60, "nix --version")])
    banner = finished.stdout.strip()
    if finished.code != 0 or not banner:
        raise finished.error(f"{nix.nix} does not run", "try `nix --version` as this user")
    nix = replace(nix, banner=banner)
    cli = _cli(nix)
    if not _updates_by_name(cli):
        raise LockbotError(
            f"{banner} ({nix.nix}) is too old: it has no `nix flake update NAME`",
            f"lockbot needs Nix {OLDEST} or newer, or Lix; put a newer `nix` first on PATH (Debian 12 ships 2.8: "
            "install Nix from its own installer or from a newer Debian)",
        )
    # Each setting is an option, too. Of one that it does not know Nix would complain at every call.
    known = {name: value for name, value in SETTINGS.items() if name == FEATURES or name in cli.get("flags", {})}
    final = environment(environ, data_home, known | dict(settings), git)
    return replace(nix, environ=final, place=place(final) if place is not None else None)


def _cli(nix: Nix) -> dict[str, Any]:
    """What Nix tells of its command line; nothing where it can't."""
    finished = nix.call(nix.nix, "__dump-cli", deadlines=[Deadline(60, "nix __dump-cli")])
    try:
        cli = json.loads(finished.stdout)
        return dict(cli.get("args", cli))
    except (ValueError, TypeError, AttributeError):
        return {}


def _updates_by_name(cli: Mapping[str, Any]) -> bool:
    """`nix flake update NAME` came together with its --flake option (2.19)."""
    try:
        return "flake" in cli["commands"]["flake"]["commands"]["update"]["flags"]
    except (KeyError, TypeError):
        return False
