"""The command line: words in, an exit code out. stdout is the result, stderr the narration.

Everything heavy is imported inside the commands, so that `--help` and completion are quick.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import click

from lockbot import __version__, oserrors, surroundings
from lockbot.cli import look, policy, review, service, update
from lockbot.cli.context import Flags
from lockbot.errors import LockbotError
from lockbot.redact import redact
from lockbot.report import output

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Sections(click.Group):
    """A group whose help lists its commands by section."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections: dict[str, list[click.Command]] = {}

    def section(self, title: str, *commands: click.Command) -> None:
        self._sections[title] = list(commands)
        for command in commands:
            self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx)))
        for title, commands in self._sections.items():
            with formatter.section(title):
                rows = [(command.name or "", command.get_short_help_str(60)) for command in commands]
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])


@click.group(cls=Sections, context_settings=CONTEXT)
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

    Exit codes: 0 up to date or published, 1 rejected, stale or unjudged, 2 usage or configuration,
    3 failed, 130 interrupted.
    """
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    context.obj = Flags(config, verbose, quiet, log_format == "json")


cli.section("Update", update.update, update.check, update.init, update.demo)
cli.section("See how things are", look.status, look.inputs, look.hosts, look.history, look.show, look.logs)
cli.section(
    "Review",
    review.review,
    review.requests,
    review.diff,
    review.verify,
    review.lint,
    review.bisect,
    review.revert,
)
cli.section("Say what may move", policy.hold, policy.release, policy.accept)
cli.section(
    "Run as a service",
    service.daemon,
    service.web,
    service.pause,
    service.resume,
    service.notify,
    service.healthcheck,
    service.metrics,
)


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
