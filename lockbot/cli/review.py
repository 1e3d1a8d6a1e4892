"""Commands for whoever reviews updates, and whoever pulls them."""

from __future__ import annotations

import click

from lockbot.cli.context import Flags, as_json, opened_app
from lockbot.report import output


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
