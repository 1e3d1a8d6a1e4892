"""Whom to tell: tables in a list, each with a secret that the file only points at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.config import load
from lockbot.model import NoticeKind
from tests.config.reading import Write, mistakes


def test_each_target_has_a_secret_from_a_file_or_a_credential(write: Write, tmp_path: Path) -> None:
    (tmp_path / "ntfy").write_text("ntfy://host/one\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/mail").write_text("mailto://two\n")
    path = write(
        '[[notify]]\nname = "phone"\nurl = { file = "ntfy" }\n'
        '[[notify]]\nname = "mail"\nurl = { credential = "mail" }\nevents = ["failed"]\ndigest = "0 8 * * *"\n'
    )
    assert load(path, {"HOME": "/h"}, secrets=False).notify, (
        "where nothing gives credentials, as a system is built"
    )
    got = load(path, {"HOME": "/h", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    assert [target.url.get_secret_value() for target in got.notify] == ["ntfy://host/one", "mailto://two"]
    assert NoticeKind.PUBLISHED not in got.notify[0].events
    assert got.notify[1].events == (NoticeKind.FAILED,)
    assert "host/one" not in repr(got)


@pytest.mark.parametrize(
    ("text", "told"),
    {
        '[[notify]]\nname = "a"\nurl = "ntfy://x/hunter2"': "notify 1: url: is a secret",
        '[[notify]]\nname = "a"': "notify 1: url: is missing",
        '[[notify]]\nname = "a"\nurl = { credential = "../x" }': "notify 1: url: must name one of systemd",
        '[[notify]]\nname = "a"\nurl = { file = "s" }\nevents = ["broken"]': "notify 1: events[0]: must be one of",
        '[[notify]]\nname = "a"\nurl = { file = "s" }\nevents = []': "notify 1: events: must not be empty",
        '[notify]\nname = "a"': "notify: must be a list of tables, each headed [[notify]]",
        '[[hook]]\nevent = "alarm"\ncommand = []': "hook 1: command: must not be empty",
        '[[hook]]\nevent = "alarm"\ncommand = ["./x"]': "hook 1: command: must begin with an absolute path",
        '[[hook]]\nevent = "alarm"\ncommand = ["x"]\ntimeout = 0': "hook 1: timeout: must be more than 0",
        '[ping]\nurl = "https://hc.example/hunter2"': "ping.url: is a secret",
        '[ping]\nurl = { file = "s" }': "ping.url: must be https://HOST/…",
        '[ping]\nheartbeat_url = { file = "space" }': "ping.heartbeat_url: must hold neither a space",
        '[ping]\nheartbeat_url = { file = "port" }': "ping.heartbeat_url: is not a URL that can be understood",
        '[ping]\nheartbeat_every = "0.5s"': "ping.heartbeat_every: must be at least 1",
        '[web]\nlisten = "8465"': "web.listen: must be HOST:PORT",
        '[web]\nlisten = "unix:web"': "web.listen: must name an absolute path",
        '[web]\nbase_path = "/a/../b"': "web.base_path: must be a path",
        '[web]\nhosts = ["A:1"]': "web.hosts[0]: must be the name of a host",
    }.items(),
)
def test_mistakes(write: Write, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "s").write_text("ntfy://x/hunter2")
    (tmp_path / "space").write_text("https://host/hunter2 x")
    (tmp_path / "port").write_text("https://host:hunter2/")
    lines = mistakes(write(text))
    assert any(told in line for line in lines), lines
    assert "hunter2" not in "\n".join(lines)


def test_who_is_not_the_unit_does_without_its_credentials(write: Write, tmp_path: Path) -> None:
    """A person who calls `lockbot status` beside the service, say."""
    path = write(
        '[[notify]]\nname = "a"\nurl = { credential = "x" }\n[ping]\nurl = { credential = "y" }\n'
        '[eval]\naccess_tokens = { credential = "z" }\n'
    )
    got = load(path, {"HOME": "/h"})
    assert got.notify[0].address is None
    assert got.ping.url is None and got.eval.access_tokens is None
    (tmp_path / "x").write_text("json://host/x")
    (line, *_) = mistakes(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "cannot read the secret" in line, "where there are some, these must be among them"


def test_two_targets_have_two_names(write: Write, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("ntfy://x/y")
    one = '[[notify]]\nname = "a"\nurl = { file = "s" }\n'
    (line,) = mistakes(write(one + one))
    assert line.endswith("notify 2: name: an earlier notify has the same name")
