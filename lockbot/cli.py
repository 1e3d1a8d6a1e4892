"""The command line: words in, an exit code out. stdout is the result, stderr the narration.

Everything heavy is imported inside the commands, so that `--help` and completion are quick.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from lockbot import __version__, oserrors, surroundings
from lockbot.errors import LockbotError
from lockbot.redact import redact
from lockbot.report import output

if TYPE_CHECKING:
    from lockbot.app import App
    from lockbot.model import Progress

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True)
class Flags:
    """The options that stand before the command."""

    config: Path | None
    verbose: bool
    quiet: bool
    json_lines: bool = False


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="lockbot", message="%(prog)s %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="LOCKBOT_CONFIG",
    help="The configuration file (default: lockbot.toml here or above, up to the repository's top; none is fine).",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell every step.")
@click.option("-q", "--quiet", is_flag=True, help="Tell nothing but the result.")
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json"]),
    default="auto",
    help="How to tell the progress on stderr: json is for programs, one object on each line.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None, verbose: bool, quiet: bool, log_format: str) -> None:
    """Keep a NixOS flake's lock as new as it can be while every host still builds.

    Run `lockbot update` in the flake's directory: it updates the inputs in a work tree of its own, builds every
    host, and commits the new flake.lock only when they build. Your files are never touched but by a fast-forward.

    Exit codes: 0 up to date or published, 1 rejected or stale, 2 usage or configuration,
    3 failed, 130 interrupted.
    """
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    context.obj = Flags(config, verbose, quiet, log_format == "json")


def main() -> NoReturn:
    """The console script."""
    surroundings.prepare()
    output.install()
    sys.exit(_ended())


def _ended() -> int:
    """The exit code, after whatever went wrong is told."""
    try:
        with oserrors.explaining():
            code = cli(standalone_mode=False, prog_name="lockbot")
    except click.exceptions.Exit as end:
        code = end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LockbotError as error:
        output.error(error)
        return error.exit_code
    except Exception:  # noqa: BLE001 -- the program's boundary: Python's own exit code, 1, means `rejected`
        click.echo(redact(traceback.format_exc()), err=True, nl=False)
        click.echo("lockbot: error: a bug in lockbot; please report it with the lines above", err=True)
        return 3
    return code if isinstance(code, int) else 0


# -- commands ------------------------------------------------------------------------------------------------

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there.")


@cli.command(short_help="Update inputs, build every host, and commit if they all build.")
@click.option(
    "-i", "--input", "inputs", multiple=True, metavar="NAME", help="Only this input (`a/b`: nested); repeatable."
)
@click.option(
    "-g", "--group", "groups", multiple=True, metavar="NAME", help="Only a configured group's inputs; repeatable."
)
@click.option(
    "--apart-from", "apart", multiple=True, metavar="NAME", help="All but a configured group's inputs; repeatable."
)
@click.option(
    "--override-input",
    "overrides",
    multiple=True,
    nargs=2,
    metavar="NAME REF",
    help="Pin an input to a flake reference, e.g. nixpkgs github:NixOS/nixpkgs/REV; repeatable.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Do all but publish, and say what would have been done.")
@click.option("--no-push", is_flag=True, help="Move the local branch only.")
@click.option("--retry-failed", is_flag=True, help="Build again what is remembered to fail.")
@click.option("--wait", is_flag=True, help="Wait for a run that works on the same repository.")
@as_json
@click.pass_obj
def update(
    flags: Flags,
    inputs: tuple[str, ...],
    groups: tuple[str, ...],
    apart: tuple[str, ...],
    overrides: tuple[tuple[str, str], ...],
    dry_run: bool,
    no_push: bool,
    retry_failed: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Update inputs, build every host, and commit the new flake.lock if they build."""
    from lockbot.app import Options, group_inputs
    from lockbot.commands import update as job
    from lockbot.lock.request import Wish
    from lockbot.report import document, terminal

    with _app(flags, timed=True) as app:
        names = tuple(dict.fromkeys((*inputs, *group_inputs(app.settings, groups))))
        wish = Wish(names or None, dict(overrides), frozenset(group_inputs(app.settings, apart)))
        options = Options(push=not no_push, dry_run=dry_run, wait=wait, retry_failed=retry_failed, groups=groups)
        run = job.update(app, wish, options)
    if as_json:
        output.document(document.run_document(run))
    else:
        output.lines(terminal.summary(run))
    return run.outcome.exit_code if run.outcome is not None else 3


@cli.command()
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="How many, newest first.",
)
@click.option("--all", "everywhere", is_flag=True, help="Of every flake, not only this one on this branch.")
@as_json
@click.pass_obj
def history(flags: Flags, limit: int, everywhere: bool, as_json: bool) -> None:
    """List past runs, newest first."""
    from lockbot.commands import history as past

    with _app(flags) as app:
        place = None if everywhere else app.place()
        with app.history(place) as store:
            runs = store.runs(place.flake if place is not None else None, limit=limit)
        if as_json:
            output.document(past.history_document(runs))
        else:
            output.lines(past.history(runs, app.clock(), output.width()))


@cli.command(short_help="Show one run: what changed, and how each host fared.")
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
    with _app(flags) as app, past.opened(app, run) as (store, found):
        if host is not None:
            (output.raw if raw else output.log)(past.log(store, found, host))
        elif as_json:
            output.document(document.run_document(found))
        else:
            output.lines(terminal.summary(found))


@cli.command(short_help="List the flake's inputs.")
@click.option("--outdated", is_flag=True, help="Ask upstream which have moved; writes and downloads nothing.")
@as_json
@click.pass_obj
def inputs(flags: Flags, outdated: bool, as_json: bool) -> None:
    """List the flake's inputs: revision, age, where each points, what follows what."""
    from lockbot.commands import listing

    with _app(flags) as app:
        rows = listing.inputs(app, ask=outdated)
        if as_json:
            output.document(listing.inputs_document(rows))
        else:
            output.lines(listing.inputs_table(rows, app.clock(), output.width(), asked=outdated))


@cli.command(short_help="List the hosts, and what lockbot does with each.")
@as_json
@click.pass_obj
def hosts(flags: Flags, as_json: bool) -> None:
    """List the hosts that the flake has, and what lockbot does with each."""
    from lockbot.commands import listing

    with _app(flags, timed=True) as app:
        rows = listing.hosts(app)
        if as_json:
            output.document(listing.hosts_document(rows))
        else:
            output.lines(listing.hosts_table(rows, output.width()))


@cli.command(short_help="Tell how each input stands, and raise alarms.")
@click.option("--check", is_flag=True, help="Print only the alarms; exit 1 when there are any.")
@as_json
@click.pass_obj
def status(flags: Flags, check: bool, as_json: bool) -> int:
    """Tell how each input stands: how far behind, what holds it and since when, who broke it, the next try.

    An alarm is raised for an input whose upstream was not reached for `[policy] stale_after`, or that was kept
    back for so long. Runs nothing and asks no upstream.
    """
    from lockbot.commands import status as standing

    with _app(flags) as app:
        found = standing.look(app)
    if as_json:
        output.document(standing.document(found))
    else:
        output.lines(standing.alarm_lines(found) if check else standing.lines(found, output.width()))
    return 1 if check and found.alarms else 0


@cli.command(short_help="Tell a monitor whether all is well, in one line.")
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
    with _app(flags) as app:
        found = health.look(app, limits)
    output.lines([health.told(found)])
    return found.exit_code


@cli.command(short_help="Print metrics for Prometheus.")
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

    with _app(flags) as app:
        text = measured.render(app)
    if textfile is not None:
        measured.write(surroundings.absolute(textfile), text)
    else:
        output.machine(text.decode())


@cli.command(short_help="Keep an input where it is.")
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
    with _app(flags) as app:
        output.lines(orders.hold(app, input, why, until, at))


@cli.command(short_help="Let an input move again.")
@click.argument("input")
@click.pass_obj
def release(flags: Flags, input: str) -> None:
    """End a hold of `lockbot hold`."""
    from lockbot.commands import hold as orders

    with _app(flags) as app:
        output.lines(orders.release(app, input))


@cli.command(short_help="Accept a move that the policy holds.")
@click.argument("input")
@click.option("--revision", metavar="REV", help="Only to this revision.")
@click.pass_obj
def accept(flags: Flags, input: str, revision: str | None) -> None:
    """Let an input's next move pass in spite of what holds it.

    That is its age, a rewritten history, where it comes from, or what would have to be compiled. The hosts must
    build with it all the same.
    """
    from lockbot.commands import hold as orders

    with _app(flags) as app:
        output.lines(orders.accept(app, input, revision))


@cli.command(short_help="Update by schedule, for months.")
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


@cli.command(short_help="Let the daemon begin no run.")
@click.option("--why", required=True, metavar="TEXT", help="What to show to whoever wonders later.")
@click.pass_obj
def pause(flags: Flags, why: str) -> None:
    """Let the daemon begin no run, in any repository with this state directory, until `lockbot resume`.

    What runs goes on; `lockbot update` by hand works.
    """
    from lockbot.commands import hold as orders

    with _app(flags) as app:
        output.lines(orders.pause(app, why))


@cli.command(short_help="Let the daemon begin runs again.")
@click.pass_obj
def resume(flags: Flags) -> None:
    """End a pause. What was due meanwhile is made up for once."""
    from lockbot.commands import hold as orders

    with _app(flags) as app:
        output.lines(orders.resume(app))


@cli.command(short_help="Print the log of a run, or follow it.")
@click.argument("run", default="latest")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, until the run is over.")
@as_json
@click.pass_obj
def logs(flags: Flags, run: str, follow: bool, as_json: bool) -> None:
    """Print what happened in a run, step by step. RUN is an id, its beginning, or `latest`."""
    from lockbot.commands import history as past
    from lockbot.report import events as kept

    with _app(flags) as app, past.opened(app, run) as (_, found):
        for one in past.records(found, app, follow=follow):
            heard = output.machine(kept.encode(one) + "\n") if as_json else output.text(kept.told(one) + "\n")
            if not heard:
                return


@cli.command(short_help="Check the configuration and the surroundings.")
@click.option(
    "--configuration-only", is_flag=True, help="Only whether the configuration is right; reads nothing but it."
)
@as_json
@click.pass_obj
def check(flags: Flags, configuration_only: bool, as_json: bool) -> int:
    """Check the configuration and the surroundings: one line each, ok or what to do."""
    from lockbot.commands import check as checks

    if configuration_only:
        found = checks.configuration(flags.config, os.environ)
    else:
        with _unloaded(flags) as load:
            found = checks.run(load, flags.config)
    if as_json:
        output.document(checks.document(found))
    else:
        output.lines(checks.lines(found))
    return checks.exit_code(found)


@cli.command(short_help="Write an annotated lockbot.toml for this flake.")
@click.option("--force", is_flag=True, help="Overwrite a lockbot.toml that is there.")
@click.option("--stdout", "to_stdout", is_flag=True, help="Print it instead of writing it.")
@click.pass_obj
def init(flags: Flags, force: bool, to_stdout: bool) -> None:
    """Write an annotated lockbot.toml for the flake in the current directory."""
    from lockbot.commands import init as start

    with _app(flags, ignore_file=True, timed=True) as app:
        text = start.configuration(app)
    if to_stdout:
        output.text(text)
        return
    path = start.write(text, surroundings.absolute(flags.config or Path("lockbot.toml")), force=force)
    output.text(f"wrote {path}: read it through, then run `lockbot check` and `lockbot update --dry-run`\n")


@cli.command(short_help="See lockbot at work on a sample flake that it makes.")
@click.option("--directory", type=click.Path(path_type=Path), help="Where to make it (default: a temporary one).")
@click.pass_obj
def demo(flags: Flags, directory: Path | None) -> int:
    """See lockbot at work on a sample flake that it makes: a good update, a bad one, and their history."""
    from lockbot.app import cancelled_by_signals
    from lockbot.commands import demo as show

    with cancelled_by_signals() as cancel:
        return show.run(directory, os.environ, cancel, output.lines, lambda: _progress(flags))


# -- what commands have in common ----------------------------------------------------------------------------


@contextlib.contextmanager
def _unloaded(flags: Flags, *, ignore_file: bool = False, timed: bool = False) -> Iterator[Callable[[], App]]:
    """A way to load the configuration and open the App, with signals and progress in place.

    `timed`: the whole command must end within `[run] deadline`.
    """
    from lockbot.app import App, cancelled_by_signals, find_config
    from lockbot.config import load
    from lockbot.model import Note
    from lockbot.process import Deadline

    with _progress(flags) as progress, oserrors.explaining(), cancelled_by_signals() as cancel:

        def opened() -> App:
            settings = load(None if ignore_file else find_config(flags.config), os.environ)
            if timed:
                cancel.deadline = Deadline(settings.run.deadline, "the run")
            environ, note = surroundings.with_temporary_directory(os.environ)
            if note:
                progress(Note(note))
            environ = surroundings.with_home(environ, settings.state.directory)
            return App(settings, environ, cancel, progress)

        yield opened


@contextlib.contextmanager
def _app(flags: Flags, *, ignore_file: bool = False, timed: bool = False) -> Iterator[App]:
    with _unloaded(flags, ignore_file=ignore_file, timed=timed) as load:
        yield load()


@contextlib.contextmanager
def _progress(flags: Flags) -> Iterator[Progress]:
    """Live on a terminal, plain lines elsewhere, nothing when quiet."""
    from lockbot.model import silent
    from lockbot.report.progress import LiveProgress, PlainProgress

    if flags.json_lines:
        with _errors_as_json() as lines:
            yield lines
    elif flags.quiet:
        yield silent
    elif sys.stderr.isatty() and not flags.verbose and os.environ.get("TERM") != "dumb":
        from rich.console import Console

        with LiveProgress(Console(file=output.trusted(sys.stderr)), time.monotonic) as live:
            yield live
    else:
        plain = PlainProgress(sys.stderr, time.monotonic)
        yield plain if flags.verbose else _essential(plain)


@contextlib.contextmanager
def _errors_as_json() -> Iterator[Progress]:
    """Whoever reads JSON lines wants the error as one, too."""
    from lockbot.report import events as logs

    lines = logs.stderr()
    try:
        yield lines
    except LockbotError as error:
        lines.write(logs.failure(error))
        raise click.exceptions.Exit(error.exit_code) from None


def _essential(progress: Progress) -> Progress:
    """What a log wants to hold of a run: not every evaluation and derivation."""
    from lockbot.model import DerivationStarted, DerivationStopped, HostEvaluated, HostEvaluating

    def some(event: object) -> None:
        if not isinstance(event, (DerivationStarted, DerivationStopped, HostEvaluating, HostEvaluated)):
            progress(event)  # type: ignore[arg-type]  # what is left of Event

    return some
