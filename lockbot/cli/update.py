"""The update, and what comes before the first one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict, Unpack

import click

from lockbot import surroundings
from lockbot.cli.context import Flags, afterwards, as_json, opened_app, shown_progress, unloaded
from lockbot.report import output


class Asked(TypedDict):
    """The options of `lockbot update`, as click hands them over."""

    inputs: tuple[str, ...]
    groups: tuple[str, ...]
    apart: tuple[str, ...]
    overrides: tuple[tuple[str, str], ...]
    dry_run: bool
    no_push: bool
    retry_failed: bool
    wait: bool


@click.command(short_help="Update inputs, build every host, and commit if they all build.")
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
def update(flags: Flags, as_json: bool, **asked: Unpack[Asked]) -> int:
    """Update inputs, build every host, and commit the new flake.lock if they build."""
    from lockbot.app import Options, find_config, group_inputs
    from lockbot.commands import update as job
    from lockbot.commands.after_run import Followers, after_run
    from lockbot.commands.notify.child import send_what_is_due
    from lockbot.lock.request import UpdateRequest
    from lockbot.report import document, terminal

    with opened_app(flags, timed=True) as app:
        names = tuple(dict.fromkeys((*asked["inputs"], *group_inputs(app.settings, asked["groups"]))))
        apart = frozenset(group_inputs(app.settings, asked["apart"]))
        options = Options(
            push=not asked["no_push"],
            dry_run=asked["dry_run"],
            wait=asked["wait"],
            retry_failed=asked["retry_failed"],
            groups=asked["groups"],
        )
        followers = Followers.of(app.settings)
        wanted = UpdateRequest(names or None, dict(asked["overrides"]), apart)
        run = job.update(app, wanted, options, followers)
    if as_json:
        output.document(document.run_document(run))
    else:
        output.lines(terminal.summary(run, output.width()))
    with afterwards(flags, app) as after:
        after_run(after, run, followers)
        send_what_is_due(after, find_config(flags.config))
    return run.outcome.exit_code if run.outcome is not None else 3


@click.command(short_help="Check the configuration and the surroundings.")
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
        with unloaded(flags) as load:
            found = checks.run(load, flags.config)
    if as_json:
        output.document(checks.document(found))
    else:
        output.lines(checks.lines(found))
    return checks.exit_code(found)


@click.command(short_help="Write an annotated lockbot.toml for this flake.")
@click.option("--force", is_flag=True, help="Replace one that is there, and keep it as lockbot.toml.old.")
@click.option("--stdout", "to_stdout", is_flag=True, help="Print it instead of writing it.")
@click.pass_obj
def init(flags: Flags, force: bool, to_stdout: bool) -> None:
    """Write an annotated lockbot.toml for the flake in the current directory."""
    from lockbot.commands import init as start

    with opened_app(flags, ignore_file=True, timed=True) as app:
        text = start.configuration(app)
    if to_stdout:
        output.text(text)
        return
    path = surroundings.absolute(flags.config or Path("lockbot.toml"))
    old = start.write(text, path, force=force)
    kept = f" (what was there is kept as {old.name})" if old is not None else ""
    output.text(f"wrote {path}{kept}: read it through, then run `lockbot check` and `lockbot update --dry-run`\n")


@click.command(short_help="See lockbot at work on a sample flake that it makes.")
@click.option("--directory", type=click.Path(path_type=Path), help="Where to make it (default: a temporary one).")
@click.pass_obj
def demo(flags: Flags, directory: Path | None) -> int:
    """See lockbot at work on a sample flake that it makes: a good update, a bad one, and their history."""
    from lockbot.app import cancelled_by_signals
    from lockbot.commands import demo as show

    with cancelled_by_signals() as cancel:
        return show.run(directory, os.environ, cancel, output.lines, lambda: shown_progress(flags))
