"""The logs of runs: one compressed file per host, in one directory per run.

Knows files only. A host's name is hostile (`../../up`, newlines, any length): file names are made from its hash,
and the name itself is the file's first line, `# log of "name"`, so that `zcat` tells it, too.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from lockbot import files
from lockbot.redact import redact

_HEADER = "# log of "
_SUFFIX = ".log.gz"
_PLAIN = re.compile(r"[0-9a-z][0-9a-z-]{0,60}")
_HEADER_BYTES = 64 * 1024


def write_log(logs: Path, run: str, host: str, text: str, limit: int) -> str | None:
    """Keep at most `limit` bytes of a log, without secrets. A sentence for the user when that failed; no error.

    The file appears whole or not at all, readable by its owner only; an earlier log of the host is replaced.
    """
    host = redact(host)
    head = f"{_HEADER}{json.dumps(host)}\n"
    data = gzip.compress(head.encode() + shorten(redact(text), limit), compresslevel=6, mtime=0)
    target = _file(logs, run, host)
    try:
        files.directory(logs)
        files.directory(target.parent)
        files.replace(target, data, durable=True)
    except OSError as error:
        return f"the log of {json.dumps(host)} could not be kept: {error.strerror or error}"
    return None


def read_log(logs: Path, run: str, host: str) -> str | None:
    """The log as it was kept, without secrets; None when there is none. Of a damaged file, what can be read."""
    try:
        data = files.read(_file(logs, run, host))
    except OSError:
        return None
    text, whole = _decompress(data)
    body = redact(text.partition("\n")[2])  # an older lockbot kept what there was
    return body if whole else f"{body}\n[… the rest of this log is damaged …]\n"


def log_names(logs: Path, run: str) -> tuple[str, ...]:
    """The hosts that a run kept a log of, sorted."""
    return tuple(sorted(name for file in _files(_directory(logs, run)) if (name := _host(file)) is not None))


def remove_logs(logs: Path, runs: Collection[str]) -> None:
    """Remove the logs of these runs. What can't be removed stays for the next time."""
    for run in runs:
        files.remove_tree(_directory(logs, run))


def remove_strays(logs: Path, known: Collection[str], before: float) -> None:
    """Remove directories, last written before that time, of runs that nobody knows: their database was lost."""
    keep = {_directory(logs, run).name for run in known}
    for directory in _files(logs):
        with contextlib.suppress(OSError):
            if directory.name not in keep and directory.lstat().st_mtime < before:
                files.remove_tree(directory)


def shorten(text: str, limit: int) -> bytes:
    """UTF-8 of at most `limit` bytes: head and tail, and between them a line that says how much is missing.

    (A limit too small for that line is exceeded by it.) Lone surrogates are written out as `\\udcff`.
    """
    data = text.encode(errors="backslashreplace")
    if len(data) <= limit:
        return data
    room = max(limit - len(_gap(len(data))), 0)
    head = _whole(data[: room // 2])
    tail = _whole(data[len(data) - (room - room // 2) :])
    return head + _gap(len(data) - len(head) - len(tail)) + tail


def _gap(left_out: int) -> bytes:
    return f"\n[… {left_out} bytes left out …]\n".encode()


def _whole(piece: bytes) -> bytes:
    """Without the halves of characters at its ends."""
    return piece.decode(errors="ignore").encode()


def _directory(logs: Path, run: str) -> Path:
    return logs / (run if _PLAIN.fullmatch(run) else _safe(run))


def _file(logs: Path, run: str, host: str) -> Path:
    return _directory(logs, run) / (_safe(redact(host)) + _SUFFIX)


def _safe(name: str) -> str:
    """A file name for any name: something to read, then a hash. Lower case: some file systems take `A` for `a`."""
    readable = re.sub(r"[^0-9a-z]+", "-", name.lower()).strip("-")[:40]
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{readable}_{digest}"


def _files(directory: Path) -> Iterator[Path]:
    try:
        yield from directory.iterdir()
    except OSError:
        return


def _host(file: Path) -> str | None:
    """The name that a log's first line tells; None: no log of ours."""
    if not file.name.endswith(_SUFFIX):
        return None
    try:
        files.check_file(file)
        with gzip.open(file) as stream:
            line = stream.readline(_HEADER_BYTES).decode(errors="replace")
        name = json.loads(line.removeprefix(_HEADER)) if line.startswith(_HEADER) else None
    except (OSError, EOFError, zlib.error, ValueError, RecursionError):
        return None
    return name if isinstance(name, str) else None


def _decompress(data: bytes) -> tuple[str, bool]:
    """The text, and whether it is all of it."""
    stream = zlib.decompressobj(wbits=31)
    found = bytearray()
    try:
        for start in range(0, len(data), 4096):  # in pieces: what precedes the damage is still returned
            found += stream.decompress(data[start : start + 4096])
    except zlib.error:
        return found.decode(errors="replace"), False
    return found.decode(errors="replace"), stream.eof
