"""How long what lockbot writes stays on disk, and who removes it. What is decided nowhere else is decided here.

Defaults of the configuration, and bounds that no key moves. After each run of `lockbot update` what is beyond them
goes; the configuration's texts and docs/operating.md tell these figures.
"""

from __future__ import annotations

from datetime import timedelta

KEEP_DAYS = 90
"""`state.keep_days` by default. Older runs go with their logs and hosts, of whichever flake, but for NEWEST_RUNS
(`History.prune`); so do revisions and outcomes of derivations that were not seen for so long (`Ledger.prune`)."""
NEWEST_RUNS = 20
"""So many runs of each flake stay, however old. To keep no more than these, lower `state.keep_days`, too."""
NEWEST_FLAKES = 10
"""Of so many flakes of each repository, those that ran last: else every branch that ever was one would leave its
runs for good (`history.pruning`)."""
NEWEST_TIPS = 1000
"""So many revisions of each input stay at most (`Ledger.prune`): a channel makes about 300 a year. The newest
stays however old: how long it has been there decides whether it is old enough."""
MOST_DERIVATIONS = 200_000
"""So many outcomes of derivations stay at most, of all flakes together, the newest (`Ledger.prune`)."""
MOST_VERDICTS = 3000
"""So many verdicts of a flake's searches stay at most, the newest: some runs of the longest sensible budget.
Those older than `search.remember_failures` go before (`VerdictCache`)."""
MOST_BISECTED = 3000
"""So many results of commands stay at most that `lockbot bisect` ran on a flake's hosts, the newest. Those older
than `state.keep_days` go before (`KnownResults`)."""
KEEP_RESULTS = 3
"""`state.keep_results` by default: so many accepted commits of a flake have their builds kept from Nix's garbage
collection (`gc_roots.keep`, when the next one is published); those of a flake that has no more runs, for
`state.keep_days` (`commands.update.tidying`)."""
LOG_BYTES = 4 * 1024**2
"""`state.log_limit` by default: what is longer loses its middle when it is written (`logs.write_log`)."""
EVENT_BYTES = 32 * 1024**2
"""Of one run's steps, as long as the run is kept: what comes after is not written (`events`)."""
MOST_FETCHES = 50
"""So often an input's history is fetched into the same copy; then the copy is thrown away and made anew
(`git.inputs.cache`)."""
KEEP_TOLD = timedelta(days=30)
"""So long a message stays that was sent, or given up (`Notices`, when somebody looks what is to be told)."""


def bounds() -> dict[str, str]:
    """What grows, and what bounds it."""
    return {
        "the Nix store": f"What is published is safe for `state.keep_results` commits, {KEEP_RESULTS} by default; "
        "the rest is Nix's to collect: `nix-collect-garbage`.",
        "runs and their logs": f"`state.keep_days`, {KEEP_DAYS} by default. The newest {NEWEST_RUNS} runs of each "
        f"flake stay longer: of the {NEWEST_FLAKES} flakes of a repository that ran last, and of those with "
        "holds.",
        "one build log": f"`state.log_limit`, {LOG_BYTES // 1024**2} MiB by default: its beginning and its end.",
        "one run's steps": f"{EVENT_BYTES // 1024**2} MiB.",
        "known revisions of inputs, outcomes of derivations": "`state.keep_days`, but for an input's newest "
        f"revision. At most {NEWEST_TIPS} revisions of each input, and {MOST_DERIVATIONS:,} outcomes.",
        "answers of searches": f"`search.remember_failures`, and at most {MOST_VERDICTS}.",
        "results of bisections": f"`state.keep_days`, and at most {MOST_BISECTED}.",
        "messages": f"{KEEP_TOLD.days} days after they were sent or given up; those to a target that is no longer "
        "configured go at once.",
        "lockbot's clone, the inputs' commits": "packed when much has piled up; the latter are thrown away and "
        f"fetched anew after {MOST_FETCHES} fetches, and go when nobody has asked for them for `state.keep_days`: "
        "the input is gone, or has not moved.",
        "what is kept of a flake": "When it had no run for `state.keep_days`, the next run of another flake of "
        "its repository removes it: what keeps its results from garbage collection, answers, results of "
        "bisections. With the last of its runs all else goes, but for holds, what somebody has looked at, and "
        "pull requests.",
    }
