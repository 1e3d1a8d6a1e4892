"""The main job, wired: from settings and the command line's options to one recorded cycle."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from lockbot import oserrors, state
from lockbot.app import App, Options, Place, total_memory, usable_cores
from lockbot.config import Person, Settings, Sign
from lockbot.daemon.plan import next_run
from lockbot.errors import Cancelled, LockbotError, UsageError
from lockbot.git.worktree import Identity, Signing, SigningFormat
from lockbot.history.store import History
from lockbot.judge import verdict, verdict_cache
from lockbot.judge.hosts import HostPatterns
from lockbot.lock import propose
from lockbot.lock.request import UpdateRequest
from lockbot.model import Outcome, Run
from lockbot.nix import build, evaluate
from lockbot.nix import context as nix_context
from lockbot.nix.command import Nix
from lockbot.nix.flakeref import FlakeRef
from lockbot.policy.upstream_checks import AskChecks, nobody
from lockbot.report import events
from lockbot.search.strategies import Strategy
from lockbot.state import RunLock, check_disk, new_run_id
from lockbot.update.context import RunConfig, RunContext
from lockbot.update.cycle import recover, run_cycle
from lockbot.update.regenerate import Commands
from lockbot.update.votes import UNJUDGED


def update(app: App, wish: UpdateRequest, options: Options) -> Run:
    """One cycle, recorded whatever becomes of it. Raises UsageError and BusyError."""
    place = app.place()
    run = Run(
        id=new_run_id(app.clock()),
        repository=place.identity,
        flake=place.flake,
        started=app.clock(),
        branch=place.source.branch or "HEAD",
        dry_run=options.dry_run,
    )
    lock = RunLock(
        place.directory / state.LOCK,
        run.id,
        app.clock,
        cancel=app.cancel,
        wait=options.wait,
        progress=app.progress,
    )
    with lock, app.history(place) as history, events.kept(app.progress, app.state().logs, run) as log:
        run = replace(run, notes=history.notes)
        if options.retry_failed:
            history.ledger(place.flake).forget_failures()
            history.forget_failed_baselines(place.flake)
            verdict_cache.file(place.directory, place.flake).unlink(missing_ok=True)
        return log.ended(_cycle(replace(app, progress=log), place, history, wish, options, run))


def _cycle(app: App, place: Place, history: History, wish: UpdateRequest, options: Options, run: Run) -> Run:
    try:
        for reference in wish.overrides.values():
            FlakeRef.parse(reference)  # what a lock holds is not the user's to word; this is
        with oserrors.explaining():
            context = _context(app, place, history)
            recover(
                context, place.source, place.identity, place.flake, keep_results=app.settings.state.keep_results
            )
            config = _config(app, place, options, context.nix)
    except LockbotError as error:
        return _failed_to_start(app, history, run, error)
    run = _with_next_try(app, context, run_cycle(context, config, wish, run))
    _tidy(app, context, run)
    return run


def _with_next_try(app: App, context: RunContext, run: Run) -> Run:
    """Say when what could not be judged is tried again, where a schedule tells."""
    open_ = any(item.reason == UNJUDGED for item in run.held)
    due = next_run(app.settings, app.clock()) if open_ or run.outcome in _TRIED_AGAIN else None
    if due is None:
        return run
    run = replace(run, notes=(*run.notes, f"what could not be judged is tried again at {due:%Y-%m-%d %H:%M} UTC"))
    context.history.save(run)
    return run


_TRIED_AGAIN = frozenset({Outcome.UNJUDGED, Outcome.FAILED})


def _context(app: App, place: Place, history: History) -> RunContext:
    root = app.settings.state.directory
    nix = app.nix(place)
    store = nix.store_directory
    check_disk([root, *([store] if store.exists() else [])], app.settings.state.min_free)
    clone, checks = app.clone(place), _upstream_checks(app)
    return RunContext(nix, clone, history, place.directory, app.progress, app.clock, checks)


def _upstream_checks(app: App) -> AskChecks:
    rules = app.settings.policy_rules()
    if not any(one.upstream_checks for one in (rules.default, *rules.inputs.values())):
        return nobody
    from lockbot.forge.upstream import UpstreamChecks  # 100 ms for requests: only who wants it waits

    accounts = {host: account.account() for host, account in app.settings.forge.items()}
    return UpstreamChecks(accounts, app.cancel, app.clock)


def _failed_to_start(app: App, history: History, run: Run, error: LockbotError) -> Run:
    """Every attempt is on record: a bot that silently does nothing is the worst kind."""
    outcome = Outcome.INTERRUPTED if isinstance(error, Cancelled) else Outcome.FAILED
    run = replace(run, outcome=outcome, finished=app.clock(), error=error.message, hint=error.hint or None)
    history.start(run)
    if isinstance(error, UsageError):
        raise error
    return run


def _tidy(app: App, context: RunContext, run: Run) -> None:
    """What grows is pruned. The run is over and recorded: a problem here does not change what became of it."""
    keep_days = app.settings.state.keep_days
    with contextlib.suppress(OSError):
        (context.directory / "answers.json").unlink(missing_ok=True)  # an older lockbot's, of the whole repository
    try:
        context.history.prune(keep_days, app.clock())
        context.history.ledger(run.flake).prune(keep_days)
        context.history.forget_baselines(run.flake, {name for name in (run.base, run.commit) if name})
        context.clone.maintain()
    except LockbotError as error:
        if not isinstance(error, Cancelled):
            context.history.save(replace(run, notes=(*run.notes, f"tidying up failed: {error.message}")))


# -- settings as plain values -----------------------------------------------------------------------------------


def _config(app: App, place: Place, options: Options, nix: Nix) -> RunConfig:
    settings = app.settings
    author = _identity(settings.commit.author)
    after = settings.after_update
    return RunConfig(
        source=place.source,
        flake_dir=app.flake_dir(place),
        host_patterns=host_patterns(settings),
        gate=settings.build.gate,
        fetching=propose.Limits(settings.run.fetch_timeout, settings.build.retries, settings.build.retry_delay),
        judging=verdict.Limits(evaluating(settings), _building(settings)),
        author=author,
        committer=_identity(settings.commit.committer) if settings.commit.committer else author,
        signing=_signing(settings),
        subject=settings.commit.subject,
        publish_tries=settings.run.publish_tries,
        keep_results=settings.state.keep_results,
        log_limit=settings.state.log_limit,
        policy=settings.policy_rules(),
        strategy=_strategy(settings, options.groups),
        groups=_moving_together(settings),
        probes=settings.search.probes,
        search_time=settings.search.time,
        remember_failures=settings.search.remember_failures,
        after_update=Commands(after.commands, after.paths, after.timeout),
        push=settings.repository.push and options.push,
        dry_run=options.dry_run,
        fingerprint=fingerprint(settings, nix),
    )


def fingerprint(settings: Settings, nix: Nix) -> str:
    """The word for what decides how hosts fare, beside the flake (`RunConfig.context`)."""
    building, evaluation = _building(settings), settings.eval
    return nix_context.context(
        nix,
        {
            "build timeout": building.timeout,
            "build silence": building.silence,
            "build options": building.options,
            "evaluation timeout": evaluation.timeout,
            "evaluation memory": evaluation.memory,  # as configured: half of what the machine has may vary
            "import from derivation": evaluation.import_from_derivation,
        },
    )


def host_patterns(settings: Settings) -> HostPatterns:
    hosts = settings.hosts
    return HostPatterns(hosts.include, hosts.exclude, hosts.evaluate_only, hosts.attributes, hosts.unbuildable)


def evaluating(settings: Settings) -> evaluate.Limits:
    return evaluate.Limits(
        workers=settings.eval.workers or usable_cores(),
        memory=settings.eval.memory or total_memory() // 2,
        timeout=settings.eval.timeout,
        import_from_derivation=settings.eval.import_from_derivation,
        retries=settings.build.retries,
        delay=settings.build.retry_delay,
        building={
            **(building := _building(settings)).options,
            "timeout": str(building.timeout),
            "max-silent-time": str(building.silence),
        },
    )


def _building(settings: Settings) -> build.Limits:
    options = dict(settings.build.options)
    if settings.build.jobs is not None:
        options["max-jobs"] = str(settings.build.jobs)
    if settings.build.cores is not None:
        options["cores"] = str(settings.build.cores)
    return build.Limits(
        timeout=max(1, round(settings.build.timeout)),
        silence=max(1, round(settings.build.silence)),
        options=options,
        retries=settings.build.retries,
        delay=settings.build.retry_delay,
        second_chance=True,
    )


def _strategy(settings: Settings, groups: tuple[str, ...]) -> Strategy:
    """The named groups' own, where they agree; else that of inputs in no group."""
    own = {group.strategy for group in settings.group if group.name in groups}
    if len(own) == 1:
        return Strategy(own.pop().value)
    return Strategy.EACH if settings.search.one_commit_per_input else Strategy(settings.search.strategy.value)


def _moving_together(settings: Settings) -> tuple[frozenset[str], ...]:
    groups = [group for group in settings.group if group.strategy.value == Strategy.TOGETHER]
    return tuple(frozenset(group.inputs) for group in groups)


def _identity(person: Person) -> Identity:
    return Identity(person.name, person.email)


def _signing(settings: Settings) -> Signing | None:
    match settings.commit.sign:
        case Sign.NO:
            return None
        case Sign.GPG:
            return Signing(SigningFormat.OPENPGP, settings.commit.signing_key or "")
        case Sign.SSH:
            return Signing(SigningFormat.SSH, settings.commit.signing_key or "")
