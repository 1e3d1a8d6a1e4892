"""Holds that end by themselves: what a user may wait for, and asking whether it has come.

Whoever was asked, and whatever came of it: at most once an hour for each hold (`UserHold.due`).
"""

from lockbot.commands.holds.due import ask_due

__all__ = ["ask_due"]
