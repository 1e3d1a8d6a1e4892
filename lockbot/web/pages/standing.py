"""How the inputs stand, as several pages tell it: asked once in a few seconds, since git is asked for it."""

from __future__ import annotations

from lockbot.commands import healthcheck, status
from lockbot.commands.healthcheck import Health
from lockbot.commands.status import Status
from lockbot.web.view import View

SECONDS = 3.0


def look(view: View) -> Status:
    """Raises LockbotError: a broken lock, no repository …"""
    return view.remembered.get("status", SECONDS, lambda: status.look(view.app))


def health(view: View) -> Health:
    """As `lockbot healthcheck` finds it, with its usual limits."""
    return view.remembered.get("health", SECONDS, lambda: healthcheck.look(view.app, healthcheck.Limits()))
