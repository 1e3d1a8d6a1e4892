"""Commands for whoever reviews updates, and whoever pulls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockbot.cli.context import Flags, as_json, opened_app
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
    such, as /run/current-system); a path is compared with one --host. Without NEW, it is the branch as it is;
    without OLD, the commit before. Nothing is updated, and nothing of yours is written.
    """
    from lockbot.commands.review import diff as comparing

    with opened_app(flags, timed=True) as app:
        found = comparing.diff(app, old, new, hosts, build=not no_build)
    if as_json:
        output.document(comparing.diff_document(found))
    else:
        output.lines(comparing.diff_lines(found, output.width()))


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
