"""Running git: launched by GitPython, seen to its end by `process`. Two environments, built from scratch.

Knows how git is started and what it may read and run there; must not know clones, branches or remotes.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockbot.errors import SurroundingsError
from lockbot.git.failure import explain, last_line, verb
from lockbot.process import NOBODY, CancelToken, Deadline, Finished, Listener, Ruleset, begin, confined, supervise

Pair = tuple[str, str]
"""One entry of git's configuration: key, value."""

TIMEOUT = 600.0
"""Seconds that one git command may take."""
_STALL_SECONDS = 30

_SAFE: tuple[Pair, ...] = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("core.fsync", "all"),
    ("core.alternateRefsCommand", ":"),
    ("log.showSignature", "false"),
    ("safe.bareRepository", "all"),
)
"""Holds everywhere: nothing of the repository's runs, no background work, and a power cut leaves old or new.

A bare repository is looked at only where it is named to lockbot, or is its own."""

_OWN: tuple[Pair, ...] = (
    *_SAFE,
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
)
_USER: tuple[Pair, ...] = (
    *_SAFE,
    ("protocol.file.allow", "always"),
    ("transfer.fsckObjects", "false"),
    ("fetch.fsckObjects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", str(_STALL_SECONDS)),
    ("http.followRedirects", "false"),
    ("advice.graftFileDeprecated", "false"),  # said of GIT_GRAFT_FILE, whatever is in it
)

_FOR_NIX: tuple[Pair, ...] = tuple(pair for pair in _OWN if pair[0] != "core.fsync")
"""In Nix's caches nothing lies that can't be fetched again."""

_PROMPTLESS = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_EDITOR": ":",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
}

_PLAIN = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_DEFAULT_REF_FORMAT": "files",  # what Nix can read
}

_OWN_NAMES = ("PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "GNUPGHOME", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK")
"""What git needs of the caller's environment in lockbot's own repository, signing included."""

_GIT_PREFIXES = ("GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")
_GIT_NAMES = frozenset(
    {
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_COUNT",
    }
)
"""An operator sets these on purpose; GIT_DIR, GIT_INDEX_FILE and the like come from a hook that started us."""
_DROPPED = frozenset({"LANG", "PWD", "OLDPWD", "DISPLAY", "WAYLAND_DISPLAY"})


@dataclass(frozen=True)
class Git:
    """git in one directory, with one environment. `timeout`: seconds for each command."""

    directory: Path
    environment: Mapping[str, str]
    cancel: CancelToken
    timeout: float = TIMEOUT
    ruleset: Ruleset | None = field(default=None, repr=False, compare=False)
    """The files that it may use; None: any."""

    def run(
        self, *args: str, stdin: bytes | None = None, check: bool = True, listener: Listener = NOBODY
    ) -> Finished:
        """Run one command to its end; with `check`, raise for any exit code but 0.

        Raises CommandError, SurroundingsError (no git, full disk), UsageError (dubious ownership),
        DeadlineExceeded, Cancelled.
        """
        argv = ("git", "-C", str(self.directory), *args)
        self.cancel.check()
        finished = supervise(
            _launch(argv, self.environment, self.ruleset, feed=stdin is not None),
            argv,
            cancel=self.cancel,
            deadlines=(Deadline(self.timeout, f"git {verb(argv)}"),),
            stdin=stdin,
            listener=listener,
        )
        if finished.code in (126, 127) and finished.stderr.startswith("env:"):
            raise SurroundingsError(
                f"cannot start git: {finished.stderr.strip()}", "is git installed, and on PATH?"
            )
        if check and finished.code != 0:
            raise explain(finished)
        return finished

    def ask(self, *args: str) -> str:
        """What the command prints, without the newline at its end."""
        return self.run(*args).stdout.removesuffix("\n")

    def holds(self, *args: str) -> bool:
        """For commands that answer by exit code: 0 is yes, 1 is no, any other an error."""
        finished = self.run(*args, check=False)
        if finished.code > 1 or finished.code < 0:
            raise explain(finished)
        return finished.code == 0

    def resolve(self, name: str) -> str | None:
        """The commit that a name stands for; None: there is no such name or object."""
        finished = self.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False
        )
        return finished.stdout.strip() if finished.code == 0 else None

    def configured(self, *pairs: Pair) -> Git:
        """The same with more configuration, which wins over all other."""
        return replace(self, environment=_with_config(self.environment, pairs))

    def plain(self) -> Git:
        """The same, blind to attributes and excludes that lie outside of the repository, and to replacements."""
        git = self.configured(*_OWN)
        return replace(git, environment={**git.environment, **_PLAIN})

    def at(self, directory: Path) -> Git:
        return replace(self, directory=directory)


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """For lockbot's own clone and worktrees: no configuration but the clone's, no hook, no filter."""
    kept = {name: environ[name] for name in _OWN_NAMES if name in environ}
    blind = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    return _with_config(kept | _PROMPTLESS | _PLAIN | blind, _OWN)


def nix_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """For the git that Nix starts, in lockbot's worktrees and in its own caches: the variables that are git's.

    `environ` is a restricted one (`settings.restrict`): what it keeps of settings lies in a file, not in here.
    """
    every = {name: value for name, value in environ.items() if _wanted(name)} | _PROMPTLESS | _PLAIN
    named = {name: value for name, value in every.items() if name.startswith(("GIT_", "SSH_ASKPASS"))}
    return _with_config(named, _FOR_NIX)


def user_environment(environ: Mapping[str, str], *, config: Iterable[Pair] = ()) -> dict[str, str]:
    """For remotes and the user's own repository: the configuration and credentials that `environ` leads to (all of
    the user's, or what `settings.restrict` leaves of it) and `config`; no hooks, no prompts.
    """
    kept = {name: value for name, value in environ.items() if _wanted(name)}
    fixed = {"GIT_GRAFT_FILE": "/dev/null"}  # no history but the real one
    return _with_config(_with_config(kept | _PROMPTLESS | fixed, config), _USER)


def _wanted(name: str) -> bool:
    if name.startswith("GIT_"):
        return name in _GIT_NAMES or name.startswith(_GIT_PREFIXES)
    return name not in _DROPPED and not name.startswith("LC_")


def _with_config(environment: Mapping[str, str], pairs: Iterable[Pair]) -> dict[str, str]:
    """Configuration by environment: no secret in it is in any argv, and it wins over every file."""
    result = dict(environment)
    text = result.get("GIT_CONFIG_COUNT", "0")
    count = int(text) if text.isdigit() else 0
    for key, value in pairs:
        result[f"GIT_CONFIG_KEY_{count}"] = key
        result[f"GIT_CONFIG_VALUE_{count}"] = value
        count += 1
    return result | {"GIT_CONFIG_COUNT": str(count)}


def _launch(
    argv: tuple[str, ...], environment: Mapping[str, str], ruleset: Ruleset | None, *, feed: bool
) -> subprocess.Popen[bytes]:
    # Imported late: it takes 0.15 s, runs git, and raises when that is not on PATH, or can't begin.
    try:
        if ruleset is not None and "git" not in sys.modules:
            confined(ruleset, lambda: importlib.import_module("git"))
        import git
    except ImportError as error:
        said = str(getattr(error.__cause__, "stderr", "")).strip().removeprefix("stderr: ").strip("'")
        hint = "does `git version` work?" if said else "is git installed, and on PATH?"
        raise SurroundingsError(
            f"git cannot be used: {last_line(said) or 'GitPython finds no git'}", hint
        ) from error
    program = str(git.Git.GIT_PYTHON_GIT_EXECUTABLE or argv[0])
    # GitPython starts from os.environ and can only add to it: env(1) takes the rest out again.
    drop = [f"--unset={name}" for name in os.environ if name and name not in environment]

    def start(marked: Mapping[str, str]) -> subprocess.Popen[bytes]:
        handle = git.Git("/").execute(
            ["env", *drop, program, *argv[1:]],
            istream=subprocess.PIPE if feed else None,
            as_process=True,
            start_new_session=True,
            env={**environment, **marked},
        )
        process = handle.proc
        assert process is not None
        handle.proc = None  # else it ends the process once more when it is collected
        return process

    try:
        return begin(start, ruleset)
    except (OSError, git.exc.GitCommandNotFound) as error:
        raise SurroundingsError(f"cannot start git: {error}", "is git installed, and on PATH?") from error
