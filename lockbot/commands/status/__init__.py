"""`lockbot status`: how every input stands, as the ledger has it."""

from lockbot.commands.status.text import (
    Row,
    Status,
    alarm_lines,
    answer,
    document,
    lines,
    look,
    policy_key,
    unjudged_alarms,
)

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
