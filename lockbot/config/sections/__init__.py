"""Every section and key of the configuration: type, default, limits, meaning. Durations are seconds, sizes bytes.

The README's table and the annotated example are made of this. Where values come from is not known here.
"""

from lockbot.config.sections.policy import (
    AfterUpdate,
    Build,
    Commit,
    DaemonLimits,
    Eval,
    ForgeAccount,
    Group,
    Hosts,
    InputPolicy,
    Policy,
    Repository,
    RunLimits,
    Schedule,
    Search,
    Section,
    State,
)

__all__ = [
    "AfterUpdate",
    "Build",
    "Commit",
    "DaemonLimits",
    "Eval",
    "ForgeAccount",
    "Group",
    "Hosts",
    "InputPolicy",
    "Policy",
    "Repository",
    "RunLimits",
    "Schedule",
    "Search",
    "Section",
    "State",
]
