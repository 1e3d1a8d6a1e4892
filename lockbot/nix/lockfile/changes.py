"""What changed between two locks: each input's old and new state. Pure."""

from __future__ import annotations

from lockbot.model import ChangeKind, InputChange
from lockbot.nix.flakeref import Attr, FlakeRef
from lockbot.nix.lockfile.lock import LockFile, locked_at, root_first, spelled
from lockbot.nix.lockfile.nodes import InputPath, Node


def diff(old: LockFile, new: LockFile) -> tuple[InputChange, ...]:
    """What became of each input: the root's first, then by path. What merely follows a changed input is unchanged.

    `updated` is any difference in what is locked or asked for, but for what versions of Nix spell differently:
    `main` or `refs/heads/main`, and what one side leaves out (`lastModified` everywhere; `narHash` and `revCount`
    where a `rev` names the content). A `follows` that is added or removed carries its target in `new_follows` or
    `old_follows`.
    """
    changes = (_change(path, old, new) for path in sorted({*old.graph.edges, *new.graph.edges}, key=root_first))
    return tuple(change for change in changes if change is not None)


def _change(path: InputPath, old: LockFile, new: LockFile) -> InputChange | None:
    before, after = old.edge(path), new.edge(path)
    was = old.end(before) if before is not None else None
    now = new.end(after) if after is not None else None
    if before is None:
        kind = ChangeKind.ADDED
    elif after is None:
        kind = ChangeKind.REMOVED
    elif isinstance(before, str) and isinstance(after, str):
        if was is None or now is None or _same(was, now):
            return None
        kind = ChangeKind.UPDATED
    elif before == after:
        return None
    else:
        kind = ChangeKind.REFOLLOWED
    return InputChange(
        spelled(path),
        kind,
        old=locked_at(was) if was else None,
        new=locked_at(now) if now else None,
        old_follows=spelled(before) if isinstance(before, tuple) else None,
        new_follows=spelled(after) if isinstance(after, tuple) else None,
        commits=_commits(was, now),
    )


def _commits(old: Node | None, new: Node | None) -> int | None:
    """How many commits lie between, where Nix counted them: in git inputs of one source."""
    if old is None or new is None or old.original != new.original or not old.locked or not new.locked:
        return None
    before, after = old.locked.get("revCount"), new.locked.get("revCount")
    if not isinstance(before, int) or not isinstance(after, int) or after <= before:
        return None
    return after - before


def _same(old: Node, new: Node) -> bool:
    if old.original != new.original or old.locked is None or new.locked is None:
        return old.original == new.original and old.locked == new.locked
    one, other = _spelled(old.locked), _spelled(new.locked)
    if one["type"] == other["type"] and one["type"] in ("tarball", "file") and "narHash" in one:
        return one["narHash"] == other.get("narHash")  # packed anew, or served from elsewhere
    optional = {"lastModified"} | ({"narHash", "revCount"} if old.locked.rev else set())
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    return all(name in optional and not (name in one and name in other) for name in differing)


def _spelled(ref: FlakeRef) -> dict[str, Attr]:
    attrs = dict(ref.attrs) | {"type": ref.type}
    if ref.ref is not None:
        attrs["ref"] = ref.ref.removeprefix("refs/heads/")
    return attrs
