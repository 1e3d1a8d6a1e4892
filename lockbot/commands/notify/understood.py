"""Whether a target's URL means something, without sending anything. Tells nothing of the URL but its service."""

from __future__ import annotations

from lockbot.notify import sending
from lockbot.notify.sending import NotUnderstood


def understood(url: str | None) -> tuple[str, str]:
    """What it is, and what to do where that is not as it should be. None: it is not known here."""
    if url is None:
        return "its URL is a credential, which only systemd gives: what is due is sent by the service", ""
    try:
        service = sending.understand(url)
    except NotUnderstood:
        return (
            "its URL is not understood: nobody is told",
            "write it as Apprise's documentation does; some services need a library beside Apprise",
        )
    name, many = str(getattr(service, "service_name", "a service")), sending.recipients(service)
    if many > 1:
        return (
            f"{name}, to {many} recipients in one URL",
            "where one of them fails, all are told again: write a [[notify]] for each",
        )
    return f"{name}; `lockbot notify --test` sends something there", ""
