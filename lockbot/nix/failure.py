"""What Nix's standard error means: its kind, one line for a person, and which derivations failed by themselves.

Pure text; it must not know hosts, inputs or how the text came to be. The wording of Nix 2.19 to 2.34, of Lix and
of Determinate Nix is known here; beside it only `evaluate.fault` (errors of evaluation, by their structure) and
`blame` (what a build's log names) read what Nix says.

Nix quotes strangers (see `lines`): quoted lines are left out before anything is concluded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from lockbot.model import Failure, FailureKind
from lockbot.nix.lines import LOG_LINE, error_blocks, is_quoted, own_lines, shortened, split_lines

_ERROR = re.compile(r" *error:(.*)")
_THROWN = re.compile(r"… while calling the '(?:throw|abort)' builtin")

# What the settings of this machine, or lockbot's, forbid; each at the start of an error's line.
REFUSED = r"^ *error: (?:" + (
    r"access to (absolute )?path '.*' is forbidden in (pure evaluation|restricted) mode"
    r"|access to canonical path '.*' is forbidden in"
    r"|access to URI '.*' is forbidden in (pure evaluation|restricted) mode"
    r"|experimental (Nix|Lix) feature '[^']*' is disabled"
    r"|cannot build '[^'\n]*' during evaluation because the option 'allow-import-from-derivation' is disabled"
    r"|in pure evaluation mode, '[^']*' (requires|will not fetch|doesn't fetch)"
    r"|in pure eval(uation)? mode,|cannot look up '<.*>' in pure evaluation mode"
    r"|'[^']*' is not allowed in pure evaluation mode"
    r"|cannot (call 'getFlake' on|fetch|evaluate) (an )?unlocked|cannot (call|use) .*in pure eval(uation)? mode"
    r"|file '[^']*' was not found in the Nix search path"
    r"|'[^']*' is an indirect flake reference, but registry lookups are not allowed"
    r"|cannot find flake '[^']*' in the flake registries"
    r"|the group '[^']*' specified in 'build-users-group' does not exist"
    r"|the build users group '[^']*' has no members"
    r"|the option 'allow-import-from-derivation' is disabled"
    r"|aborting to reveal stack trace of warning, as abort-on-warn is set"
    r")"
)

# Of a builder that can't be reached, Nix says so before it says this: without that, waiting mends nothing.
_NO_BUILDER = r"[Uu]nable to start any build|local builds are disabled"
_NOTHING_BUILDS = "max-jobs = 0, and no builder is there for its system: nothing can be built here"

_ASSERTION = re.compile(r"Failed assertions:|assertion '.*' failed")
_UPDATING = re.compile(r"… while updating the flake input '([^'\n]*)'")
_PLACE = re.compile(r" *at (\S+:\d+:\d+):?")
_CONDITION = "while evaluating the condition of the assertion"

# First match wins. The surroundings come first: a full disk or a dead builder also makes builds fail.
_TABLE: tuple[tuple[FailureKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.MULTILINE))
    for kind, pattern in (
        (FailureKind.DISK_FULL, r"No space left on device|database or disk is full|lack of free disk space"),
        (
            FailureKind.DAEMON,
            r"cannot connect to socket at|Nix daemon disconnected unexpectedly|^error: unexpected end-of-file"
            # Nobody of ours interrupts a command that ends by itself: a daemon that is stopped says so.
            r"|cannot open connection to remote store 'daemon'|^error: interrupted by the user"
            r"|^error: (reading|read of|writing|write of)\b.*: (Broken pipe|Connection reset by peer)$"
            # Two that open a new store at a time trip over each other; a busy or broken one is no flake's fault.
            r"|^error: (executing|querying|opening|preparing) SQLite|^error: SQLite database '"
            r"|^error: creating symlink '.*/gcroots/[^']*': File exists",
        ),
        (FailureKind.BUILDER_HOST, r"^cannot build on '|failed to start SSH connection"),
        (FailureKind.REFUSED, f"{REFUSED}|{_NO_BUILDER}"),
        (
            FailureKind.MEMORY,
            r"^ *error: out of memory|std::bad_alloc|Cannot allocate memory|GC Warning: Out of Memory",
        ),
        (
            FailureKind.PLATFORM,
            r"a '[^'\n]+' with features .* is required to build '"
            r"|Cannot build '[^'\n]+'\.\n *Reason: (platform mismatch|missing system features)",
        ),
        (
            FailureKind.HASH_MISMATCH,
            r"hash mismatch in (fixed-output derivation '|file downloaded from|input ')"
            r"|mismatch in field 'narHash'",
        ),
        (FailureKind.TIMEOUT, r"timed out after \d+ seconds"),
        (FailureKind.KILLED, r"failed due to signal \d+|failed with exit code (137|143)\b"),
        (
            FailureKind.BUILD,
            r"builder for '[^'\n]+' failed (with exit code|to produce output)"
            r"|Cannot build '[^'\n]+'\.\n *Reason: builder failed|may not be deterministic"
            r"|output '[^'\n]+' is not allowed to (refer|have)|output check for",
        ),
        (FailureKind.DEPENDENCY, r"(?<!\d)\d+ dependenc(y|ies) (of derivation '[^'\n]+' )?failed"),
        (
            FailureKind.COLLECTED,
            r"cannot build missing derivation|failed to obtain derivation of|path '[^'\n]+\.drv' is not valid",
        ),
        (
            FailureKind.LOCK_FILE,
            r"has unsupported version|references missing node|contains unlocked input"
            r"|Could not parse '.*flake\.lock'|^error: \[json\.exception"
            r"|requires lock file changes but|cannot update (unlocked )?flake input",
        ),
    )
)
_FETCH_TABLE: tuple[tuple[FailureKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.MULTILINE))
    for kind, pattern in (
        (
            FailureKind.AUTH,
            r"HTTP error 40[137]|Permission denied \(publickey|could not read (Username|Password)"
            r"|Authentication failed|Host key verification failed|rate limit",
        ),
        (
            FailureKind.NOT_FOUND,
            r"HTTP error (404|410|422)|couldn't find remote ref|not our ref|Cannot find Git revision"
            r"|does not appear to be a git repository|^fatal: repository '.*' not found"
            r'|Git repository "[^"]*" does not exist|object not found - no match for id',
        ),
        (
            FailureKind.NETWORK,
            r"unable to download '|[Rr]esolve host|[Uu]nable to connect|unable to access '"
            r"|Could not read from remote|Failed to fetch git repository|some substitutes for"
            r"|Connection (refused|reset|timed out)",
        ),
        # 2.26 says this of every failed fetch. Only where git itself told no reason above was there none.
        (FailureKind.NOT_FOUND, r"revspec '.*' not found"),
    )
)
_FETCHING = re.compile(
    r"while fetching the input|unable to download '|Failed to (fetch|open archive)|Git (re|object)"
    r"|some substitutes for"
)

_STALE = re.compile(
    r"using cached version|continuing with the most recent|expired cached ref|could not (?:get|read) HEAD ref"
    r"|does not match any input|^fatal: |error: Failed to fetch|has an unlocked input"
)

_DEPENDENCY = re.compile(
    r"dependenc(?:y|ies) of derivation '([^'\n]+)' failed"
    r"|Cannot build '([^'\n]+)'\.\n *Reason: \d+ dependenc\w+ failed"
)
_DRV = re.compile(r"/[^'\n]*/[0-9a-z]+-[0-9A-Za-z+\-._?=]{1,211}\.drv")
_CANNOT_BUILD = re.compile(r"Cannot build '([^'\n]+)'\.\n *Reason: (.+)")
# The reasons that 2.31 and later give below `Cannot build 'DRV'.`
_REASON_KINDS = (
    (FailureKind.DEPENDENCY, r"^\d+ dependenc\w+ failed"),
    (FailureKind.PLATFORM, r"^platform mismatch|^missing system features"),
    (FailureKind.KILLED, r"due to signal|exit code (137|143)\b"),  # 128 and SIGKILL or SIGTERM: a shell's child
    (FailureKind.TIMEOUT, r"timed out"),
    (FailureKind.REFUSED, _NO_BUILDER),
    (FailureKind.BUILD, r"^builder failed (with exit code \d+|to produce output)"),
)
_HASHES = re.compile(r"(?:specified|wanted): *(\S+)\n *got: *(\S+)")
# What names a derivation as itself failed.
_CULPRITS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (FailureKind.HASH_MISMATCH, re.compile(r"hash mismatch in fixed-output derivation '([^'\n]+)'")),
    (FailureKind.KILLED, re.compile(r"builder for '([^'\n]+)' failed due to signal")),
    (FailureKind.KILLED, re.compile(r"builder for '([^'\n]+)' failed with exit code (?:137|143)\b")),
    (FailureKind.BUILD, re.compile(r"builder for '([^'\n]+)' failed (?:with exit code \d+|to produce output)")),
    (FailureKind.UNKNOWN, re.compile(r"builder for '([^'\n]+)' failed")),
    (FailureKind.TIMEOUT, re.compile(r"building of '([^'^!\n]+)[^'\n]*'.{0,100} timed out after")),
    (FailureKind.PLATFORM, re.compile(r"with features .* is required to build '([^'\n]+)'")),
    (FailureKind.BUILD, re.compile(r"derivation '([^'\n]+)' may not be deterministic")),
)


def classify(text: str) -> FailureKind:
    """Why a command failed, by its standard error. Of several, the surroundings win, then the table's first.

    UNKNOWN when Nix gave no error. Git's own standard error works, too.
    """
    lines = own_lines(text)
    blocks = error_blocks(lines)
    if blocks and any(_THROWN.search(line) for line in blocks[-1]):
        return _own_fault("\n".join(blocks[-1]))
    said = "\n".join(lines)
    tables = (_TABLE, _FETCH_TABLE) if _about_fetching(lines) else (_TABLE,)
    for table in tables:
        for kind, pattern in table:
            if pattern.search(said):
                return kind
    return _own_fault(said) if any(map(_ERROR.match, lines)) else FailureKind.UNKNOWN


def explain(text: str) -> str:
    """The one line that tells a person what went wrong. Never empty, at most `MESSAGE_LENGTH` characters."""
    if failures := derivation_failures(text):
        return next(iter(failures.values())).message
    lines = own_lines(text)
    message = _assertions(lines) or _last_error(lines)
    # Said before the error, by git, ssh or the build hook, and more to the point than it.
    sources = ("fatal: ", "ssh: ") if _about_fetching(lines) else ("cannot build on '",)
    reason = next((line for line in lines if line.startswith(sources)), "")
    if not message:
        message = reason or next((line.strip() for line in reversed(lines) if line.strip()), "no error message")
    elif reason:
        message = f"{message} ({reason})"
    elif re.match(_NO_BUILDER, message):
        message = _NOTHING_BUILDS
    return shortened(message)


def where(text: str) -> str:
    """Which input could not be locked, and where in which file: `x, /nix/store/…/flake.nix:2:1`, or nothing.

    A stranger's flake can make it say anything: for a person to look at, nothing is concluded from it.
    """
    lines = own_lines(text)
    inputs = [match[1] for line in lines if (match := _UPDATING.search(line))]
    last = max((number for number, line in enumerate(lines) if _ERROR.match(line)), default=0)
    places = [match[1] for line in lines[last:] if (match := _PLACE.fullmatch(line))]
    return shortened(", ".join([*inputs[-1:], *places[:1]]))


def said(text: str, kind: FailureKind) -> str:
    """What Nix said of a failure of this kind, where it reports several; the kind's own name where it did not."""
    pattern = next((pattern for known, pattern in _TABLE if known is kind), None)
    lines = (line for line in own_lines(text) if pattern is not None and pattern.search(line))
    return shortened(next(lines, str(kind)).strip().removeprefix("error:"))


def derivation_failures(stderr: str) -> Mapping[str, Failure]:
    """Every derivation that failed by itself, by its path, in the order that Nix named them.

    Those that only miss a dependency are left out (see `dependency_failures`). Nix does not name the derivation of
    every failure: not at a timeout in 2.34, nor at a forbidden reference. `tail` is what Nix quotes of the log.
    """
    lines = [line for line in split_lines(stderr) if not is_quoted(line)]
    dead_builder = next((line for line in lines if line.startswith("cannot build on '")), "")
    found: dict[str, Failure] = {}
    for block in error_blocks(lines):
        failure = _culprit("\n".join(line for line in block if not LOG_LINE.match(line)))
        if failure is None:
            continue
        drv = failure.culprit or ""
        if dead_builder and failure.kind in (FailureKind.PLATFORM, FailureKind.REFUSED):
            failure = replace(failure, kind=FailureKind.BUILDER_HOST, message=shortened(dead_builder))
        tail = tuple(match[1] for line in block if (match := LOG_LINE.match(line)))
        # 2.34 names a failed derivation again for each that needed it.
        earlier = found.get(drv)
        if earlier is None or len(tail) > len(earlier.tail):
            found[drv] = replace(failure, tail=tail)
    return found


def dependency_failures(stderr: str) -> frozenset[str]:
    """The derivations that were not tried, because one that they need has failed."""
    said = "\n".join(own_lines(stderr))
    return frozenset(match[1] or match[2] for match in _DEPENDENCY.finditer(said))


def fetch_kind(text: str) -> FailureKind:
    """Why a fetch failed, by what Nix and git say; UNKNOWN where neither gives a reason that is known."""
    said = "\n".join(own_lines(text))
    return next((kind for kind, pattern in _FETCH_TABLE if pattern.search(said)), FailureKind.UNKNOWN)


def stale_fetch_lines(stderr: str) -> tuple[str, ...]:
    """The lines by which an update that ended well admits that it could not look: the answer is an old one."""
    lines = (line for line in split_lines(stderr) if not line.startswith(("trace: ", "evaluation warning: ")))
    return tuple(dict.fromkeys(line.strip() for line in lines if _STALE.search(line)))


def _own_fault(said: str) -> FailureKind:
    unequal = _CONDITION in said and " not equal " in said
    return FailureKind.ASSERTION if unequal or _ASSERTION.search(said) else FailureKind.EVALUATION


def _about_fetching(lines: Sequence[str]) -> bool:
    """Is the fetch what failed? Git's `fatal:` counts only then: Nix may have gone on after it."""
    last_fatal = max((index for index, line in enumerate(lines) if line.startswith("fatal: ")), default=-1)
    after = [line for block in error_blocks(lines[last_fatal + 1 :]) for line in block]
    return not after or any(map(_FETCHING.search, after))


def _assertions(lines: Sequence[str]) -> str:
    """NixOS's list of failed assertions, in one line."""
    for index, line in enumerate(lines):
        if line.strip().endswith("Failed assertions:"):
            following = [text.strip() for text in lines[index + 1 :]]
            items: list[str] = []
            for text in following:
                if text.startswith("- "):
                    items.append(text[2:])
                elif not text or not items:
                    break
                else:
                    items[-1] += f" {text}"
            return f"Failed assertions: {'; '.join(items)}" if items else ""
    return ""


def _last_error(lines: Sequence[str]) -> str:
    """The innermost error's first line: it comes last, but an excerpt or advice may follow it."""
    for index in range(len(lines) - 1, -1, -1):
        if match := _ERROR.fullmatch(lines[index]):
            following = (text.strip() for text in islice(lines, index + 1, None))
            message = match[1].strip() or next(filter(None, following), "")
            if message.endswith((":", ";")):
                message += f" {next(filter(None, following), '')}"
            if message and not message.startswith("…"):
                archive = re.fullmatch(r"Failed to open archive \(Source threw exception: error: (.*)\)", message)
                return archive[1] if archive else message
    return ""


def _culprit(block: str) -> Failure | None:
    """The derivation that one error names as failed by itself. What is no path of one is a name that a stranger
    gave, and must not get onto a command line."""
    failure = _named(block)
    return failure if failure is not None and _DRV.fullmatch(failure.culprit or "") else None


def _named(block: str) -> Failure | None:
    if match := _CANNOT_BUILD.search(block):
        drv, reason = match[1], match[2].strip().rstrip(".")
        kind = next((kind for kind, pattern in _REASON_KINDS if re.search(pattern, reason)), FailureKind.UNKNOWN)
        if kind is FailureKind.DEPENDENCY:
            return None
        message = f"Cannot build '{drv}': {_NOTHING_BUILDS if kind is FailureKind.REFUSED else reason}"
        if needs := re.search(r"Required (?:system|features): (.+)", block):
            message = f"{message}, needs {needs[1]}"
        return _built(kind, message, drv, block)
    for kind, pattern in _CULPRITS:
        if match := pattern.search(block):
            message = next(line for line in block.split("\n") if match[1] in line).strip().removeprefix("error: ")
            if hashes := _HASHES.search(block):
                message = f"{message.rstrip(':')}: specified {hashes[1]}, got {hashes[2]}"
            return _built(kind, message.rstrip("; "), match[1], block)
    return None


def _built(kind: FailureKind, message: str, drv: str, block: str) -> Failure:
    if "lack of free disk space" in block:
        kind, message = FailureKind.DISK_FULL, f"{message}, perhaps by lack of free disk space"
    return Failure(kind, shortened(message), culprit=drv)
