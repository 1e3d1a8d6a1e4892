"""Commands for whoever reviews updates, and whoever pulls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from lockbot.cli.context import Flags, afterwards, as_json, opened_app
from lockbot.report import output

if TYPE_CHECKING:
    from lockbot.app import App
    from lockbot.commands.review.verify import Extent


@click.command(short_help="Tell what differs on each host between two states.")
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--host", "hosts", metavar="PATTERN", multiple=True, help="Only these hosts; may be given again.")
@click.option("--no-build", is_flag=True, help="Build nothing: compare what the store has, and say what it lacks.")
@as_json
@click.pass_obj
def diff(
    flags: Flags, old: str | None, new: str | None, hosts: tuple[str, ...], no_build: bool, as_json: bool
) -> None:
    """Tell what differs on each host between two states, and what a switch from OLD to NEW would do.

    OLD and NEW are revisions of the flake (a branch, a hash, HEAD~2), runs, or paths in Nix's store (also links to
    such, as /run/current-system); a path is compared with one --host. Without NEW, it is the branch as it is (or
    HEAD, where none is checked out); without OLD, the commit before. Nothing is updated, and nothing of yours is
    written.
    """
    from lockbot.commands.review import diff as comparing

    with opened_app(flags, timed=True) as app:
        found = comparing.diff(app, old, new, hosts, build=not no_build)
    if as_json:
        output.document(comparing.diff_document(found))
    else:
        output.lines(comparing.diff_lines(found, output.width()))


@click.command(short_help="Tell what came since you last looked.")
@click.option("--since", metavar="REV", help="Since this revision, whatever you have looked at.")
@click.option("--seen", is_flag=True, help="Mark all of it as looked at: the next review begins there.")
@as_json
@click.pass_obj
def review(flags: Flags, since: str | None, seen: bool, as_json: bool) -> None:
    """Tell what came since you last looked: each commit that moved inputs, lockbot's on one screen each.

    What it means for the hosts is told from the run's record, or, in a clone on another machine, from the commit's
    own message. Nothing is marked as looked at without --seen. No run that works is waited for.
    """
    from lockbot.commands.review import news

    with opened_app(flags) as app:
        found = news.look(app, since, seen=seen)
    if as_json:
        output.document(news.document(found))
    else:
        output.lines(news.lines(found, output.width()))


class Wished(TypedDict):
    """The options of `lockbot revert`, as click hands them over."""

    why: str | None
    until: str | None
    no_hold: bool
    force: bool
    dry_run: bool
    no_push: bool
    wait: bool


@click.command(short_help="Take back what an update moved, and hold it there.")
@click.argument("what", metavar="RUN|COMMIT|INPUT")
@click.option("--why", metavar="TEXT", help="What to show to whoever wonders later (default: what was reverted).")
@click.option("--until", metavar="DATE", help="Hold it until then: 2026-12-24, or with a time 2026-12-24T18:00.")
@click.option("--no-hold", is_flag=True, help="Hold nothing: the next run may move it again.")
@click.option("--force", is_flag=True, help="Also inputs that have moved on since: what came after goes, too.")
@click.option("-n", "--dry-run", is_flag=True, help="Do all but publish and hold.")
@click.option("--no-push", is_flag=True, help="Move the local branch only.")
@click.option("--wait", is_flag=True, help="Wait for a run that works on the same repository.")
@as_json
@click.pass_obj
def revert(flags: Flags, what: str, as_json: bool, **wished: Unpack[Wished]) -> int:
    """Take inputs back to where they were, in a commit that hosts are good with, and hold them there.

    A commit (lockbot's or your own) or a run: the inputs that it moved. An input: back to before its last move.
    Hosts are built first, as by `lockbot update`; where they are not good with it, nothing is published or held.
    """
    from lockbot.app import Options, find_config
    from lockbot.commands.after_run import Followers, after_run
    from lockbot.commands.notify.child import send_what_is_due
    from lockbot.commands.review import revert as job

    options = Options(push=not wished["no_push"], dry_run=wished["dry_run"], wait=wished["wait"])
    why = (wished["why"] or "").strip() or None
    wish = job.Wish(what, why, wished["until"], hold=not wished["no_hold"], force=wished["force"])
    with opened_app(flags, timed=True) as app:
        followers = Followers.of(app.settings)
        done = job.revert(app, wish, options, followers)
    if as_json:
        output.document(job.document(done))
    else:
        output.lines(job.lines(done, output.width()))
    if done.run is not None:
        with afterwards(flags, app) as after:
            after_run(after, done.run, followers)
            send_what_is_due(after, find_config(flags.config))
    return done.exit_code


@click.command(short_help="Look for what is wrong with flake.lock.")
@click.option("--online", is_flag=True, help="Ask upstreams, too: for branches that are gone, and newer tags.")
@as_json
@click.pass_obj
def lint(flags: Flags, online: bool, as_json: bool) -> int:
    """Look for what is wrong with the committed flake.lock, or soon will be, and say what mends it.

    Exits with 1 when there are errors; warnings alone leave it at 0.
    """
    from lockbot.commands.review import lint as health

    with opened_app(flags) as app:
        report = health.lint(app, online=online)
    if as_json:
        output.document(health.document(report))
    else:
        output.lines(health.lines(report))
    return 0 if report.is_sound else 1


@click.command(short_help="Find out whether a commit is what its message says.")
@click.argument("commit", required=False)
@click.option("--range", "between", metavar="A..B", help="Each commit that B has and A has not, oldest first.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this host (or pattern); repeatable.")
@click.option("--build", is_flag=True, help="Build the hosts, too.")
@click.option("--no-evaluate", is_flag=True, help="Look at the lock only.")
@as_json
@click.pass_obj
def verify(
    flags: Flags,
    commit: str | None,
    between: str | None,
    hosts: tuple[str, ...],
    build: bool,
    no_evaluate: bool,
    as_json: bool,
) -> int:
    """Find out whether a commit, lockbot's or not, is what its message says.

    COMMIT is any revision that git understands; without one, HEAD.

    Is flake.lock what flake.nix asks for? Does it move the inputs that the message names, and no others? Does each
    still come from the same place? Do the hosts evaluate to the derivations that the message names?

    Exit codes: 0 as claimed, 1 not, 3 it could not be found out.
    """
    from lockbot.commands.review.verify import Extent

    if commit is not None and between is not None:
        raise click.UsageError("COMMIT and --range exclude each other")
    if no_evaluate and (build or hosts):
        raise click.UsageError("--no-evaluate goes with neither --build nor --host")
    extent = Extent(hosts, evaluate=not no_evaluate, build=build)
    with opened_app(flags, timed=True) as app:
        if between is not None:
            return _verify_range(app, between, extent, as_json=as_json)
        return _verify_one(app, commit or "HEAD", extent, as_json=as_json)


def _verify_one(app: App, commit: str, extent: Extent, *, as_json: bool) -> int:
    from lockbot.commands.review import verified
    from lockbot.commands.review.verify import verify

    one = verify(app, commit, extent)
    if as_json:
        output.document(verified.document(one))
    else:
        output.lines(verified.lines(one, output.width()))
    return one.exit_code


def _verify_range(app: App, between: str, extent: Extent, *, as_json: bool) -> int:
    from lockbot.commands.review import verified
    from lockbot.commands.review.verify import exit_code, verify_range

    commits = []
    for one in verify_range(app, between, extent):
        commits.append(one)
        if not as_json:
            output.lines([verified.range_line(one)])
    if as_json:
        output.document(verified.range_document(commits))
    else:
        output.lines([verified.total_line(commits)])
    return exit_code(commits)


class Bisecting(TypedDict):
    """The options of `lockbot bisect`, as click hands them over."""

    host: str
    since: str
    to: str | None
    timeout: float | None
    timeout_is_bad: bool
    forget: bool
    command: tuple[str, ...]


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    from lockbot.config.types import duration

    if text is None:
        return None
    try:
        seconds = duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    if seconds <= 0:
        raise click.BadParameter("must be longer than nothing", context, parameter)
    return seconds


@click.command(
    short_help="Find the update that made a command fail.",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--host", required=True, metavar="NAME", help="The host that the command is about.")
@click.option(
    "--since", required=True, metavar="REV", help="A revision of the flake at which the command succeeds."
)
@click.option("--to", metavar="REV", help="A later one at which it fails (default: the branch as it is).")
@click.option("--timeout", metavar="TIME", callback=_seconds, help="How long one run of it may take, e.g. 10m.")
@click.option("--timeout-is-bad", is_flag=True, help="A run that takes longer is bad, rather than skipped.")
@click.option("--forget", is_flag=True, help="Forget what earlier runs of this command found out.")
@as_json
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def bisect(flags: Flags, as_json: bool, **asked: Unpack[Bisecting]) -> int:
    """Find out with which commit of the flake a command began to fail on a host, and what of it is to blame:
    which input's move, and which upstream commit.

    COMMAND is run on several of the host's systems, each built before, until it is found where it begins to fail.
    LOCKBOT_TOPLEVEL in its environment is the system's path in Nix's store. It ends with 0 for good, with 125 when
    it can't tell, and else with up to 127 for bad. What it said is remembered: the same line goes on where it was
    stopped.

    Exits with 0 when it is found, with 1 when not: it fails at neither end, or at both.
    """
    from lockbot.commands.review import bisect as bisecting
    from lockbot.commands.review.bisected import bisected_document, bisected_lines
    from lockbot.review.bisect.result import Limit

    if asked["timeout_is_bad"] and asked["timeout"] is None:
        raise click.UsageError("--timeout-is-bad says nothing without --timeout")
    limit = Limit(asked["timeout"], asked["timeout_is_bad"])
    question = bisecting.Asked(
        asked["host"], asked["since"], asked["to"], asked["command"], limit, asked["forget"]
    )
    with opened_app(flags, timed=True) as app:
        found = bisecting.bisect(app, question)
    if as_json:
        output.document(bisected_document(found))
    else:
        output.lines(bisected_lines(found))
    return 0 if found.first_bad is not None else 1


@click.command(short_help="List pull requests, and land what may be landed.")
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@click.option("--settle", is_flag=True, help="Look at the forge now: land what may land, tidy up what is over.")
@as_json
@click.pass_obj
def requests(flags: Flags, every: bool, settle: bool, as_json: bool) -> None:
    """List the pull requests that lockbot has opened, and what each waits for.

    Runs look after them, too; --settle does it without an update, as the daemon does from time to time.
    """
    from lockbot.commands.after_run import after_requests
    from lockbot.commands.pull_requests import requests as asked

    with opened_app(flags) as app:
        found = asked.settle(app, every=every) if settle else asked.listed(app, every=every)
        after_requests(app, found.done)
    if as_json:
        output.document(asked.document(found))
    else:
        output.lines(asked.lines(found))
