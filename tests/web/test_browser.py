"""The pages in a real browser, beside a daemon that is really building: what a person with it would meet.

Needs Debian's chromium, and Playwright to drive it; without them these tests are skipped, and the run says so.
LOCKBOT_TEST_SCREENSHOTS=DIRECTORY keeps a picture of each page, light, dark and as on a phone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests import nixes
from tests.daemon.world import Service
from tests.fleet import Breakage, HostSpec, since

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium")
PICTURES = os.environ.get("LOCKBOT_TEST_SCREENSHOTS")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}, "is_mobile": True},
}
MOST_PAGES = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="NOT TESTED in a browser: no playwright")
    if CHROMIUM is None:
        pytest.skip("NOT TESTED in a browser: no chromium (.ci/chromium-from-debian --install)")
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield made
        made.close()


@pytest.fixture(scope="module")
def axe() -> str:
    folder = Path(pytest.importorskip("axe_playwright_python").__file__).parent
    return (folder / "axe.min.js").read_text()


# -- the world: what was, and a daemon that builds


class Web:
    """`lockbot web` beside a daemon, with a past: an update that landed, one that is held, one being built."""

    def __init__(self, nix: nixes.Nix, directory: Path) -> None:
        self.daemon = Service(nix, directory)
        self.daemon.environ["PYTHONPATH"] = str(nixes.PROJECT)
        fleet, upstream = self.daemon.fleet, self.daemon.upstream
        self.daemon.configure('when = "1h"')
        upstream.commit("second", value="2")
        self._update(0)
        breakage = Breakage("build", since({"a": 3}), "\x1b[31mred\x1b[0m <b>bold</b>")
        fleet.declare(hosts=[HostSpec("web", ["a"]), HostSpec("db", ["a"], failure=breakage), HostSpec("log", [])])
        upstream.commit("third", value="3")
        self._update(1)
        fleet.declare(hosts=[HostSpec("web", ["a"]), HostSpec("db", ["a"], seconds=300), HostSpec("log", [])])
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def _update(self, code: int) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "lockbot", "--config", str(self.daemon.config), "update"],
            env=self.daemon.environ,
            cwd=self.daemon.tmp,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr

    def start(self) -> None:
        self.daemon.start()
        self.daemon.hear("building host-db")
        config = str(self.daemon.config)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lockbot", "web", "--config", config, "--listen", "127.0.0.1:0"],
            env=self.daemon.environ,
            cwd=self.daemon.tmp,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r"http://[0-9.]+:[0-9]+", line)
        assert found is not None, line
        self.address = found[0]

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=30)
        if self.daemon.process is not None:
            self.daemon.stop()
        self.daemon.close()


@pytest.fixture(scope="module")
def web(
    browser: Browser,  # noqa: ARG001 -- without one, the world is not made
    _prepared: Callable[[nixes.Installed], nixes.Nix],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Web]:
    nix = _prepared(nixes.discover()[-1])
    made = Web(nix, tmp_path_factory.mktemp("web"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


# -- every page


def test_every_page_in_a_browser(browser: Browser, web: Web, axe: str) -> None:
    """Without scripts all is there; nothing is asked of anybody else; no rule of accessibility is broken, in
    light, in dark and on a phone; nothing is wider than a phone."""
    context = browser.new_context(java_script_enabled=False, **LOOKS["light"])
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    pages = _walk(context.new_page(), web.address)
    context.close()
    _is_whole(pages)
    for look, options in LOOKS.items():
        context = browser.new_context(bypass_csp=True, **options)  # for axe, which is no part of the page
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        for address in _one_of_each(pages):
            page.goto(web.address + address)
            assert _violations(page, axe) == [], f"{address}, {look}"
            if look == "phone":
                width = page.evaluate("document.scrollingElement.scrollWidth")
                assert width <= 360, f"{address} is {width} wide"
            _picture(page, f"{address}-{look}")
        context.close()
    assert {url for url in asked if not url.startswith(web.address + "/")} == set()


def _walk(page: Page, start: str) -> dict[str, str]:
    """Every page that can be come to by links: address → what a person reads there."""
    found: dict[str, str] = {}
    waiting = ["/"]
    while waiting and len(found) < MOST_PAGES:
        address = waiting.pop(0)
        response = page.goto(start + address)
        assert response is not None and response.status == 200, address
        assert page.title() and page.locator("main h1").count() == 1, address
        found[address] = page.inner_text("main")
        for link in page.locator("a[href]").all():
            where = urlsplit(str(link.evaluate("element => element.href")))
            path = where.path + (f"?{where.query}" if where.query else "")
            own = where.netloc == urlsplit(start).netloc and not path.endswith((".atom", ".json", ".svg"))
            if own and "refresh=" not in path and path not in found and path not in waiting:
                waiting.append(path)
    return found


KINDS = ("/", "/inputs", "/inputs/a", "/runs", "/hosts", "/packages", "/lint")


def _is_whole(pages: dict[str, str]) -> None:
    assert set(KINDS) <= pages.keys()
    runs = [text for address, text in pages.items() if re.fullmatch(r"/runs/[^/?]+", address)]
    hosts = [text for address, text in pages.items() if re.fullmatch(r"/hosts/[^/?]+", address)]
    assert len(runs) == 3 and len(hosts) == 3
    assert "host-db" in pages["/"], "what is being built"
    assert any("<b>bold</b>" in text for address, text in pages.items() if address.startswith("/runs/")), "as text"


def _one_of_each(pages: dict[str, str]) -> list[str]:
    """One address of each kind of page: all runs look alike."""
    kinds: dict[str, str] = {}
    for address in pages:
        path = address.partition("?")[0]
        kind = path if path in KINDS else re.sub(r"(?<=^/[a-z]{4}/)[^/]+|(?<=^/[a-z]{5}/)[^/]+", "*", path)
        kinds.setdefault(re.sub(r"[^/]+$", "*", kind) if kind.count("/") > 2 else kind, address)
    return list(kinds.values())


def _violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    result: dict[str, Any] = page.evaluate("axe.run()")
    return [
        f"{one['id']}: {node['html']} {node.get('failureSummary', '')}"
        for one in result["violations"]
        for node in one["nodes"]
    ]


def _picture(page: Page, name: str) -> None:
    if PICTURES is not None:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        file = re.sub(r"[^a-z0-9-]+", "_", name.lower()).strip("_")
        page.screenshot(path=str(Path(PICTURES) / f"{file}.png"), full_page=True)


def test_with_the_keyboard_alone(browser: Browser, web: Web) -> None:
    """The first stop leads past the navigation; what has the focus is seen; every link is come to."""
    context: BrowserContext = browser.new_context(java_script_enabled=True)
    page = context.new_page()
    page.goto(web.address + "/inputs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    context.close()


def test_a_form_without_scripts_and_the_same_as_json(browser: Browser, web: Web) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(web.address + "/packages")
    page.get_by_role("searchbox").or_(page.get_by_role("textbox")).first.fill('"><b>no such</b>')
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "q=" in page.url and page.locator("main b").count() == 0
    assert '"><b>no such</b>' in page.content().replace("&#34;", '"').replace("&quot;", '"').replace(
        "&gt;", ">"
    ).replace("&lt;", "<")
    document = page.request.get(page.url.replace("/packages?", "/packages.json?"))
    assert isinstance(json.loads(document.text()), dict)
    context.close()
