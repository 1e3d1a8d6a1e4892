"""Running other programs: the only subprocess. Own process group, deadlines, cancellation, streamed lines.

It must not know what the programs are. Every child gets its own session, no terminal and /dev/null (or the
bytes given) as standard input; whatever way the run ends, its process group and its descendants end with it. It
may be kept from files (`landlock`), and ends, too, when this process is killed (`watcher`).
"""

from lockbot.process import landlock, watcher
from lockbot.process.deadline import CancelToken, Deadline, duration
from lockbot.process.ending import end_group, kill
from lockbot.process.landlock import Access, Ruleset, confined
from lockbot.process.output import LINE_BYTES, NOBODY, Finished, Listener
from lockbot.process.running import Within, begin, run, supervise
from lockbot.process.table import descendants, process_start, resident_bytes

__all__ = [
    "LINE_BYTES",
    "NOBODY",
    "Access",
    "CancelToken",
    "Deadline",
    "Finished",
    "Listener",
    "Ruleset",
    "Within",
    "begin",
    "confined",
    "descendants",
    "duration",
    "end_group",
    "kill",
    "landlock",
    "process_start",
    "resident_bytes",
    "run",
    "supervise",
    "watcher",
]
