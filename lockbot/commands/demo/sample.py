"""The demo's sample: a flake and its inputs in real git repositories, and a Nix store of their own.

Everything lies below one directory, and nothing of the user's is read or written. The store is always the
sample's own: then it does not matter whether the machine's Nix has a store, a daemon, or users to build as.
It must not know what the demo tells, nor run lockbot.

    DIRECTORY/flake/             the user's flake, with four hosts
    DIRECTORY/upstream/NAME/     its inputs
    DIRECTORY/lockbot.toml       lockbot's configuration for it
    DIRECTORY/lockbot            a script: lockbot in the sample's environment
    DIRECTORY/state/             lockbot's state
    DIRECTORY/home/, nix/        git's and Nix's configuration, caches and store
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from lockbot import files
from lockbot.config.template import toml
from lockbot.errors import LockbotError, UsageError
from lockbot.git.command import Git, user_environment
from lockbot.nix import installed
from lockbot.process import CancelToken, Deadline
from lockbot.surroundings import absolute

INPUTS = ("packages", "modules", "themes")
FIRST_COMMIT = 1_790_830_800
"""2026-10-01 05:00 UTC. Each further commit is a day younger, and revisions are the same each time."""
DAY = 86_400

_GIT_CONFIGURATION = """\
[user]
\tname = You
\temail = you@example.org
[commit]
\tgpgSign = false
"""
_NIX_CONFIGURATION = """\
build-users-group =
sandbox = false
experimental-features = nix-command flakes
substituters =
flake-registry =
"""


@dataclass
class Sample:
    """The made sample. `environment` is complete: what runs in it sees nothing of the user's."""

    directory: Path
    environment: Mapping[str, str]
    cancel: CancelToken
    commits: int = field(default=0)

    @property
    def flake(self) -> Path:
        return self.directory / "flake"

    @property
    def configuration(self) -> Path:
        return self.directory / "lockbot.toml"

    @property
    def script(self) -> Path:
        return self.directory / "lockbot"

    def upstream(self, name: str) -> Path:
        return self.directory / "upstream" / name

    def git(self, directory: Path) -> Git:
        return Git(directory, user_environment(self.environment), self.cancel)

    def change(self, name: str, subject: str, old: str, new: str) -> None:
        """Commit a change to an input: this text in its flake.nix becomes that one."""
        file = self.upstream(name) / "flake.nix"
        text = file.read_text()
        assert old in text, f"{old!r} is not in {file}"
        file.write_text(text.replace(old, new))
        self.commit(self.upstream(name), subject)

    def commit(self, directory: Path, subject: str) -> None:
        """Commit all that lies there, at the sample's next date."""
        date = f"{FIRST_COMMIT + self.commits * DAY} +0000"
        self.commits += 1
        git = self.git(directory)
        git = replace(git, environment={**git.environment, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date})
        git.run("add", "--all")
        git.run("commit", "--quiet", "--message", subject)


def make(directory: Path, environ: Mapping[str, str], cancel: CancelToken) -> Sample:
    """Make the sample in a directory that is empty or does not exist.

    Raises UsageError for another one, LockbotError where git is missing or Nix is missing or too old.
    """
    _required("git", environ)
    directory = _empty(directory)
    sample = Sample(directory, _environment(directory, environ), cancel)
    _write_surroundings(sample)
    nix = installed.find(sample.environment, cancel, directory / "home" / "nix-data", {})
    text = _template("flake.nix").replace("@system@", str(nix.settings()["system"]))
    text = text.replace("@path@", str(Path(_required("mkdir", environ)).parent))
    for name in INPUTS:
        _start(sample, sample.upstream(name), _template(f"{name}.nix"))
        sample.commit(sample.upstream(name), "first version")
        text = text.replace(f"@{name}@", f"git+file://{quote(str(sample.upstream(name)))}")
    _start(sample, sample.flake, text)
    locked = nix.lock(sample.flake, Deadline(60, "locking the sample flake"))
    if locked.code != 0:
        raise locked.error("Nix cannot lock the sample flake")
    sample.commit(sample.flake, "four hosts")
    return sample


def _required(program: str, environ: Mapping[str, str]) -> str:
    found = shutil.which(program, path=environ.get("PATH", ""))
    if found is None:
        raise LockbotError(f"no `{program}` on PATH", f"install {program}: the demo is made of real things")
    return found


def _start(sample: Sample, directory: Path, flake: str) -> None:
    """A repository whose flake.nix is staged: Nix sees only what git knows."""
    directory.mkdir(parents=True)
    (directory / "flake.nix").write_text(flake)
    git = sample.git(directory)
    git.run("init", "--quiet", "--initial-branch=main")
    git.run("add", "--all")


def _template(name: str) -> str:
    return (resources.files(__package__) / "flakes" / name).read_text(encoding="utf-8")


def _empty(directory: Path) -> Path:
    """The directory, made and resolved: a Nix store must not lie behind a symbolic link."""
    try:
        resolved = directory.resolve()
        _check_name(resolved)
        if directory.is_symlink() and not resolved.exists():
            raise UsageError(f"{directory} is a symbolic link to {resolved}, which does not exist", _NAME_ANOTHER)
        files.check_directory(resolved)
        resolved.mkdir(parents=True, exist_ok=True)
        if resolved.stat().st_mode & stat.S_IWOTH:
            raise UsageError(
                f"everybody may write to {directory}, and what lies there is run as your own", _NAME_ANOTHER
            )
        if any(resolved.iterdir()):
            raise UsageError(f"{directory} is not empty", _NAME_ANOTHER)
    except files.NotOurs as error:
        raise UsageError(f"the demo cannot be made there: {error.strerror}", _NAME_ANOTHER) from error
    except OSError as error:
        raise UsageError(f"the demo cannot be made in {directory}: {error.strerror}") from error
    except RuntimeError:  # before Python 3.13
        raise UsageError(f"{directory} is a loop of symbolic links", _NAME_ANOTHER) from None
    return resolved


_NAME_ANOTHER = "name an empty directory of your own, or one that does not exist yet"


def _check_name(directory: Path) -> None:
    if "'" in str(directory) or not str(directory).isprintable():
        raise UsageError(
            f"the demo cannot be made in {directory}",
            "its store lies there: Nix has trouble with quotes in its path",
        )


def _environment(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    nix = directory / "nix"
    return {
        "PATH": environ.get("PATH", ""),
        "HOME": str(directory / "home"),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "NIX_STORE_DIR": str(nix / "store"),
        "NIX_STATE_DIR": str(nix / "state"),
        "NIX_LOG_DIR": str(nix / "log"),
        "NIX_CONF_DIR": str(nix / "etc"),
    }


def _write_surroundings(sample: Sample) -> None:
    directory = sample.directory
    for place in (directory / "home", directory / "nix" / "etc"):
        place.mkdir(parents=True)
    (directory / "home" / ".gitconfig").write_text(_GIT_CONFIGURATION)
    (directory / "nix" / "etc" / "nix.conf").write_text(_NIX_CONFIGURATION)
    sample.configuration.write_text(
        f"[repository]\npath = {toml(sample.flake)}\n\n"
        f"[state]\ndirectory = {toml(directory / 'state')}\n"
        'min_free = "64M"  # enough for the demo; the default is "2G"\n'
    )
    settings = {**sample.environment, "LOCKBOT_CONFIG": str(sample.configuration)}
    words = [*(f"{name}={value}" for name, value in settings.items()), *_program()]
    sample.script.write_text(
        "#!/bin/sh\n"
        "# lockbot on the demo's flake, in the demo's environment: nothing of yours is read or written.\n"
        f'exec env -i TERM="${{TERM:-dumb}}" {shlex.join(words)} "$@"\n'
    )
    sample.script.chmod(0o755)


def _program() -> list[str]:
    """The command that started this process, as it can be started again."""
    given = absolute(Path(sys.argv[0]))
    return (
        [str(given)]
        if given.name == "lockbot" and os.access(given, os.X_OK)
        else [sys.executable, "-m", "lockbot"]
    )
