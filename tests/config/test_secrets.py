"""Secrets: where they come from, and that nothing prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.config import Settings, load
from lockbot.errors import UsageError
from tests.config.reading import Write, mistakes

TOKENS = "github.com=ghp_hunter2"


def token(got: Settings) -> str | None:
    return got.eval.access_tokens.get_secret_value() if got.eval.access_tokens else None


def test_secrets_and_who_comes_first(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of=file\n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "eval.access_tokens").write_text("of=systemd\n")
    (credentials / "state").write_text("somebody else's")
    path = write('[eval]\naccess_tokens = { file = "token" }\n')
    environ: dict[str, str] = {}
    assert token(load(path, environ)) == "of=file"
    environ["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert token(load(path, environ)) == "of=systemd"
    environ["LOCKBOT_EVAL__ACCESS_TOKENS"] = "of=environment"
    assert token(load(path, environ)) == "of=environment"
    assert "of=environment" not in repr(load(path, environ)) + str(load(path, environ))


def test_secrets_are_never_printed(write: Write, tmp_path: Path) -> None:
    path = write(f'[eval]\naccess_tokens = "{TOKENS}"\n[repository]\nurl = "https://me:{TOKENS}@x/y"\n')
    lines = mistakes(path)
    assert lines[0].startswith("lockbot.toml:2: eval.access_tokens: is a secret")
    assert lines[1].startswith("lockbot.toml:4: repository.url: must not hold a password")
    lines += mistakes(None, {"LOCKBOT_EVAL__ACCESS_TOKENS": f"{TOKENS}\npost-build-hook = x"})
    lines += mistakes(None, {"LOCKBOT_REPOSITORY__URL": f"https://{TOKENS}@x/y"})
    (tmp_path / "eval.access_tokens").write_bytes(TOKENS.encode() + b"\nmore\n")
    lines += mistakes(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    (tmp_path / "eval.access_tokens").write_bytes(TOKENS.encode() + b"\xff")
    lines += mistakes(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert len(lines) == 6
    assert "hunter2" not in "\n".join(lines)


@pytest.mark.parametrize("value", ["3", "{}", "{ file = 3 }", '{ file = "nowhere" }', '{ file = "a", x = 1 }'])
def test_secrets_that_cannot_be_read(write: Write, value: str) -> None:
    (line,) = mistakes(write(f"eval.access_tokens = {value}"))
    assert line.startswith("lockbot.toml:1: eval.access_tokens: ")


def test_the_error_itself_holds_no_secret() -> None:
    """A traceback prints the chain of causes, and pydantic's errors carry their input."""
    with pytest.raises(UsageError) as caught:
        load(None, {"LOCKBOT_EVAL__ACCESS_TOKENS": f"{TOKENS}\n", "LOCKBOT_BUILD__JOBS": "x"})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
