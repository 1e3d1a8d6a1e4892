"""What one Nix process said, event by event, and why what it was to build is not there.

Evidence is structure: which events there were, what a derivation is, the builder's exit status, the report of the
machine that built. Words of a log decide in one direction only: that memory or disk ran out makes a failure one
that nobody is blamed for, and what is not blamed never lands by it. Words never make a failure the flake's own.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from lockbot.errors import CommandError
from lockbot.model import DerivationStarted, DerivationStopped, Failure, FailureKind, Progress
from lockbot.nix import derivation, failure
from lockbot.nix.command import Nix
from lockbot.nix.lines import LINE_LENGTH, shortened, strip_ansi

TAIL_LINES = 20
LOG_BYTES = 16 * 1024 * 1024
"""How much of a build log is read at most, from its end."""
SAID_CHARACTERS = 16 * 1024 * 1024
"""How much of what a process says itself is kept, from its end."""
WORDS_LINES = 200
"""Of a log's last lines: where one says what ran out."""

_TIMED_OUT, _HASH_MISMATCH = 1, 2  # bits of nix-store's exit code above 100

_DISK = re.compile(r"No space left on device|Disk quota exceeded|disk quota exceeded|ENOSPC|not enough disk space")
_MEMORY = re.compile(
    r"Cannot allocate memory|cannot allocate memory|ENOMEM|Killed signal terminated program"
    r"|virtual memory exhausted|[Oo]ut of memory|memory exhausted|std::bad_alloc"
    r"|memory allocation of \d+ bytes failed|signal: 9(?:, | \()SIGKILL|(?<!\d)\d+ Killed\b|^Killed$"
    r"|\bError (?:137|143)\b|MemoryError(?::|$)"
    r"|java\.lang\.OutOfMemoryError|insufficient memory for the Java Runtime",
    re.MULTILINE,
)
_NO_NETWORK = re.compile(
    r"[Cc]ould ?n[o']t resolve|[Tt]emporary failure in name resolution|[Nn]ame or service not known|no such host"
    r"|curl: \(\d+\)|[Cc]onnection (refused|reset|timed out)|[Nn]etwork is unreachable|[Cc]ouldn?'?t connect"
    r"|Could not connect|[Uu]nable to (connect|download|access)|HTTP error \d+|i/o timeout|TLS handshake|SSL"
    r"|ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|[Tt]imed? ?out|returned error: \d+|[Cc]ertificate",
)
_FORBIDDEN = re.compile(r"output '([^'\n]+)' is not allowed to (?:refer|have)|output check for")

Event = dict[str, Any]


def event(line: str) -> Event | None:
    """One line of Nix's JSON log; None for a bare line. A cut one (a stranger's, by its length) is empty."""
    if not line.startswith("@nix "):
        return None
    try:
        said = json.loads(line[5:])
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


@dataclass
class Watched:
    """What one process said: its own messages, and what began to be built where."""

    progress: Progress
    messages: deque[str] = field(default_factory=deque)
    """The last of them: a builder may have Nix say what it likes, without end."""
    started: dict[str, int] = field(default_factory=dict)
    """Derivation → activity, of every build that began."""
    machines: dict[str, str] = field(default_factory=dict)
    """Derivation → the remote builder that took it last."""
    logs: dict[int, deque[str]] = field(default_factory=dict)
    """Activity → the last lines, of every build that began. A builder may have other activities, without end."""
    running: dict[int, str] = field(default_factory=dict)
    code: int = 0
    _length: int = 0

    def line(self, line: str) -> None:
        said = event(line)
        if said is None:
            self._say(line)
        else:
            self.take(said)

    def take(self, said: Event) -> None:
        match said:
            case {"action": "msg", "level": int(level), "msg": str(text)} if level <= 1:
                self._say(strip_ansi(text))
            case {"action": "start", "type": 105, "id": int(number), "fields": [str(drv), *rest]}:
                self._start(drv, number, str(rest[0]) if rest else "")
            case {"action": "result", "type": 101, "id": int(number), "fields": [str(text), *_]}:
                if number in self.logs:
                    self.logs[number].append(text[:LINE_LENGTH])
            case {"action": "stop", "id": int(number)} if number in self.running:
                self.progress(DerivationStopped(self.running.pop(number)))

    def _start(self, drv: str, number: int, machine: str) -> None:
        """A remote build begins twice: as the hook's, with the machine, and as the far side's, without."""
        within = not machine and drv in self.machines and drv in self.running.values()
        self.started[drv] = number
        self.logs[number] = deque(maxlen=WORDS_LINES)
        if within:
            return
        if machine:
            self.machines[drv] = machine
        else:
            self.machines.pop(drv, None)
        self.running[number] = drv
        self.progress(DerivationStarted(drv, machine))

    def end(self) -> None:
        """The process is over, and what it had not ended with it."""
        for drv in self.running.values():
            self.progress(DerivationStopped(drv))
        self.running.clear()

    def _say(self, text: str) -> None:
        self.messages.append(text)
        self._length += len(text)
        while self._length > SAID_CHARACTERS:
            self._length -= len(self.messages.popleft())

    @property
    def text(self) -> str:
        return "\n".join(self.messages)

    def report(self, drv: str) -> str | None:
        """What the machine that built this said of its failure, as an error of Nix's. None: it said nothing."""
        start = f"error: build of '{drv}' on '"
        for message in reversed(self.messages):
            if message.startswith(start) and "' failed: " in message:
                return "error: " + message[len(start) :].split("' failed: ", 1)[1].removeprefix("error: ")
        return None


def explain(nix: Nix, drvs: Sequence[str], watched: Watched) -> dict[str, Failure]:
    """For each derivation that is not built: the failure at its root, as far as this process told it."""
    if not drvs:
        return {}
    named = _named(watched)
    weighed: dict[str, Failure] = {}
    found: dict[str, Failure] = {}

    def weigh_once(problem: Failure) -> Failure:
        culprit = problem.culprit or ""
        if culprit not in weighed:
            weighed[culprit] = weigh(nix, problem, watched)
        return weighed[culprit]

    for drv in drvs:
        try:
            closure = nix.requisites(drv)
        except CommandError as error:
            nix.cancel.check()
            kind = failure.classify(error.output)
            kind = kind if kind.surroundings else FailureKind.COLLECTED
            found[drv] = Failure(kind, error.message, culprit=drv)
            continue
        roots = [named[root] for root in closure & named.keys()] or _unnamed(nix, drv, closure, watched)
        # What is below it comes first: then it was not tried itself.
        below = [problem for problem in roots if problem.culprit != drv]
        if (problem := _plainest(map(weigh_once, _in_order(below or roots)))) is not None:
            found[drv] = problem
    if not found and (kind := failure.classify(watched.text)).surroundings:
        words = failure.explain(watched.text)
        return {drv: Failure(kind, words) for drv in drvs}
    return found


def unexplained(nix: Nix, drv: str, watched: Watched) -> Failure:
    """Built alone, nothing that it needs was named: what was is what that became, once the content-addressed
    was there (a derivation of its own). Else Nix's own words are all there is, and few of them are evidence."""
    named = _in_order(_named(watched).values())
    if (problem := _plainest(weigh(nix, one, watched) for one in named)) is not None:
        return problem
    words = failure.explain(watched.text) if watched.messages else f"nix-store ended with code {watched.code}"
    kind = failure.classify(watched.text)
    if kind is FailureKind.BUILD and _FORBIDDEN.search(watched.text):
        return weigh(nix, Failure(kind, words, culprit=_owner(nix, drv, watched)), watched)
    if kind.own or kind is FailureKind.DEPENDENCY:
        kind = FailureKind.UNKNOWN
    return Failure(kind, words, culprit=drv, log=watched.text)


def _owner(nix: Nix, drv: str, watched: Watched) -> str:
    """Whose output it was that was refused: Nix names the output alone."""
    match = _FORBIDDEN.search(watched.text)
    for began in sorted(watched.started):
        known = derivation.show(nix, began)
        if match and known and match[1] in known.outputs.values():
            return began
    return drv


def _unnamed(nix: Nix, drv: str, closure: frozenset[str], watched: Watched) -> list[Failure]:
    """Nix named no derivation (2.34 does so at a timeout): the exit code, and what had begun, tell."""
    bits = watched.code - 100 if 100 < watched.code < 108 else 0
    began = closure & watched.started.keys()
    kind = (
        FailureKind.TIMEOUT if bits & _TIMED_OUT else FailureKind.HASH_MISMATCH if bits & _HASH_MISMATCH else None
    )
    if kind is None or not began:
        return []
    try:
        missing = nix.missing(drv)
        roots = [one for one in began & missing if not (nix.references(one) & missing - {one})]
    except CommandError:
        nix.cancel.check()
        return []
    words = failure.said(watched.text, kind)
    return [Failure(kind, words, culprit=root) for root in roots]


# -- which of several --------------------------------------------------------------------------------------


def _named(watched: Watched) -> dict[str, Failure]:
    """The failures that Nix named, by derivation."""
    named = failure.derivation_failures(watched.text)
    return {drv: replace(problem, culprit=drv) for drv, problem in named.items()}


def _in_order(problems: Iterable[Failure]) -> list[Failure]:
    """By the derivations' names: their hashes are others at each commit, and the answer must not be."""

    def name(problem: Failure) -> tuple[str, str]:
        culprit = problem.culprit or ""
        return PurePath(culprit).name.partition("-")[2], culprit

    return sorted(problems, key=name)


def _plainest(weighed: Iterable[Failure]) -> Failure | None:
    """The first that is evidence, else the first: whatever else failed, that one would fail anywhere."""
    first: Failure | None = None
    for problem in weighed:
        if problem.kind.own:
            return problem
        first = first or problem
    return first


# -- what a failure that Nix named is evidence of ------------------------------------------------------------


def weigh(nix: Nix, problem: Failure, watched: Watched) -> Failure:
    """The failure with its culprit's log, and of the kind that there is evidence for."""
    culprit = problem.culprit or ""
    if machine := watched.machines.get(culprit):
        problem = _remote(problem, machine, watched)
    problem = _with_log(nix, problem, watched)
    return _weigh_build(nix, problem) if problem.kind is FailureKind.BUILD else problem


def _remote(problem: Failure, machine: str, watched: Watched) -> Failure:
    """The hook's exit code is 1 whatever became of the build: the far side's report counts, and its absence."""
    culprit = problem.culprit or ""
    report = watched.report(culprit)
    if report is None:
        lost = (text for text in watched.messages if failure.classify(text).surroundings)
        words = failure.explain(next(lost, problem.message))
        message = shortened(f"the builder {machine} was lost while it built {culprit}: {words}")
        return replace(problem, kind=FailureKind.BUILDER_HOST, message=message)
    told = failure.derivation_failures(report).get(culprit)
    if told is not None:
        return replace(told, message=f"{told.message} (on {machine})")
    kind = failure.classify(report)
    return replace(
        problem,
        kind=FailureKind.UNKNOWN if kind.own or kind is FailureKind.DEPENDENCY else kind,
        message=f"{failure.explain(report)} (on {machine})",
    )


def _with_log(nix: Nix, problem: Failure, watched: Watched) -> Failure:
    culprit = problem.culprit or ""
    log = nix.log(culprit)
    if log is None:
        log = "\n".join(watched.logs.get(watched.started.get(culprit, -1), ()))
    lines = strip_ansi(log[-LOG_BYTES:]).rstrip().splitlines()
    return replace(problem, tail=tuple(lines[-TAIL_LINES:]), log="\n".join(lines))


def _weigh_build(nix: Nix, problem: Failure) -> Failure:
    """A builder ended with an exit status of its own. Only an ordinary derivation's is evidence."""
    known = derivation.show(nix, problem.culprit or "")
    if known is None:
        return replace(problem, kind=FailureKind.UNKNOWN)
    last = "\n".join(problem.log.splitlines()[-WORDS_LINES:])
    if _DISK.search(last):
        return replace(problem, kind=FailureKind.DISK_FULL, message=_because(problem, last, _DISK))
    if _MEMORY.search(last):
        return replace(problem, kind=FailureKind.MEMORY, message=_because(problem, last, _MEMORY))
    if known.fetches:
        return _of_source(problem, known.urls, last)
    return problem


def _of_source(problem: Failure, urls: Sequence[str], log: str) -> Failure:
    """It could not get what it fetches. Which of the two kinds it is, is for people: neither is evidence."""
    why = next((line.strip() for line in reversed(log.splitlines()) if _NO_NETWORK.search(line)), "")
    kind = FailureKind.NETWORK if why else FailureKind.SOURCE
    said = why or next((line.strip() for line in reversed(log.splitlines()) if line.strip()), problem.message)
    what = urls[0] if urls else shortened(problem.culprit or "its source")
    return replace(problem, kind=kind, message=shortened(f"cannot fetch {what}: {said}"))


def _because(problem: Failure, log: str, words: re.Pattern[str]) -> str:
    line = next(line.strip() for line in reversed(log.splitlines()) if words.search(line))
    return shortened(f"{problem.message}: {line}")


def known_to_fail(broken: Mapping[str, Failure], needed: frozenset[str]) -> Failure | None:
    """The failure of one of these that is known to fail: the one that `explain` would name."""
    return _plainest(_in_order(broken[drv] for drv in broken.keys() & needed))
