"""Where a confined Nix works: a home and a temporary directory of its own, and the files that it may use.

Nix gets to see what it needs to lock, evaluate and build, and nothing else: no configuration file (it gets the
text), no key (an agent signs), no home. What the user's own flake reads from this machine is let in by `permit`.
"""

from __future__ import annotations

import contextlib
import os
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lockbot.confine import Confinement, homes
from lockbot.confine.repositories import with_what_it_needs
from lockbot.nix.environment import configuration, keys
from lockbot.nix.environment.daemon import Builder, Daemon, daemon_for
from lockbot.nix.environment.directories import private_directory, remove
from lockbot.process import Ruleset

_OF_GIT = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_FILES = ("NIX_SSL_CERT_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "LOCALE_ARCHIVE", *_OF_GIT)
"""Variables that name files which are no secret."""
_CA = re.compile(r'^\s*sslca(?:info|path) = "(/[^"]*)"', re.MULTILINE | re.IGNORECASE)
_PROGRAMS = ("nix", "git", "ssh")
_PARTS = ("bin", "lib", "lib64", "libexec", "share")
_PIPE_BYTES = 65536
"""What a pipe takes of itself."""


@dataclass(frozen=True)
class Handed:
    """What a call gets its configuration by."""

    variables: Mapping[str, str]
    descriptors: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """One confined Nix's. `work`: the clone and worktrees that it locks and evaluates flakes in."""

    confinement: Confinement
    environ: Mapping[str, str] = field(repr=False)
    """Nix's environment, were it not confined."""
    work: tuple[Path, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings that calls of Nix add."""
    further: tuple[Path, ...] = ()
    """What it writes to beside the store, its cache and its temporary directory."""
    permitted: set[Path] = field(default_factory=set)
    """What of this machine the user's own flake names: files, directories, repositories with all they need."""

    # -- what it is started with ----------------------------------------------------------------------------

    @cached_property
    def directory(self) -> Path:
        """Removed with the last who has this, or by the next lockbot."""
        made = private_directory(self.environ)
        weakref.finalize(self, remove, made, os.getpid())
        for name in ("home", "tmp"):
            (made / name).mkdir(mode=0o700)
        git = self.environ.get("GIT_CONFIG_GLOBAL", os.devnull)
        with contextlib.suppress(OSError):
            _put(made / "home" / ".gitconfig", Path(git).read_bytes())
        with contextlib.suppress(OSError):
            _put(made / "netrc", self._netrc.read_bytes())
        return made

    @cached_property
    def _text(self) -> str:
        """nix.conf, read once: the same holds for a whole run."""
        return configuration.text(self.environ)

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """nix.conf and what is added to it, by name."""
        return {**configuration.settings(self._text), **self.options}

    @property
    def _netrc(self) -> Path:
        return Path(self.settings.get("netrc-file") or configuration.system_directory(self.environ) / "netrc")

    @contextlib.contextmanager
    def configured(self) -> Iterator[Handed]:
        """nix.conf for one call. Who reads it has emptied it."""
        added = f"netrc-file = {self.directory / 'netrc'}\n" if (self.directory / "netrc").exists() else ""
        content = (self._text + added).encode(errors="surrogateescape")
        reader, writer = os.pipe()
        try:
            with os.fdopen(writer, "wb", buffering=0) as pipe:
                if len(content) <= _PIPE_BYTES:
                    pipe.write(content)
                    named = f"/proc/self/fd/{reader}"
                else:  # where a name that nobody can guess must do
                    named = str(self.directory / "nix.conf")
                    Path(named).write_bytes(content)
            yield Handed({"NIX_USER_CONF_FILES": named}, (reader,))
        finally:
            os.close(reader)

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """Its environment: nothing in it is secret, for whoever runs in Nix can read that."""
        home = next(iter(homes(self.environ)), self.directory / "home")
        left_out = ("NIX_CONFIG", "NIX_CONFIG_HOME", "NIX_USER_CONF_FILES", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
        kept = {name: value for name, value in self.environ.items() if name not in left_out}
        found = kept | {
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "XDG_CACHE_HOME": kept.get("XDG_CACHE_HOME") or f"{home}/.cache",
        }
        if "GIT_CONFIG_GLOBAL" in kept:
            found["GIT_CONFIG_GLOBAL"] = str(self.directory / "home" / ".gitconfig")
        return {**found, **self.daemon.variables}

    # -- what it may use --------------------------------------------------------------------------------------

    @cached_property
    def daemon(self) -> Daemon:
        """Who builds."""
        return daemon_for(self.environ, self.settings)

    def for_locking(self, flake: Path) -> Ruleset | None:
        """It writes flake.lock there, and git's index in the clone."""
        return self._ruleset(*self.work, flake)

    def for_roots(self, directory: Path) -> Ruleset | None:
        """It registers what must not be collected, by links there."""
        return self._ruleset(directory)

    def for_evaluating(self) -> Ruleset | None:
        """It may build."""
        return self._ruleset()

    def _ruleset(self, *write: Path) -> Ruleset | None:
        """Builders without a sandbox are kept from reading what Nix itself is kept from; what they write is up to
        whoever let them have none."""
        permitted = (path for path in self.permitted if not self.confinement.is_secret(path))
        reading = (*self._read, *with_what_it_needs((*self.work, *permitted)))
        if self.daemon.builder is Builder.NIX_ITSELF:
            return self.confinement.strict((*reading, *self._own, *write), None)
        return self.confinement.strict(reading, (*self._own, *write))

    @cached_property
    def _own(self) -> tuple[Path, ...]:
        """The store, and what Nix keeps."""
        names = ("NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_LOCALSTATE_DIR", "NIX_DATA_HOME")
        named = [Path(self.environ[name]) for name in names if self.environ.get(name)]
        named += configuration.paths({"store": self.environ.get("NIX_REMOTE", "")})
        named += configuration.paths({name: self.settings.get(name, "") for name in ("store", "build-dir")})
        cache = self.environ.get("NIX_CACHE_HOME")
        caches = Path(cache) if cache else Path(self.variables["XDG_CACHE_HOME"]) / "nix"
        with contextlib.suppress(OSError):  # where it can't be made, Nix says so
            caches.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (Path("/nix/store"), Path("/nix/var"), self.directory, caches, *named, *self.further)

    @cached_property
    def _read(self) -> tuple[Path, ...]:
        programs = [Path(one) for one in self.environ.get("PATH", "").split(":") if one.startswith("/")]
        certificates = [Path(self.environ[name]) for name in _FILES if self.environ.get(name)]
        named = [path for path in configuration.paths(self.settings) if not keys.is_key(path)]
        certificates += _of_git(self.directory / "home" / ".gitconfig")
        return (
            *programs,
            *_installed(programs),
            *certificates,
            *named,
            *keys.public(self.environ),
        )


def _installed(directories: Iterable[Path]) -> Iterator[Path]:
    """What the programs on PATH were installed with, where that is not the system's: beside their `bin`, and not
    all of it, for there may be anything beside a script of that name."""
    for program in (directory / name for directory in directories for name in _PROGRAMS):
        if program.exists():
            prefix = program.resolve().parent.parent
            above = [prefix.parent] if prefix.name == "usr" else []
            yield from (place / name for place in (prefix, *above) for name in _PARTS)


def _put(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)


def _of_git(settings: Path) -> list[Path]:
    """The certificates that git settings name."""
    with contextlib.suppress(OSError):
        return [Path(path) for path in _CA.findall(settings.read_text(errors="surrogateescape"))]
    return []
