"""Where the service listens: a TCP address, a unix socket, or what systemd hands over. Knows sockets, and no HTTP.

Sockets are made before anything else, so that a place that is taken is an error that says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lockbot.errors import UsageError

BACKLOG = 128
SYSTEMD_FIRST = 3
"""sd_listen_fds(3): the first descriptor."""
_MODE = 0o660
"""A proxy in the socket's group may use it, and nobody else."""
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 -- told apart, not listened at


@dataclass(frozen=True)
class Listening:
    """`where`: for people, as `http://127.0.0.1:8465`. `hosts`: how the place is called in a Host header."""

    sockets: tuple[socket.socket, ...]
    where: str
    hosts: frozenset[str] = frozenset()


@contextlib.contextmanager
def opened(listen: str, environ: Mapping[str, str]) -> Iterator[Listening]:
    """As long as the context lasts. `listen` is HOST:PORT or unix:PATH, and does not count where systemd has
    opened sockets. Raises UsageError."""
    if (given := _of_systemd(environ)) is not None:
        yield given
    elif listen.startswith("unix:"):
        with _unix(Path(listen.removeprefix("unix:"))) as found:
            yield found
    else:
        with _tcp(listen) as found:
            yield found


# -- TCP


@contextlib.contextmanager
def _tcp(listen: str) -> Iterator[Listening]:
    host, _, port = listen.rpartition(":")
    bare = host.strip("[]")
    with contextlib.ExitStack() as stack:
        made = tuple(stack.enter_context(one) for one in _bound(listen, bare, int(port)))
        real = made[0].getsockname()[1]
        shown = f"[{bare}]" if ":" in bare else bare or "localhost"
        names = frozenset() if bare in _WILDCARDS else frozenset({shown.lower()})
        yield Listening(made, f"http://{shown}:{real}", names)


def _bound(listen: str, host: str, port: int) -> list[socket.socket]:
    """A socket for each address that the host has; of every address, one that takes both kinds."""
    try:
        if not host and socket.has_dualstack_ipv6():
            return [socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)]
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _refused(listen, error) from error
    made: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        # Port 0 is any that is free: the same for all.
        place = address if not made or port else (address[0], made[0].getsockname()[1], *address[2:])
        try:
            made.append(socket.create_server(place, family=family, backlog=BACKLOG))
        except OSError as error:
            missing = error
            if error.errno not in _NOT_HERE:
                break
    if missing is not None and (not made or missing.errno not in _NOT_HERE):
        for one in made:
            one.close()
        raise _refused(listen, missing) from missing
    return made


_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""`localhost` may have an IPv6 address on a machine that has none."""


def _refused(listen: str, error: OSError | UnicodeError) -> UsageError:
    why = error.strerror or str(error) if isinstance(error, OSError) else "that is no host's name"
    hint = {
        errno.EADDRINUSE: "another program listens there, perhaps another `lockbot web`: choose another port",
        errno.EACCES: "ports below 1024 are root's: choose a higher one, and let a proxy lead there",
        errno.EADDRNOTAVAIL: "this machine does not have that address: `ip address` lists those it has",
    }
    number = error.errno or 0 if isinstance(error, OSError) else 0
    return UsageError(f"cannot listen at {listen}: {why}", hint.get(number, "see `web.listen`, or --listen"))


# -- unix


@contextlib.contextmanager
def _unix(path: Path) -> Iterator[Listening]:
    """The socket's file goes when it is closed."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as made:
        try:
            _clear(path)
            made.bind(os.fspath(path))
        except OSError as error:
            raise _unix_refused(path, error) from error
        which = path.lstat()
        try:
            path.chmod(_MODE)
            made.listen(BACKLOG)
            yield Listening((made,), f"unix:{path}")
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(path.lstat(), which):
                    path.unlink()


def _clear(path: Path) -> None:
    """Remove what a `lockbot web` left there that was killed: a socket of this user's that nobody listens at.
    Raises UsageError for anything else, OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        what = "another user's socket" if stat.S_ISSOCK(found.st_mode) else "no socket"
        raise UsageError(
            f"cannot listen at unix:{path}: what lies there is {what}", "move it away, or choose another place"
        )
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as asking:
        asking.settimeout(1)
        if asking.connect_ex(os.fspath(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "somebody listens there")
    path.unlink()


def _unix_refused(path: Path, error: OSError) -> UsageError:
    hints = {
        errno.EADDRINUSE: "another program listens there, perhaps another `lockbot web`",
        errno.ENOENT: f"make the directory {path.parent}",
        errno.ENAMETOOLONG: "choose a shorter path",
    }
    why = "the path is longer than a socket's may be" if error.errno is None else error.strerror or str(error)
    hint = hints.get(error.errno or errno.ENAMETOOLONG, f"this user must be able to write to {path.parent}")
    return UsageError(f"cannot listen at unix:{path}: {why}", hint)


# -- systemd


def _of_systemd(environ: Mapping[str, str]) -> Listening | None:
    """Sockets of a `.socket` unit: sd_listen_fds(3)."""
    number = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not number.isdecimal() or not 0 < int(number) < 100:
        return None
    made = tuple(socket.socket(fileno=SYSTEMD_FIRST + one) for one in range(int(number)))
    for one in made:
        one.set_inheritable(False)
    if any(one.type != socket.SOCK_STREAM for one in made):
        raise UsageError("systemd has given a socket that takes no connections", "write ListenStream= in its unit")
    return Listening(made, "what systemd listens at")
