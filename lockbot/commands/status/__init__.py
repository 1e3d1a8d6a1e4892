"""`lockbot status`: how every input stands, as the ledger has it.

Waits for no run and asks no upstream: it reads what was recorded, and the lock as it lies in the repository.
"""

from lockbot.commands.status.alarms import unjudged_alarms
from lockbot.commands.status.recorded import look
from lockbot.commands.status.rows import Row, Status, answer, policy_key
from lockbot.commands.status.text import alarm_lines, document, lines

__all__ = [
    "Row",
    "Status",
    "alarm_lines",
    "answer",
    "document",
    "lines",
    "look",
    "policy_key",
    "unjudged_alarms",
]
