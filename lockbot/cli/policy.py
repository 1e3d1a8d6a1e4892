"""Commands that say what may move."""

from __future__ import annotations

import click

from lockbot.cli.context import Flags, opened_app
from lockbot.report import output


@click.command(short_help="Keep an input where it is.")
@click.argument("input")
@click.option("--until", metavar="DATE", help="Until then: 2026-12-24, or with a time 2026-12-24T18:00.")
@click.option("--at", metavar="REV", help="At this revision, to which the next run moves it.")
@click.option("--why", required=True, metavar="TEXT", help="What to show to whoever wonders later.")
@click.pass_obj
def hold(flags: Flags, input: str, until: str | None, at: str | None, why: str) -> None:
    """Keep an input where it is, from the next run on; the others move. `lockbot release` ends it."""
    from lockbot.commands import hold as orders

    if until is not None and at is not None:
        raise click.UsageError("--until and --at exclude each other")
    with opened_app(flags) as app:
        output.lines(orders.hold(app, input, why, until, at))


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
