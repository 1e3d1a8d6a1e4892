"""Fixtures for every test: real Nix versions, an environment for git, a cancel token; no process left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockbot import process
from tests import forked, nixes, processes, sampling

INSTALLED = nixes.discover()
_PATIENCE = 2.0
"""Seconds that a test's children get to be gone: a killed process takes a moment to leave /proc."""


def pytest_configure() -> None:
    if not INSTALLED:
        raise pytest.UsageError("no Nix 2.19 or newer to test with: run `make test`, which unpacks two")
    # A shell's `&` has it ignored, and children would be deaf to it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if left_out := sampling.left_out(items):
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    versions = ", ".join(installed.version for installed in INSTALLED)
    terminalreporter.write_line(f"tested with Nix {versions}")
    for suite in nixes.missing():
        terminalreporter.write_line(
            f"NOT TESTED with Debian {suite}'s Nix: it could not be unpacked or does not run "
            f"(.ci/nix-from-debian {suite} .nix-versions/{suite})",
            red=True,
            bold=True,
        )
    reports = [one for kind in ("passed", "failed", "skipped") for one in terminalreporter.stats.get(kind, [])]
    for told in sorted({str(text) for one in reports for name, text in one.user_properties if name == "told"}):
        terminalreporter.write_line(told)
    reasons = {str(one.longrepr[2]) for one in reports if one.skipped and isinstance(one.longrepr, tuple)}
    for reason in sorted(one.removeprefix("Skipped: ") for one in reasons if "NOT TESTED" in one):
        terminalreporter.write_line(reason, red=True, bold=True)


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[nixes.Installed], nixes.Nix]:
    """One store for each version in each worker, made when it is first asked for."""
    made: dict[nixes.Installed, nixes.Nix] = {}

    def prepared(installed: nixes.Installed) -> nixes.Nix:
        if installed not in made:
            made[installed] = nixes.prepare(installed, tmp_path_factory.mktemp(str(installed)) / "nix")
        return made[installed]

    return prepared


@pytest.fixture(params=INSTALLED, ids=str)
def nix(request: pytest.FixtureRequest, _prepared: Callable[[nixes.Installed], nixes.Nix]) -> nixes.Nix:
    """Each version in turn. The store is shared with this worker's other tests: count no builds in it."""
    return _prepared(request.param)


@pytest.fixture
def one_nix(_prepared: Callable[[nixes.Installed], nixes.Nix]) -> nixes.Nix:
    """The newest version only, for tests in which the version does not matter."""
    return _prepared(INSTALLED[-1])


@pytest.fixture(params=INSTALLED, ids=str)
def fresh_nix(request: pytest.FixtureRequest, tmp_path: Path) -> nixes.Nix:
    """Each version in turn, with an empty store of the test's own."""
    return nixes.prepare(request.param, tmp_path / "fresh-nix")


@pytest.fixture
def git_environment(tmp_path: Path) -> dict[str, str]:
    """A whole environment for git that knows nothing of this machine's user."""
    return nixes.git_environment(tmp_path / "git-home")


@pytest.fixture
def cancel() -> Iterator[process.CancelToken]:
    token = process.CancelToken()
    yield token
    token.close()


@pytest.fixture(autouse=True)
def _no_git_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook or an editor may run the tests with GIT_DIR set; no test may write there."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_process_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test starts ends with it: children, theirs, and what has left the family."""
    place = f"{tmp_path_factory.getbasetemp()}/"
    before = processes.children()
    begun = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    yield
    end = time.monotonic() + _PATIENCE
    while (left := _left(place, begun, before)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left, "left running:\n" + "\n".join(f"{pid}: {processes.command(pid)}" for pid, _ in left)


def _left(place: str, begun: int, before: set[int]) -> set[tuple[int, str]]:
    """Who was started since then, in the kernel's clock ticks, and was no child before: what serves several tests
    was there. To look at every process takes longer than most tests, and is done once."""
    new = {one for one in _running(place) if int(one[1]) >= begun and one[0] not in before}
    return {one for one in new if one[0] != forked.server() and not _watches_us(one[0])}


def _watches_us(pid: int) -> bool:
    """Whoever would end this process's children, did it die, and the agent with the ssh keys that whoever runs the
    tests has: they end with it (`process/test_watcher.py`, `nix/environment/test_keys.py`)."""
    said = processes.command(pid)
    ours = any(words in said for words in ("/process/watcher.py ", "SSH_AGENT_PID", "ssh-agent"))
    return ours and (pid, process.process_start(pid)) in process.descendants(os.getpid())


def _running(place: str) -> set[tuple[int, str]]:
    """This worker's descendants, and (re-parented or not) processes whose environment names its directory."""
    found = {one for one in process.descendants(os.getpid()) if processes.command(one[0])}
    named = ((pid, process.process_start(pid)) for pid, _ in processes.naming(Path(place)))
    return found | {(pid, started) for pid, started in named if started is not None}
