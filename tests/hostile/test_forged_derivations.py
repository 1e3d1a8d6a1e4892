"""What a flake hands over as a host may only look like a derivation: any set may say that it is one. Nothing of it
reaches a command line unless it is what Nix makes of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.model import FailureKind
from lockbot.nix.evaluate.evaluator import FORGED, NO_PATH
from lockbot.process import CancelToken
from tests import nixes
from tests.nix.test_evaluate import World

FORGERIES = {
    "an option for a derivation": 'fine // { drvPath = "--post-build-hook"; }',
    "a number for a derivation": "fine // { drvPath = 1; }",
    "lines in a derivation": 'fine // { drvPath = fine.drvPath + "\\n/etc/passwd"; }',
    "a derivation elsewhere": 'fine // { drvPath = "/etc/${baseNameOf fine.drvPath}"; }',
    "a path above": 'fine // { drvPath = "${builtins.storeDir}/../etc/x.drv"; }',
    "an output for a derivation": "fine // { drvPath = fine.outPath; }",
    "an option for an output": 'fine // { outPath = "${builtins.storeDir}/--delete"; }',
    "lines in an output": 'fine // { outPath = fine.outPath + "\\nx"; }',
    "an output's name with a blank": 'fine // { outputName = "out --delete"; }',
    "a list for an output's name": "fine // { outputName = [ 1 ]; }",
    "lists without end for a derivation": (
        "fine // { drvPath = builtins.foldl' (l: _: [ l ]) [ ] (builtins.genList (x: x) 5000); }"
    ),
    "lines in a system": 'fine // { system = "x86_64-linux\\n\\u001b[31m"; }',
    "no output's name": "fine // { outputName = { }; }",
    "all of them numbers": '{ type = "derivation"; drvPath = 1; outPath = "${builtins.storeDir}/x"; system = 2; }',
}


@pytest.mark.parametrize("expression", FORGERIES.values(), ids=FORGERIES)
def test_what_only_looks_like_a_derivation_fails_as_the_flakes_own(
    expression: str, one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, {})
    done = world.evaluate({"forged": expression, "honest": "fine"})
    assert done["honest"].failure is None
    problem = done["forged"].failure
    assert problem is not None and problem.kind is FailureKind.EVALUATION
    assert problem.message in (FORGED, NO_PATH)
