"""The configuration as a user meets it: files and variables in, settings or a list of mistakes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lockbot.config import Person, Sign, Strategy, load
from lockbot.errors import UsageError
from lockbot.model import Gate
from tests.config.reading import ROOT, Write, mistakes

# What is read


def test_no_file_at_all() -> None:
    got = load(None, {"HOME": "/home/me"})
    assert got.repository.path is None
    assert got.repository.url is None
    assert got.repository.push is True
    assert got.repository.flake_dir == ""
    assert got.state.directory == Path("/home/me/.local/state/lockbot")
    assert (got.state.keep_days, got.state.keep_results) == (90, 3)
    assert (got.state.min_free, got.state.log_limit) == (2 * 1024**3, 4 * 1024**2)
    assert (got.hosts.include, got.hosts.exclude, got.hosts.attributes) == (("*",), (), ())
    assert (got.eval.workers, got.eval.memory, got.eval.timeout) == (None, None, 1800)
    assert got.build.gate is Gate.NO_REGRESSION
    assert (got.build.timeout, got.build.silence, got.build.retries, got.build.retry_delay) == (21600, 3600, 3, 5)
    assert (got.run.deadline, got.run.publish_tries, got.run.fetch_timeout) == (86400, 3, 600)
    assert got.commit.author == Person("lockbot", "lockbot@localhost")
    assert (got.commit.committer, got.commit.sign, got.group) == (None, Sign.NO, ())


def test_a_whole_file(write: Write, tmp_path: Path) -> None:
    got = load(
        write(
            """
            [repository]
            path = "flake"
            branch = "main"
            remote = "origin"
            push = false
            flake_dir = "./hosts/"
            [state]
            directory = "~/state"
            keep_days = 7
            min_free = 0
            [hosts]
            include = ["web*"]
            exclude = ["web-old"]
            attributes = ['checks.x86_64-linux."a.b"']
            evaluate_only = ["mac"]
            [eval]
            workers = 2
            memory = "8G"
            timeout = 90
            import_from_derivation = false
            [build]
            gate = "all-green"
            timeout = "1h30m"
            silence = "10m"
            jobs = 0
            cores = 4
            retries = 0
            retry_delay = 0.1
            options = { sandbox = true, extra-platforms = ["a", "b"], http-connections = 5 }
            [run]
            deadline = "3d"
            [commit]
            author = "Ann Ö <ann@example.org>"
            sign = "ssh"
            signing_key = "/key"
            subject = "{count}: {inputs}"
            [[group]]
            name = "system"
            inputs = ["nixpkgs", "home-manager/nixpkgs"]
            strategy = "together"
            [[group]]
            name = "rest"
            inputs = ["x"]
            schedule = "0 4 * * *"
            """
        ),
        {"HOME": "/home/me"},
    )
    assert got.repository.path == tmp_path / "flake"
    assert (got.repository.flake_dir, got.repository.push) == ("hosts", False)
    assert got.state.directory == Path("/home/me/state")
    assert got.state.min_free == 0
    assert got.hosts.attributes == (("checks", "x86_64-linux", "a.b"),)
    assert (got.eval.memory, got.eval.timeout) == (8 * 1024**3, 90)
    assert (got.build.timeout, got.build.jobs, got.build.retry_delay) == (5400, 0, 0.1)
    assert got.build.options == {"sandbox": "true", "extra-platforms": "a b", "http-connections": "5"}
    assert got.commit.author == Person("Ann Ö", "ann@example.org")
    assert [group.strategy for group in got.group] == [Strategy.TOGETHER, Strategy.BEST]
    assert got.group[0].inputs == ("nixpkgs", "home-manager/nixpkgs")


def test_the_environment_comes_first(write: Write) -> None:
    path = write('[build]\ntimeout = "2h"\nsilence = "1m"\n[hosts]\ninclude = ["a"]\n')
    variables = {
        "LOCKBOT_BUILD__TIMEOUT": "3h",
        "LOCKBOT_HOSTS__INCLUDE": '["b", "c"]',
        "LOCKBOT_REPOSITORY__PUSH": "false",
        "LOCKBOT_EVAL__WORKERS": "4",
        "LOCKBOT_EVAL__TIMEOUT": "90",
        "LOCKBOT_BUILD__GATE": "all-green",
        "LOCKBOT_COMMIT__AUTHOR": "A <a@b>",
        "LOCKBOT_BUILD__OPTIONS": '{"sandbox": false}',
        "LOCKBOT_GROUP": '[{"name": "g", "inputs": ["x"]}]',
        "LOCKBOT_CONFIG": "elsewhere",
        "LOCKBOT_TEST_SOMETHING": "1",
        "SOMETHING_ELSE": "1",
    }
    got = load(path, variables)
    assert (got.build.timeout, got.build.silence) == (10800, 60)
    assert got.hosts.include == ("b", "c")
    assert got.repository.push is False
    assert (got.eval.workers, got.eval.timeout) == (4, 90)
    assert got.build.gate is Gate.ALL_GREEN
    assert got.commit.author == Person("A", "a@b")
    assert got.build.options == {"sandbox": "false"}
    assert got.group[0].name == "g"


def test_only_the_mapping_that_is_handed_in_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKBOT_BUILD__TIMEOUT", "1s")
    monkeypatch.setenv("LOCKBOT_NONSENSE", "1")
    monkeypatch.setenv("BUILD", "nonsense")
    monkeypatch.setenv("STATE", "nonsense")
    assert load(None, {}).build.timeout == 21600


def test_settings_cannot_be_changed(write: Write) -> None:
    got = load(write(""), {})
    with pytest.raises(ValueError, match="frozen"):
        got.build.timeout = 1  # type: ignore[misc]  # that is the test
    assert got == load(write("# the same"), {})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/lockbot:/other", "XDG_STATE_HOME": "/x"}, "/var/lib/lockbot"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/lockbot"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/lockbot"),
        ({"LOCKBOT_STATE__DIRECTORY": "/mine", "STATE_DIRECTORY": "/var/lib/lockbot"}, "/mine"),
    ],
)
def test_where_the_state_goes(environ: dict[str, str], expected: str) -> None:
    assert load(None, environ).state.directory == Path(expected)


def test_paths_start_where_they_are_written(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write('repository.path = "../flake"\n')
    assert load(Path("../lockbot.toml"), {}).repository.path == tmp_path / "../flake"
    assert load(None, {"LOCKBOT_REPOSITORY__PATH": "."}).repository.path == tmp_path / "elsewhere"


# Files that are none


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path / "lockbot.toml")
    assert line == "cannot read the configuration lockbot.toml: No such file or directory"


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        load(tmp_path, {})


def test_an_unreadable_file(tmp_path: Path) -> None:
    """Root may read everything, so this is a link to itself."""
    path = tmp_path / "lockbot.toml"
    path.symlink_to(path)
    assert mistakes(path) == ["cannot read the configuration lockbot.toml: Too many levels of symbolic links"]


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "lockbot.toml"
    path.write_bytes(b"[state]\n# caf\xe9\n")
    assert mistakes(path) == ["lockbot.toml:2: not UTF-8"]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "lockbot.toml"
    path.write_bytes(b"\xef\xbb\xbfbuild.retries = 1\r\n")
    assert load(path, {}).build.retries == 1


def test_far_too_large() -> None:
    with pytest.raises(UsageError, match="1 MiB"):
        load(Path("/dev/zero"), {})


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[build]\ntimeout = \n", "lockbot.toml:2:11: not TOML: invalid value"),
        ('[build]\ntimeout = "1h', "lockbot.toml:2:14: not TOML: unterminated string"),
        ("[build]\n[build]\n", "lockbot.toml:2:7: not TOML: cannot declare"),
        ("a = 1\na = 2\n", "lockbot.toml:2:6: not TOML: cannot overwrite"),
    ],
)
def test_syntax_errors_have_line_and_column(write: Write, text: str, start: str) -> None:
    (line,) = mistakes(write(text))
    assert line.startswith(start)


def test_nesting_without_end(write: Write) -> None:
    (line,) = mistakes(write("a = " + "[" * 100_000))
    assert "too deeply" in line


# Costs


def test_importing_the_package_does_not_import_pydantic() -> None:
    code = "import sys, lockbot.errors, lockbot.model, lockbot.process; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_a_good_configuration_does_not_wait_for_tomlkit() -> None:
    code = (
        "import sys; from pathlib import Path; from lockbot.config import load; "
        "load(Path('config/lockbot.toml'), {}); sys.exit('tomlkit' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
