"""Secrets taken out of text, for whatever is shown or kept: the one place that knows what one looks like.

Pure, and at the bottom: every sink (terminal, commit, JSON, log, history, metrics) calls it on whole texts, before
they are cut, for half a URL no longer shows that a password was in it. What is handed to git and Nix is never
redacted. Errs towards hiding: of a secret nothing stays, of a harmless text that looks like one a little is lost.

Every pattern takes linear time: builders and upstreams write megabytes of what they like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

HIDDEN = "***"


def redact(text: str) -> str:
    """Without what may be a secret: `https://T@host/x?token=T` → `https://***@host/x?token=***`. Idempotent."""
    lower = text.lower()
    if "access-tokens" in lower:
        text = _ACCESS_TOKENS.sub(_access_tokens, text)
    if any(word in lower for word in _OF_HEADERS):
        text = _HEADER.sub(rf"\1{HIDDEN}", text)
        text = _COOKIE.sub(rf"\1{HIDDEN}", text)
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    if "@" in text or "0040" in text:
        text = _SLASHED.sub(_slashed, text)
        text = _AUTHORITY.sub(_authority, text)
        text = _SCP.sub(rf"\1:{HIDDEN}@", text)
    if "%" in text:
        text = _ENCODED_AUTHORITY.sub(_encoded_authority, text)
    if any(sign in lower for sign in _ASSIGNING):
        text = _parameters(text)
    if any(word in lower for word in _STRONG):
        text = _QUOTED.sub(rf"\1{HIDDEN}", text)
        text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
        text = _NETRC.sub(rf"\1{HIDDEN}", text)
        text = _OPTION.sub(rf"\1{HIDDEN}", text)
        text = _ENTRY.sub(rf"\1{HIDDEN}", text)
    if "-u" in text:
        text = _CURL_USER.sub(rf"\1{HIDDEN}", text)
    if any(start in text for start in _STARTS):
        text = _SHAPES.sub(HIDDEN, text)
    return text


def redact_url(url: str) -> str:
    """The same of what is known to be a URL, or a path: whatever characters there are in its password."""
    scheme, separator, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if separator and "@" in rest and ("@" in authority or not _PORT.fullmatch(authority)):
        user, _, host = (authority if "@" in authority else rest).rpartition("@")
        tail = rest[len(authority) :] if "@" in authority else ""
        name, colon, _ = user.partition(":")
        shown = HIDDEN if scheme.lower().endswith(("http", "https")) else f"{name}:{HIDDEN}" if colon else user
        url = f"{scheme}://{shown}@{host}{tail}"
    return redact(url)


def redacted(value: object) -> object:
    """The same of every text in a value made of mappings, lists, tuples and whatever else."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {redacted(key): redacted(inner) for key, inner in value.items()}
        case list() | tuple():
            return [redacted(inner) for inner in value]
        case _:
            return value


def without_secrets(url: str) -> str:
    """What tells an origin from others: a URL as if there had never been a secret in it.

    One that holds none is left as it is; a token that was rotated, added or taken away makes no other origin.
    """
    shown = redact(url)
    if shown == url and HIDDEN not in url:
        return url
    shown = re.sub(rf"(://[^/?#@:]*):{re.escape(HIDDEN)}@", r"\1@", shown).replace(f"://{HIDDEN}@", "://")
    shown = re.sub(rf"(?<=[?&])[^=&?#]+={re.escape(HIDDEN)}(?:&|(?=#|$))", "", shown)
    return re.sub(r"(?<![?&])[?&]+(?=#|$)", "", shown)


# -- in URLs ----------------------------------------------------------------------------------------------------

# Slashes may be escaped, as JSON allows. What follows is looked at as a whole: see `_authority`.
# It ends before the `://` of a URL right behind it.
_AUTHORITY = re.compile(r'(?P<before>:(?:\\{0,4}/){2})(?P<run>(?:(?!:(?:\\{0,4}/){2})[^\s/"<>`])+)')
_AT = re.compile(r"@|\\{1,4}u0040")
_NO_AUTHORITY = re.compile(r"[?#']")
_PORT = re.compile(r"[^:]*(?::\d*)?|\[[^\]]*\](?::\d*)?")


def _authority(match: re.Match[str]) -> str:
    """`user:password@host` → `user:***@host`; with HTTP a user alone is a token more often than not, too."""
    run = match["run"]
    at = _last(_AT, run)
    if (end := _NO_AUTHORITY.search(run)) is not None and at >= 0:
        within = _last(_AT, run[: end.start()])
        # No @ before the query: it is another text's, unless these are the odd characters of a password.
        if within < 0 and _PORT.fullmatch(run[: end.start()]):
            return match[0]
        at = within if within >= 0 else at
    return match[0] if at < 0 else match["before"] + _hidden_user(match, run[:at], ":") + run[at:]


def _last(pattern: re.Pattern[str], text: str) -> int:
    return max((match.start() for match in pattern.finditer(text)), default=-1)


def _hidden_user(match: re.Match[str], user: str, colon: str) -> str:
    scheme = match.string[max(match.start() - 5, 0) : match.start()].lower()
    if user and scheme.endswith(("http", "https")):
        return HIDDEN
    name, separator, _ = user.partition(colon)
    return f"{name}{separator}{HIDDEN}" if separator else user


# A password with a slash in it: what stands behind the colon is no port. Of bounded length, for it looks ahead.
_SLASHED = re.compile(
    r'(?P<before>:(?:\\{0,4}/){2})(?P<user>[^\s/"<>`:@\[?#]{1,256}:(?!\d*[/?#\\])[^\s/"<>`@]{0,256}/[^\s"<>`]{0,256})(?=@)'
)


def _slashed(match: re.Match[str]) -> str:
    return match["before"] + _hidden_user(match, match["user"], ":")


_ENCODED_AUTHORITY = re.compile(
    r"""(?P<before>(?::|%(?:25)*3a)(?:/|%(?:25)*2f){2})(?P<run>(?:(?!%(?:25)*2f)[^\s/"'<>&?#])+)""", re.IGNORECASE
)
_ENCODED_AT = re.compile(r"@|%(?:25)*40", re.IGNORECASE)
_ENCODED_COLON = re.compile(r":|%(?:25)*3a", re.IGNORECASE)


def _encoded_authority(match: re.Match[str]) -> str:
    """The same of a URL within a URL: `%3A%2F%2Fuser%3Apassword%40host`."""
    run = match["run"]
    if (at := _last(_ENCODED_AT, run)) < 0:
        return match[0]
    colon = _ENCODED_COLON.search(run, 0, at)
    return match["before"] + _hidden_user(match, run[:at], colon[0] if colon else ":") + run[at:]


# `user:password@host:path`. Not `image:tag@sha256:…`, nor an address.
_SCP = re.compile(
    r"""(?<![\w:/=@%.+?&#-])(?!mailto:|xmpp:|sips?:)([A-Za-z0-9._+-]{1,64}):[^\s:@/"']{1,256}@"""
    r"""(?=(?!sha\d|md5)[A-Za-z0-9.-]{1,255}[:/][^\s:])"""
)

_PARAMETER = re.compile(
    r"(?:[?&;#]|%(?:25)*(?:3f|26|23|3b)|\\{1,4}u00(?:3f|26|23))"
    r"(?P<name>(?:[a-z]|%5f|%2d)(?:[\w.~+-]|%(?:25)*(?:5f|2d|2e)){0,80})"
    r"(?:(?P<plain>=|\\{1,4}u003d)|%(?:25)*3d)",
    re.IGNORECASE,
)
_ASSIGNING = ("=", "3d")
_VALUE = re.compile(r"""(?:[^\s&#"'<>`\\]|\\(?!\\{0,8}(?:["'nrt]|u00(?:26|23|22|27|3c|3e))))*""", re.IGNORECASE)
_ENCODED_VALUE = re.compile(r"""(?:(?!%(?:25)*(?:26|23))[^\s&#"'<>`\\])*""", re.IGNORECASE)


def _parameters(text: str) -> str:
    """Values behind a `?`, `&`, `;` or `#` whose name says that they are secret, percent-encoded or not."""
    parts: list[str] = []
    done = 0
    for match in _PARAMETER.finditer(text):
        if match.start() < done or not _is_secret(match["name"]):
            continue
        value = (_VALUE if match["plain"] else _ENCODED_VALUE).match(text, match.end())
        if value is not None and value[0]:
            parts += [text[done : match.end()], HIDDEN]
            done = value.end()
    return "".join(parts) + text[done:] if parts else text


# `publicKey` and `keytype` are what `verifyCommit` goes by.
_SECRET_NAME = re.compile(
    r".*(?:token|secret|passw|passphrase|signature|credential|bearer|authoriz|jwt"
    r"|(?:api|access|private|auth|deploy|account|master|shared|subscription|function)[-_.]?key).*"
    r"|(?:.*[-_.])?(?:key|auth|sig|sign|pass|pwd|pw|sas|hmac|session|sessionid|sid|otp)"
)


def _is_secret(name: str) -> bool:
    name = unquote(unquote(name)).lower()
    return "public" not in name and "pubkey" not in name and _SECRET_NAME.fullmatch(name) is not None


# -- elsewhere --------------------------------------------------------------------------------------------------

_START = r"(?:(?<![A-Za-z0-9])|(?<=\dm)|(?<=\[m))"
"""Where a word starts, behind a colour, too (`\x1b[0m`): a `\\b` is not there."""

# Nix's setting: `access-tokens = host=TOKEN host/owner=PAT:TOKEN`, in a file, an error or a command.
_ACCESS_TOKENS = re.compile(
    r"""(access-tokens\W{1,6})((?:[\w.:/-]{1,300}=[^\s"'\\]+[ \t]{0,8})+)""", re.IGNORECASE
)


def _access_tokens(match: re.Match[str]) -> str:
    return match[1] + re.sub(r"([\w.:/-]=)[^\s\\]+", rf"\1{HIDDEN}", match[2])


_GAP = r"[ \t]{0,4}"
_QUOTE = r"""\\{0,4}["']"""

_OF_HEADERS = ("authorization", "bearer", "-token", "-key", "-auth", "cookie")
_HEADER = re.compile(
    rf"({_START}(?:(?:proxy-)?authorization|(?:private|job|deploy|x-[a-z-]{{1,40}})-(?:token|key|auth|secret))"
    rf"(?:{_QUOTE})?{_GAP}[:=]{_GAP}(?:{_QUOTE})?"
    r"(?:(?:basic|bearer|token|digest|negotiate|apikey)[ \t]{1,4})?)"
    r"""[^\s"'\\]+""",
    re.IGNORECASE,
)
_COOKIE = re.compile(
    rf"(cookie(?:{_QUOTE})?{_GAP}:{_GAP}(?:{_QUOTE})?)" + r"""[^\s"'\\][^\r\n"'\\]*""", re.IGNORECASE
)
_BEARER = re.compile(r"(bearer[ \t]{1,4})[\w.~+/-]{16,}=*", re.IGNORECASE)

# What a log or a source says outside of any URL: `FORGE_TOKEN=x`, `"password": "x"`, `password = "x"`.
_STRONG = ("token", "password", "passwd", "secret", "apikey", "api_key", "api-key", "_key", "privatekey")
_WORD = r"(?:token|password|passwd|secret|api[_-]?key|(?:access|secret|private)[_-]?key)s?"
_ASSIGNED = re.compile(
    rf"({_WORD}=)" + r"""(?![*$(\\{]|(?:none|null|true|false)\b)[^\s"'$(){}<>;&|,*\\#`]{3,}""", re.IGNORECASE
)
_QUOTED = re.compile(
    rf"({_WORD}(?:{_QUOTE})?{_GAP}[:=]{_GAP}{_QUOTE})" + r"""(?![*$])[^\s"'\\]{3,}""", re.IGNORECASE
)
_BLANK = r"(?:\s|\\{1,4}[nt]){1,12}"
_NETRC = re.compile(rf"(login{_BLANK}[^\s\\]{{1,200}}{_BLANK}password{_BLANK})" + r"""[^\s"'\\]+""", re.IGNORECASE)
# `--token x`, `password: x`, and `curl -u user:x`, which is no `-u 1000:1000`.
_OPTION = re.compile(
    rf"(--(?:[a-z]{{1,20}}-){{0,3}}{_WORD}[ \t]{{1,4}})" + r"""(?![-*$])[^\s"'\\;&|]{3,}""", re.IGNORECASE
)
# `forge.HOST.token: cannot be read` is lockbot's own, about a key of the configuration.
_ENTRY = re.compile(
    rf"({_WORD}:[ \t]{{1,4}})" + r"""(?![*$"'\\[{(]|(?:cannot|must)[ \t])[^\s"'\\]{3,}""", re.IGNORECASE
)
_CURL_USER = re.compile(r"""((?<!\S)(?:-u|--user)[ \t=]{0,4}["']?[^\s:/"']{1,64}:)(?!\d+(?:\s|$))[^\s"'\\:]{3,}""")

# Tokens that can be told by themselves. No letter or digit before them: a store path's hash ends anyhow.
_SHAPES = re.compile(
    rf"{_START}(?:gh[pousr]_[A-Za-z0-9]{{10,}}|github_pat_\w{{10,}}"
    r"|gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent|oas)-[\w.-]{8,}"
    r"|xox[abeoprs]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{35}|ya29\.[\w.-]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|hf_[A-Za-z0-9]{30,}|dop_v1_[0-9a-f]{60,}"
    r"|sk-(?:ant|proj|live|test)[\w-]{16,}|sk_live_\w{16,}|tskey-[\w-]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"
)
_STARTS = (
    "gh",
    "github_",
    "gl",
    "xox",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29",
    "npm_",
    "pypi-",
    "hf_",
    "dop_",
    "sk",
    "tskey",
    "eyJ",
)
