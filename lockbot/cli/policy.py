"""Commands that say what may move."""

from __future__ import annotations

import click

from lockbot.cli.context import Flags, opened_app
from lockbot.report import output


@click.command(short_help="Keep an input where it is.")
@click.argument("input")
@click.option("--until", metavar="DATE", help="Until then: 2026-12-24, or with a time 2026-12-24T18:00.")
@click.option("--until-merged", metavar="URL", help="Until this pull request is merged, and the input has it.")
@click.option(
    "--until-in",
    nargs=2,
    metavar="BRANCH COMMIT",
    help="Until this branch of the input's repository contains this commit.",
)
@click.option(
    "--until-version",
    nargs=2,
    metavar="PACKAGE VERSION",
    help="Until this package of the input is at this version, or a newer one.",
)
@click.option("--at", metavar="REV", help="At this revision, to which the next run moves it.")
@click.option("--why", required=True, metavar="TEXT", help="What to show to whoever wonders later.")
@click.pass_obj
def hold(
    flags: Flags,
    input: str,
    until: str | None,
    until_merged: str | None,
    until_in: tuple[str, str] | None,
    until_version: tuple[str, str] | None,
    at: str | None,
    why: str,
) -> None:
    """Keep an input where it is, from the next run on; the others move. `lockbot release` ends it.

    With one of `--until-…` it ends by itself, when what is waited for has come: runs ask for it, and the daemon.
    """
    from lockbot.commands import hold as orders
    from lockbot.commands.holds.given import GivenEnd

    given = {
        "--until": until,
        "--until-merged": until_merged,
        "--until-in": until_in,
        "--until-version": until_version,
        "--at": at,
    }
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise click.UsageError(f"{names[0]} and {names[1]} exclude each other")
    with opened_app(flags) as app:
        ends = GivenEnd(until_merged, until_in, until_version)
        output.lines(orders.hold(app, input, why, until, at, ends))


@click.command(short_help="Let an input move again.")
@click.argument("input")
@click.pass_obj
def release(flags: Flags, input: str) -> None:
    """End a hold of `lockbot hold`."""
    from lockbot.commands import hold as orders

    with opened_app(flags) as app:
        output.lines(orders.release(app, input))


@click.command(short_help="Accept a move that the policy holds.")
@click.argument("input")
@click.option("--revision", metavar="REV", help="Only to this revision.")
@click.pass_obj
def accept(flags: Flags, input: str, revision: str | None) -> None:
    """Let an input's next move pass in spite of what holds it.

    That is its age, a rewritten history, where it comes from, or what would have to be compiled. The hosts must
    build with it all the same.
    """
    from lockbot.commands import hold as orders

    with opened_app(flags) as app:
        output.lines(orders.accept(app, input, revision))
