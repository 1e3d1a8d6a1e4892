"""A plugin of pytest's that runs the tests against mutants, as `.ci/mutants` makes them; README.md says how.

    python -m pytest -p tests.mutants --mutants=FILE --results=FILE [--at-once=2] TESTS…

The tests run once on the code as it is, and it is seen which lines each of them runs. Then each mutant
gets a fork of that process, and the tests that run its lines, the fastest first, until one fails. A mutant of a
function is put in its place in the fork; one of what runs at import (constants, classes) gets a Python of its
own.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.abc
import importlib.machinery
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from lockbot import process

ONE = "LOCKBOT_MUTANT"
"""The environment variable that holds the mutant, as JSON, in a Python of its own."""
PATIENCE = 2
"""Seconds of CPU that a test gets beside three times what it took on the code as it is; by the clock, four times
that."""
OFTEN = 100
"""After so many calls in one test it is known which lines of a function it runs."""
MEMORY = 4 * 2**30
"""Bytes of address space: a loop without end may fill it."""
_CODE_OPTIMIZED = 0x1  # inspect.CO_OPTIMIZED: a function's body, not a class's or a module's

# What fails is not made smaller or remembered: that it fails is all that is asked.
settings.register_profile("mutants", database=None, phases=(Phase.explicit, Phase.generate), derandomize=True)
settings.load_profile("mutants")


@dataclass(frozen=True)
class Mutant:
    """`edit`: what of the file's text is replaced (start, end), and by what."""

    file: str
    function: str
    lines: tuple[int, int]
    operator: str
    edit: tuple[int, int, str]
    shown: tuple[str, str]
    text: str = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Mutant:
        values = json.loads(text)
        lines, edit, shown = (tuple(values.pop(name)) for name in ("lines", "edit", "shown"))
        return cls(**values, lines=lines, edit=edit, shown=shown, text=text)

    def source(self) -> str:
        start, end, new = self.edit
        old = Path(self.file).read_text()
        return old[:start] + new + old[end:]


# -- a Python of its own ----------------------------------------------------------------------------------------


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds one module mutated, and leaves every other to the next finder."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.name = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        file = str(Path(self.mutant.file).resolve())
        spec = importlib.machinery.ModuleSpec(name, self, origin=file, is_package=file.endswith("/__init__.py"))
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(str(Path(file).parent))
        return spec

    def get_source(self, fullname: str) -> str:
        assert fullname == self.name
        return self.mutant.source()


if ONE in os.environ:
    sys.meta_path.insert(0, _Mutated(Mutant.read(os.environ.pop(ONE))))


# -- which tests run which lines --------------------------------------------------------------------------------


@dataclass
class _Test:
    item: pytest.Item
    seconds: float
    cpu: float
    lines: Mapping[str, set[int]]


class _Seen:
    """The lines of some files that are run while it is watching."""

    def __init__(self, files: set[str]) -> None:
        self.lines: dict[str, set[int]] = {file: set() for file in files}
        self._calls: Counter[CodeType] = Counter()

    def __call__(self, frame: FrameType, event: str, _: object) -> _Seen | None:
        lines = self.lines.get(frame.f_code.co_filename)
        if lines is None:
            return None
        if event == "call":
            self._calls[frame.f_code] += 1
            if self._calls[frame.f_code] > OFTEN:
                return None
        lines.add(frame.f_lineno)
        return self

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        threading.settrace(self)
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)


def _first_run(items: Sequence[pytest.Item], files: set[str]) -> list[_Test]:
    """How long each test takes, and what it runs. All must pass on the code as it is."""
    tests = []
    for item, after in zip(items, [*items[1:], None], strict=True):
        seen = _Seen(files)
        began, cpu = time.monotonic(), _cpu()
        with seen.watching():
            reports = runtestprotocol(item, log=False, nextitem=after)
        if any(report.failed for report in reports):
            raise pytest.UsageError(f"{item.nodeid} fails on the code as it is:\n{reports[1].longrepr}")
        if not any(report.skipped for report in reports):
            tests.append(_Test(item, time.monotonic() - began, _cpu() - cpu, seen.lines))
    return sorted(tests, key=lambda test: test.seconds)


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _concerned(mutant: Mutant, tests: Sequence[_Test], *, in_function: bool) -> list[_Test]:
    """The tests that run its lines; those of its whole file for lines that run at import, or are no code."""
    file = str(Path(mutant.file).resolve())
    lines = set(range(mutant.lines[0], mutant.lines[1] + 1))
    if in_function and not lines.isdisjoint(_lines_of(mutant)):
        return [test for test in tests if lines & test.lines[file]]
    return [test for test in tests if test.lines[file]]


def _lines_of(mutant: Mutant) -> Iterator[int]:
    """Those on which there is code."""
    codes = [_original(str(Path(mutant.file).resolve()))]
    while codes:
        code = codes.pop()
        yield from (line for _, _, line in code.co_lines() if line is not None)
        codes += [const for const in code.co_consts if isinstance(const, CodeType)]


_Swap = tuple[Sequence[FunctionType], CodeType]
"""The functions to change, and their code from then on."""


# -- one mutant -------------------------------------------------------------------------------------------------


def _functions(files: set[str]) -> dict[tuple[str, str, int], list[FunctionType]]:
    """Every function of these files that there is now, by where its code comes from."""
    found: dict[tuple[str, str, int], list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename in files:
            code = one.__code__
            found.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(one)
    return found


def _replaced(mutant: Mutant) -> tuple[CodeType, CodeType] | None:
    """The one function that differs, before and after; None: something else does."""
    file = str(Path(mutant.file).resolve())
    return _difference(_original(file), compile(mutant.source(), file, "exec", dont_inherit=True))


@functools.cache
def _original(file: str) -> CodeType:
    return compile(Path(file).read_text(), file, "exec", dont_inherit=True)


def _difference(before: CodeType, after: CodeType) -> tuple[CodeType, CodeType] | None:
    if before.co_flags & _CODE_OPTIMIZED:
        same = before.co_freevars == after.co_freevars and before.co_qualname == after.co_qualname
        return (before, after) if same else None
    one, other = ([const for const in code.co_consts if isinstance(const, CodeType)] for code in (before, after))
    if len(one) != len(other) or _own(before) != _own(after):
        return None
    differing = [pair for pair in zip(one, other, strict=True) if _meaning(pair[0]) != _meaning(pair[1])]
    return _difference(*differing[0]) if len(differing) == 1 else None


def _own(code: CodeType) -> object:
    """What a code object does, but for the code objects in it; and not where its lines are."""
    consts = [(type(const), const) for const in code.co_consts if not isinstance(const, CodeType)]
    signature = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    return code.co_code, code.co_names, code.co_varnames, repr(consts), signature, code.co_exceptiontable


def _meaning(code: CodeType) -> object:
    return _own(code), [_meaning(const) for const in code.co_consts if isinstance(const, CodeType)]


def _test_in_fork(swap: _Swap, tests: Sequence[_Test]) -> str:
    """The test that fails; "" where none does. In a process that ends after that."""
    functions, code = swap
    for function in functions:
        function.__code__ = code
    for number, test in enumerate(tests):
        after = tests[number + 1].item if number + 1 < len(tests) else None
        _limit(test)
        if any(report.failed for report in runtestprotocol(test.item, log=False, nextitem=after)):
            return test.item.nodeid
    return ""


@dataclass
class _Running:
    mutant: Mutant
    place: Path
    end: float
    process: subprocess.Popen[bytes] | None = None


class _Mutants:
    """All of them, a few at once."""

    def __init__(self, session: pytest.Session, tests: Sequence[_Test], mutants: Sequence[Mutant]) -> None:
        self.session = session
        self.tests = tests
        self.mutants = mutants
        self.functions = _functions({str(Path(mutant.file).resolve()) for mutant in mutants})
        self.running: dict[int, _Running] = {}
        self.results = Path(session.config.option.results).open("a")  # noqa: SIM115 -- as long as the process
        self.base = Path(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]

    def run(self) -> None:
        gc.freeze()  # what is here is shared with every fork
        for number, mutant in enumerate(self.mutants):
            replaced = _replaced(mutant)
            key = replaced and (replaced[0].co_filename, replaced[0].co_qualname, replaced[0].co_firstlineno)
            functions = self.functions.get(key, []) if key else []
            swap = (functions, replaced[1]) if replaced and functions else None
            tests = _concerned(mutant, self.tests, in_function=swap is not None)
            if not tests:
                self._record(mutant, "survived", "no test runs it")
                continue
            while len(self.running) >= self.session.config.option.at_once:
                self._wait()
            self._start(mutant, swap, tests, self.base / f"m{number}")
        while self.running:
            self._wait()
        self.results.close()

    def _start(self, mutant: Mutant, swap: _Swap | None, tests: Sequence[_Test], place: Path) -> None:
        place.mkdir()
        wall = 12 * sum(test.seconds for test in tests) + 20 * PATIENCE
        running = _Running(mutant, place, time.monotonic() + wall)
        if swap is None:
            running.process = self._python(mutant, tests, place)
            self.running[running.process.pid] = running
            return
        child = os.fork()
        if child:
            self.running[child] = running
            return
        code = 70
        try:
            os.setsid()
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            self.session.config._tmp_path_factory._basetemp = place  # type: ignore[attr-defined]
            failed = _test_in_fork(swap, tests)
            (place.parent / f"{place.name}.by").write_text(failed)
            code = 1 if failed else 0
        except BaseException:  # noqa: BLE001 -- a mutant may raise anything, and this process ends here
            (place.parent / f"{place.name}.by").write_text(traceback.format_exc(limit=1))
            code = 1
        finally:
            os._exit(code)

    def _python(self, mutant: Mutant, tests: Sequence[_Test], place: Path) -> subprocess.Popen[bytes]:
        names = [test.item.nodeid for test in tests]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "tests.mutants", "-p", "no:cacheprovider"]
        names_file = place.parent / f"{place.name}.tests"
        names_file.write_text("\n".join(names))
        with (place.parent / f"{place.name}.by").open("wb") as said:
            return subprocess.Popen(
                [*command, f"--basetemp={place}", f"@{names_file}"],
                env={**os.environ, ONE: mutant.text},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def _wait(self) -> None:
        """Until one has ended, or has run too long."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in self.running:
                return self._ended(pid, os.waitstatus_to_exitcode(status))
            for late in [pid for pid, running in self.running.items() if time.monotonic() > running.end]:
                _kill(late)
                os.waitpid(late, 0)
                return self._ended(late, -signal.SIGXCPU)
            time.sleep(0.003)

    def _ended(self, pid: int, code: int) -> None:
        running = self.running.pop(pid)
        if running.process is not None:
            running.process.returncode = code  # it was waited for here
        said = running.place.parent / f"{running.place.name}.by"
        words = said.read_text(errors="replace").strip() if said.exists() else ""
        if running.process is not None and code not in (0, -signal.SIGXCPU):
            told = (line for line in words.splitlines() if line.startswith(("FAILED", "ERROR", "E ")))
            words = next(told, words)
        if code == 0:
            self._record(running.mutant, "survived", "")
        elif code in (-signal.SIGXCPU, -signal.SIGKILL):
            self._record(running.mutant, "timed out", "")
        else:
            self._record(running.mutant, "killed", words[:300] or f"exit code {code}")
        shutil.rmtree(running.place, ignore_errors=True)
        for suffix in ("by", "tests"):
            (running.place.parent / f"{running.place.name}.{suffix}").unlink(missing_ok=True)

    def _record(self, mutant: Mutant, outcome: str, by: str) -> None:
        self.results.write(json.dumps(json.loads(mutant.text) | {"outcome": outcome, "by": by}) + "\n")
        self.results.flush()


def _limit(test: _Test) -> None:
    """Of CPU, by the clock, and of memory; whoever goes beyond is killed, in the end."""
    most = 3 * test.cpu + PATIENCE
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + most) + 1, hard))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 4 * (3 * test.seconds + PATIENCE))


def _out_of_time(*_: object) -> None:
    for child, _started in process.descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGXCPU)


def _kill(pid: int) -> None:
    for one, _ in [*process.descendants(pid), (pid, "")]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


# -- pytest's side ----------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", help="mutants to run, by lines of JSON")
    parser.addoption("--results", help="where each mutant is written with what became of it")
    parser.addoption("--seconds", type=float, help="leave out tests that take more, of CPU")
    parser.addoption("--at-once", type=int, default=2, help="how many processes at once")


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    if session.config.option.mutants is None:
        return None
    options = session.config.option
    done = _killed_before(Path(options.results))
    mutants = [Mutant.read(line) for line in Path(options.mutants).read_text().splitlines()]
    mutants = [mutant for mutant in mutants if _key(json.loads(mutant.text)) not in done]
    files = {str(Path(mutant.file).resolve()) for mutant in mutants}
    # Whether a test leaves a process behind is asked of the code as it is, and takes longer than most tests here.
    sys.modules["tests.conftest"]._running = lambda _: set()  # type: ignore[attr-defined]
    most = options.seconds
    tests = [test for test in _first_run(session.items, files) if most is None or test.cpu <= most]
    _Mutants(session, tests, mutants).run()
    return True


def _killed_before(results: Path) -> set[tuple[str, str]]:
    """Which mutants need not be run again; those that survived are taken out, for there may be a test now."""
    if not results.exists():
        return set()
    lines = [line for line in results.read_text().splitlines() if json.loads(line)["outcome"] != "survived"]
    results.write_text("".join(f"{line}\n" for line in lines))
    return {_key(json.loads(line)) for line in lines}


def _key(values: Mapping[str, object]) -> tuple[str, str]:
    return str(values["file"]), str(values["function"]) + str(values["shown"])


# -- what came of it --------------------------------------------------------------------------------------------

REASONS = Path(__file__).parent / "mutants.toml"
"""Mutants that may survive, and why: by file, line (as it was) and what it became."""


def _summary(package: str, results: Path) -> int:
    """Prints how many there were of which outcome, and each survivor that has no reason; how many those are."""
    found = [json.loads(line) for line in results.read_text().splitlines()]
    known = {
        (one["file"], one["before"], after): one["reason"]
        for one in tomllib.loads(REASONS.read_text())["survivor"]
        for after in one["after"]
    }
    outcomes = Counter(one["outcome"] for one in found)
    survived = [one for one in found if one["outcome"] == "survived"]
    keys = [(one["file"], *one["shown"]) for one in survived]
    reasons = Counter(known[key] for key in keys if key in known)
    print(f"{package}: {len(found)} mutants, " + ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES))  # noqa: T201
    for reason, count in reasons.most_common():
        print(f"  {count} may: {reason}")  # noqa: T201
    unexplained = [one for one, key in zip(survived, keys, strict=True) if key not in known]
    for one in unexplained:
        what = f"{one['file']}:{one['lines'][0]} {one['function']} {one['by']}".strip()
        print(f"  survived: {what}\n    - {one['shown'][0]}\n    + {one['shown'][1]}")  # noqa: T201
    return len(unexplained)


OUTCOMES = ("killed", "timed out", "survived")

if __name__ == "__main__":
    sys.exit(_summary(sys.argv[1], Path(sys.argv[2])) > 0)
