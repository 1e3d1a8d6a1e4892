"""build.options: which further Nix settings a configuration may make, and why not the others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from lockbot.config.types import CONTROL

_REFUSED = {
    "accept-flake-config": "an input could then run programs as you",
    "post-build-hook": "it runs a program with the daemon's rights",
    "pre-build-hook": "it runs a program with the daemon's rights",
    "build-hook": "it runs a program with the daemon's rights",
    "diff-hook": "it runs a program with the daemon's rights",
    "run-diff-hook": "it runs a program with the daemon's rights",
    "plugin-files": "it loads code into Nix",
    "allow-unsafe-native-code-during-evaluation": "an input could then run programs as you",
    "allow-new-privileges": "a build could then become root",
    "allowed-users": "it belongs in the daemon's nix.conf",
    "trusted-users": "it belongs in the daemon's nix.conf",
    "trusted-public-keys": "it belongs in the daemon's nix.conf",
    "trusted-substituters": "it belongs in the daemon's nix.conf",
    "require-sigs": "unsigned results could then come from any cache",
    "secret-key-files": "no secret belongs here",
    "access-tokens": "no secret belongs here; use eval.access_tokens",
    "timeout": "use build.timeout",
    "max-silent-time": "use build.silence",
    "max-jobs": "use build.jobs",
    "cores": "use build.cores",
    "allow-import-from-derivation": "use eval.import_from_derivation",
    "experimental-features": "lockbot sets it to what it needs",
    "keep-going": "lockbot needs it on",
    "sandbox-paths": "it belongs in the daemon's nix.conf",
    "store": "lockbot must know which store it is",
}


def nix_options(value: object) -> Mapping[str, str]:
    """Further Nix settings, as in nix.conf; those that run code or that lockbot sets itself are refused."""
    if not isinstance(value, dict):
        raise ValueError("must be a table of Nix settings, such as { sandbox = true }")
    return {name: _nix_option(name, setting) for name, setting in value.items()}


def _nix_option(name: object, value: object) -> str:
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9-]{0,60}", name):
        raise ValueError("holds a name that is no Nix setting (lower-case letters, digits and -)")
    reason = _REFUSED.get(name.removeprefix("extra-"))
    if reason:
        raise ValueError(f"must not set {name}: {reason}")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(item, (str, int)) for item in value):
        value = " ".join(map(str, value))
    if not isinstance(value, (str, int)) or CONTROL.search(str(value)):
        raise ValueError(f"sets {name} to something else than one line of text, a number, true, false or a list")
    return str(value)


NixOptions = Annotated[Mapping[str, str], BeforeValidator(nix_options)]
