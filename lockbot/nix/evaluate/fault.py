"""Whose fault an evaluation's error is, by its structure: a pure function of what Nix's JSON log says of it.

Nix gives the error itself apart from what was going on around it (frames, innermost first), and each has a
position that Nix set. A flake can print any words, and put any words around an error (`addErrorContext`), but
those have no position: only positioned frames count. What a flake throws is told by the frame of `throw`.

An error is the flake's own where it was raised by code, or where it says that a file of the flake's is missing or
wrong. Everything else that came from outside is not, and what is not known here is nobody's fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockbot.model import FailureKind
from lockbot.nix import failure
from lockbot.nix.lines import LINE_LENGTH, strip_ansi

_BUILTIN = re.compile(r"while calling the '([^'\n]+'?)' builtin")
_ELSEWHERE = re.compile(r"while calling '|while calling anonymous|from call site|while evaluating the attribute '")
"""Frames of code: a builtin further out did not raise this error, it only asked for the value."""

_THROWING = frozenset({"throw", "abort"})
_FETCHING = frozenset(
    {
        "fetchurl",
        "fetchTarball",
        "fetchGit",
        "fetchMercurial",
        "fetchTree",
        "fetchFinalTree",
        "fetchClosure",
        "getFlake",
    }
)
_READING = frozenset(
    {
        "import",
        "scopedImport",
        "readFile",
        "readDir",
        "readFileType",
        "hashFile",
        "path",
        "filterSource",
        "pathExists",
        "findFile",
        "storePath",
        "toFile",
        "derivationStrict",
        "toPath",
        "outputOf",
        "exec",
        "importNative",
    }
)
_ASSERTED = re.compile(r"assertion '.*' failed", re.DOTALL)
_CONDITION = "while evaluating the condition of the assertion"
_FAILED_ASSERTIONS = re.compile(r"^\s*Failed assertions:", re.MULTILINE)

# Builtins that are there or not by settings: pure evaluation, experimental features, allow-unsafe-native-code.
# There are many ways to write one (`with builtins;`, `inherit (builtins)`, another name for `builtins`), so that
# one of these is missing says enough; the common words could be an attribute of the flake's own.
_GATED = r"(?:currentSystem|currentTime|exec|importNative|fetchClosure|outputOf|fetchTree|fetchMercurial)"
_GATED_WORD = r"(?:wasm|parallel)"
_NOT_THERE = re.compile(
    rf"attribute '{_GATED}' missing|undefined variable '(?:__)?{_GATED}'|undefined variable '__{_GATED_WORD}'"
)
_MISSING_WORD = re.compile(rf'builtins\s*\.\s*"?({_GATED_WORD})\b')

# What only the evaluator itself says, whole: these have no position in some versions.
_CODE = re.compile(
    r"attribute '.*' missing|required attribute '.*' missing|undefined variable '.*'"
    r"|infinite recursion encountered.*|stack overflow.*|expected an? .* but (?:found|got) .*"
    r"|(?:value|(?:fetchTree )?argument '.*'|flake input attribute '.*'|.*flake configuration setting '.*')"
    r" is .* while .* (?:was|is) expected.*|flake configuration setting '.*' is .*"
    r"|flake '.*' (?:has an unsupported|lacks) attribute '.*'.*|unexpected flake input attribute '.*'.*"
    r"|cannot coerce .*|cannot (?:add|compare|convert|concatenate|append|decode|evaluate a function) .*"
    r"|.* with value '.*' is not equal to .* with value '.*'|.*\bis not equal to\b.*|division by zero"
    r"|\[json\.exception\..*|attempt to call something which is not a function.*|function '.*' called with.*"
    r"|syntax error.*|flake '.*' does not provide attribute .*|'builtins\.\w+' called .*|integer overflow.*"
    r"|invalid derivation name.*|invalid store path name.*|name '.*' contains illegal character .*"
    r"|path '.*' is not a valid store path.*|hash '.*' has wrong length .*|hash '.*' does not include a type.*"
    r"|unknown hash algorithm .*|dynamic attribute .* already defined.*|a string that refers to a store path .*"
    r"|string '.*' doesn't represent an absolute path|the string '.*' is not allowed to refer to a store path.*"
    r"|input attribute '.*' .*|flake attribute '.*'.*|'flake\.nix'.*|file '.*' must be an attribute set",
    re.DOTALL,
)
# That a file of the flake's own is not there, or is not what it is read as.
_FILE = re.compile(
    r"path '.*' does not exist|'[^'\n]*' does not exist"
    r"|(?:opening file|opening|reading directory|getting status of|reading from file|reading|reading symbolic link"
    r"|cannot read directory|cannot open) .*: (?:No such file or directory|Not a directory|Is a directory)"
    r"|.*'[^'\n]*' (?:is not a (?:directory|regular file|symlink)|is a directory|has an unsupported type)"
    r"|file '[^'\n]*' has an unsupported type|cannot import '[^'\n]*', since .*"
    r"|the contents of the file '.*' cannot be represented as a Nix string"
)
_NO_FLAKE = re.compile(
    r".*(?:does not contain a .*flake\.nix|'[^'\n]*flake\.nix' does not exist|flake\.nix'?: No such file).*",
    re.DOTALL,
)
_COLLECTED = re.compile(r"path '[^'\n]*' is not valid|path '[^'\n]*' is required, but .*")

_UNTOLD = frozenset(
    {
        FailureKind.EVALUATION,
        FailureKind.ASSERTION,
        FailureKind.UNKNOWN,
        FailureKind.NETWORK,
        FailureKind.AUTH,
        FailureKind.NOT_FOUND,
    }
)
"""What the words of a failed fetch alone don't settle."""


@dataclass(frozen=True)
class NixError:
    """One error. `frames` are those that Nix placed, innermost first; `code` is the source it points at."""

    words: str
    placed: bool
    frames: tuple[str, ...] = ()
    code: str = ""

    @classmethod
    def of(cls, event: dict[str, Any]) -> NixError | None:
        """The error that an event of the log tells; None when it is none: a trace, a warning, a note."""
        if event.get("action") != "msg" or event.get("level") != 0 or not isinstance(event.get("raw_msg"), str):
            return None
        frames = event.get("trace")
        placed = [
            _both_ends(strip_ansi(frame["raw_msg"]))
            for frame in (frames if isinstance(frames, list) else ())
            if isinstance(frame, dict) and frame.get("file") is not None and isinstance(frame.get("raw_msg"), str)
        ]
        words = _both_ends(strip_ansi(event["raw_msg"]).strip())
        return cls(words, event.get("file") is not None, tuple(placed), _pointed_at(event))

    @property
    def builtin(self) -> str | None:
        """The builtin that raised it; None where plain code did."""
        for frame in self.frames:
            if match := _BUILTIN.match(frame):
                return match[1]
            if _ELSEWHERE.match(frame):
                return None
        return None

    @property
    def thrown(self) -> bool:
        first = _BUILTIN.match(self.frames[0]) if self.frames else None
        return first is not None and first[1] in _THROWING


def _both_ends(words: str) -> str:
    """What Nix says itself stands at both ends: in the middle it quotes names, which may be of megabytes and have
    patterns take hours."""
    return words if len(words) <= 2 * LINE_LENGTH else f"{words[:LINE_LENGTH]}…{words[-LINE_LENGTH:]}"


def kind(error: NixError, bare: Sequence[str] = ()) -> FailureKind:
    """Why the evaluation failed. `bare` are the lines beside Nix's events: what git says of a fetch.

    It knows nothing of a derivation that an evaluation wanted to build (see blame).
    """
    said = f"error: {error.words}"
    if error.thrown:
        failed = _FAILED_ASSERTIONS.search(error.words)
        return FailureKind.ASSERTION if failed else FailureKind.EVALUATION
    if error.placed and _ASSERTED.fullmatch(error.words):
        return FailureKind.ASSERTION
    if _refused(error, said):
        return FailureKind.REFUSED
    if " not equal " in error.words and any(frame.startswith(_CONDITION) for frame in error.frames):
        return FailureKind.ASSERTION
    if error.builtin in _FETCHING and not error.placed:
        return _of_fetching(error, said, bare)
    told = failure.classify(said)
    if told is FailureKind.HASH_MISMATCH or _COLLECTED.fullmatch(error.words):
        return told if told is FailureKind.HASH_MISMATCH else FailureKind.COLLECTED
    if error.placed or _CODE.fullmatch(error.words) or _FILE.fullmatch(error.words):
        return FailureKind.EVALUATION
    if told not in (FailureKind.EVALUATION, FailureKind.ASSERTION):
        return told
    reads = error.builtin is None or error.builtin in _READING
    return FailureKind.UNKNOWN if reads else FailureKind.EVALUATION


def _refused(error: NixError, said: str) -> bool:
    if re.match(failure.REFUSED, said):
        return True
    if _NOT_THERE.fullmatch(error.words):
        return True
    word = _MISSING_WORD.match(error.code) if error.placed else None
    return word is not None and error.words == f"attribute '{word[1]}' missing"


def _of_fetching(error: NixError, said: str, bare: Sequence[str]) -> FailureKind:
    """A fetch, or the flake that was fetched: only what is wrong with the latter is the flake's own."""
    told = failure.classify(said)
    if told not in _UNTOLD:
        return told
    # Git's own reason first: 2.26 says of every fetch that failed that it can't find the revision.
    for text in ("\n".join(bare), said):
        if (reason := failure.fetch_kind(text)) is not FailureKind.UNKNOWN:
            return reason
    if _NO_FLAKE.fullmatch(error.words) or _CODE.fullmatch(error.words):
        return FailureKind.EVALUATION
    return FailureKind.NOT_FOUND if _FILE.fullmatch(error.words) else FailureKind.UNKNOWN


def _pointed_at(event: dict[str, Any]) -> str:
    """The source from the error's column on: Nix shows its line below the error."""
    line, column = event.get("line"), event.get("column")
    if not isinstance(line, int) or not isinstance(column, int) or column < 1:
        return ""
    shown = re.findall(rf"^ *{line}\| (.*)$", strip_ansi(str(event.get("msg", ""))), re.MULTILINE)
    return str(shown[-1])[column - 1 :] if shown else ""
