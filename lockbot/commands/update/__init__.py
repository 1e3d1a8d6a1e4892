"""`lockbot update`: one cycle, wired, recorded and tidied up after."""

from __future__ import annotations

from dataclasses import replace

from lockbot import files, oserrors, state
from lockbot.app import App, Options, Place
from lockbot.commands.after_run import NOBODY, Followers
from lockbot.commands.holds import ask_due
from lockbot.commands.run_config import run_config
from lockbot.commands.update.tidying import tidy
from lockbot.config.sections import Mode
from lockbot.daemon.plan import next_run
from lockbot.errors import Cancelled, LockbotError, UsageError
from lockbot.git.clone import Clone
from lockbot.history.store import History
from lockbot.judge import verdict_cache
from lockbot.lock.request import UpdateRequest
from lockbot.model import Outcome, Run
from lockbot.nix.flakeref import FlakeRef
from lockbot.policy.upstream_checks import AskChecks, nobody
from lockbot.report import events
from lockbot.state import RunLock, check_disk, new_run_id
from lockbot.update.context import PullRequests, RunContext
from lockbot.update.cycle import recover, run_cycle
from lockbot.update.votes import UNJUDGED


def update(app: App, request: UpdateRequest, options: Options, followers: Followers = NOBODY) -> Run:
    """One cycle, recorded whatever becomes of it. Raises UsageError and BusyError.

    `followers` hear that it begins, or why it can't; how it ended is the caller's to tell them (`after_run`), once
    the user knows.
    """
    if app.settings.publish.mode is Mode.REQUEST and not options.push:
        raise UsageError("with --no-push there is no pull request", "--dry-run judges what one would ask for")
    followers = NOBODY if options.dry_run else followers
    with followers.hearing_refusals(app):
        return _update(app, request, options, followers)


def _update(app: App, request: UpdateRequest, options: Options, followers: Followers) -> Run:
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
        followers.pings.start(run)
        run = replace(run, notes=history.notes)
        if options.retry_failed:
            history.ledger(place.flake).forget_failures()
            history.forget_failed_baselines(place.flake)
            files.remove(verdict_cache.file(place.directory, place.flake))
        return log.ended(_cycle(replace(app, progress=log), place, history, request, options, run))


def _cycle(app: App, place: Place, history: History, request: UpdateRequest, options: Options, run: Run) -> Run:
    try:
        for reference in request.overrides.values():
            FlakeRef.parse(reference)  # what a lock holds is not the user's to word; this is
        with oserrors.explaining():
            run = replace(run, notes=(*run.notes, *ask_due(app, place, history, release=not options.dry_run)))
            context = _context(app, place, history)
            recover(
                context, place.source, place.identity, place.flake, keep_results=app.settings.state.keep_results
            )
            config = run_config(app, place, options, context.nix)
    except LockbotError as error:
        return _failed_to_start(app, history, run, error)
    run = _with_next_try(app, context, run_cycle(context, config, request, run))
    tidy(app, context, run)
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
    requests = _requests(app, place, clone, history)
    return RunContext(nix, clone, history, place.directory, app.progress, app.clock, checks, requests)


def _requests(app: App, place: Place, clone: Clone, history: History) -> PullRequests | None:
    if app.settings.publish.mode is not Mode.REQUEST:
        return None
    from lockbot.commands.pull_requests.publishing import publisher  # as in `_upstream_checks`

    return publisher(app, place, clone, history)


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
