"""Which files other programs may read and write: Nix hardly any, git and hooks all but secrets.

Knows where secrets lie on a machine; must not know Nix, git, or what runs when. The kernel's part is Landlock
(`process.landlock`): where it has none, everything is as the system has it, and `why_not` says so.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lockbot.confine.repositories import with_what_it_needs
from lockbot.errors import SurroundingsError
from lockbot.process import Access, Ruleset, landlock


class Confine(StrEnum):
    """Whether programs are confined: as far as this machine can, or else nothing runs, or not at all."""

    WHEN_POSSIBLE = "when-possible"
    REQUIRED = "required"
    NEVER = "never"


HOME_SECRETS = (".ssh", ".netrc")
"""What lies in a home that only git needs, when it talks to remotes."""
_HOMES = Path("/home")

SYSTEM = tuple(
    Path(path)
    for path in (
        *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu/store"),
        *("/proc", "/sys"),
        *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "fd", "kvm")),
        *(f"/run/{name}" for name in ("current-system", "booted-system", "opengl-driver", "wrappers")),
        *(f"/run/{name}" for name in ("systemd/resolve", "resolvconf", "NetworkManager", "nscd")),
        *(
            f"/etc/{name}"
            for name in (
                *("static", "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload"),
                *("passwd", "group", "hosts", "host.conf", "nsswitch.conf", "resolv.conf", "gai.conf"),
                *("services", "protocols", "localtime", "locale.conf", "os-release", "gitconfig", "terminfo"),
                *(
                    "ssl/certs",
                    "ssl/openssl.cnf",
                    "ssl/cert.pem",
                    "pki/tls/certs",
                    "pki/ca-trust",
                    "ca-certificates",
                ),
                *("crypto-policies", "ssh/ssh_config", "ssh/ssh_config.d"),
                *("ssh/ssh_known_hosts", "ssh/ssh_known_hosts2", "nix/registry.json"),
            )
        ),
    )
)
"""What any program needs to run, find hosts and check certificates: nothing in it is secret."""
_PACKAGE = Path(__file__).parents[1]
_LIBRARY = _PACKAGE.parent if _PACKAGE.parent.name in ("site-packages", "dist-packages") else _PACKAGE
_OWN_PROGRAM = (Path(sys.prefix), Path(sys.base_prefix), _LIBRARY)
"""The Python that lockbot is run by: it may lie in somebody's home, and hooks may be run by it, too."""
DEVICES = tuple(
    Path(f"/dev/{name}") for name in ("null", "zero", "full", "tty", "ptmx", "pts", "random", "urandom")
)
"""What may be written to without an effect on this machine."""


@dataclass(frozen=True)
class Confinement:
    """What programs are kept from. Paths may be missing, and may be links."""

    why_not: str | None
    """Why nothing is confined; None: it is."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Whose home and credentials it is about."""
    private: tuple[Path, ...] = ()
    """What no program but lockbot itself has business with."""
    allowed: tuple[Path, ...] = ()
    """What git and hooks may read, though it lies in something private: of a repository, all that it needs."""
    readable: tuple[Path, ...] = ()
    """What the configuration lets every program read."""
    _rulesets: dict[tuple[str, tuple[bool, ...]], Ruleset | None] = field(default_factory=dict, repr=False)

    @property
    def active(self) -> bool:
        return self.why_not is None

    @property
    def for_git(self) -> Ruleset | None:
        """For git at work on this machine: it reads no secret. None: not confined."""
        return self._kept("git", self._of_systemd, self._of_homes)

    @property
    def for_remotes(self) -> Ruleset | None:
        """For git that asks inputs' repositories: with the user's keys, without lockbot's credentials."""
        return self._kept("remotes", self._of_systemd)

    @property
    def for_own_remote(self) -> Ruleset | None:
        """For git that fetches from, and pushes to, the repository's own remote: with every key there is."""
        return self._kept("own remote")

    @property
    def for_commands(self) -> Ruleset | None:
        """For hooks and other commands of the configuration's, as the machine is now: they read no secret."""
        return self._all_but((*self._of_systemd(), *self._of_homes()))

    def strict(self, read: Iterable[Path], write: Iterable[Path] | None) -> Ruleset | None:
        """What every program needs, and these; `write` None: writing is as the system has it."""
        if not self.active:
            return None
        reading = (*SYSTEM, *DEVICES, *self.readable, *read)
        return Ruleset(Access(reading, None if write is None else (*DEVICES, *write)))

    def _kept(self, name: str, *further: Callable[[], Iterable[Path]]) -> Ruleset | None:
        """Made once: looking through the directories above secrets takes longer than starting git. Made anew where
        something is there now that is let in."""
        key = (name, tuple(path.exists() for path in self.allowed))
        if key not in self._rulesets:
            self._rulesets[key] = self._all_but(path for paths in further for path in paths())
        return self._rulesets[key]

    def _all_but(self, further: Iterable[Path]) -> Ruleset | None:
        if not self.active:
            return None
        kept_from = {_real(path) for path in (*self.private, *further)}
        let_in = [*map(_real, (*self.readable, *_OWN_PROGRAM))]
        closed = {_real(path) for path in self.private}
        for place in (one for one in map(_real, with_what_it_needs(self.allowed)) if one not in closed):
            # What is let in lies in something private; what is private in that stays so.
            let_in += _all_but(place, {path for path in kept_from if path != place and path.is_relative_to(place)})
        return Ruleset(Access((*_all_but(Path("/"), kept_from), *let_in), names=True))

    def is_secret(self, path: Path) -> bool:
        """Whether a path leads to what no flake may have read: a key, a credential, lockbot's own. What else lies
        in somebody's home may be an input that its owner named."""
        keys = (home / name for home in (*homes(self.environ), *_others(self.environ)) for name in HOME_SECRETS)
        kept_from = map(_real, (*self.private, *self._of_systemd(), *keys))
        let_in = [*map(_real, (*self.allowed, *self.readable))]
        real = _real(path)
        if any(real.is_relative_to(place) for place in let_in):
            return False
        return any(real.is_relative_to(place) for place in kept_from)

    def _of_systemd(self) -> Iterator[Path]:
        yield Path("/run/credentials")
        if directory := self.environ.get("CREDENTIALS_DIRECTORY"):
            yield Path(directory)

    def _of_homes(self) -> Iterator[Path]:
        others = _others(self.environ)
        yield from others
        # Of others, too: a part of a home may be let in.
        yield from (home / name for home in (*homes(self.environ), *others) for name in HOME_SECRETS)


UNCONFINED = Confinement("nobody asked for it")


def confinement(
    wanted: Confine,
    environ: Mapping[str, str],
    *,
    private: Iterable[Path] = (),
    allowed: Iterable[Path] = (),
    readable: Iterable[Path] = (),
) -> Confinement:
    """What holds on this machine. Raises SurroundingsError where it is required and can't be."""
    why_not = "the configuration says `never`" if wanted is Confine.NEVER else landlock.unavailable()
    if wanted is Confine.REQUIRED and why_not is not None:
        raise SurroundingsError(
            f"programs can't be confined on this machine: {why_not}",
            '`[security] confine = "required"` wants that; "when-possible" runs without',
        )
    return Confinement(why_not, environ, tuple(private), tuple(allowed), tuple(readable))


def homes(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """This user's: as the environment has it, and as ssh has it, which asks the system."""
    found = [Path(environ["HOME"])] if environ.get("HOME", "").startswith("/") else []
    with contextlib.suppress(KeyError):  # a user without a name
        found.append(Path(pwd.getpwuid(os.geteuid()).pw_dir))
    return tuple(dict.fromkeys(home for home in found if home != Path("/")))


def _others(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Other users' homes."""
    own = {_real(home) for home in homes(environ)}
    return tuple(home for home in (*_children(_HOMES), Path("/root")) if home not in own)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _all_but(directory: Path, kept_from: set[Path]) -> Iterator[Path]:
    """The largest parts of a directory in which none of these is. Links are left out: what they lead to has
    a path of its own."""
    if directory in kept_from:
        return
    if not any(path.is_relative_to(directory) for path in kept_from):
        yield directory
        return
    for child in _children(directory):
        yield from _all_but(child, kept_from)


def _children(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return [Path(entry.path) for entry in entries if not entry.is_symlink()]
    except OSError:
        return []
