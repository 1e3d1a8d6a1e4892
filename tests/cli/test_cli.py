"""The command line as a shell sees it: a program with exit codes, stdout, stderr and signals."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from lockbot.cli import cli
from tests import forked, nixes
from tests.fleet import Fleet, HostSpec, Upstream
from tests.upstream import run_git

HEAVY = ("pydantic", "git", "rich", "sqlite3", "structlog", "tomlkit", "apscheduler", "prometheus_client")


def lockbot(
    *words: str, env: Mapping[str, str], cwd: Path, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    return forked.run([sys.executable, "-m", "lockbot", *words], env, cwd, timeout)


def own_environment(nix: nixes.Nix, tmp_path: Path) -> dict[str, str]:
    """The Nix's, with a state directory of the test's own. This tree's lockbot is run, wherever that is done."""
    return {
        **nix.environment,
        "PYTHONPATH": str(nixes.PROJECT),
        "LOCKBOT_STATE__DIRECTORY": str(tmp_path / "lockbot-state"),
    }


def said(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The error's text, after what holds for every error."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    errors = done.stderr[done.stderr.index("lockbot: error: ") :]
    assert len(errors.splitlines()) >= 1
    return errors.removeprefix("lockbot: error: ")


def plain_fleet(nix: nixes.Nix, tmp_path: Path, hosts: Sequence[HostSpec] = ()) -> tuple[Fleet, Upstream]:
    packages = Upstream.create(tmp_path, "packages")
    return Fleet.create(tmp_path / "fleet", nix, inputs=[packages], hosts=hosts), packages


# -- help ----------------------------------------------------------------------------------------------------


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.argv = ['lockbot', '--help']\n"
        "from lockbot.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    for name in cli.commands:
        assert f"\n  {name} " in done.stdout
    sections = done.stdout.split("this message and exit.")[1]
    assert "..." not in sections, "no command's line is cut"
    assert "\n\nSay what may move:\n  hold " in sections, "commands stand by what they are for"


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_explains_itself(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"], prog_name="lockbot")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: lockbot {name} ")
    command = cli.commands[name]
    assert (command.help or "").split("\n")[0].rstrip().endswith((".", ":")), "a sentence"
    for option in command.params:
        if isinstance(option, click.Option):
            assert (option.help or "").endswith((".", ")")), option.name


# -- JSON ----------------------------------------------------------------------------------------------------


def test_json_is_all_that_is_on_stdout(one_nix: nixes.Nix, tmp_path: Path) -> None:
    hosts = [HostSpec("web", ["packages"])]
    fleet, packages = plain_fleet(one_nix, tmp_path, hosts)
    environment = own_environment(one_nix, tmp_path)

    def ask(*words: str, code: int = 0) -> Any:
        done = lockbot(*words, "--json", env=environment, cwd=fleet.path)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    packages.commit("second")
    assert ask("update")["outcome"] == "published"
    packages.break_build(text="broken on purpose")
    rejected = ask("update", code=1)
    assert rejected["outcome"] == "rejected"
    assert [(host["name"], host["status"]) for host in rejected["hosts"]] == [("web", "failed")]
    assert ask("show")["run"] == rejected["run"]
    assert len(ask("history")["runs"]) == 2
    assert [row["input"] for row in ask("inputs")["inputs"]] == ["packages"]
    assert [row["name"] for row in ask("hosts")["hosts"]] == ["web"]
    assert ask("check")
    assert "broken on purpose" in lockbot("show", "--log", "web", env=environment, cwd=fleet.path).stdout


# -- mistakes ------------------------------------------------------------------------------------------------


def test_usage_errors_name_the_mistake_and_end_with_2(one_nix: nixes.Nix, tmp_path: Path) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    environment = own_environment(one_nix, tmp_path)

    def error(*words: str) -> str:
        return said(lockbot(*words, env=environment, cwd=fleet.path), 2)

    text = error("update", "--input", "package")
    assert "no input 'package'" in text and "did you mean 'packages'?" in text
    assert "no group 'weekly'" in error("update", "--group", "weekly")
    (fleet.path / "lockbot.toml").write_text(
        '[build]\ntimeout = "6h"\ngates = "all-green"\n\n[state]\nkeep_days = "x"\n'
    )
    text = error("update")
    assert "lockbot.toml:3:" in text and "did you mean 'gate'?" in text
    assert "lockbot.toml:6:" in text, "every mistake at once"
    assert "no-such.toml" in error("--config", "no-such.toml", "history")


def test_an_input_that_follows_is_not_moved_by_itself(one_nix: nixes.Nix, tmp_path: Path) -> None:
    base = Upstream.create(tmp_path, "base")
    tool = Upstream.create(tmp_path, "tool", inputs={"base": base})
    fleet = Fleet.create(tmp_path / "fleet", one_nix, inputs=[base, tool])
    text = (fleet.path / "flake.nix").read_text()
    fleet.commit(
        {"flake.nix": text.replace("};\noutputs", 'tool.inputs.base.follows = "base"; };\noutputs')}, "follow"
    )
    one_nix.run("nix", "flake", "lock", cwd=fleet.path)
    fleet.commit({}, "lock")
    done = lockbot("update", "--input", "tool/base", env=own_environment(one_nix, tmp_path), cwd=fleet.path)
    text = said(done, 2)
    assert "'tool/base'" in text and "follows" in text and "'base'" in text


@pytest.mark.parametrize(
    "words",
    [
        ["upgrade"],
        ["update", "--inputs", "x"],
        ["-v", "-q", "history"],
        ["history", "-n", "0"],
        ["show", "a", "b"],
    ],
)
def test_the_wrong_words_get_usage_and_2(words: list[str], tmp_path: Path) -> None:
    done = lockbot(*words, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: lockbot ") and "Error: " in done.stderr
    assert "Traceback" not in done.stderr


# -- surroundings --------------------------------------------------------------------------------------------


def test_not_in_a_repository(one_nix: nixes.Nix, tmp_path: Path) -> None:
    done = lockbot("update", env=own_environment(one_nix, tmp_path), cwd=tmp_path)
    assert "is not in a git repository" in said(done, 2)


def test_a_repository_without_a_flake(one_nix: nixes.Nix, tmp_path: Path) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    fleet.git("rm", "--quiet", "flake.nix")
    fleet.commit({}, "no flake any more")
    done = lockbot("update", env=own_environment(one_nix, tmp_path), cwd=fleet.path)
    assert "there is no flake.nix" in said(done, 2)


@pytest.mark.parametrize(
    "words",
    [
        ("update", "--input", "nosuch"),
        ("update", "--apart-from", "nosuch"),
        ("show", "nosuch"),
        ("logs", "nosuch"),
        ("status", "--nosuch"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_told_on_stderr_though_json_is_wanted(
    one_nix: nixes.Nix, tmp_path: Path, words: Sequence[str]
) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    done = lockbot(*words, "--json", env=own_environment(one_nix, tmp_path), cwd=fleet.path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nosuch" in done.stderr


def test_no_branch_is_checked_out(one_nix: nixes.Nix, tmp_path: Path) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    fleet.git("checkout", "--quiet", "--detach")
    done = lockbot("update", env=own_environment(one_nix, tmp_path), cwd=fleet.path)
    assert "detached HEAD" in said(done, 2)


def test_a_lock_with_conflict_marks(one_nix: nixes.Nix, tmp_path: Path) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    lock = (fleet.path / "flake.lock").read_text()
    fleet.commit({"flake.lock": lock.replace("{", "{\n<<<<<<< ours", 1)}, "a bad merge")
    done = lockbot("inputs", env=own_environment(one_nix, tmp_path), cwd=fleet.path)
    assert "flake.lock:2:" in said(done, done.returncode)
    assert done.returncode in (2, 3)
    done = lockbot("update", env=own_environment(one_nix, tmp_path), cwd=fleet.path)
    assert done.returncode in (2, 3)
    assert "flake.lock:2:" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_inputs_that_are_not_locked_yet(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """The lock is what is looked at, and it does not say whether flake.nix asks for more."""
    fleet, _ = plain_fleet(one_nix, tmp_path)
    lock = '{ "nodes": { "root": {} }, "root": "root", "version": 7 }\n'
    fleet.commit({"flake.lock": lock}, "as Nix leaves it when the last input is removed")
    env = own_environment(one_nix, tmp_path)
    listed = lockbot("inputs", env=env, cwd=fleet.path)
    assert listed.stdout == "flake.lock has no inputs; the next update locks what flake.nix asks for\n"
    checked = lockbot("check", env=env, cwd=fleet.path)
    assert "flake: 0 of 0 inputs in flake.lock can be updated" in checked.stdout


@pytest.mark.parametrize(
    ("builders", "said"),
    [
        ("", "max-jobs = 0, no remote builders: nothing can be built"),
        ("ssh://far x86_64-linux", "nothing here (max-jobs = 0), and on ssh://far"),
    ],
)
def test_a_machine_that_builds_nothing_itself(
    one_nix: nixes.Nix, tmp_path: Path, builders: str, said: str
) -> None:
    env = own_environment(one_nix, tmp_path)
    env["NIX_CONFIG"] = env.get("NIX_CONFIG", "") + f"\nmax-jobs = 0\nbuilders = {builders}\n"
    fleet, _ = plain_fleet(one_nix, tmp_path)
    checked = lockbot("check", env=env, cwd=fleet.path)
    assert f"{'ok' if builders else 'warning':8}builders: {said}" in checked.stdout
    assert checked.returncode == 0, checked.stdout
    env["LOCKBOT_BUILD__JOBS"] = "2"
    assert "builders: x86_64-linux here" in lockbot("check", env=env, cwd=fleet.path).stdout


def test_a_shallow_clone(one_nix: nixes.Nix, tmp_path: Path) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    fleet.commit({"more": "text"}, "second")
    shallow = tmp_path / "shallow"
    run_git(
        tmp_path, dict(one_nix.environment), "clone", "--quiet", "--depth=1", fleet.path.as_uri(), str(shallow)
    )
    text = said(lockbot("update", env=own_environment(one_nix, tmp_path), cwd=shallow), 2)
    assert "shallow" in text and "--unshallow" in text


@pytest.mark.parametrize("command", ["update", "check"])
def test_no_nix_or_one_that_is_too_old(command: str, one_nix: nixes.Nix, tmp_path: Path) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    environment = own_environment(one_nix, tmp_path) | {"PATH": f"{programs}:/usr/bin:/bin"}
    done = lockbot(command, env=environment, cwd=fleet.path)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert "no `nix` on PATH" in done.stdout
    for name in ("nix", "nix-store"):  # as 2.8 answers: `nix flake update` has no --flake there
        (programs / name).write_text(
            "#!/bin/sh\ncase $1 in\n--version) echo 'nix (Nix) 2.8.0' ;;\n"
            '__dump-cli) echo \'{"commands": {"flake": {"commands": {"update": {"flags": {"json": {}}}}}}}\' ;;\n'
            "*) echo 'error: not here' >&2; exit 1 ;;\nesac\n"
        )
        (programs / name).chmod(0o755)
    done = lockbot(command, env=environment, cwd=fleet.path)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert "nix (Nix) 2.8.0" in done.stdout and "too old" in done.stdout
    assert "2.19 or newer" in done.stdout, "and what to do"


@pytest.mark.parametrize("kind", ["file", "unwritable"])
def test_a_state_directory_that_cannot_be(kind: str, one_nix: nixes.Nix, tmp_path: Path) -> None:
    fleet, _ = plain_fleet(one_nix, tmp_path)
    state = Path("/proc/lockbot")  # where not even root can write
    if kind == "file":
        state = tmp_path / "state"
        state.write_text("")
    environment = own_environment(one_nix, tmp_path) | {"LOCKBOT_STATE__DIRECTORY": str(state)}
    text = said(lockbot("update", env=environment, cwd=fleet.path), 3)
    assert text.startswith(f"the state directory {state} can't be used: ")
    assert "[state] directory" in text


# -- pipes and signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["history"], ["history", "--json"], ["init", "--stdout"]])
def test_a_reader_that_has_gone_is_no_error(words: list[str], one_nix: nixes.Nix, tmp_path: Path) -> None:
    """`lockbot history | head`, with a head that is quicker."""
    fleet, _ = plain_fleet(one_nix, tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lockbot", *words],
            env=own_environment(one_nix, tmp_path),
            cwd=fleet.path,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bug_is_not_taken_for_a_rejected_update(one_nix: nixes.Nix, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom lockbot import app, cli\n"
        "app.find_config = lambda *given: 1 / 0\n"
        "sys.argv = ['lockbot', 'history']\ncli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=own_environment(one_nix, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr, "a report needs the traceback"
    assert done.stderr.splitlines()[-1].startswith("lockbot: error: a bug in lockbot")


@contextlib.contextmanager
def update_begun(
    fleet: Fleet, environment: Mapping[str, str], before: Callable[[], object] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`lockbot update` in a process of its own, which builds the host `slow` by now."""
    with subprocess.Popen(
        [sys.executable, "-m", "lockbot", "update", "--json"],
        env={"PYTHONPATH": str(nixes.PROJECT), **environment},
        cwd=fleet.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    ) as child:
        end = time.monotonic() + 60
        while "host-slow" not in fleet.built():
            assert child.poll() is None and time.monotonic() < end, "it ended before it had begun to build"
            time.sleep(0.05)
        yield child


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_that_is_ignored_from_the_start_stays_so(
    number: signal.Signals, one_nix: nixes.Nix, tmp_path: Path
) -> None:
    """`nohup lockbot update &`, and what a shell does to its background jobs."""
    fleet, packages = plain_fleet(one_nix, tmp_path, [HostSpec("slow", ["packages"], seconds=1)])
    new = packages.commit("second")
    deaf = functools.partial(signal.signal, number, signal.SIG_IGN)
    with update_begun(fleet, own_environment(one_nix, tmp_path), before=deaf) as child:
        child.send_signal(number)
        child.communicate(timeout=60)
    assert (child.returncode, fleet.locked("packages", "main")) == (0, new)


@pytest.mark.parametrize("limit", ["0", "-1", "9223372036854775808", "99999999999999999999"])
def test_a_limit_that_no_history_has(limit: str, tmp_path: Path) -> None:
    done = lockbot(
        "history", "--limit", limit, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "is not in the range" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_everything_and_is_recorded(
    number: signal.Signals, one_nix: nixes.Nix, tmp_path: Path
) -> None:
    """Nothing stays behind: conftest looks for that after every test."""
    fleet, packages = plain_fleet(one_nix, tmp_path, [HostSpec("slow", ["packages"], seconds=300)])
    packages.commit("second")
    before = fleet.head()
    environment = own_environment(one_nix, tmp_path)
    with update_begun(fleet, environment) as child:
        child.send_signal(number)
        stdout, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert json.loads(stdout)["outcome"] == "interrupted"
    assert "Traceback" not in stderr
    assert fleet.head() == before
    assert fleet.git("status", "--porcelain") == ""
    (run,) = json.loads(lockbot("history", "--json", env=environment, cwd=fleet.path).stdout)["runs"]
    assert run["outcome"] == "interrupted"
