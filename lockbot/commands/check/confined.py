"""What other programs are kept from on this machine, as `lockbot check` tells it."""

from __future__ import annotations

from collections.abc import Iterator

from lockbot.app import App
from lockbot.confine import Confine, homes
from lockbot.nix.command import Nix
from lockbot.nix.environment.daemon import Builder
from lockbot.process import landlock

_OTHERS = (".netrc", ".git-credentials")
"""What private inputs over https may need, and Nix does not get to read by itself."""


def confinement(app: App) -> tuple[bool, str, str]:
    """Whether programs are confined; that in words, and what to do where they are not. Raises SurroundingsError
    where they must be."""
    found = app.confinement
    if found.why_not is None:
        return True, f"Nix, git and hooks read no secret (Landlock, version {landlock.version()})", ""
    advice = (
        "an input may read what this user may: keep secrets from it, or run lockbot where the kernel has Landlock"
    )
    if app.settings.security.confine is Confine.NEVER:
        advice = 'an input may read what this user may: `[security] confine = "when-possible"` keeps it from that'
    return False, f"programs are not confined: {found.why_not}", advice


def builders(nix: Nix) -> tuple[bool, str, str] | None:
    """Whether builders are kept from writing, too; None: that is not up to lockbot."""
    place = nix.place
    if place is None:
        return None
    if place.settings.get("sandbox") == "relaxed":
        return (
            False,
            "Nix's sandbox is relaxed: a derivation that asks for it is built without",
            "set `sandbox = true` in nix.conf",
        )
    match place.daemon.builder:
        case Builder.DAEMON:
            return True, "the daemon builds, outside of lockbot's confinement and in its own sandbox", ""
        case Builder.OWN_DAEMON:
            return True, "Nix builds in its sandbox, by a daemon that lockbot starts for that", ""
        case Builder.NIX_ITSELF:
            return (
                False,
                "Nix builds here itself, with no sandbox: builders read no secret, but write where this user may",
                "set `sandbox = true` in nix.conf, or have nix-daemon build",
            )


def kept_back(app: App) -> Iterator[str]:
    """What is there and private inputs may need, which only `[security] readable` lets Nix read."""
    readable = app.confinement.readable
    for home in homes(app.environ):
        for file in (home / name for name in _OTHERS):
            if file.exists() and not any(file.is_relative_to(path) for path in readable):
                yield str(file)
