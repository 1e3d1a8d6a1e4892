"""Commands for the service, and for those who watch it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from lockbot import surroundings
from lockbot.cli.context import Flags, as_json, leave, opened_app
from lockbot.report import output


@click.command(short_help="Update by schedule, for months.")
@click.option(
    "--config",
    "configs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A configuration file, or a directory of *.toml; repeatable (default: as for every command).",
)
@click.pass_obj
def daemon(flags: Flags, configs: tuple[Path, ...]) -> None:
    """Update by the schedules of one or several configurations, each run a process of its own.

    What was missed while the machine was off is made up for once. SIGHUP takes a changed configuration;
    SIGTERM ends what runs, and the next start goes on.
    """
    from lockbot.app import find_config
    from lockbot.daemon.service import Daemon
    from lockbot.report.events import configure

    paths = configs or tuple(path for path in [find_config(flags.config)] if path is not None)
    if not paths:
        raise click.UsageError("there is no configuration here: give one with --config")
    log = configure(sys.stderr, os.environ, verbose=flags.verbose)
    Daemon(paths, os.environ, log, verbose=flags.verbose).serve()


@click.command(short_help="Show it all on a page, read-only.")
@click.option(
    "--config",
    "configs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A configuration file, or a directory of *.toml; repeatable (default: as for every command).",
)
@click.option(
    "--listen",
    metavar="HOST:PORT|unix:PATH",
    help="Where to listen, in place of `web.listen`.",
)
@click.pass_obj
def web(flags: Flags, configs: tuple[Path, ...], listen: str | None) -> None:
    """Show runs, inputs, hosts and what is wrong with them on a page, for one or several repositories.

    It only reads: the history, and the branch as it lies here. It listens on this machine only, unless told
    otherwise; SIGTERM and Ctrl-C end it.
    """
    from lockbot.app import find_config
    from lockbot.config.types import listen_address
    from lockbot.process import CancelToken
    from lockbot.report.events import configure
    from lockbot.web import server, sites

    try:
        where = listen_address(listen) if listen is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from None
    paths = configs or tuple(path for path in [find_config(flags.config)] if path is not None)
    log = configure(sys.stderr, os.environ, verbose=flags.verbose)
    with CancelToken() as stop:
        server.serve(sites.read(paths, os.environ, where, stop), os.environ, log, stop)


@click.command(short_help="Let the daemon begin no run.")
@click.option("--why", required=True, metavar="TEXT", help="What to show to whoever wonders later.")
@click.pass_obj
def pause(flags: Flags, why: str) -> None:
    """Let the daemon begin no run, in any repository with this state directory, until `lockbot resume`.

    What runs goes on; `lockbot update` by hand works.
    """
    from lockbot.commands import pause as orders

    with opened_app(flags) as app:
        output.lines(orders.pause(app, why))


@click.command(short_help="Let the daemon begin runs again.")
@click.pass_obj
def resume(flags: Flags) -> None:
    """End a pause. What was due meanwhile is made up for once."""
    from lockbot.commands import pause as orders

    with opened_app(flags) as app:
        output.lines(orders.resume(app))


@click.command(short_help="Tell a monitor whether all is well, in one line.")
@click.option("--max-age", default="2d", show_default=True, metavar="TIME", help="How old the last run may be.")
@click.option(
    "--failures",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many runs in a row that come to nothing are too many.",
)
@click.pass_obj
def healthcheck(flags: Flags, max_age: str, failures: int) -> int:
    """Tell a monitor whether all is well: one line, and exit code 0 if so, else 1.

    It is not when the last run was too long ago or hangs, when several in a row failed, went stale or were
    interrupted, or when `lockbot status` has an alarm. Dry runs don't count.
    """
    from lockbot.commands import healthcheck as health
    from lockbot.config.types import duration

    try:
        limits = health.Limits(duration(max_age), failures)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--max-age") from None
    with opened_app(flags) as app:
        found = health.look(app, limits)
    output.lines([health.told(found)])
    return found.exit_code


@click.command(short_help="Tell people what changed.")
@click.option(
    "--test",
    "test",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="Only send a test message, at once: to every target, or the named one. Exit 1 if one did not take it.",
)
@as_json
@click.pass_obj
def notify(flags: Flags, test: str | None, as_json: bool) -> int:
    """Look what has changed, and send what is to be told to each [[notify]], once.

    Runs and the daemon call it by themselves. What a target does not take is tried again for a day, with growing
    pauses; `lockbot status` shows what waits, and what was given up. It runs the hooks for an alarm, too, and asks
    whether a hold has ended.
    """
    from lockbot.commands.notify import send
    from lockbot.model import Note
    from lockbot.report.events import JsonLines

    with opened_app(flags) as app:
        sent = send.notify(app) if test is None else send.test(app, test or None)
        if isinstance(app.progress, JsonLines):
            for note in sent.notes:
                app.progress(Note(note))
            app.progress.write(sent.record)
    if as_json:
        output.document(send.document(sent))
    elif not flags.json_lines:
        output.lines(send.lines(sent))
    return leave(1 if test is not None and sent.failed else 0, unfinished=sent.unfinished)


@click.command(short_help="Print metrics for Prometheus.")
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Replace this file with them, whole, for node_exporter's textfile collector.",
)
@click.pass_obj
def metrics(flags: Flags, textfile: Path | None) -> None:
    """Print metrics for Prometheus, in its text format: runs, inputs, alarms, disk. Needs no daemon."""
    from lockbot.commands import metrics as measured

    with opened_app(flags) as app:
        text = measured.render(app)
    if textfile is not None:
        measured.write(surroundings.absolute(textfile), text)
    else:
        output.machine(text.decode())
