"""Every section and key of the configuration: type, default, limits, meaning. Durations are seconds, sizes bytes.

docs/configuration.md and the annotated example are made of this. Where values come from is not known here.
"""

from lockbot.config.sections.hosts import AfterUpdate, Build, Eval, Hosts, Review
from lockbot.config.sections.policy import ForgeAccount, Group, InputPolicy, Policy, Search
from lockbot.config.sections.publish import Mode, Publish
from lockbot.config.sections.repository import Commit, Repository, State
from lockbot.config.sections.schedule import DaemonLimits, RunLimits, Schedule
from lockbot.config.sections.section import Section
from lockbot.config.sections.security import Security
from lockbot.config.sections.telling import Hook, NotifyTarget, Ping, Web

__all__ = [
    "AfterUpdate",
    "Build",
    "Commit",
    "DaemonLimits",
    "Eval",
    "ForgeAccount",
    "Group",
    "Hook",
    "Hosts",
    "InputPolicy",
    "Mode",
    "NotifyTarget",
    "Ping",
    "Policy",
    "Publish",
    "Repository",
    "Review",
    "RunLimits",
    "Schedule",
    "Search",
    "Section",
    "Security",
    "State",
    "Web",
]
