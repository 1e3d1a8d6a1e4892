"""Proposing a lock: move the wished-for inputs in a working tree of lockbot's own, and say what changed.

An input that can't be fetched is held back and named; it never stops the others. It must not know hosts,
nor what becomes of the lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lockbot.errors import DeadlineExceeded, LockbotError, SurroundingsError, UsageError
from lockbot.lock import relock, unmovable
from lockbot.lock.ahead.lookout import Lookout, Unfetched
from lockbot.lock.lockable import Lockable, Unlockable, newest_lockable
from lockbot.lock.proposal import Limits, Lock, Proposal, RevisionSource
from lockbot.lock.relock import UpstreamTip
from lockbot.lock.request import UpdateRequest, choose
from lockbot.lock.unmovable import CANNOT_LOCK, FETCH_FAILED, NOT_ALLOWED, UNLOCKED, Problem
from lockbot.model import FailureKind, Held, InputChange, Locked, Progress, Retrying
from lockbot.nix import failure, lockfile
from lockbot.nix.command import Nix
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.nix.lockfile import LOCK_NAME, LockFile, LockFileError
from lockbot.oserrors import naming
from lockbot.process import Deadline

__all__ = ["Limits", "Lock", "Proposal", "RevisionSource", "propose"]

_GONE = "does not match any input"
_NOT_WRITTEN = "has an unlocked input"
_TRANSIENT = frozenset({FailureKind.NETWORK, FailureKind.DAEMON})


def propose(
    nix: Nix,
    flake: Path,
    request: UpdateRequest,
    limits: Limits,
    progress: Progress,
    revisions: RevisionSource,
    lookout: Lookout,
) -> Proposal:
    """Move inputs in the flake at this directory; flake.lock is left written with what could be moved.

    Of an input whose tip can't be locked, the newest of its `revisions` is taken that can be. One that would bring
    along what `lookout` does not let be fetched stays, and nothing of that is fetched.

    Raises UsageError for inputs that can't be moved though they were named, LockFileError for a lock that can't
    be read, SurroundingsError when nothing at all could be fetched.
    """
    return _Proposing(nix, flake, limits, progress, revisions, lookout).run(request)


@dataclass(frozen=True)
class _Proposing:
    nix: Nix
    flake: Path
    limits: Limits
    progress: Progress
    revisions: RevisionSource
    lookout: Lookout
    unfetched: dict[str, Unfetched] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.flake / LOCK_NAME

    @cached_property
    def base(self) -> LockFile:
        """The lock before anything was moved."""
        return self._read()

    def run(self, request: UpdateRequest) -> Proposal:
        if not (self.flake / "flake.nix").is_file():
            raise UsageError(
                "there is no flake.nix in the repository" + (f" at {self.flake.name}" if self.flake.name else ""),
                "set `[repository] flake_dir` to the directory that holds it, and commit the file",
            )
        before = self._bytes()
        lock = old = self.base
        if before is None or not lock.root_inputs.keys() >= {name.partition("/")[0] for name in request.named}:
            self._complete(old, before)
            lock = self._read()
        names, notes = choose(request, lock)
        for name, ref in request.overrides.items():
            self._pin(name, ref, lock)
        problems = self._move(names if before is not None or request.inputs else ())
        unlockable: tuple[Unlockable, ...] = ()
        # Nix adds what is lacking to the lock with whatever it moves: where it moved nothing, it has not done so.
        nothing_asked = not (set(names) - self.unfetched.keys()) and not request.overrides
        if before is not None and (problems or nothing_asked) and self._complete(old, before):
            unlockable = self._move_lower(problems, old)
        held = tuple(
            Held(name, problem.reason, f"{problem.kind}: {problem.message}", _revision(lock, name))
            for name, problem in problems.items()
        )
        new = self._read()
        changes = lockfile.diff(old, new)
        if not changes:
            self._restore(before)  # another spelling of the same lock is not a change
        if held and len(held) == len(names) and {item.reason for item in held} == {FETCH_FAILED} and not changes:
            raise unmovable.nothing_fetched(held)
        asked = [name for name in (*names, *request.overrides) if name not in problems]
        answered = {name: locked for name in asked if (locked := new.locked(name)) is not None}
        answered |= {one.input: one.tip for one in unlockable}
        answered |= {name: one.tip for name, one in self.unfetched.items()}
        were = {name: locked for name in (*names, *request.overrides) if (locked := old.locked(name)) is not None}
        content = (self._bytes() or b"") if changes else b""
        return Proposal(
            changes,
            held,
            notes,
            base=before,
            content=content,
            unlockable=unlockable,
            unfetched=self.unfetched,
            tips=_tips([name for name in asked if name not in self.unfetched], changes, new),
            asked=answered,
            locked_before=were,
            paths=new.paths(),
        )

    # -- one call of Nix, and whether to believe it --------------------------------------------------------

    def _update(self, names: Sequence[str], overrides: Mapping[str, str]) -> Problem | None:
        """None when every name was really asked for upstream. On a problem the lock is as before."""
        before = self._bytes()
        what = ", ".join([*names, *overrides]) if len(names) < 4 else f"{len(names)} inputs"
        ahead = self.lookout.ahead(self.flake, self.base, names, overrides)
        if ahead.problem is not None:
            return ahead.problem
        for name, one in ahead.unfetched.items():
            if name in overrides:
                return Problem(FailureKind.REFUSED, one.why, NOT_ALLOWED)
        self.unfetched.update(ahead.unfetched)
        names = [name for name in names if name not in ahead.unfetched]
        overrides = {name: ref for name, ref in ahead.pins.items() if name not in ahead.unfetched}
        if not names and not overrides:
            return None
        try:
            deadline = Deadline(self.limits.timeout, f"fetching {what}")
            finished = relock.update(self.nix, self.flake, names, overrides, deadline)
        except (DeadlineExceeded, LockFileError) as error:
            self._restore(before)
            self.nix.cancel.check()
            late = isinstance(error, DeadlineExceeded)
            return Problem(FailureKind.NETWORK if late else FailureKind.LOCK_FILE, error.message)
        # What flake.nix no longer has and the lock still had is gone from the lock now: nothing was to be fetched.
        # And that no branch is checked out here (Nix looks, if the flake wants its submodules) is as it should be.
        stale = [
            line
            for line in failure.stale_fetch_lines(finished.stderr)
            if _GONE not in line and not any(f"at '{tree}'" in line for tree in (self.flake, *self.flake.parents))
        ]
        dirty = self._dirty([*names, *overrides], before, stale) if finished.code == 0 else None
        if finished.code == 0 and not stale and dirty is None:
            return None
        self._restore(before)
        if dirty is not None:
            return dirty
        kind = failure.classify(finished.stderr)
        if kind is FailureKind.DISK_FULL:
            raise finished.error(f"cannot update {what}: {failure.explain(finished.stderr)}")
        if stale and finished.code == 0:
            # Nix answered from its cache and said all is well: it was not asked.
            kind = kind if kind is not FailureKind.UNKNOWN else FailureKind.NETWORK
            return Problem(kind, stale[0])
        return Problem(kind, unmovable.explained(finished))

    def _dirty(self, names: Sequence[str], before: bytes | None, stale: Sequence[str]) -> Problem | None:
        """Whether what was asked for led to a checkout with changes in it: no commit has what Nix read there."""
        was = LockFile.parse(before.decode(errors="replace")) if before is not None else lockfile.EMPTY
        new = self._read()
        for path in sorted(new.unlocked):
            if any(f"{path}/".startswith(f"{name}/") for name in names):
                return unmovable.uncommitted(unmovable.source(new, path))
            if path not in was.unlocked:
                self._restore(before)
                raise unmovable.cannot_lock(path, new)
        said = next((line for line in stale if _NOT_WRITTEN in line), None)  # a Nix without allow-dirty-locks
        return unmovable.uncommitted(f"({said}) its source") if said else None

    def _move(self, names: Sequence[str]) -> dict[str, Problem]:
        """All together; where that fails, one by one, and those whose network failed again after a while.

        Returns what could not be moved.
        """
        if not names or self._update(names, {}) is None:
            return {}
        problems: dict[str, Problem] = {}
        waiting = list(names)
        for tries in range(self.limits.retries + 1):
            for name in waiting:
                problem = self._update([name], {})
                if problem is None:
                    problems.pop(name, None)
                else:
                    problems[name] = problem
            waiting = [name for name in waiting if name in problems and problems[name].kind in _TRANSIENT]
            if not waiting or tries == self.limits.retries:
                break
            delay = self.limits.delay * 2**tries
            self.progress(Retrying("fetching " + ", ".join(waiting), problems[waiting[0]].message, delay))
            self.nix.cancel.sleep(delay)
        return problems

    def _move_lower(self, problems: dict[str, Problem], lock: LockFile) -> tuple[Unlockable, ...]:
        """Of what could not be moved: each whose upstream can be had, and only not be locked, as far as it goes.

        Takes them out of `problems`.
        """
        found: list[Unlockable] = []
        for name in list(problems):
            node, locked = lock.node(name), lock.locked(name)
            if node is None or node.original is None or locked is None:
                continue
            tip = self._upstream(node.original)
            if isinstance(tip, Problem):
                problems[name] = tip
            if not isinstance(tip, UpstreamTip):
                continue
            problem = problems.pop(name)
            if tip.locked.revision != locked.revision:  # else nothing is newer
                found.append(self._lower(name, locked, tip, problem))
        return tuple(found)

    def _complete(self, old: LockFile, before: bytes | None) -> bool:
        """Whether the flake can be locked with nothing moved. If nothing was, the lock has all that flake.nix asks
        for then. False: not now, and what was moved stands. Raises LockbotError where that is the flake's own
        fault, SurroundingsError where it is not and nothing was moved."""
        moved = self._bytes()
        self._restore(before)
        done = False
        try:
            if (problem := self.lookout.ahead(self.flake, self.base, (), {}).problem) is not None:
                if moved != before and problem.kind.surroundings:
                    return False
                raise unmovable.unseen(problem)
            finished = self.nix.lock(self.flake, Deadline(self.limits.timeout, "locking the flake"))
            done = finished.code == 0 and moved == before
        finally:
            if not done:
                self._restore(moved)
        if finished.code != 0:
            if moved != before and failure.classify(finished.stderr).surroundings:
                return False
            raise unmovable.no_lock(finished)
        new = self._read()
        for path in sorted(new.unlocked - old.unlocked if done else ()):
            self._restore(before)
            raise unmovable.cannot_lock(path, new)
        return True

    def _upstream(self, original: FlakeRef) -> UpstreamTip | Problem | None:
        """Where an input is upstream, though it can't be locked; None: that can't be had either."""
        try:
            deadline = Deadline(self.limits.timeout, f"fetching {original}")
            finished, tip = relock.source(self.nix, original, deadline)
        except LockbotError:
            self.nix.cancel.check()
            return None
        if _NOT_WRITTEN in finished.stderr or (tip is not None and tip.reference.names_no_commit):
            return unmovable.uncommitted(str(original))
        return None if failure.stale_fetch_lines(finished.stderr) else tip

    def _lower(self, name: str, locked: Locked, tip: UpstreamTip, problem: Problem) -> Unlockable:
        seen = [problem]

        def attempt(revision: str) -> Lockable:
            before = self._bytes()
            try:
                tried = self._update([], {name: tip.reference.with_rev(revision).argument})
            except FlakeRefError:  # a tarball of old: nothing can name it any more
                return Lockable.UNKNOWN
            reached = self._read().locked(name)
            self._restore(before)
            if tried is not None:
                if tried.reason != NOT_ALLOWED:
                    seen.append(tried)
                return Lockable.NO
            there = reached is not None and reached.revision == revision
            return Lockable.YES if there else Lockable.UNKNOWN

        between = self.revisions.between(name, locked, tip.locked.revision)
        revision, culprit = newest_lockable(name, tip.locked.revision, between, attempt)
        if revision is not None:
            self._update([], {name: tip.reference.with_rev(revision).argument})
        why = f"{problem.kind}: {problem.message}"
        if any(one.kind.surroundings or one.reason == UNLOCKED for one in seen):
            return Unlockable(name, tip.locked, why, problem.reason, revision)  # that may pass by itself
        return Unlockable(name, tip.locked, why, CANNOT_LOCK, revision, culprit)

    def _pin(self, name: str, ref: str, old: LockFile) -> None:
        """Pin one input, and read the lock back: Nix has answered otherwise before."""
        wanted = FlakeRef.read(ref)
        if wanted.type == "indirect":
            raise UsageError(
                f"cannot pin {name} to {ref}: that is an indirect reference, and no registry is asked",
                "give the whole reference, e.g. github:NixOS/nixpkgs/nixos-26.05",
            )
        problem = self._update([], {name: ref})
        if problem is not None:
            error = SurroundingsError if problem.kind.surroundings else LockbotError
            hint = "does that revision exist, and can it be fetched?" if problem.reason == FETCH_FAILED else ""
            if problem.reason == NOT_ALLOWED:
                hint = "nothing of it was fetched; `policy.new_path` in the configuration decides that"
            raise error(f"cannot pin {name} to {ref}: {problem.message}", hint)
        locked = LockFile.read(self.path).locked(name)
        if locked is None or (wanted.rev and locked.rev != wanted.rev):
            raise LockbotError(
                f"{name} was to be pinned to {wanted.rev}, but Nix locked {locked.rev if locked else 'nothing'}",
                "nothing was changed; please report this with the output of `nix --version`",
            )
        before = old.locked(name)
        if before is not None and locked.original != before.original:
            raise LockbotError(
                f"pinning {name} would change where it comes from for good: {before.original} → {locked.original}",
                f"this Nix ({self.nix.banner}) can't pin this kind of input; change its url in flake.nix",
            )

    # -- the file -----------------------------------------------------------------------------------------

    def _read(self) -> LockFile:
        return LockFile.read(self.path) if self.path.exists() or self.path.is_symlink() else lockfile.EMPTY

    def _bytes(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    def _restore(self, content: bytes | None) -> None:
        if content is None:
            self.path.unlink(missing_ok=True)
        elif self._bytes() != content:
            with naming(self.path):
                self.path.write_bytes(content)


def _tips(asked: Sequence[str], changes: Sequence[InputChange], new: LockFile) -> dict[str, Locked]:
    """Of the inputs that were asked for, those that moved, or below which something moved."""
    touched = [change.input for change in changes]
    found: dict[str, Locked] = {}
    for name in asked:
        locked = new.locked(name)
        if locked is not None and any(path == name or path.startswith(f"{name}/") for path in touched):
            found[name] = locked
    return found


def _revision(lock: LockFile, name: str) -> str | None:
    locked = lock.locked(name)
    return (locked.revision or None) if locked is not None else None
