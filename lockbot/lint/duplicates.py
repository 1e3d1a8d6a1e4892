"""One repository at several revisions: fetched, kept and evaluated several times over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lockbot.lint import flake_lines
from lockbot.lint.finding import Finding, Kind, warning
from lockbot.lint.subject import Source, Subject, sources
from lockbot.nix.flakeref import URL, FlakeRef
from lockbot.nix.forges import repository
from lockbot.nix.lockfile import LockFile, spelled
from lockbot.nix.lockfile.nodes import InputPath

_NAMED = 3
_MIB, _GIB = 1 << 20, 1 << 30

Identity = tuple[str, str, bool]


def duplicates(subject: Subject) -> Iterator[Finding]:
    """Other flakes' inputs that could follow one of the same repository, a finding for each repository.

    Two of the flake's own inputs at two branches are meant.
    """
    weights = _weights(subject.lock)
    for identity, same in _by_repository(subject.lock).items():
        target = _target(identity[0], same)
        joined = _joinable(same, target)
        if joined:
            only = joined[0].path if len(joined) == 1 else None
            fix = "\n".join(flake_lines.set_follows(source.path, target.path) for source in joined)
            yield warning(Kind.DUPLICATE, only, _message(subject, same, target, joined, weights), fix)


def _message(
    subject: Subject,
    same: Sequence[Source],
    target: Source,
    joined: Sequence[Source],
    weights: Mapping[InputPath, int],
) -> str:
    revisions = len({source.locked.rev for source in same})
    others = [spelled(source.path) for source in joined]
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    nodes = sum(weights[source.path] for source in joined)
    place = repository(target.locked)
    name = "/".join(place.path) if place is not None else target.locked.text("url")
    return (
        f"{name} is locked at {revisions} revisions: {', '.join(others[:_NAMED])}{more} can follow"
        f" {spelled(target.path)}, which saves {nodes} of {len(subject.lock.graph.by_label) - 1} nodes"
        f"{_saved_bytes(subject, target, joined)}"
    )


def _saved_bytes(subject: Subject, target: Source, joined: Sequence[Source]) -> str:
    """What the sources take that would not be needed, of those that this machine has."""
    kept = target.locked.text("narHash")
    hashes = sorted({source.locked.text("narHash") for source in joined} - {kept, ""})
    size = sum(subject.sizes(hashes).values()) if hashes else 0
    if size >= _GIB:
        return f" and {size / _GIB:.1f} GiB"
    return f" and {size / _MIB:.0f} MiB" if size >= _MIB else ""


def _by_repository(lock: LockFile) -> dict[Identity, list[Source]]:
    """Only those at several revisions."""
    found: dict[Identity, list[Source]] = {}
    for source in sources(lock):
        if source.locked.rev is not None and (name := _repository(source.locked)) is not None:
            found.setdefault((name, source.locked.text("dir"), source.node.flake), []).append(source)
    return {key: same for key, same in found.items() if len({source.locked.rev for source in same}) > 1}


def _repository(ref: FlakeRef) -> str | None:
    """`github.com/nixos/nixpkgs`, however it is fetched."""
    if found := repository(ref):
        return "/".join((found.host, *found.path)).lower()
    match = URL.fullmatch(ref.text("url")) if ref.type == "git" else None
    if match is None or not match[2]:
        return None
    return f"{match[2].rpartition('@')[2]}/{match[3].strip('/').removesuffix('.git')}".lower()


def _target(name: str, same: Sequence[Source]) -> Source:
    """The one to follow: the flake's own, first of all that which is called as the repository is."""
    own = [source for source in same if source.is_root] or sorted(same, key=lambda source: len(source.path))
    return next((source for source in own if source.path[0].lower() == name.rpartition("/")[2]), own[0])


def _joinable(same: Sequence[Source], target: Source) -> list[Source]:
    """What is not within one that is joined already, nor within the one that is followed."""
    joined: dict[InputPath, Source] = {}
    for source in sorted(same, key=lambda source: len(source.path)):
        above = [source.path[:length] for length in range(1, len(source.path))]
        if source.is_root or source.locked.rev == target.locked.rev or any("/" in name for name in target.path):
            continue
        if target.path not in above and not any(path in joined for path in above):
            joined[source.path] = source
    return sorted(joined.values(), key=lambda source: source.path)


def _weights(lock: LockFile) -> dict[InputPath, int]:
    """How many nodes are at and below each path."""
    weights = {path: 1 for path, edge in lock.graph.edges.items() if isinstance(edge, str)}
    for path in sorted(weights, key=len, reverse=True):
        if path[:-1] in weights:
            weights[path[:-1]] += weights[path]
    return weights
