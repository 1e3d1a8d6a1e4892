"""What Nix is given to see and which settings lockbot makes: its environment, from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it asks Nix by way of this module
    pass

PASSED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    *(f"NIX_{name}_DIR" for name in ("STORE", "STATE", "LOG", "CONF", "DATA", "LOCALSTATE")),
    *(f"NIX_{name}" for name in ("REMOTE", "DAEMON_SOCKET_PATH", "SSHOPTS", "SSL_CERT_FILE")),
    *(f"NIX_{name}" for name in ("USER_CONF_FILES", "CACHE_HOME", "CONFIG_HOME")),
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    *(name for proxy in ("http", "https", "all", "no") for name in (f"{proxy}_proxy", f"{proxy}_proxy".upper())),
    "LOCALE_ARCHIVE",
)
"""What Nix may see of the operator's environment, and nothing else; what is git's is given beside it."""

FEATURES = "extra-experimental-features"
SETTINGS = {
    FEATURES: "nix-command flakes",
    "accept-flake-config": "false",
    "use-registries": "false",
    "warn-dirty": "false",
    "connect-timeout": "15",
    "stalled-download-timeout": "60",
    "download-attempts": "3",
    "allow-dirty": "true",  # lockbot's own worktree is, between an update and its commit
    "pure-eval": "true",
    "print-missing": "true",  # what would have to be built is read of it
    "log-lines": "25",
    "keep-failed": "false",
    "trace-function-calls": "false",
    "eval-profiler": "disabled",
}
"""What nix.conf does not decide: it would stop or mislead a run, or fill the disk. All else is the user's."""


def environment(
    environ: Mapping[str, str], data_home: Path, settings: Mapping[str, str], git: Mapping[str, str]
) -> dict[str, str]:
    """Nix's environment, from scratch. `data_home` hides the list of `nixConfig` values a user once trusted.

    `git` is what the git that Nix starts gets to see besides.
    """
    passed = {name: environ[name] for name in PASSED if name in environ}
    lines = [environ.get("NIX_CONFIG", ""), *(f"{name} = {value}" for name, value in settings.items())]
    return passed | {
        "NIX_CONFIG": "\n".join(line for line in lines if line) + "\n",
        "XDG_DATA_HOME": str(data_home),
        "NIX_DATA_HOME": str(data_home / "nix"),
        "NO_COLOR": "1",
        "LANG": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        **git,
    }
