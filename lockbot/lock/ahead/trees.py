"""What flakes ask for, each looked at by itself: its tree is fetched, and of its own inputs nothing.

Of a flake.nix only `inputs` is evaluated, and by a language without functions: whoever wrote it can call nothing.
It must not know why anybody looks, nor which input a tree is of.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockbot.errors import DeadlineExceeded
from lockbot.lock import relock
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.nix.environment.directories import passing_directory
from lockbot.nix.flakeref import FlakeRef, nix_string
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile, LockFileError
from lockbot.process import Deadline, Finished

DEEPEST = 24
"""How deep the overrides of a flake.nix are read: one below another takes two."""
TOO_DEEP = "\0too deep"
# `plain`: functions and lists are no part of an input; a path that is written as one lies in its flake's own tree.
_LOOK = """\
outputs = inputs: let
  calls = builtins.removeAttrs builtins [ "true" "false" "null" ];
  nothing = builtins.mapAttrs (name: _: throw "flake.nix calls ${name}") (calls // builtins.listToAttrs
    (map (name: { name = "__${name}"; value = null; }) (builtins.attrNames calls)));
  within = base: value: let path = toString value; length = builtins.stringLength base; in
    if builtins.substring 0 (length + 1) path == "${base}/"
    then "path:./${builtins.substring (length + 1) (-1) path}" else "path:${path}";
  plain = base: depth: value:
    if builtins.isAttrs value then
      if depth == 0 then TOO_DEEP else builtins.mapAttrs (_: plain base (depth - 1)) value
    else if builtins.isString value then builtins.unsafeDiscardStringContext value
    else if builtins.isBool value || builtins.isInt value then value
    else if builtins.isPath value then builtins.unsafeDiscardStringContext (within base value)
    else null;
  asked = base: file: let flake = builtins.scopedImport nothing file; outputs = flake.outputs or null; in {
    inputs = plain base DEEPEST (flake.inputs or { });
    arguments = if builtins.isFunction outputs then builtins.attrNames (builtins.functionArgs outputs) else [ ];
  };
  tree = name: dir: let
      base = "${inputs.${name}}${dir}"; file = "${base}/flake.nix"; lock = "${base}/flake.lock";
    in if builtins.pathExists file then asked base file // {
      lock = if builtins.pathExists lock
        then builtins.unsafeDiscardStringContext (builtins.readFile lock) else null;
    } else null;
in {
look = {
"""


@dataclass(frozen=True)
class Tree:
    """A flake by itself. `asks` are its inputs by name, as JSON has them, those only its `outputs` names included;
    `lock` its own."""

    asks: Mapping[str, object] = field(default_factory=dict)
    lock: LockFile = EMPTY
    locked: FlakeRef | None = None
    """What it was locked at; None: it is a file of ours."""


@dataclass(frozen=True)
class Unseen:
    """That a tree can't be looked at: what Nix said, or why not in words."""

    finished: Finished | None
    why: str = ""
    late: bool = False
    """It took too long: that of which it is read hangs, as far as can be told."""


Look = Tree | Unseen


def look(nix: Nix, refs: Sequence[FlakeRef], timeout: float) -> list[Look]:
    """Look at each of these: all at once, and where that fails, each by itself. Upstream is asked."""
    together = _look(nix, refs, timeout)
    if not isinstance(together, Unseen) or len(refs) < 2:
        return [together] if isinstance(together, Unseen) else together
    apart = [_look(nix, [ref], timeout) for ref in refs]
    return [one if isinstance(one, Unseen) else one[0] for one in apart]


def look_at_file(nix: Nix, text: str, lock: LockFile, timeout: float) -> Look:
    """Look at a flake.nix of ours. Nothing is fetched."""
    with _directory("asked = asked (toString ./.) ./asked.nix;\n", "") as directory:
        (directory / "asked.nix").write_text(text)
        found = _evaluated(nix, directory, timeout)
    return found if isinstance(found, Unseen) else Tree(_asks(found["asked"]), lock)


def _look(nix: Nix, refs: Sequence[FlakeRef], timeout: float) -> list[Look] | Unseen:
    names = {relock.alias(number): ref for number, ref in enumerate(refs)}
    wanted = "".join(f"{name} = tree {nix_string(name)} {_dir(ref)};\n" for name, ref in names.items())
    with _directory(wanted, relock.declared_inputs([(ref, False) for ref in refs])) as directory:
        found = _evaluated(nix, directory, timeout)
        if isinstance(found, Unseen):
            return found
        lock = LockFile.read(directory / LOCK_NAME)
    return [_tree(found[name], lock, name) for name in names]


def _tree(found: object, lock: LockFile, name: str) -> Look:
    node = lock.node(name)
    if node is None or node.locked is None:
        return Unseen(None, "Nix did not lock it")
    if found is None:
        return Tree(locked=node.locked)  # no flake: Nix itself will say so
    assert isinstance(found, dict)
    try:
        own = LockFile.parse(found["lock"]) if found["lock"] is not None else EMPTY
    except LockFileError as error:
        return Unseen(None, f"its {error.message}")
    return Tree(_asks(found), own, node.locked)


def _asks(found: Mapping[str, object]) -> Mapping[str, object]:
    arguments, inputs = found["arguments"], found["inputs"]
    assert isinstance(arguments, list)
    named: dict[str, object] = {name: {} for name in arguments}
    named |= inputs if isinstance(inputs, dict) else {}
    return {name: said for name, said in named.items() if name != "self"}  # of itself: how it is to be fetched


def _dir(ref: FlakeRef) -> str:
    inner = ref.text("dir").strip("/")
    return nix_string(f"/{inner}" if inner else "")


@contextlib.contextmanager
def _directory(look: str, inputs: str) -> Iterator[Path]:
    text = _LOOK.replace("DEEPEST", str(DEEPEST)).replace("TOO_DEEP", '"too deep"')
    with passing_directory() as directory:
        (directory / "flake.nix").write_text(f"{{\n{inputs}{text}{look}}}; }};\n}}\n")
        yield directory


def _evaluated(nix: Nix, directory: Path, timeout: float) -> dict[str, dict[str, object]] | Unseen:
    try:
        finished = nix.look(directory, "look", Deadline(timeout, "looking at inputs"))
    except DeadlineExceeded as error:
        nix.cancel.check()  # the run's own deadline is another matter
        return Unseen(None, error.message, late=True)
    stale = [line for line in failure.stale_fetch_lines(finished.stderr) if str(directory) not in line]
    if finished.code != 0 or stale:
        return Unseen(finished, stale[0] if stale and finished.code == 0 else "")
    try:
        found: dict[str, dict[str, object]] = json.loads(finished.stdout)
    except (ValueError, RecursionError):
        return Unseen(finished, "Nix's answer is no JSON")
    return found
