"""The values that flow through one update cycle. No I/O, no tools.

An input's `change` and the `host`s that it may break; a host's `failure`, and the `verdict` on all of them; the
record of the `run`, and its `progress` while it happens; a `closure`, and the `difference` that an update makes;
a `notice` for people; what ends a hold (`hold_end`); a `pull_request` of lockbot's own.
"""

from lockbot.model.change import ChangeKind, InputChange, Locked
from lockbot.model.closure import Closure, StorePath
from lockbot.model.difference import (
    ClosureSize,
    ConfigurationChange,
    Difference,
    PackageChange,
    PackageMark,
    Review,
    SwitchEffects,
    UpstreamChanges,
    UpstreamCommit,
    WarningChange,
)
from lockbot.model.failure import Answer, Failure, FailureKind
from lockbot.model.hold_end import Heard, HoldEnd, UntilIn, UntilMerged, UntilVersion
from lockbot.model.host import Host
from lockbot.model.host_kinds import HostKind
from lockbot.model.notice import Condition, Notice, NoticeKind
from lockbot.model.progress import (
    CommandSaid,
    DerivationStarted,
    DerivationStopped,
    Event,
    HookSaid,
    HostDecided,
    HostEvaluated,
    HostEvaluating,
    Looking,
    Note,
    PhaseStarted,
    Progress,
    Retrying,
    silent,
)
from lockbot.model.pull_request import (
    Comment,
    Landing,
    Move,
    News,
    PullRequest,
    PullRequestState,
    RequestDone,
    RequestStep,
    Text,
)
from lockbot.model.run import KILLED, CulpritCommit, Held, Outcome, Phase, Run
from lockbot.model.verdict import Candidate, Gate, HostBuild, HostStatus, Judgement, Verdict

__all__ = [
    "KILLED",
    "Answer",
    "Candidate",
    "ChangeKind",
    "Closure",
    "ClosureSize",
    "CommandSaid",
    "Comment",
    "Condition",
    "ConfigurationChange",
    "CulpritCommit",
    "DerivationStarted",
    "DerivationStopped",
    "Difference",
    "Event",
    "Failure",
    "FailureKind",
    "Gate",
    "Heard",
    "Held",
    "HoldEnd",
    "HookSaid",
    "Host",
    "HostBuild",
    "HostDecided",
    "HostEvaluated",
    "HostEvaluating",
    "HostKind",
    "HostStatus",
    "InputChange",
    "Judgement",
    "Landing",
    "Locked",
    "Looking",
    "Move",
    "News",
    "Note",
    "Notice",
    "NoticeKind",
    "Outcome",
    "PackageChange",
    "PackageMark",
    "Phase",
    "PhaseStarted",
    "Progress",
    "PullRequest",
    "PullRequestState",
    "RequestDone",
    "RequestStep",
    "Retrying",
    "Review",
    "Run",
    "StorePath",
    "SwitchEffects",
    "Text",
    "UntilIn",
    "UntilMerged",
    "UntilVersion",
    "UpstreamChanges",
    "UpstreamCommit",
    "Verdict",
    "WarningChange",
    "silent",
]
