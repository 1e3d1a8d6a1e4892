"""`lockbot notify`, and what a run does of it: who is told of what, and when.

Sending is a process of its own (`lockbot notify`): the update and the daemon are spared what it takes. Who wants
something to be looked at as often as this puts it beside `look`.
"""

from lockbot.commands.notify.look import Found, anybody, look, look_after, targets

__all__ = ["Found", "anybody", "look", "look_after", "targets"]
