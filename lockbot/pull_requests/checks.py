"""Whether the checks of a request let it land. Pure."""

from __future__ import annotations

from lockbot.forge.pull_requests.interface import ChecksSeen
from lockbot.forge.responses import Check
from lockbot.policy.upstream_checks import Standing
from lockbot.report.escape import plain


def waits_for(seen: ChecksSeen) -> str:
    """What has not passed yet, in a sentence; empty: all that is required has.

    Where the forge requires none, or does not say which, all that have reported must have passed, one at least.
    """
    by_name: dict[str, list[Check]] = {}
    for check in seen.checks:
        by_name.setdefault(check.name, []).append(check)
    wanted = seen.required or tuple(by_name)
    if not wanted:
        return "no check has reported yet"
    # Several of one name: the worst of them counts.
    states = [(name, _worst(by_name.get(name, []))) for name in wanted]
    for standing, words in _WORDS:
        if found := [name for name, state in states if state is standing]:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return f"check '{plain(found[0], 80)}'{more} {words}"
    return ""


_WORDS = (
    (Standing.RED, "has failed"),
    (Standing.NONE, "has not reported yet"),
    (Standing.PENDING, "is not done yet"),
)


def _worst(checks: list[Check]) -> Standing:
    standings = {check.standing for check in checks}
    return next(
        (one for one in (Standing.RED, Standing.PENDING, Standing.GREEN) if one in standings), Standing.NONE
    )
