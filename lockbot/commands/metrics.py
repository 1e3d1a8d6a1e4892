"""What lockbot knows, in Prometheus' text format: from the history, the ledger and the committed lock.

Needs no daemon, runs no Nix and asks no upstream. prometheus_client is known here only. Names from outside become
label values of a bounded number and length, no two of them the same: one duplicate would cost the whole scrape.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from lockbot import __version__, files, oserrors
from lockbot.app import App
from lockbot.commands import status as standing
from lockbot.daemon import memory
from lockbot.daemon.plan import scheduled
from lockbot.errors import Cancelled, LockbotError, SurroundingsError, UsageError
from lockbot.history.input_states import StateWord
from lockbot.history.summaries.totals import Totals
from lockbot.model import Heard, HostStatus, Outcome, Phase
from lockbot.redact import redact
from lockbot.report.escape import plain
from lockbot.state import free_bytes
from lockbot.surroundings import here

MOST_INPUTS = 500
"""How many inputs of a repository have series of their own; `lockbot_inputs` counts all."""
LONGEST_LABEL = 200

UNFINISHED = "unfinished"
"""The outcome, as a label, of a run that has none: it runs, or was killed."""


def render(*apps: App) -> bytes:
    """The metrics of these Apps' repositories, in the text format 0.0.4; `apps` share a state directory, or not.

    A repository or a lock that can't be read costs its own metrics only: `lockbot_repository_readable` is 0 then.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(apps))
    return generate_latest(registry)


def write(path: Path, text: bytes) -> None:
    """Replace a textfile whole, readable by everybody, so that no scrape sees half of it.

    Raises UsageError for what is no textfile of this user's and lockbot's (a link, a FIFO, other metrics), else
    SurroundingsError; what was there before stays then.
    """
    path = path.absolute()
    try:
        files.put(path, text, ours=_is_ours, mode=0o644)
    except files.NotOurs as error:
        hint = "name a new file, or one that lockbot made; without --textfile, metrics go to stdout, for any pipe"
        raise UsageError(f"the metrics are not written: {error.strerror}", hint) from error
    except OSError as error:
        raise SurroundingsError(
            f"the metrics can't be written to {path}: {error.strerror}",
            "its directory must exist, and this user must be allowed to write there",
        ) from error


def _is_ours(beginning: bytes) -> bool:
    """Whether lockbot wrote it. In an empty file there is nothing to lose: somebody has made it for this."""
    return not beginning or beginning.startswith(b"# HELP lockbot_")


def label(text: str) -> str:
    """A label value for a name from outside: printable, no longer than LONGEST_LABEL, as distinct as the name."""
    text = redact(text)  # before it is hashed, too: a rotated token begins no new series
    shown = plain(text, LONGEST_LABEL)
    if shown == text:
        return shown
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{plain(text, LONGEST_LABEL - 9)}-{digest}"


# -- one scrape -------------------------------------------------------------------------------------------------


class _Snapshot(Collector):
    """What the registry asks for its metrics."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._apps = apps

    def collect(self) -> Iterable[Metric]:
        families = _Families()
        for app in self._apps:
            _repository(families, app)
        for place, (free, floor) in _disks(self._apps).items():
            families.set("disk_free_bytes", free, place=place)
            families.set("disk_floor_bytes", floor, place=place)
        yield InfoMetricFamily("lockbot", "The version of lockbot.", value={"version": __version__})
        yield from families.all()


@dataclass(frozen=True)
class _Kind:
    """A gauge: its documentation and its labels' names."""

    meaning: str
    labels: tuple[str, ...] = ()


_OF = ("repository", "flake")
"""The repository, and which of its flakes: what is measured belongs to a flake."""
_INPUT = (*_OF, "input")

# All are gauges: they are read off what is on record, of which old runs are pruned. None of them only ever grows.
GAUGES: Mapping[str, _Kind] = {
    "repository_readable": _Kind("Whether the repository and its flake.lock could be read.", _OF),
    "runs": _Kind("Runs on record, without dry runs, by how they ended.", (*_OF, "outcome")),
    "phase_seconds": _Kind("Wall time that the runs on record took, by phase.", (*_OF, "phase")),
    "runs_in_vain": _Kind(
        "How many of the last runs, one after the other, failed, went stale or were interrupted.",
        _OF,
    ),
    "last_run_start_timestamp_seconds": _Kind("When the last run began; it may be running.", _OF),
    "last_run_end_timestamp_seconds": _Kind("When the last run that ended did so.", _OF),
    "last_success_timestamp_seconds": _Kind("When a run last ended that published, or had nothing to.", _OF),
    "last_publish_timestamp_seconds": _Kind(
        "When a run last ended that published something, or a pull request landed.", _OF
    ),
    "last_run_unfinished": _Kind("Whether the run that began last has no outcome: it runs, or was killed.", _OF),
    "last_run_outcome": _Kind("1 for how the last run that ended did so, 0 else.", (*_OF, "outcome")),
    "last_run_phase_seconds": _Kind("Wall time that the last run that ended took.", (*_OF, "phase")),
    "last_run_hosts": _Kind("Hosts in the last run that ended, by what became of each.", (*_OF, "status")),
    "last_run_failures": _Kind("Its hosts that failed, by the kind of failure.", (*_OF, "kind")),
    "last_run_changes": _Kind("Inputs that it changed, or tried to.", _OF),
    "daemon_up": _Kind("Whether the daemon lives; only where the configuration has a schedule.", _OF),
    "daemon_paused": _Kind("Whether the daemon was told to begin no run.", _OF),
    "inputs": _Kind("Inputs that lockbot looks after.", _OF),
    "alarms": _Kind("Alarms of `lockbot status`.", _OF),
    "held_inputs": _Kind("Inputs that are kept back, by reason.", (*_OF, "reason")),
    "pull_requests": _Kind("Pull requests that are not over.", _OF),
    "pull_requests_left_alone": _Kind("Those of them that people have changed, and lockbot leaves alone.", _OF),
    "pull_requests_oldest_timestamp_seconds": _Kind("When the oldest of them was opened.", _OF),
    "input_state": _Kind("1; the labels say how the input stands.", (*_INPUT, "state", "reason")),
    "input_age_seconds": _Kind("Age of the locked revision, by its own date.", _INPUT),
    "input_behind_seconds": _Kind("From the locked revision to the newest that was seen upstream.", _INPUT),
    "input_last_attempt_timestamp_seconds": _Kind("When a run last asked the input's upstream.", _INPUT),
    "input_last_success_timestamp_seconds": _Kind("When the input's upstream last answered.", _INPUT),
    "input_unreachable_since_timestamp_seconds": _Kind("Since when upstream does not answer.", _INPUT),
    "input_stuck_since_timestamp_seconds": _Kind("Since when the input is kept from moving.", _INPUT),
    "input_hold_asked_timestamp_seconds": _Kind(
        "When it was last asked whether a hold of yours that ends by itself has ended.", _INPUT
    ),
    "input_hold_answered_timestamp_seconds": _Kind("When there was an answer to that last.", _INPUT),
    "disk_free_bytes": _Kind("Free space at the Nix store and at the state directory.", ("place",)),
    "disk_floor_bytes": _Kind("Below this much no run starts (`state.min_free`).", ("place",)),
}


class _Families:
    """The gauges, as they are being filled."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in GAUGES}

    def set(self, name: str, value: float | datetime | None, **labels: str) -> None:
        """One sample. None: it is not known, and there is none. The first of a series holds."""
        if value is None:
            return
        number = value.timestamp() if isinstance(value, datetime) else float(value)
        self._samples[name].setdefault(tuple(labels[each] for each in GAUGES[name].labels), number)

    def all(self) -> Iterator[Metric]:
        for name, kind in GAUGES.items():
            family = GaugeMetricFamily(f"lockbot_{name}", kind.meaning, labels=kind.labels)
            for labels, number in self._samples[name].items():
                family.add_metric(labels, number)
            yield family


# -- what is measured -------------------------------------------------------------------------------------------


def _repository(families: _Families, app: App) -> None:
    # Before the repository is found it has the name that it is configured by.
    wanted = app.settings.repository
    name = label(wanted.url or str(wanted.path or here()))
    of = {"repository": name, "flake": name}
    readable = False
    try:
        with oserrors.explaining():
            place = app.place()
            of = {"repository": label(place.identity), "flake": label(place.flake)}
            with app.history(place) as past:
                _runs(families, past.totals(place.flake), of)
            _daemon(families, app, of)
            _inputs(families, standing.look(app), of)
        readable = True
    except Cancelled:
        raise
    except LockbotError:
        pass  # told by the metric
    families.set("repository_readable", readable, **of)


def _daemon(families: _Families, app: App, of: Mapping[str, str]) -> None:
    directory = app.settings.state.directory
    if scheduled(app.settings):
        families.set("daemon_up", memory.read_service(directory) is not None, **of)
    families.set("daemon_paused", memory.paused(directory) is not None, **of)


def _runs(families: _Families, totals: Totals, of: Mapping[str, str]) -> None:
    for outcome in (*Outcome, None):
        families.set("runs", totals.outcomes.get(outcome, 0), **of, outcome=_word(outcome))
    for phase in Phase:
        families.set("phase_seconds", totals.seconds.get(phase), **of, phase=phase)
    families.set("runs_in_vain", totals.in_vain, **of)
    families.set("last_success_timestamp_seconds", totals.succeeded, **of)
    families.set("last_publish_timestamp_seconds", totals.published, **of)
    if totals.latest is not None:
        families.set("last_run_start_timestamp_seconds", totals.latest.started, **of)
        families.set("last_run_unfinished", totals.latest.outcome is None, **of)
    if totals.ended is not None:
        _last_run(families, totals, of)


def _last_run(families: _Families, totals: Totals, of: Mapping[str, str]) -> None:
    run = totals.ended
    assert run is not None
    families.set("last_run_end_timestamp_seconds", run.finished, **of)
    for outcome in Outcome:
        families.set("last_run_outcome", run.outcome is outcome, **of, outcome=outcome)
    for phase in Phase:
        families.set("last_run_phase_seconds", run.seconds.get(phase), **of, phase=phase)
    hosts = Counter(build.status for build in run.hosts)
    for status in HostStatus:
        families.set("last_run_hosts", hosts[status], **of, status=status)
    for kind, number in Counter(build.failure.kind for build in run.hosts if build.failure is not None).items():
        families.set("last_run_failures", number, **of, kind=kind)
    families.set("last_run_changes", len(run.changes), **of)


def _word(outcome: Outcome | None) -> str:
    return outcome.value if outcome is not None else UNFINISHED


_FREE = frozenset({StateWord.CURRENT, StateWord.NEVER, StateWord.MOVED, StateWord.REQUESTED})


def _inputs(families: _Families, found: standing.Status, of: Mapping[str, str]) -> None:
    families.set("inputs", len(found.rows), **of)
    families.set("alarms", len(found.alarms), **of)
    families.set("pull_requests", len(found.requests), **of)
    families.set("pull_requests_left_alone", sum(bool(one.left_alone) for one in found.requests), **of)
    oldest = min((one.opened for one in found.requests), default=None)
    families.set("pull_requests_oldest_timestamp_seconds", oldest, **of)
    held = Counter(row.reason for row in found.rows if row.word not in _FREE)
    for reason, number in sorted(held.items()):
        families.set("held_inputs", number, **of, reason=label(reason))
    for row in found.rows[:MOST_INPUTS]:
        _input(families, row, found.now, {**of, "input": label(row.input)})


def _input(families: _Families, row: standing.Row, now: datetime, labels: Mapping[str, str]) -> None:
    families.set("input_state", 1, **labels, state=row.word, reason=label(row.reason))
    modified = row.locked.last_modified if row.locked is not None else None
    families.set("input_age_seconds", None if modified is None else now.timestamp() - modified, **labels)
    families.set("input_behind_seconds", row.behind, **labels)
    if row.hold is not None and row.hold.heard is not None:
        _hold(families, row.hold.heard, labels)
    if row.state is not None:
        families.set("input_last_attempt_timestamp_seconds", row.state.last_attempt, **labels)
        families.set("input_last_success_timestamp_seconds", row.state.last_success, **labels)
        families.set("input_unreachable_since_timestamp_seconds", row.state.unreachable_since, **labels)
        families.set("input_stuck_since_timestamp_seconds", row.state.stuck_since, **labels)


def _hold(families: _Families, heard: Heard, labels: Mapping[str, str]) -> None:
    families.set("input_hold_asked_timestamp_seconds", heard.asked, **labels)
    families.set("input_hold_answered_timestamp_seconds", heard.answered, **labels)


def _disks(apps: Iterable[App]) -> dict[str, tuple[int, int]]:
    """Place → what is free there, and the floor."""
    found: dict[str, tuple[int, int]] = {}
    for app in apps:
        store = Path(app.environ.get("NIX_STORE_DIR", "/nix/store"))
        for place in (store, app.settings.state.directory):
            with contextlib.suppress(SurroundingsError):
                found[label(str(place))] = (free_bytes(place), app.settings.state.min_free)
    return found
