"""When updates are run, and how long they may take."""

from __future__ import annotations

from lockbot.config.sections.section import Section, key
from lockbot.config.types import (
    Count,
    Duration,
    QuietHours,
    Timeout,
    TimeZone,
    Timing,
    duration,
)


class RunLimits(Section):
    """Limits of one whole run."""

    deadline: Timeout = key(duration("24h"), "The longest that a whole run may take.")
    publish_tries: Count = key(
        3, "How often to start over on the new base when the branch moved meanwhile.", ge=1, le=100
    )
    fetch_timeout: Timeout = key(duration("10m"), "The longest that fetching a repository or one input may take.")


class Schedule(Section):
    """When `lockbot daemon` updates. What was missed, because the machine was off, is made up for once."""

    when: Timing | None = key(
        None,
        "A line as in crontab(5) (`0 4 * * *`, @daily), or an interval from one run to the next (`6h`).",
        absent="only groups that have a schedule of their own are updated",
        example="0 4 * * *",
    )
    time_zone: TimeZone | None = key(
        None, "The time zone of these lines and hours.", absent="the machine's", example="Europe/Berlin"
    )
    random_delay: Duration = key(
        duration("0"),
        "Put off each line's runs by up to this long: by chance, but always the same on one machine.",
    )
    quiet_hours: QuietHours | None = key(
        None,
        "Hours in which no run begins; what is due then is begun after them.",
        absent="none",
        example="22:00-06:00",
    )


class DaemonLimits(Section):
    """Limits of `lockbot daemon`."""

    max_runs: Count = key(
        1,
        "How many repositories may be updated at the same time; of several files, the lowest counts.",
        ge=1,
        le=100,
    )
