"""The health of a flake.lock: what is wrong with it, or soon will be, and what mends it.

Pure: what is looked at is handed in as a Subject, with the clock; each check is an entry of `checks.CHECKS`.
"""

from lockbot.lint.checks import CHECKS, examine
from lockbot.lint.finding import Finding, Kind, Severity
from lockbot.lint.subject import Declared, Subject

__all__ = ["CHECKS", "Declared", "Finding", "Kind", "Severity", "Subject", "examine"]
