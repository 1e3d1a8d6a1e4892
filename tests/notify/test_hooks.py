"""Hooks: real commands, what they get, what they may not do, and that whatever they do harms nothing."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lockbot.commands.after_run import events_of
from lockbot.model import Event, HookSaid, Outcome
from lockbot.notify.hooks import Surroundings, run_hooks, why_not
from lockbot.notify.kinds import Hook, HookEvent
from lockbot.process import CancelToken
from lockbot.report.document import run_document
from tests.report.examples import HOSTILE, MORNING

SECRETS = {
    "CREDENTIALS_DIRECTORY": "/run/credentials/x",
    "NOTIFY_SOCKET": "/run/x",
    "LOCKBOT_PING__URL": "https://hc.example/x",
    "LOCKBOT_CONFIG": "/etc/x",
    "NIX_CONFIG": "access-tokens = x",
    "GIT_SSH_COMMAND": "x",
    "GITHUB_TOKEN": "x",
    "SSH_AUTH_SOCK": "/x",
    "PYTHONPATH": "/x",
    "LD_PRELOAD": "",
    "IFS": "x",
    "BASH_ENV": "/x",
}
ORDINARY = {"PATH": os.environ["PATH"], "HOME": "/home/x", "LANG": "C.UTF-8", "TZ": "UTC", "USER": "x"}
ORDINARY["XDG_RUNTIME_DIR"] = "/run/user/1"


@dataclass
class Place:
    """Where hooks are run: what they are told is noted."""

    directory: Path
    cancel: CancelToken
    events: list[Event] = field(default_factory=list)
    environ: Mapping[str, str] = field(default_factory=lambda: ORDINARY | SECRETS)

    def script(self, name: str, text: str) -> Hook:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return Hook(HookEvent.PUBLISHED, (str(path),), 60)

    def run(self, *wanted: Hook, document: dict[str, object] | None = None) -> tuple[str, ...]:
        surroundings = Surroundings(self.environ, self.cancel, self.directory, self.events.append)
        return run_hooks(wanted, HookEvent.PUBLISHED, document or {}, surroundings)


@pytest.fixture
def place(tmp_path: Path, cancel: CancelToken) -> Place:
    return Place(tmp_path, cancel)


# -- what one gets -----------------------------------------------------------------------------------------------


def test_a_hook_gets_json_and_its_arguments_as_they_are(place: Place) -> None:
    path = place.script("hook", 'cat > told; printf "%s\\n" "$@" > arguments').command[0]
    run = MORNING
    words = [one for one in HOSTILE if "\0" not in one and "\ud800" not in one]
    hook = Hook(HookEvent.PUBLISHED, (path, *words, "$(touch x)", "; touch x"))
    assert place.run(hook, document={"run": run_document(run)}) == ()
    told = json.loads((place.directory / "told").read_text())
    assert told == {"event": "published", "run": json.loads(json.dumps(run_document(run)))}
    given = "".join(f"{word}\n" for word in hook.command[1:])
    assert (place.directory / "arguments").read_bytes() == given.encode()
    assert not (place.directory / "x").exists()


def test_a_hook_gets_no_secret(place: Place) -> None:
    hook = place.script("hook", "env > environment; pwd > directory; ls /proc/self/fd > files")
    assert place.run(hook) == ()
    got = dict(line.split("=", 1) for line in (place.directory / "environment").read_text().splitlines())
    own = {"PWD", "SHLVL", "_", "OLDPWD", "STARTED_BY_LOCKBOT"}  # the shell's, and by what it is found again
    assert {name: value for name, value in got.items() if name not in own} == ORDINARY | {
        "LOCKBOT_EVENT": "published"
    }
    assert (place.directory / "directory").read_text() == f"{place.directory}\n"
    assert len((place.directory / "files").read_text().split()) <= 5, "0, 1, 2, the file and the directory"


def test_a_hook_needs_no_environment_and_no_state_directory(place: Place) -> None:
    hook = place.script("hook", f"pwd > {place.directory}/where")
    gone = Surroundings({}, place.cancel, place.directory / "gone")
    assert run_hooks([hook], HookEvent.PUBLISHED, {}, gone) == ()
    assert (place.directory / "where").read_text() == "/\n"


def test_a_secret_in_an_address_is_none_of_a_hooks_business(place: Place) -> None:
    hook = place.script("hook", "cat > told")
    assert place.run(hook, document={"error": "https://me:hunter2@host/"}) == ()
    assert "hunter2" not in (place.directory / "told").read_text()


def test_what_is_not_read_is_no_harm(place: Place) -> None:
    """Nor a hook that closes its standard input, or reads a part of it; more is written than a pipe holds."""
    several = [place.script(f"hook{number}", text) for number, text in enumerate(["exec <&-", "read x", ":"])]
    assert place.run(*several, document={"text": "x" * 2_000_000}) == ()


def test_only_those_for_the_event_are_run_one_after_the_other(place: Place) -> None:
    names = ("a", "b", "c")
    several = [
        place.script(name, f"echo {name} >> order; cat > /dev/null; echo {name} >> order") for name in names
    ]
    other = Hook(HookEvent.FAILED, place.script("other", "echo other >> order").command)
    assert place.run(*several[:2], other, several[2]) == ()
    assert (place.directory / "order").read_text() == "a\na\nb\nb\nc\nc\n"


# -- what goes wrong ---------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, str]] = {
    "a code": ("echo first >&2; echo 'no \x1b[31mroute' >&2; echo out; exit 3", "ended with code 3: no route"),
    "silence": ("exit 1", "ended with code 1"),
    "a secret": ("echo https://me:hunter2@host/x >&2; exit 1", "ended with code 1: https://***@host/x"),
    "a signal": ("kill -SEGV $$", "was killed by signal 11"),
    "no deadline": ("sleep 600 & sleep 600", "took longer than 0.2 s"),
    "deafness": ("trap '' INT TERM; (trap '' INT TERM; setsid sleep 600) & wait", "took longer than 0.2 s"),
    "noise": ("while :; do echo yes; done", "took longer than 0.2 s"),
    "a line of no end": ("while :; do printf yes; done", "took longer than 0.2 s"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_goes_wrong_is_a_sentence_and_the_others_go_on(place: Place, case: str) -> None:
    text, words = WRONG[case]
    timeout = 0.2 if "longer" in words else 60
    bad = Hook(HookEvent.PUBLISHED, place.script("bad", text).command, timeout)
    (problem,) = place.run(bad, place.script("good", "echo done > done"))
    assert problem == f"the hook {place.directory}/bad (published) {words}"
    assert (place.directory / "done").exists()
    assert len(place.events) <= 1000, "a limit to what is told"
    assert all(isinstance(event, HookSaid) and event.hook == bad.command[0] for event in place.events)


def _script(path: Path) -> None:
    path.write_text("#!/bin/sh\n:\n")
    path.chmod(0o755)


def _of_nobody(path: Path) -> None:
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)


NODES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, "there is no {}"),  # noqa: ARG005
    "a directory": (Path.mkdir, "{} is no file that this user may run"),
    "a file that is no program": (Path.touch, "{} is no file that this user may run"),
    "a FIFO": (os.mkfifo, "{} is no file that this user may run"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "{} is no file that this user may run"),
    "a link to itself": (lambda path: path.symlink_to(path), "{} is no file that this user may run"),
    "a program": (_script, ""),
}


@pytest.mark.parametrize("kind", NODES)
def test_what_can_not_be_run_is_told_before_and_when_it_is(place: Place, kind: str) -> None:
    make, words = NODES[kind]
    path = place.directory / "program"
    make(path)
    hook = Hook(HookEvent.PUBLISHED, (str(path),))
    assert why_not(hook, place.environ) == (words.format(path) or None)
    assert bool(place.run(hook)) == bool(words)


def test_a_program_whose_interpreter_is_missing_is_told_when_it_is_run(place: Place) -> None:
    _of_nobody(place.directory / "program")
    (problem,) = place.run(Hook(HookEvent.PUBLISHED, (str(place.directory / "program"),)))
    assert "cannot start" in problem


def test_a_program_is_looked_for_on_path(place: Place) -> None:
    _script(place.directory / "theirs")
    hook = Hook(HookEvent.PUBLISHED, ("theirs",))
    assert why_not(hook, place.environ) == "there is no program theirs on PATH"
    (problem,) = place.run(hook)
    assert problem == "the hook theirs (published): cannot start theirs: No such file or directory"
    place.environ = {"PATH": str(place.directory)}
    assert why_not(hook, place.environ) is None
    assert place.run(hook) == ()


def test_when_lockbot_is_told_to_stop_a_hook_ends_and_the_next_is_not_begun(place: Place) -> None:
    os.mkfifo(place.directory / "begun")
    first = place.script("first", "echo > begun; sleep 600")
    second = place.script("second", "echo > second-begun")

    def stop() -> None:
        (place.directory / "begun").read_text()
        place.cancel.cancel("SIGTERM")

    thread = threading.Thread(target=stop)
    thread.start()
    problems = place.run(first, second)
    thread.join()
    assert [problem.partition(") ")[2] for problem in problems] == ["was not run to its end: stopped: SIGTERM"] * 2
    assert not (place.directory / "second-begun").exists()


def test_what_each_outcome_runs() -> None:
    published = (Outcome.PUBLISHED, Outcome.PARTLY_PUBLISHED)
    runs = [replace(MORNING, outcome=one, commit="c" * 40 if one in published else None) for one in Outcome]
    has = {run.outcome: [str(event) for event in events_of(run)] for run in runs}
    assert has == {
        Outcome.UNCHANGED: [],
        Outcome.PUBLISHED: ["published"],
        Outcome.PARTLY_PUBLISHED: ["published"],
        Outcome.REQUESTED: [],
        Outcome.REJECTED: [],
        Outcome.UNJUDGED: ["failed"],
        Outcome.STALE: ["failed"],
        Outcome.FAILED: ["failed"],
        Outcome.INTERRUPTED: [],
    }
    pushed = replace(MORNING, outcome=Outcome.FAILED)
    assert events_of(pushed) == (HookEvent.PUBLISHED, HookEvent.FAILED), "the branch here has it not"
