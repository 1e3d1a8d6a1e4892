"""Running other programs: the only subprocess. Own process group, deadlines, cancellation, streamed lines.

It must not know what the programs are. Every child gets its own session, no terminal and /dev/null (or the
bytes given) as standard input; whatever way the run ends, its process group and its descendants end with it.
"""

from lockbot.process.running import (
    LINE_BYTES,
    CancelToken,
    Deadline,
    Finished,
    descendants,
    duration,
    end_group,
    kill,
    process_start,
    resident_bytes,
    run,
    supervise,
)

__all__ = [
    "LINE_BYTES",
    "CancelToken",
    "Deadline",
    "Finished",
    "descendants",
    "duration",
    "end_group",
    "kill",
    "process_start",
    "resident_bytes",
    "run",
    "supervise",
]
