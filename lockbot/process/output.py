"""What a child prints: kept within bounds, and handed on line by line to whoever listens."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from lockbot.errors import CommandError

BUFFER_BYTES = 8 * 1024 * 1024
"""How much of each stream is held in memory: the first and the last half of it."""
LINE_BYTES = 64 * 1024
"""Longer lines are cut before they are heard, unless the listener asks for longer ones."""


@dataclass(frozen=True)
class Finished:
    """A program that has ended by itself. Streams are text; bytes that are not UTF-8 are replaced."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def command(self) -> str:
        return shlex.join(self.argv)

    def error(self, message: str, hint: str = "") -> CommandError:
        """An error that carries the command and its last lines."""
        tail = "\n".join((self.stderr.strip() or self.stdout.strip()).splitlines()[-12:])
        return CommandError(message, hint, command=self.command, output=tail, code=self.code)


@dataclass(frozen=True)
class Listener:
    """Who hears of a child while it runs: when it has started, and each line that it prints.

    All of it in the thread that runs the child; whatever is raised there ends the child, and goes on.
    """

    on_start: Callable[[int], None] | None = None
    """Receives the process id."""
    on_stdout: Callable[[str], None] | None = None
    on_stderr: Callable[[str], None] | None = None
    line_bytes: int = LINE_BYTES
    """Longer lines are cut."""


NOBODY = Listener()


@dataclass
class Stream:
    """One output of a child: kept within bounds, handed on line by line."""

    on_line: Callable[[str], None] | None
    line_bytes: int = LINE_BYTES
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    dropped: int = 0
    partial: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        room = BUFFER_BYTES // 2 - len(self.head)
        self.head += data[:room] if room > 0 else b""
        self.tail += data[max(room, 0) :]
        if len(self.tail) > BUFFER_BYTES:  # not at every byte too many: a cut moves what stays
            self._cut()
        if self.on_line is not None:
            *lines, rest = data.split(b"\n")
            for line in lines:
                self._extend(line)
                self.on_line(self.partial.decode(errors="replace"))
                self.partial.clear()
            self._extend(rest)

    def _extend(self, data: bytes) -> None:
        self.partial += data[: max(self.line_bytes - len(self.partial), 0)]

    def _cut(self) -> None:
        surplus = max(len(self.tail) - BUFFER_BYTES // 2, 0)
        self.dropped += surplus
        del self.tail[:surplus]

    def close(self) -> str:
        self._cut()
        if self.on_line is not None and self.partial:
            self.on_line(bytes(self.partial).decode(errors="replace"))
            self.partial = bytearray()
        middle = f"\n[… {self.dropped} bytes left out …]\n".encode() if self.dropped else b""
        return bytes(self.head + middle + self.tail).decode(errors="replace")
