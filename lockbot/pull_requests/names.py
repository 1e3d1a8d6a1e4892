"""What the branch of a pull request is called: the same for the same inputs, night after night. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from lockbot.git.publish import branch_name


def group_key(inputs: Iterable[str] | None) -> str:
    """Which inputs share a request, as one text; empty: all that there are."""
    return " ".join(sorted(map(_quoted, inputs or ())))


def branch_of(prefix: str, base: str, flake_dir: str, group: str) -> str:
    """`lockbot/update-main`, `lockbot/update-main+hosts,one=nixpkgs`: no two flakes or groups have the same.

    `group` as `group_key` has it.
    """
    name = f"{prefix}update-{base.replace('%', '%25').replace('+', '%2B').replace('=', '%3D')}"
    if flake_dir:
        name += f"+{_quoted(flake_dir).replace('%2F', ',')}"
    if group:
        name += f"={group.replace('%2F', ',').replace(' ', '+')}"
    return branch_name(name)


def _quoted(text: str) -> str:
    # What `quote` leaves alone and git does not: `..`, `.lock`, `~`.
    return quote(text, safe="", errors="surrogateescape").replace(".", "%2E").replace("~", "%7E")
