"""nix/options.json, the typed options of the modules' `settings`, is made of the program's own keys."""

from __future__ import annotations

import json
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from lockbot.config.module_options import TYPED, nix_type, options
from lockbot.config.types import AttributePath, Count, Duration, Flag, Identity, Size, Text
from tests.nixes import PROJECT

FILE = PROJECT / "nix/options.json"


def test_the_file_is_made_of_the_keys() -> None:
    """Written by `python -m lockbot.config.module_options > nix/options.json`."""
    argv = [sys.executable, "-m", "lockbot.config.module_options"]
    made = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert FILE.read_text() == made


def test_every_typed_key_is_there() -> None:
    found = json.loads(FILE.read_text())
    assert {f"{section}.{key}" for section, keys in found.items() for key in keys} == {*TYPED}


def test_descriptions_are_the_configuration_s_own() -> None:
    gate = options()["build"]["gate"]
    assert gate["description"] == (
        "`no-regression`: hosts that were broken before do not block; `all-green`: they do. "
        'Default: `"no-regression"`.'
    )
    assert options()["schedule"]["when"]["example"] == "0 4 * * *"
    assert options()["schedule"]["time_zone"]["description"].endswith("Default: the machine's.")


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Text, "str"),
        (Annotated[Path, "mark"], "str"),
        (Flag, "bool"),
        (Duration, "str or number"),
        (Size, "str or number"),
        (Identity, "str"),
        (tuple[Text, ...], {"listOf": "str"}),
        (tuple[AttributePath, ...], {"listOf": "str"}),
        (Colour, ["red", "green"]),
        (Annotated[Count, *Field(ge=1, le=9).metadata], {"between": [1, 9]}),
    ],
    ids=range(10),
)
def test_types(kind: object, expected: object) -> None:
    assert nix_type(kind) == expected


def test_a_kind_of_value_without_a_type_is_told() -> None:
    with pytest.raises(KeyError):
        nix_type(bytes)
