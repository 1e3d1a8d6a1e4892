"""What is taken out of a text as a secret, and what is left."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lockbot.redact import HIDDEN, redact, redact_url, redacted, without_secrets
from tests.secrets import CANARY, HARMLESS, URLS, WORDS, holding

EVERY = {**URLS, **WORDS}
AROUND = {
    "alone": "{}",
    "in Nix's quotes": "error: unable to download '{}': HTTP error 403",
    "in double quotes": 'fetching "{}"...',
    "in brackets": "while fetching ({})",
    "in another line": "one\n       {}\n       three",
    "coloured": "\x1b[31;1merror:\x1b[0m \x1b[35;1m{}\x1b[0m is gone",
    "before dots": "{} …",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND.keys())
@pytest.mark.parametrize("template", EVERY.values(), ids=EVERY.keys())
def test_no_secret_is_left(template: str, around: str) -> None:
    shown = redact(around.replace("{}", holding(template)))
    assert CANARY not in shown
    assert HIDDEN in shown
    assert redact(shown) == shown
    before, _, behind = around.partition("{}")
    assert before in shown
    if "Cookie" not in template:  # it goes to the end of its line
        assert behind.removeprefix("\x1b[0m").strip(" ()'\"") in shown, "what stands around it is told"


@pytest.mark.parametrize("template", EVERY.values(), ids=EVERY.keys())
def test_json_with_a_secret_stays_json(template: str) -> None:
    text = json.dumps([holding(template), "next"])
    shown = redact(text)
    assert CANARY not in shown
    assert json.loads(shown)[1] == "next"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert redact(text) == text
    assert without_secrets(text) == text


def test_what_is_told_of_a_url() -> None:
    told = {
        "https://token@h/x https://u:p@h/x": "https://***@h/x https://***@h/x",
        "ssh://git@h/x ssh://me:p@h/x http://h/x@y": "ssh://git@h/x ssh://me:***@h/x http://h/x@y",
        "git+https://u:p@h/x?ref=main&rev=1": "git+https://***@h/x?ref=main&rev=1",
        "https://h/x?a=1&token=t&narHash=sha256-x": "https://h/x?a=1&token=***&narHash=sha256-x",
        "access-tokens = github.com=t h=u": "access-tokens = github.com=*** h=***",
    }
    assert {text: redact(text) for text in told} == told


def test_every_text_of_a_value() -> None:
    url = holding(URLS["token alone"])
    assert CANARY not in json.dumps(redacted({url: [url, {"a": (url, 1, None)}]}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git+https://u:one@h/x?ref=main", "git+https://u:two@h/x?ref=main"),
        ("git+https://one@h/x?ref=main", "git+https://h/x?ref=main"),
        ("https://h/x.tar.gz?token=one", "https://h/x.tar.gz"),
        ("https://h/x.tar.gz?token=one&dir=a", "https://h/x.tar.gz?dir=a"),
        ("https://h/x.tar.gz?dir=a&sig=one", "https://h/x.tar.gz?dir=a"),
        ("git+ssh://git:one@h/x", "git+ssh://git@h/x"),
    ],
)
def test_a_secret_tells_no_origins_apart(one: str, other: str) -> None:
    assert without_secrets(one) == without_secrets(other)
    assert without_secrets(redact(one)) == without_secrets(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git+https://u:one@h/x", "git+https://u:one@elsewhere/x"),
        ("https://h/x.tar.gz?token=one", "https://h/y.tar.gz?token=one"),
        ("https://h/x.tar.gz?token=one&dir=a", "https://h/x.tar.gz?token=one&dir=b"),
        ("git+ssh://git@h/x", "git+ssh://other@h/x"),
    ],
)
def test_what_else_differs_still_does(one: str, other: str) -> None:
    assert without_secrets(one) != without_secrets(other)


pieces = some.sampled_from(
    [
        *map(holding, EVERY.values()),
        *HARMLESS,
        *"@:/?&=#%'\" \n\\",
        "://",
        "https://",
        "%3A%2F%2F",
        "%40",
        "token=",
    ]
)


@given(some.lists(pieces | some.text(max_size=6), max_size=8).map("".join))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_addresses_with_nothing_between_them() -> None:
    text = "".join(map(holding, (URLS["proxy"], URLS["user and password"]))) * 2
    assert CANARY not in redact(text) and redact(redact(text)) == redact(text)


@given(some.sampled_from(sorted(EVERY)), some.text(), some.text())
def test_whatever_stands_before_and_behind(name: str, before: str, behind: str) -> None:
    assert CANARY not in redact(f"{before} {holding(EVERY[name])} {behind}")


HOSTILE = (
    "https://",
    "https://@",
    "://a:",
    "://a:b/",
    "://a:b/c@",
    "a:b@c",
    "?token=",
    "&a=",
    "%25",
    "%3a%2f%2f",
    "%2f%40",
    "token",
    "token=",
    'token="',
    "access-tokens a=",
    "authorization: ",
    "bearer ",
    "login a password ",
    "eyJaaaaaaaa.",
    "ghp_",
    "\\/",
    ":\\\\",
    "x-",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_takes_no_longer_than_its_size(piece: str) -> None:
    """A pattern that looks again at what it has seen would need hours for this."""
    redact(piece * (1024 * 1024 // len(piece)) + " -token @ access-tokens % login")


def test_the_stack_is_not_what_limits_it() -> None:
    assert redact("?token=" * sys.getrecursionlimit()) is not None


@pytest.mark.parametrize("odd", ['a"b', "a<b>c", "a`b", "a b", "a/b", "a@b", "a?b", "a#b:c"])
@pytest.mark.parametrize("scheme", ["https", "ssh", "git+https"])
def test_of_a_url_every_password_is_known(scheme: str, odd: str) -> None:
    shown = redact_url(f"{scheme}://joe:{odd}{CANARY}{odd}@forge.invalid:8443/p.git")
    assert CANARY not in shown and odd not in shown
    assert shown.endswith("@forge.invalid:8443/p.git")


@pytest.mark.parametrize(
    "url", ["https://h:8443/p@1.git", "/srv/a@b/p.git", "git@forge.invalid:p.git", "ssh://git@h:22/p@1"]
)
def test_of_a_url_without_one_nothing_is_lost(url: str) -> None:
    assert redact_url(url) == url
