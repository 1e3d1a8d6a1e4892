"""Which version a flake's package has. Nothing is built for it that the evaluation does not want to read.

Must not know why anybody asks, nor how versions are ordered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lockbot import process
from lockbot.errors import LockbotError, SurroundingsError
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.nix.evaluate.pool import FULL, SAMPLE_SECONDS, Limits
from lockbot.nix.flakeref import nix_string
from lockbot.process import Deadline, Listener

LONGEST = 200
"""Characters of a version: of a longer one nobody can say anything."""

# What has no `version` tells it in its name, as `builtins.parseDrvName` reads that. `or` is for what is lacking:
# also for what is no set.
_EXPRESSION = """
let
  flake = builtins.getFlake asked.flake;
  step = at: name:
    if at.there && builtins.isAttrs at.value && builtins.hasAttr name at.value
    then { there = true; value = at.value.${name}; }
    else { there = false; value = null; };
  find = set: builtins.foldl' step { there = true; value = set.${asked.system} or null; } asked.package;
  legacy = find (flake.legacyPackages or null);
  found = if legacy.there then legacy else find (flake.packages or null);
  text = value: if builtins.isString value then builtins.unsafeDiscardStringContext value else "";
  named = package: (builtins.parseDrvName (text (package.name or ""))).version;
  version = package:
    let own = text (package.version or ""); in if own != "" then own else named package;
in
{ inherit (found) there; version = if found.there then version found.value else ""; }
"""


class CannotEvaluate(LockbotError):
    """The flake, or the package, is at fault."""


@dataclass(frozen=True)
class PackageVersion:
    """`there` False: the flake has no such package. `version`: anybody's words; empty where it has none."""

    there: bool
    version: str = ""


def package_version(
    nix: Nix, flake: str, package: Sequence[str], limits: Limits, deadline: Deadline
) -> PackageVersion:
    """The version of a package for this machine's system, in a locked flake's `legacyPackages`, else `packages`.

    Raises CannotEvaluate, SurroundingsError where that is nobody's fault, LockbotError where Nix can't be asked or
    for want of memory, DeadlineExceeded and Cancelled.
    """
    asked = {"flake": flake, "system": str(nix.settings().get("system", "")), "package": list(package)}
    expression = f"let asked = builtins.fromJSON {nix_string(json.dumps(asked))}; in {_EXPRESSION}"
    with _within(limits.memory) as guard:
        finished = nix.evaluate(
            expression,
            deadlines=[deadline],
            options=limits.options,
            extra=limits.heap,
            listener=Listener(on_start=guard.watch),
        )
    if guard.ended:
        raise LockbotError(
            f"evaluating it needs more memory than the budget of {limits.memory / 2**20:.0f} MiB",
            "give more in `[eval] memory`",
        )
    if finished.code != 0:
        why = f"it can't be evaluated: {failure.explain(finished.stderr) or 'no reason given'}"
        if failure.classify(finished.stderr).surroundings:
            raise SurroundingsError(why)
        raise CannotEvaluate(why)
    return _read(finished.stdout)


def _read(answer: str) -> PackageVersion:
    try:
        found = json.loads(answer)
        return PackageVersion(bool(found["there"]), str(found["version"])[:LONGEST])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise LockbotError("Nix's answer can't be read") from None


@dataclass
class _Guard:
    """Ends one evaluator that outgrows its budget."""

    memory: int
    finished: threading.Event
    ended: bool = False

    def watch(self, pid: int) -> None:
        threading.Thread(target=self._look, args=(pid,), daemon=True).start()

    def _look(self, pid: int) -> None:
        while not self.finished.wait(SAMPLE_SECONDS):
            if process.resident_bytes(pid) > FULL * self.memory:
                self.ended = True
                process.kill(pid)
                return


@contextmanager
def _within(memory: int) -> Iterator[_Guard]:
    guard = _Guard(memory, threading.Event())
    try:
        yield guard
    finally:
        guard.finished.set()
