"""What a commit's message claims, against what the commit is: its trailers, two locks, and how its hosts are.

Pure. It must not know how any of it was found out, nor how findings are printed. Message, locks and names may be
anybody's: nothing is believed because the message says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from lockbot.model import Answer, Failure, FailureKind, HostStatus, InputChange
from lockbot.nix.lockfile import LockFile
from lockbot.policy.decide import changed_origin
from lockbot.policy.origin import origin_of
from lockbot.redact import redact
from lockbot.report import words
from lockbot.report.trailers import LONGEST, NAMES_COMMIT, NONE, Trailers, input_fields

_ROOM = 12_000
"""Bytes that any message has for its inputs, and as many for its hosts: where all fit, none is left out."""
_DRV_BYTES = 260


class FindingKind(StrEnum):
    """What is not as claimed, for machines."""

    LOCK = "lock"
    NOT_NAMED = "input-not-named"
    NOT_MOVED = "input-not-moved"
    ORIGIN = "origin-changed"
    CONTENT = "other-content"
    OTHER_FILE = "other-file"
    NOT_JUDGED = "not-as-judged"
    DERIVATION = "other-derivation"
    FAILS = "host-fails"
    HOST_NOT_NAMED = "host-not-named"
    HOST_GONE = "host-gone"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as claimed. `message`: a sentence, as whoever wrote the names in it chose them."""

    kind: FindingKind
    message: str


@dataclass(frozen=True)
class Found:
    """What was found: what is not as claimed, what a reader should know all the same, and what could not be found
    out, each as sentences."""

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()

    @classmethod
    def all(cls, parts: Iterable[Found]) -> Found:
        findings: list[Finding] = []
        notes: list[str] = []
        unjudged: list[str] = []
        for part in parts:
            findings += part.findings
            notes += part.notes
            unjudged += part.unjudged
        return cls(tuple(findings), tuple(notes), tuple(unjudged))


def _found(kind: FindingKind, message: str) -> Found:
    return Found((Finding(kind, message),))


NOTHING = Found()


@dataclass(frozen=True)
class HostFound:
    """How one host is at the commit: `drv` where it evaluates, `failure` where that, or building it, did not work.

    `names_commit`: its derivation depends on the commit's own name, which no message can hold.
    """

    name: str
    drv: str | None = None
    failure: Failure | None = None
    built: bool = False
    names_commit: bool = False

    @property
    def answer(self) -> Answer:
        return self.failure.answer if self.failure is not None else Answer.GOOD

    @property
    def is_gone(self) -> bool:
        return self.failure is not None and self.failure.kind is FailureKind.GONE

    @property
    def words(self) -> str:
        """`built HASH-NAME.drv`, `failed: build failed: …`, `unjudged: network failed: …`."""
        if self.failure is None:
            return f"{'built' if self.built else 'evaluated'} {base_name(self.drv or '')}"
        if self.is_gone:
            return "not in the flake"
        return f"{'failed' if self.answer is Answer.BAD else 'unjudged'}: {words.failed(self.failure)}"


@dataclass(frozen=True)
class Judged:
    """The commit, judged in a run, that another was made of: by merging, squashing, rebasing it, or by hand.

    `parent`: what it was judged on. `differing`: the paths at which the two differ; None: it is not there any
    more, and nobody can tell. `remembered`: lockbot's own history has it; else its message says so.
    """

    commit: str
    run: str
    differing: tuple[str, ...] | None = None
    parent: str | None = None
    remembered: bool = True

    @property
    def words(self) -> str:
        by = "" if self.remembered else ", as its own message says"
        return f"{self.commit}, which was judged in run {self.run}{by}"


@dataclass(frozen=True)
class HostRow:
    """One host: what the message says of it, and what was found; None: nothing is said, nobody looked."""

    host: str
    claimed: str | None
    found: str | None


def makes_claims(trailers: Trailers) -> bool:
    return trailers != Trailers()


def base_name(drv: str) -> str:
    return drv.rpartition("/")[2]


# -- inputs and files ------------------------------------------------------------------------------------------


def compare_inputs(trailers: Trailers, changes: Sequence[InputChange]) -> Found:
    """Whether the inputs move as the trailers say, and no others. A message without trailers says nothing."""
    if not makes_claims(trailers):
        return NOTHING
    moved = {fields[0]: fields for fields in map(input_fields, changes)}
    wrong = [claim for claim in dict.fromkeys(trailers.inputs) if moved.get(claim[0]) != claim]
    named = {name for name, _, _ in trailers.inputs}
    missing = [fields for name, fields in moved.items() if name not in named]
    found = [_found(FindingKind.NOT_MOVED, _not_moved(claim, moved.get(claim[0]))) for claim in wrong]
    every, lacking = ([_bytes(*fields) for fields in some] for some in (moved.values(), missing))
    if missing and _had_no_room(every, lacking, trailers.left_out[0]):
        found.append(Found(notes=(_left_out("input", [name for name, _, _ in missing]),)))
    else:
        found += [_found(FindingKind.NOT_NAMED, _not_named(fields)) for fields in missing]
    return Found.all(found)


def _not_moved(claim: tuple[str, str, str], real: tuple[str, str, str] | None) -> str:
    where = f"it moves from {real[1]} to {real[2]}" if real is not None else "it does not move"
    return f"the message says that {claim[0]} moves from {claim[1]} to {claim[2]}: {where}"


def _not_named(moved: tuple[str, str, str]) -> str:
    return f"{moved[0]} moves from {moved[1]} to {moved[2]}, and the message does not say so"


def compare_files(trailers: Trailers, files: Sequence[str], lock: str, allowed: Sequence[str]) -> Found:
    """Whether an update's commit has other files in it than the lock, and those that may come with it."""
    if not makes_claims(trailers):
        return NOTHING
    others = [file for file in files if file != lock and not any(fnmatchcase(file, one) for one in allowed)]
    said = "the commit changes {}, too: an update changes {} alone, and what [after_update] names"
    return Found.all(_found(FindingKind.OTHER_FILE, said.format(file, lock)) for file in others)


def compare_judged(judged: Judged | None, parent: str | None) -> Found:
    """Whether a commit that was made of a judged one has that one's files, all of them. `parent`: the commit's."""
    if judged is None:
        return NOTHING
    if judged.differing is None:
        gone = f"whether its files are those of {judged.words}, can't be known: it is not there any more"
        return Found(unjudged=(gone,))
    if not judged.differing:
        return Found(notes=(f"its files are those of {judged.words}",))
    verb = "differs" if len(judged.differing) == 1 else "differ"
    what = f"{words.listed(judged.differing)} {verb}"
    found = _found(FindingKind.NOT_JUDGED, f"its files are not those of {judged.words}: {what}")
    if parent is None or judged.parent in (None, parent):
        return found
    moved = f"{judged.commit[:12]} was judged on top of {str(judged.parent)[:12]}, and this lies on {parent[:12]}"
    return Found.all([found, Found(notes=(moved,))])


def _bytes(*fields: str) -> int:
    return sum(len(json.dumps(field)) for field in fields) + 20


def _had_no_room(every: Sequence[int], missing: Sequence[int], left_out: int) -> bool:
    """Whether a message that counts so many as left out may have left these out, by their size alone."""
    return len(missing) <= left_out and (sum(every) > _ROOM or all(size > LONGEST for size in missing))


def _left_out(noun: str, names: Sequence[str]) -> str:
    return f"the message had no room for {words.count(len(names), noun)}: {words.listed(names)}"


# -- where inputs come from --------------------------------------------------------------------------------------


def compare_origins(changes: Sequence[InputChange], lock: LockFile, *, flake_changed: bool) -> Found:
    """Whether each input that the commit touches still comes from where it came from.

    `flake_changed`: the commit changes flake.nix, which may then ask for another place.
    """
    touched = {change.input for change in changes}
    return Found.all(_origin(change, lock, touched, flake_changed=flake_changed) for change in changes)


def _origin(change: InputChange, lock: LockFile, touched: Set[str], *, flake_changed: bool) -> Found:
    old, new = change.old, change.new
    elsewhere = _elsewhere(change.input, lock) if change.new_follows is None else None
    if elsewhere is not None:
        return _found(FindingKind.ORIGIN, elsewhere)
    if new is None:
        return NOTHING
    if old is None:
        return Found(notes=(f"{change.input} is new: {new.original}",))
    said = changed_origin(change.input, old, new)
    if said is None:
        return NOTHING
    if change.new_follows is not None:
        said += f", for it follows {change.new_follows or 'the flake itself'}"
        # Which other input one follows, the flake says that brings it along: another revision may say otherwise.
        if change.input.rpartition("/")[0] in touched:
            return Found(notes=(said,))
    if flake_changed and old.original != new.original:
        return Found(notes=(f"{said}, and flake.nix has changed",))
    return _found(FindingKind.ORIGIN, f"{said}, and flake.nix is as it was")


def _elsewhere(path: str, lock: LockFile) -> str | None:
    """That a node is locked at another place than the one that is asked for.

    A registry's name leads anywhere, and a tarball's address may lead to another that lasts.
    """
    node = lock.node(path)
    if node is None or node.original is None or node.locked is None or node.original.type == "indirect":
        return None
    asked, got = origin_of(node.original), origin_of(node.locked)
    if node.original.type == node.locked.type and (asked is None or got is None or asked.url == got.url):
        return None
    return f"{path} is asked for as {node.original}, and locked at another place: {node.locked}"


# -- hosts -----------------------------------------------------------------------------------------------------

_NOT_GOOD = frozenset(
    {
        HostStatus.FAILED,
        HostStatus.BROKEN_BEFORE,
        HostStatus.NEW_AND_BROKEN,
        HostStatus.UNJUDGED,
        HostStatus.NOT_BUILDABLE_HERE,
    }
)
"""What says that a host does not work, or that nobody knows. `not-buildable-here` does say that it evaluates."""


def compare_hosts(trailers: Trailers, hosts: Sequence[HostFound]) -> Found:
    """Whether the hosts are as the trailers say. Of hosts that nobody looked at, nothing is said."""
    by_name = {redact(host.name): host for host in hosts}
    unnamed = _unnamed(trailers, by_name)
    absent = {name for name, status, drv in trailers.hosts if _says_absent(trailers, status, drv)}
    claimed = [one for one in trailers.hosts if one[0] in by_name]
    return Found.all(
        [
            *(
                _host(by_name[name], status, drv)
                for name, status, drv in claimed
                if not (name in absent and by_name[name].is_gone)
            ),
            _not_told(trailers, unnamed) if makes_claims(trailers) else NOTHING,
            *(_fails(host, "") for host in unnamed),
        ]
    )


def _unnamed(trailers: Trailers, by_name: Mapping[str, HostFound]) -> list[HostFound]:
    """The hosts that the message does not name. What the flake does not have, nobody has to name."""
    claimed = {name for name, _, _ in trailers.hosts}
    return [host for name, host in by_name.items() if name not in claimed and not host.is_gone]


def _says_absent(trailers: Trailers, status: str, drv: str | None) -> bool:
    """A host that the flake lists and has not, before and after: it is unchanged, and has no derivation where the
    others have theirs."""
    return status == HostStatus.UNCHANGED and drv is None and any(drv for _, _, drv in trailers.hosts)


def _host(host: HostFound, status: str, drv: str | None) -> Found:
    claim = f", and the message says {status}"
    if host.is_gone:
        return _found(FindingKind.HOST_GONE, f"the flake has no host {host.name}{claim}")
    evaluates = status not in _NOT_GOOD or (status == HostStatus.NOT_BUILDABLE_HERE and host.drv is None)
    return Found.all([_derivation(host, drv), _fails(host, claim) if evaluates else NOTHING])


def _fails(host: HostFound, claim: str) -> Found:
    if host.failure is None:
        return NOTHING
    verb = "evaluate" if host.drv is None else "build"
    why = words.failed(host.failure)
    if host.answer is Answer.BAD:
        return _found(FindingKind.FAILS, f"{host.name} does not {verb}{claim}: {why}")
    return Found(unjudged=(f"whether {host.name} {verb}s could not be found out: {why}",))


def _derivation(host: HostFound, claimed: str | None) -> Found:
    if claimed in (None, NONE) or host.drv is None:
        return NOTHING
    real = base_name(host.drv)
    if claimed == real or (claimed == NAMES_COMMIT and host.names_commit):
        return NOTHING
    return _found(FindingKind.DERIVATION, f"{host.name} is {real}, and the message says {claimed}")


def _not_told(trailers: Trailers, unnamed: Sequence[HostFound]) -> Found:
    missing = [_bytes(redact(host.name)) + _DRV_BYTES for host in unnamed]
    every = [*missing, *(_bytes(name, status, drv or "") for name, status, drv in trailers.hosts)]
    if missing and _had_no_room(every, missing, trailers.left_out[1]):
        return Found(notes=(_left_out("host", [host.name for host in unnamed]),))
    said = "the flake has the host {}, and the message says nothing of it"
    return Found.all(_found(FindingKind.HOST_NOT_NAMED, said.format(host.name)) for host in unnamed)


def rows(trailers: Trailers, hosts: Sequence[HostFound]) -> Iterator[HostRow]:
    """What is said and what was found, side by side: the message's hosts first, in its order."""
    by_name = {redact(host.name): host for host in hosts}
    for name, status, drv in trailers.hosts:
        found = by_name.get(name)
        yield HostRow(name, f"{status} {drv}" if drv else status, found.words if found is not None else None)
    yield from (HostRow(redact(host.name), None, host.words) for host in _unnamed(trailers, by_name))
