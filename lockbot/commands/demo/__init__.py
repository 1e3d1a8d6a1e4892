"""`lockbot demo`: a good update, a bad one and one that is both, on a sample flake, by the real machinery.

Tells the story and runs the App; what the flake is made of lies in `sample`. It must not know how lockbot updates.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lockbot.app import App, Options
from lockbot.commands import history, update
from lockbot.commands.demo import sample
from lockbot.commands.demo.sample import Sample
from lockbot.config import load
from lockbot.errors import LockbotError
from lockbot.lock.request import UpdateRequest
from lockbot.model import Outcome, Progress, silent
from lockbot.process import CancelToken
from lockbot.report import terminal
from lockbot.report.styled_lines import Line, Style, line
from lockbot.surroundings import temporary_directory

Tell = Callable[[Sequence[Line]], None]
Watch = Callable[[], AbstractContextManager[Progress]]

_GOOD = (
    ("packages", "linux: 6.18.1 -> 6.18.2", '"linux" "6.18.1" ""', '"linux" "6.18.2" ""'),
    ("packages", "editor: 9.0 -> 9.1", '"editor" "9.0" ""', '"editor" "9.1" ""'),
    ("packages", "webserver: 1.26 -> 1.27", '"webserver" "1.26" ""', '"webserver" "1.27" ""'),
    ("themes", "a darker background", '"grey"', '"black"'),
)
_CHECK = """\
''
            echo 'checking mail.conf'
            echo 'mail.conf:12: tls_ciphers: this option was removed in 4.0'
            exit 1
          ''"""
_BAD = (("packages", "mailserver: 3.9 -> 4.0", '"mailserver" "3.9" ""', f'"mailserver" "4.0" {_CHECK}'),)
_MIXED = (("themes", "a brighter background", '"black"', '"white"'),)


def run(directory: Path | None, environ: Mapping[str, str], cancel: CancelToken, tell: Tell, watch: Watch) -> int:
    """Make the sample (in a new temporary directory unless one is named), update it thrice, and say where it is.

    Raises UsageError and LockbotError where it can't be made, or where an update ends otherwise than it should.
    """
    show = _Show(_make(directory, environ, cancel), tell, watch)
    show.sample_flake()
    show.good_update()
    show.bad_update()
    show.mixed_update()
    show.what_is_left()
    return 0


def _make(directory: Path | None, environ: Mapping[str, str], cancel: CancelToken) -> Sample:
    if directory is not None:
        return sample.make(directory, environ, cancel)
    temporary = temporary_directory("lockbot-demo-")
    try:
        return sample.make(temporary, environ, cancel)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@dataclass(frozen=True)
class _Show:
    sample: Sample
    tell: Tell
    watch: Watch

    def sample_flake(self) -> None:
        self._title("1. A sample flake")
        self._say(
            f"In {self.sample.directory} there are now:",
            "  flake/     your flake: four hosts (desk, laptop, mail, web) and a flake.lock, in a git repository",
            "  upstream/  its three inputs (packages, modules, themes), a git repository each",
            "It is small but real: Nix evaluates and builds each host, in a store of the demo's own (nix/).",
            "Nothing of yours is read or written.",
        )

    def good_update(self) -> None:
        self._title("2. Upstream moves on, and every host still builds")
        self._upstream(_GOOD)
        self._say(
            "lockbot updates the lock in a work tree of its own, commits it there, and builds every host from"
        )
        self._say("that commit. Only when they build does main move to it.")
        self._update(Outcome.PUBLISHED)
        self._say("mail uses nothing that changed: its derivation is the same, and it is not built again.")
        self._say("This is the commit, now on main and in your files:")
        self._git("log", "-1", "--stat")

    def bad_update(self) -> None:
        self._title("3. Upstream moves on, and breaks a host")
        self._upstream(_BAD)
        before = self._head()
        self._update(Outcome.REJECTED)
        if self._head() != before:
            raise LockbotError("the demo went wrong: main moved though the update was rejected")
        self._say(
            "mail builds without this update and not with it, so the update is at fault. main and your files"
        )
        self._say("are as they were; the next run tries again, with whatever upstream has by then.")

    def mixed_update(self) -> None:
        self._title("4. Another input moves on, and the bad one is still bad")
        self._upstream(_MIXED)
        self._update(Outcome.PARTLY_PUBLISHED)
        self._say("One bad input holds back nothing but itself: themes has moved, packages waits.")

    def what_is_left(self) -> None:
        self._title("5. What is left of it")
        self._say("In your repository, what was good and nothing else; in lockbot's history, all three runs:")
        self._git("log", "--oneline")
        self._git("status", "--short", "--branch")
        self._command("lockbot history")
        app = self._app(silent)
        place = app.place()
        with app.history(place) as store:
            self.tell(history.history(store.runs(place.flake, limit=10), app.clock(), None))
        self._look_around()

    def _look_around(self) -> None:
        directory = shlex.quote(str(self.sample.directory))
        self._title("Look around")
        self._say(
            f"  cd {directory}",
            "  ./lockbot show                  the last run once more",
            "  ./lockbot show --log mail       the whole log of its failure",
            "  ./lockbot inputs --outdated     what upstream has and your lock has not",
            "  git -C flake show               the commit, with the changed lines of flake.lock",
            "  git -C upstream/packages revert --no-edit HEAD && ./lockbot update",
            "                                  upstream repairs it, and the next update is good",
            f"Remove it all (what is in a Nix store is read-only): chmod -R u+w {directory} && rm -r {directory}",
        )

    # -- one step each ------------------------------------------------------------------------------------

    def _upstream(self, changes: Sequence[tuple[str, str, str, str]]) -> None:
        self._say("New commits upstream:")
        for name, subject, old, new in changes:
            self.sample.change(name, subject, old, new)
            self._say(f"  {name:10}{subject}")

    def _update(self, wanted: Outcome) -> None:
        self._command("lockbot update")
        with self.watch() as progress:
            done = update.update(self._app(progress), UpdateRequest(), Options())
        self.sample.cancel.check()
        self.tell([*terminal.summary(done), line()])
        if done.outcome is not wanted:
            raise LockbotError(
                f"the demo went wrong: this update should have been {wanted}, and was {done.outcome}",
                f"all of it is in {self.sample.directory}",
            )

    def _app(self, progress: Progress) -> App:
        environment = self.sample.environment
        return App(load(self.sample.configuration, environment), environment, self.sample.cancel, progress)

    def _head(self) -> str:
        return self.sample.git(self.sample.flake).ask("rev-parse", "main")

    def _git(self, *arguments: str) -> None:
        self._command(" ".join(("git", *arguments)))
        self.tell([line(said) for said in self.sample.git(self.sample.flake).ask(*arguments).splitlines()])

    def _title(self, text: str) -> None:
        self.tell([line(), line((text, Style.TITLE)), line()])

    def _command(self, text: str) -> None:
        self.tell([line(), line((f"$ {text}", Style.TITLE))])

    def _say(self, *texts: str) -> None:
        self.tell([line(text) for text in texts])
