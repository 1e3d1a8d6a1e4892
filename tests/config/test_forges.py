"""Forges: hosts, tokens, and where their APIs are."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.config import load
from lockbot.forge.place import Account, Kind
from tests.config.reading import Write, mistakes


def test_a_forges_token_comes_from_a_file_a_credential_or_the_environment(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-file\n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "forge.git.example.org.token").write_text("of-systemd\n")
    (credentials / "forge.other.org.token").write_text("of-another\n")
    path = write('[forge."git.example.org"]\nkind = "gitlab"\ntoken = { file = "token" }\n')
    of_systemd = {"CREDENTIALS_DIRECTORY": str(credentials)}
    variable = {"LOCKBOT_FORGE": '{"git.example.org": {"token": "of-environment"}}'}

    def token(environ: dict[str, str]) -> str | None:
        return load(path, environ).forge["git.example.org"].account().token

    assert token({}) == "of-file"
    assert token(of_systemd) == "of-systemd"
    assert token(of_systemd | variable) == "of-environment"
    got = load(path, of_systemd)
    assert got.forge["git.example.org"].kind is Kind.GITLAB, "the rest of the table stays"
    assert got.forge["other.org"].account() == Account(token="of-another")  # noqa: S106 -- no secret
    for shown in (repr(got), str(got), got.model_dump_json(), repr(got.forge["other.org"].account())):
        assert "of-another" not in shown and "of-systemd" not in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'token = "SECRET"',
            'lockbot.toml:2: forge."a.org".token: is a secret, which does not belong in this file',
        ),
        ('token = { file = "/nowhere" }', 'lockbot.toml:2: forge."a.org".token: cannot read the secret /nowhere'),
        ('kind = "gitea"', 'lockbot.toml:2: forge."a.org".kind: must be one of "github", "gitlab", "forgejo"'),
        ('url = "ftp://a.org"', 'lockbot.toml:2: forge."a.org".url: must be https://HOST/'),
        ('url = "https://me:SECRET@a.org"', 'lockbot.toml:2: forge."a.org".url: must not hold a user name'),
        ('url = "https://a.org/?a=SECRET"', 'lockbot.toml:2: forge."a.org".url: must not hold ?'),
        ('url = "http://a.org"\ntoken = { file = "token" }', "token: must not be sent over http://"),
        ("tokn = 1", "lockbot.toml:2: forge.\"a.org\".tokn: unknown key; did you mean 'token'?"),
    ],
)
def test_refused_of_forges(write: Write, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "token").write_text("SECRET")
    (line,) = mistakes(write(f'[forge."a.org"]\n{text}\n'))
    assert expected in line
    assert "SECRET" not in line


@pytest.mark.parametrize("host", ["A.org", "https://a.org", "a.org/", "a b", ""])
def test_a_forge_is_named_by_its_host(write: Write, host: str) -> None:
    (line,) = mistakes(write(f'[forge."{host}"]\nkind = "gitlab"\n'))
    assert "must be the name of a host" in line
