"""The user's git settings: which of them reach lockbot's own git, and Nix's, and how they get there.

What a user must be able to say of how others are reached is let through by name; everything else stays with the
user: no setting that nobody thought of here can stop or mislead a run. Must not know clones, branches or remotes.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lockbot import files
from lockbot.errors import SurroundingsError
from lockbot.git.command import Git, Pair

FILE = "gitconfig"
"""What the file of let-through settings is called, in a repository's place in the state directory."""
LET_THROUGH = (
    "credential.*",
    "credentialCache.*",
    "credentialStore.*",
    "url.*.insteadOf",
    "url.*.pushInsteadOf",
    "core.sshCommand",
    "ssh.variant",
    "core.gitProxy",
    "http.*",
    "safe.directory",
    "user.name",
    "user.email",
)
"""As the documentation lists them; the last two are who the user's own reflog names."""
LOCKBOTS_OWN = ("http.followRedirects", "http.lowSpeedLimit", "http.lowSpeedTime")
"""Of `http.*`, what lockbot decides itself."""

SSH_OPTIONS = "-oBatchMode=yes -oConnectTimeout=20"
"""ssh takes the first of contradicting options: the user's own come first, and win."""
_OTHER_SSH = frozenset({"simple", "plink", "putty", "tortoiseplink"})
"""Programs in ssh's place that don't know its options."""


@dataclass(frozen=True)
class Setting:
    """One entry of git's configuration."""

    scope: str
    """Where it was said: `system`, `global`, `local`, `worktree`, `command`."""
    key: str
    """Section and variable in lower case."""
    value: str = field(repr=False)

    @property
    def of_repository(self) -> bool:
        """Said in the repository itself: it concerns this repository alone."""
        return self.scope in ("local", "worktree")

    @property
    def let_through(self) -> bool:
        return _THROUGH.fullmatch(self.key) is not None and _OURS.fullmatch(self.key) is None


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    words = "|".join(re.escape(name.lower()).replace(r"\*", ".+") for name in names)
    return re.compile(words, re.DOTALL)


_THROUGH = _pattern(LET_THROUGH)
_OURS = _pattern(f"http.{more}{name.partition('.')[2]}" for name in LOCKBOTS_OWN for more in ("", "*."))


def read(git: Git) -> tuple[Setting, ...]:
    """All that holds where `git` is, in git's order: a later one wins, or is added."""
    fields = git.run("config", "--list", "--show-scope", "-z").stdout.split("\0")
    entries = ((scope, *text.partition("\n")) for scope, text in zip(fields[0::2], fields[1::2], strict=False))
    return tuple(Setting(scope, key, value if equals else "true") for scope, key, equals, value in entries)


def restrict(environ: Mapping[str, str], settings: Iterable[Setting], file: Path) -> dict[str, str]:
    """The environment, but git in it sees of the user's settings only those that are let through.

    They are written to `file` (mode 0600): git hands no other configuration on to the programs that it starts at a
    remote on this machine, and an input may read the environment of the Nix that fetches it. What the repository
    itself says is left out: see `source.remote_of`. Raises SurroundingsError where the file can't be written.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_CONFIG")}
    pairs = [(one.key, one.value) for one in settings if one.let_through and not one.of_repository]
    found = dict(pairs)
    variant = kept.get("GIT_SSH_VARIANT") or found.get("ssh.variant", "")
    if command := kept.pop("GIT_SSH_COMMAND", ""):
        kept["GIT_SSH_COMMAND"] = unattended(command, variant)
    program = kept.pop("GIT_SSH", "")
    command = found.get("core.sshcommand") or (shlex.quote(program) if program else "ssh")
    pairs.append(("core.sshcommand", unattended(command, variant)))
    _write(file, "".join(map(_line, pairs)))
    return kept | {"GIT_CONFIG_GLOBAL": str(file), "GIT_CONFIG_NOSYSTEM": "1"}


def unattended(command: str, variant: str = "") -> str:
    """The command that stands in for ssh, told that nobody is there to be asked."""
    with contextlib.suppress(ValueError):  # a shell may make sense of what shlex does not
        words = [PurePosixPath(word).name for word in shlex.split(command)[:1]]
        named = "".join(words).lower().removesuffix(".exe")
        variant = named if variant in ("", "auto") else variant
    return command if variant in _OTHER_SSH else f"{command} {SSH_OPTIONS}"


def _line(pair: Pair) -> str:
    """One entry as git's configuration files have it."""
    section, _, rest = pair[0].partition(".")
    subsection, _, name = rest.rpartition(".")
    title = f'{section} "{_escaped(subsection)}"' if subsection else section
    return f'[{title}]\n\t{name} = "{_escaped(pair[1])}"\n'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _write(file: Path, text: str) -> None:
    """Whole or not at all; untouched where it says so already. Never through a link, nor into another's file."""
    content = text.encode(errors="surrogateescape")
    try:
        files.check_file(file)
        with contextlib.suppress(FileNotFoundError):
            if files.read(file) == content:
                return
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(file, content)
    except OSError as error:
        raise SurroundingsError(
            f"cannot write {file}: {error.strerror}", "lockbot keeps there which git settings of yours it obeys"
        ) from error
