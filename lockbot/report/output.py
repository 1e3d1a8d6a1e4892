"""What is printed, on its way out: the one place that every text for a person passes, whoever prints it.

`install` puts an Outlet in the place of standard output and of standard error. Nothing gets through one that acts
upon a terminal, be it a terminal, a pipe or a file that somebody looks at later; what can't be encoded is written
out; and a stream that can't be written does what it should: see Outlet.

Knows streams and lines, not what they tell.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO, cast

from lockbot.errors import CommandError, LockbotError
from lockbot.redact import redact
from lockbot.report import escape
from lockbot.report.styled_lines import write

if TYPE_CHECKING:
    from lockbot.report.document import Document
    from lockbot.report.styled_lines import Line


def shown(text: str) -> str:
    """A text as it may be seen: what every sink of standard output and standard error has in common."""
    return escape.block(redact(text))


class OutputError(LockbotError):
    """The result can't be written where it should go."""


class Outlet(io.TextIOBase):
    """A standard stream, written to at once, in pieces as they come.

    A reader that has gone (`| head -1`) is no error: the rest is left out, and `gone` says so. What else goes
    wrong (a full disk, a closed stream) is an OutputError; but where it is the `narration` that can't be written,
    the command goes on, and ends as if it had been heard.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, descriptor: int, encoding: str, *, narration: bool = False) -> None:
        self.encoding = encoding
        self._descriptor = descriptor
        self._narration = narration
        self.gone = False

    @property
    def trusted(self) -> TextIO:
        """The same stream for who escapes every text before styling it, and moves the cursor: rich, structlog."""
        return cast(TextIO, _Trusted(self))

    def write(self, text: str) -> int:
        return self.send(text, shown(text))

    def send(self, text: str, harmless: str) -> int:
        self.send_bytes(harmless.encode(self.encoding, "backslashreplace"))
        return len(text)

    def send_bytes(self, data: bytes) -> None:
        """As they are: only for who has asked for that."""
        left = memoryview(data)
        try:
            while left and not self.gone:
                left = left[_written(self._descriptor, left) :]
        except OSError as error:
            if self._narration or error.errno == errno.EPIPE:
                self.gone = True
                return
            why = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OutputError(f"cannot write to standard output: {why}") from None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


class _Trusted(io.TextIOBase):
    """An Outlet's stream for text that is harmless already."""

    encoding = Outlet.encoding
    errors = Outlet.errors

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self.encoding = outlet.encoding

    def write(self, text: str) -> int:
        return self._outlet.send(text, text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._outlet.fileno()

    def isatty(self) -> bool:
        return self._outlet.isatty()


def _written(descriptor: int, data: memoryview) -> int:
    try:
        return os.write(descriptor, data)
    except BlockingIOError:  # somebody who shares the stream has made it so
        select.select([], [descriptor], [])
        return 0


def install() -> None:
    """From here on whatever is printed goes through an Outlet: click's words, tracebacks and warnings, too."""
    sys.stdout = cast(TextIO, Outlet(1, _encoding(sys.stdout)))
    sys.stderr = cast(TextIO, Outlet(2, _encoding(sys.stderr), narration=True))


def _encoding(stream: TextIO | None) -> str:
    """As Python found it, by PYTHONIOENCODING or the locale; a stream that was closed has none."""
    return stream.encoding if stream is not None else "utf-8"


def trusted(stream: TextIO) -> TextIO:
    """For text that is harmless already, and styled; a stream that is no Outlet takes it as it is."""
    return stream.trusted if isinstance(stream, Outlet) else stream


# -- results -------------------------------------------------------------------------------------------------


def lines(result: Sequence[Line]) -> None:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    write(result, trusted(sys.stdout) if colour else sys.stdout, colour=colour)


def document(result: Document) -> None:
    from lockbot.report.document import dump

    machine(dump(result) + "\n")


def text(result: str) -> bool:
    """False: nobody reads any more."""
    sys.stdout.write(result)
    return _is_read()


def machine(result: str) -> bool:
    """What a program reads, harmless and without secrets already: redacted once more, it could lose its syntax."""
    trusted(sys.stdout).write(result)
    return _is_read()


def _is_read() -> bool:
    return not (isinstance(sys.stdout, Outlet) and sys.stdout.gone)


def log(kept: str) -> None:
    """A build's log, line by line: without colours, and what a progress bar overwrote."""
    text("\n".join(escape.log_line(one, None) for one in kept.split("\n")) + "\n")


def raw(kept: str) -> None:
    """As it was kept, byte for byte, whatever it does to a terminal."""
    if isinstance(sys.stdout, Outlet):
        sys.stdout.send_bytes(kept.encode(errors="backslashreplace"))
    else:
        sys.stdout.write(kept)


def width() -> int | None:
    """The terminal's columns; None for a pipe, where nothing is cut."""
    return os.get_terminal_size(sys.stdout.fileno()).columns or None if sys.stdout.isatty() else None


# -- errors --------------------------------------------------------------------------------------------------


def error(problem: LockbotError) -> None:
    """What failed, the command to paste, its last lines, and what to do."""
    first, *more = problem.message.splitlines() or ["unknown error"]
    parts = ["\n".join(more), problem.hint]
    if isinstance(problem, CommandError):
        parts[1:1] = [f"$ {problem.command}" if problem.command else "", problem.output]
    told = [f"lockbot: error: {escape.plain(first)}"]
    told += [f"  {escape.plain(each)}" for part in parts for each in part.splitlines()]
    sys.stderr.write("\n".join(told) + "\n")
