"""One evaluator: the expression that it works through, and what it says while it does.

What the hosts' own code prints and throws comes the same way as Nix's own words, so the marks of progress can't
be guessed, and errors are read by their structure (see `fault`). It must not know processes or retries.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lockbot.errors import DeadlineExceeded
from lockbot.model import Failure, FailureKind, Host, silent
from lockbot.nix import blame, failure
from lockbot.nix.command import Nix
from lockbot.nix.evaluate import fault
from lockbot.nix.evaluate.fault import NixError
from lockbot.nix.evaluate.files_read import FilesRead
from lockbot.nix.flakeref import nix_string
from lockbot.nix.lines import shortened, strip_ansi
from lockbot.process import LINE_BYTES, Deadline

ERROR_LINES = 2000
"""How much of an error is kept: its last lines hold the reason."""
ERRORS = 50
"""How many errors of one host's evaluation are looked at: more than one where a derivation failed to build."""
TAIL_LINES = 12
WARNINGS = 100
"""How many warnings of one host's evaluation are kept."""
NOT_A_DERIVATION = "this attribute is not a derivation: it can't be built"
ABSENT = "the flake has no such attribute"
_WARNING = re.compile(r"(?:trace: )?evaluation warning: |trace: warning: ")
"""What a flake warns of (`builtins.warn`, and what libraries make of `trace`); a bare `warning: ` is Nix's own."""
_HASH = re.compile(r"/[0-9a-z]{32}-")
NO_PATH = "what this builds has no path in the store: it can't be built"
FORGED = "this only looks like a derivation: its drvPath, outPath, outputName or system is none of a derivation"
# Nix's own rules: of the names in its store, and of outputs.
_IN_STORE = re.compile(r"[0-9a-z]{32}-[0-9A-Za-z+\-._?=]{1,211}")
_OUTPUT = re.compile(r"[0-9A-Za-z+\-._?=]{1,211}")
_SYSTEM = re.compile(r"[!-~]{0,200}")


@dataclass(frozen=True)
class Job:
    """One host to evaluate at one commit; `flake` is that commit's locked reference."""

    host: Host
    flake: str
    at: str = "candidate"
    late: bool = False
    """Whether it can wait until all others are done."""


@dataclass(frozen=True)
class Evaluation:
    """A derivation, or the reason why there is none. `target` is what to realise: `/…drv!out`."""

    job: Job
    drv: str = ""
    out: str = ""
    system: str = ""
    target: str = ""
    failure: Failure | None = None
    names_commit: bool = False
    """It was made with the commit's own name (`self.rev`): at another commit of the same files it is another."""
    warnings: tuple[str, ...] = ()
    """What the evaluation warned of. Of hosts that share an evaluator, the first may have warned for all."""


class Reader:
    """Follows one evaluator: which job it is at, what it printed, and the error it ended with."""

    def __init__(
        self,
        nix: Nix,
        jobs: Sequence[Job],
        on_start: Callable[[Job], None],
        on_done: Callable[[Evaluation], None],
        timeout: float,
        files: FilesRead,
    ) -> None:
        self._nix = nix
        self.jobs = jobs
        self.done = 0
        self.deadline = Deadline(timeout, "evaluation")
        self._on_start = on_start
        self._on_done = on_done
        self._files = files
        # The flake can print, too: it can't guess this. In two parts: a trace may quote the expression.
        self._mark_parts = ("lockbot-", f"{secrets.token_hex(16)} ")
        self._mark = "".join(self._mark_parts)
        self._said: deque[str] = deque(maxlen=ERROR_LINES)
        self._begin()

    def _begin(self) -> None:
        """Forget what was said before: it belongs to another job."""
        self._said.clear()
        self._bare: deque[str] = deque(maxlen=ERROR_LINES)
        self._errors: deque[NixError] = deque(maxlen=ERRORS)
        self._watched = blame.Watched(silent)
        self._names_commit = False
        self._warnings: dict[str, None] = {}

    @property
    def expression(self) -> str:
        jobs = [{"flake": job.flake, "path": job.host.attribute} for job in self.jobs]
        return f"""
let
  jobs = builtins.fromJSON {nix_string(json.dumps(jobs))};
  say = what: builtins.trace ({" + ".join(map(nix_string, self._mark_parts))} + builtins.toJSON what);
  # The flake as Nix calls it (libflake's call-flake.nix), but that it is told when a host reads the commit's name.
  getFlake = reference:
    let
      flake = builtins.getFlake reference;
      names = builtins.intersectAttrs {{ rev = null; shortRev = null; }} flake.sourceInfo;
      sourceInfo = flake.sourceInfo // builtins.mapAttrs (name: say {{ names = name; }}) names;
      outputs = (import (flake.outPath + "/flake.nix")).outputs (flake.inputs // {{ self = result; }});
      result = outputs // sourceInfo // {{
        inherit (flake) outPath inputs;
        inherit outputs sourceInfo;
        _type = "flake";
      }};
    in result;
  one = job:
    let
      step = at: name:
        if at.there && builtins.isAttrs at.value && builtins.hasAttr name at.value
        then {{ there = true; value = at.value.${{name}}; }}
        else {{ there = false; value = null; }};
      found = builtins.foldl' step {{ there = true; value = getFlake job.flake; }} job.path;
      value = found.value;
      text = any: if builtins.isString any then any else "";
    in say {{ start = true; }} (
      if !found.there
      then say {{ absent = true; }} true
      else if value.type or "" != "derivation"
      then throw {nix_string(NOT_A_DERIVATION)}
      else let
        known = dirOf value.outPath == builtins.storeDir;
        # What is content-addressed, or needs what is, has a placeholder until it is built.
        later = builtins.match "/[0-9a-z]{{52}}" value.outPath != null;
      in if !known && !later
      then say {{ nowhere = true; }} true
      else say {{
        drv = text value.drvPath; out = if known then value.outPath else "";
        system = text (value.system or ""); output = text (value.outputName or "out");
        store = builtins.storeDir;
      }} true);
in builtins.foldl' (done: job: builtins.seq (one job) (done + 1)) 0 jobs
"""

    def line(self, line: str) -> None:
        event = blame.event(line)
        text = line if event is None else str(event.get("msg", ""))
        at = text.find(self._mark)
        if at >= 0:
            self._progressed(json.loads(text[at + len(self._mark) :]))
        elif event is None:
            self._bare.append(line[:LINE_BYTES])
            self._said.append(line[:LINE_BYTES])
        elif not self._files.take(event):
            self._heard(event, text)

    def _progressed(self, said: dict[str, Any]) -> None:
        job = self.jobs[self.done]
        if "start" in said:
            self._begin()
            self._on_start(job)
            return
        if "names" in said:
            self._names_commit = True
            return
        self.done += 1
        self.deadline.restart()
        if "absent" in said:
            self._on_done(Evaluation(job, failure=Failure(FailureKind.GONE, ABSENT)))
            return
        if "nowhere" in said:
            self._on_done(Evaluation(job, failure=Failure(FailureKind.EVALUATION, NO_PATH)))
            return
        if not _is_derivation(said):
            self._on_done(Evaluation(job, failure=Failure(FailureKind.EVALUATION, FORGED)))
            return
        self._on_done(
            Evaluation(
                job,
                said["drv"],
                said["out"],
                said["system"],
                target=f"{said['drv']}!{said['output']}",
                names_commit=self._names_commit,
                warnings=tuple(self._warnings),
            )
        )

    def _heard(self, event: blame.Event, text: str) -> None:
        if text:
            self._said.extend(part[:LINE_BYTES] for part in text.split("\n"))
        self._note_warning(event, text)
        error = NixError.of(event)
        if error is not None:
            self._errors.append(error)
        # Not what the flake traces or warns of: a loop may do so for ever.
        if event.get("action") != "msg" or (event.get("level") == 0 and not text.startswith("trace: ")):
            self._watched.take(event)

    def _note_warning(self, event: blame.Event, text: str) -> None:
        """Without the hashes of store paths: where a file lies says nothing about what is wrong with it."""
        if event.get("action") != "msg" or len(self._warnings) >= WARNINGS or "warning: " not in text[:LINE_BYTES]:
            return
        said = strip_ansi(text[:LINE_BYTES])
        if (start := _WARNING.match(said)) is not None:
            self._warnings[shortened(_HASH.sub("/", said[start.end() :]))] = None

    def problem(self, code: int, late: DeadlineExceeded | None) -> Failure:
        """Why the current job has no derivation; its `culprit` is a derivation that it wanted to read from."""
        head = ["error:"] if len(self._said) == ERROR_LINES else []  # its own was dropped: the rest belongs to it
        text = strip_ansi("\n".join([*head, *self._said]))
        if late is not None:
            return Failure(FailureKind.TIMEOUT, late.message, log=text)
        if code < 0 or code in (137, 139):
            return Failure(FailureKind.KILLED, f"the evaluator was killed (signal {-code % 128})", log=text)
        tail = tuple(text.strip().splitlines()[-TAIL_LINES:])
        if not self._errors:  # a crash, or another Nix, that has no such events: the text is all there is
            return Failure(failure.classify(text), failure.explain(text), tail=tail, log=text)
        error = self._errors[-1]
        if not error.thrown and (unbuilt := self._unbuilt()) is not None:
            return replace(unbuilt, tail=unbuilt.tail or tail, log=text)
        kind = fault.kind(error, self._bare)
        return Failure(kind, failure.explain(text), tail=tail, log=text)

    def _unbuilt(self) -> Failure | None:
        """The failure of a derivation that was to be built within the evaluation, where that is what failed."""
        last = f"error: {_indented(self._errors[-1].words)}"
        if not (failure.derivation_failures(last) or failure.dependency_failures(last)):
            return None
        # Of what is shown around the errors, which a flake can add to, only the build hook's complaint counts.
        dead = [text for text in self._watched.messages if text.startswith("cannot build on '")]
        words = [f"error: {_indented(error.words)}" for error in self._errors]
        named = failure.derivation_failures("\n".join([*dead, *words]))
        for problem in named.values():
            return blame.weigh(self._nix, problem, self._watched)
        return None


def _is_derivation(said: Mapping[str, str]) -> bool:
    """Whether these can be of a derivation. Any set may say that it is one, and what it says of itself becomes
    words of command lines."""
    store = f"{said['store']}/"
    paths = [said["drv"], *filter(None, [said["out"]])]
    return (
        said["drv"].endswith(".drv")
        and all(path.startswith(store) and _IN_STORE.fullmatch(path.removeprefix(store)) for path in paths)
        and _OUTPUT.fullmatch(said["output"]) is not None
        and _SYSTEM.fullmatch(said["system"]) is not None
    )


def _indented(words: str) -> str:
    """As Nix shows an error: its further lines belong to it."""
    return words.replace("\n", "\n       ")
