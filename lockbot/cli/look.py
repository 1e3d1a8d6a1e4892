"""Commands that tell how things are, and how they were."""

from __future__ import annotations

import click

from lockbot.cli.context import Flags, as_json, opened_app
from lockbot.report import output


@click.command(short_help="Tell how each input stands, and raise alarms.")
@click.option("--check", is_flag=True, help="Print only the alarms; exit 1 when there are any.")
@as_json
@click.pass_obj
def status(flags: Flags, check: bool, as_json: bool) -> int:
    """Tell how each input stands: how far behind, what holds it and since when, who broke it, the next try.

    An alarm is raised for an input whose upstream was not reached for `[policy] stale_after`, or that was kept
    back for so long. Runs nothing and asks no upstream.
    """
    from lockbot.commands import status as standing

    with opened_app(flags) as app:
        found = standing.look(app)
    if as_json:
        output.document(standing.document(found))
    else:
        output.lines(standing.alarm_lines(found) if check else standing.lines(found, output.width()))
    return 1 if check and found.alarms else 0


@click.command(short_help="List the flake's inputs.")
@click.option("--outdated", is_flag=True, help="Ask upstream which have moved; writes and downloads nothing.")
@as_json
@click.pass_obj
def inputs(flags: Flags, outdated: bool, as_json: bool) -> None:
    """List the flake's inputs: revision, age, where each points, what follows what."""
    from lockbot.commands import inputs as listing

    with opened_app(flags) as app:
        rows = listing.inputs(app, ask=outdated)
        if as_json:
            output.document(listing.inputs_document(rows))
        else:
            output.lines(listing.inputs_table(rows, app.clock(), output.width(), asked=outdated))


@click.command(short_help="List the hosts, and what lockbot does with each.")
@as_json
@click.pass_obj
def hosts(flags: Flags, as_json: bool) -> None:
    """List the hosts that the flake has, and what lockbot does with each."""
    from lockbot.commands import hosts as listing

    with opened_app(flags, timed=True) as app:
        rows = listing.hosts(app)
        if as_json:
            output.document(listing.hosts_document(rows))
        else:
            output.lines(listing.hosts_table(rows, output.width()))


@click.command(short_help="List past runs, or when a package changed.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="How many, newest first.",
)
@click.option("--all", "everywhere", is_flag=True, help="Of every flake, not only this one on this branch.")
@click.option("--package", metavar="NAME", help="When this package changed, or those with that in their names.")
@click.option("--host", metavar="NAME", help="With --package: on this host only.")
@as_json
@click.pass_obj
def history(
    flags: Flags, limit: int, everywhere: bool, package: str | None, host: str | None, as_json: bool
) -> None:
    """List past runs, newest first; or when a package changed, from what to what."""
    from lockbot.commands import history as past

    if package is not None or host is not None:
        _changes_of_package(flags, package, host, limit, everywhere=everywhere, as_json=as_json)
        return
    with opened_app(flags) as app:
        place = None if everywhere else app.place()
        with app.history(place) as store:
            runs = store.runs(place.flake if place is not None else None, limit=limit)
        if as_json:
            output.document(past.history_document(runs))
        else:
            output.lines(past.history(runs, app.clock(), output.width()))


def _changes_of_package(
    flags: Flags, package: str | None, host: str | None, limit: int, *, everywhere: bool, as_json: bool
) -> None:
    from lockbot.commands.review import packages

    if package is None:
        raise click.UsageError("--host goes with --package")
    if everywhere:
        raise click.UsageError("--all and --package exclude each other")
    if not package.strip():
        raise click.UsageError("--package needs a name, or part of one")
    with opened_app(flags) as app:
        found = packages.look(app, package.strip(), host, limit)
    if as_json:
        output.document(packages.document(found))
    else:
        output.lines(packages.lines(found, app.clock()))


@click.command(short_help="Show one run: what changed, and how each host fared.")
@click.argument("run", default="latest")
@click.option("--log", "host", metavar="HOST", help="Print the log kept of this host's failure.")
@click.option("--raw", is_flag=True, help="With --log: byte for byte, also what acts upon a terminal.")
@as_json
@click.pass_obj
def show(flags: Flags, run: str, host: str | None, raw: bool, as_json: bool) -> None:
    """Show one run: what changed, how each host fared, and why. RUN is an id, its beginning, or `latest`."""
    from lockbot.commands import history as past
    from lockbot.report import document, terminal

    if raw and host is None:
        raise click.UsageError("--raw goes with --log HOST")
    with opened_app(flags) as app, past.opened(app, run) as (store, found):
        if host is not None:
            (output.raw if raw else output.log)(past.log(store, found, host))
        elif as_json:
            output.document(document.run_document(found))
        else:
            output.lines(terminal.summary(found, output.width(), past.by_now(store, found)))


@click.command(short_help="Print the log of a run, or follow it.")
@click.argument("run", default="latest")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, until the run is over.")
@as_json
@click.pass_obj
def logs(flags: Flags, run: str, follow: bool, as_json: bool) -> None:
    """Print what happened in a run, step by step. RUN is an id, its beginning, or `latest`."""
    from lockbot.commands import history as past
    from lockbot.report import events as kept

    with opened_app(flags) as app, past.opened(app, run) as (_, found):
        for one in past.records(found, app, follow=follow):
            heard = output.machine(kept.encode(one) + "\n") if as_json else output.text(kept.told(one) + "\n")
            if not heard:
                return
