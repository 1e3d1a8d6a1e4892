"""docs/forges/: who follows a page from its configuration to the first pull request sees what it shows.

The forge is a stand-in on this machine; that it has another address is all that differs.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import forked
from tests.docs.pages import DOCS, Page
from tests.nixes import Nix
from tests.pull_requests.forges import FORGES, NAME, Forge, host_of
from tests.pull_requests.world import Nights

HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "forgejo": "codeberg.org"}
SECRET = "/run/secrets/lockbot-forge-token"  # noqa: S105  # where one is
FOLLOWED = [
    pytest.param("forges/github", "github", True, id="github"),
    pytest.param("forges/gitlab", "gitlab", True, id="gitlab"),
    pytest.param("forges/forgejo", "forgejo", True, id="forgejo"),
    pytest.param("forges/without-a-token", "github", False, id="without-a-token"),
]


@pytest.mark.parametrize(("name", "kind", "token"), FOLLOWED)
def test_a_page_leads_to_what_it_shows(name: str, kind: str, token: bool, one_nix: Nix, tmp_path: Path) -> None:
    page = DOCS[name]
    with host_of(tmp_path / "forge") as host:
        forge: Forge = FORGES[kind](host)
        nights = Nights(one_nix, tmp_path / "nights", forge, token=token)
        follow(page, nights, HOSTS[kind])
        nights.upstream("a")
        checked, updated = page.blocks("text")
        there = Address(nights.forge, HOSTS[kind], git_at=address_of(page))
        assert [line for line in there.hides(said(nights, "check")) if "pull requests:" in line] == lines(checked)
        assert there.hides(said(nights, "--quiet", "update"))[: len(lines(updated))] == lines(updated)
        assert (len(nights.open()) == 1) is token


def follow(page: Page, nights: Nights, host: str) -> None:
    """Take the page's configuration, but for where things are; that this is a forge must be said of a stand-in."""
    forge, world = nights.forge, nights.world
    here = {
        address_of(page): f"{forge.host.url}/{NAME}.git",
        f'"{host}"': f'"{forge.host.host}"',
        SECRET: str(world.directory / "token"),
    }
    text = page.blocks("toml")[0]
    for shown, real in here.items():
        text = text.replace(shown, real)
    for section in text.strip().split("\n\n"):
        head, _, body = section.partition("\n")
        is_forge = head.startswith("[forge.")
        more = f'\nkind = "{forge.kind}"\nurl = "{forge.host.url}{forge.api}"' if is_forge else ""
        world.settings[head.strip("[]")] = body + more


def address_of(page: Page) -> str:
    (address,) = re.findall(r'url = "(.*)"', page.blocks("toml")[0])
    return str(address)


class Address:
    """What is called so here, by the names of the page."""

    def __init__(self, forge: Forge, host: str, git_at: str) -> None:
        self._names = {
            f"{forge.host.url}/{NAME}.git": git_at,
            forge.host.url: f"https://{host}",
            forge.host.host: host,
            NAME: "you/nixos",
            "(a)": "(nixpkgs)",
        }

    def hides(self, text: str) -> list[str]:
        for here, there in self._names.items():
            text = text.replace(here, there)
        return lines(text)


def lines(text: str) -> list[str]:
    """Without advice, which stands below a line."""
    return [line for line in text.rstrip("\n").splitlines() if not line.startswith("         ")]


def said(nights: Nights, *arguments: str) -> str:
    process = nights.world.start(argv=nights.world.argv(*arguments))
    stdout, stderr = forked.ended(process, _TIMEOUT)
    assert process.returncode == 0, stderr
    return stdout


_TIMEOUT = 120


def test_every_page_is_followed() -> None:
    assert {name for name in DOCS if name.startswith("forges/")} == {one.values[0] for one in FOLLOWED}
