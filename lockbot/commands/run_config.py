"""The settings, and what the command line adds to them, as the plain values of a run."""

from __future__ import annotations

from lockbot.app import App, Options, Place, total_memory, usable_cores
from lockbot.config import Person, Settings, Sign
from lockbot.git.worktree import Authorship, Identity, Signing, SigningFormat
from lockbot.judge import verdict
from lockbot.judge.hosts import HostPatterns
from lockbot.lock import propose
from lockbot.nix import build, evaluate
from lockbot.nix import fingerprint as of_nix
from lockbot.nix.command import Nix
from lockbot.search.strategies import Strategy
from lockbot.update.context import Review, RunConfig
from lockbot.update.regenerate import Commands


def run_config(app: App, place: Place, options: Options, nix: Nix) -> RunConfig:
    """What one run of `lockbot update` is told."""
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
        subject=options.reason.subject if options.reason is not None else settings.commit.subject,
        reason=options.reason.paragraphs if options.reason is not None else (),
        publish_tries=settings.run.publish_tries,
        keep_results=settings.state.keep_results,
        log_limit=settings.state.log_limit,
        policy=settings.policy_rules(),
        strategy=_strategy(settings, options),
        groups=_moving_together(settings),
        probes=settings.search.probes,
        search_time=settings.search.time,
        remember_failures=settings.search.remember_failures,
        review=Review(settings.review.differences, settings.review.build_base, settings.review.upstream),
        after_update=Commands(after.commands, after.paths, after.timeout),
        push=settings.repository.push and options.push,
        dry_run=options.dry_run,
        fingerprint=fingerprint(settings, nix),
    )


def fingerprint(settings: Settings, nix: Nix) -> str:
    """The word for what decides how hosts fare, beside the flake (`RunConfig.fingerprint`)."""
    building, evaluation = _building(settings), settings.eval
    return of_nix.fingerprint(
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


def _strategy(settings: Settings, options: Options) -> Strategy:
    """The named groups' own, where they agree; else that of inputs in no group. What is made for one reason is one
    commit."""
    own = {group.strategy for group in settings.group if group.name in options.groups}
    if len(own) == 1:
        return Strategy(own.pop().value)
    if settings.search.one_commit_per_input:
        return Strategy.BEST if options.reason is not None else Strategy.EACH
    return Strategy(settings.search.strategy.value)


def _moving_together(settings: Settings) -> tuple[frozenset[str], ...]:
    groups = [group for group in settings.group if group.strategy.value == Strategy.TOGETHER]
    return tuple(frozenset(group.inputs) for group in groups)


def _identity(person: Person) -> Identity:
    return Identity(person.name, person.email)


def authorship(settings: Settings) -> Authorship:
    """Whose lockbot's commits are, and how they are signed."""
    committer = settings.commit.committer or settings.commit.author
    return Authorship(_identity(settings.commit.author), _identity(committer), _signing(settings))


def _signing(settings: Settings) -> Signing | None:
    match settings.commit.sign:
        case Sign.NO:
            return None
        case Sign.GPG:
            return Signing(SigningFormat.OPENPGP, settings.commit.signing_key or "")
        case Sign.SSH:
            return Signing(SigningFormat.SSH, settings.commit.signing_key or "")
