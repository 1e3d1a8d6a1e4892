"""The kinds of value that a configuration holds: durations, sizes, attribute paths, URLs, identities.

Each parser takes what TOML (or a text from the environment) gives, and returns the parsed value or raises
ValueError with the rest of a sentence that starts with the key's name. None of them repeats the value: a URL
may hold a password.
"""

from __future__ import annotations

import re
import string
from difflib import get_close_matches
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Strict

from lockbot.forge.place import HOST
from lockbot.schedule import Cron, Every, Quiet

SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
BYTES = {"T": 2**40, "G": 2**30, "M": 2**20, "K": 2**10}
LONGEST = 366 * 86400
"""Seconds; beyond this, timers overflow and nobody means it."""
LARGEST = 2**62
"""Bytes; what SQLite and the kernel can still count."""

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:w|d|h|min|m|s) *)+")
_SIZE = re.compile(rf"({_NUMBER}) *(?:([KMGT])(?:iB)?)")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Strategy(StrEnum):
    BEST = "best"
    TOGETHER = "together"
    EACH = "each"


class Sign(StrEnum):
    NO = "no"
    GPG = "gpg"
    SSH = "ssh"


class Person(NamedTuple):
    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class Local:
    """Marks a path: `~` is expanded, and a relative one starts where it was written down."""


def duration(value: object) -> float:
    """`"90s"`, `"1h30m"`, `"3d"` or a bare number of seconds → seconds."""
    text = str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    if re.fullmatch(_NUMBER, text):
        seconds = float(text)
    elif _DURATION.fullmatch(text):
        parts = re.findall(rf"({_NUMBER})([wdhms])", text)
        seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
    elif text.startswith("-"):
        raise ValueError("must not be negative")
    else:
        raise ValueError('must be a duration such as "90s", "15m", "1h30m" or "3d", or a number of seconds')
    if seconds > LONGEST:
        raise ValueError("must not be longer than 366 days")
    return seconds


def duration_text(seconds: float) -> str:
    """The shortest text that `duration` reads back: 5400 → `90m`."""
    for unit, length in SECONDS.items():
        if seconds and seconds % length == 0 and unit != "w":
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def size(value: object) -> int:
    """`"512M"`, `"4G"` (powers of 1024) or a bare number of bytes → bytes."""
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    match = _SIZE.fullmatch(text)
    if match:
        number = int(float(match[1]) * BYTES[match[2]])
    elif re.fullmatch("[0-9]{1,19}", text):
        number = int(text)
    elif text.startswith("-"):
        raise ValueError("must not be negative")
    else:
        raise ValueError('must be a size such as "512M", "4G" or "1T", or a number of bytes')
    if number > LARGEST:
        raise ValueError("must not be larger than 4194304T")
    return number


def size_text(number: int) -> str:
    """The shortest text that `size` reads back: 4294967296 → `4G`."""
    for unit, factor in BYTES.items():
        if number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


def plain(text: str) -> str:
    """A non-empty line of text."""
    if not text.strip():
        raise ValueError("must not be empty")
    if CONTROL.search(text):
        raise ValueError("must be one line without control characters")
    return text


def attribute_path(value: object) -> tuple[str, ...]:
    """`checks.x86_64-linux."a.b"` → the names, as Nix reads them."""
    if not isinstance(value, str):
        raise ValueError('must be text such as "packages.x86_64-linux.tool"')
    if value.strip().startswith(("#", ".#")):
        raise ValueError('must be written without "#": packages.x86_64-linux.tool')
    value = value.strip()
    rest, names = value, []
    while True:
        match = re.match(r'"((?:[^"\\]|\\.)*)"|([^\s."\\$#;(){}\[\]]+)', rest, re.DOTALL)
        if not match:
            raise ValueError(
                f"is not an attribute path at character {len(value) - len(rest) + 1}: {_ATTRIBUTE_HELP}"
            )
        names.append(plain(_unquoted(match[1]) if match[2] is None else match[2]))
        rest = rest[match.end() :]
        if not rest:
            return tuple(names)
        if rest[0] != ".":
            raise ValueError(f"needs a dot at character {len(value) - len(rest) + 1}: {_ATTRIBUTE_HELP}")
        rest = rest[1:]


_ATTRIBUTE_HELP = (
    'names are separated by dots, others than letters, digits, _ and - stand in quotes, as in a."b.c"'
)


def _unquoted(text: str) -> str:
    """The inside of a Nix string literal → its value."""
    if re.search(r"(?<!\\)(?:\\\\)*\$\{", text):
        raise ValueError(r"must not interpolate; write \${ for the characters themselves")
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r", "t": "\t"}.get(m[1], m[1]), text, flags=re.DOTALL)


def branch_name(text: str) -> str:
    """git-check-ref-format's rules for the name of a branch."""
    if text.startswith("refs/heads/"):
        raise ValueError("must be written without refs/heads/")
    parts = text.split("/")
    wrong = (
        not text
        or re.search(r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{", text)
        or text.startswith("-")
        or text in ("@", "HEAD")
        or text.endswith(".")
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    )
    if wrong:
        raise ValueError("is not a name that git allows for a branch")
    return text


def remote_name(text: str) -> str:
    """The name of a git remote, or nothing for none. It is part of its tracking refs: a branch's rules hold."""
    if not text:
        return text
    if "://" in text or text.startswith("/"):
        raise ValueError("must be the name of a git remote, such as origin; for a URL, use repository.url")
    try:
        return branch_name(text)
    except ValueError:
        raise ValueError("is not a name that git allows for a remote") from None


def sub_directory(text: str) -> str:
    """A directory below the repository's root; the root is the empty text."""
    path = PurePosixPath(text)
    if path.is_absolute():
        raise ValueError("must be relative to the repository's root")
    if ".." in path.parts:
        raise ValueError("must stay inside the repository: no `..`")
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return "" if str(path) == "." else str(path)


_FLAKE_SCHEMES = ("github:", "gitlab:", "sourcehut:", "flake:", "path:", "git+", "tarball+", "file+", "hg+")
_SCP = re.compile(r"(?:(?P<user>[^@:/]+)@)?(?P<host>[^@:/]+):(?P<path>[^:].*)")


def git_url(text: str) -> str:
    """A URL that git can clone and push to. One with a password is refused: `ps` would show it."""
    plain(text)
    if text.startswith("-") or re.search(r"\s", text):
        raise ValueError("must not start with - or hold a space (write %20)")
    if text.startswith("/"):
        return text
    if text.startswith(_FLAKE_SCHEMES):
        raise ValueError(
            "must be a git URL, not a flake reference: https://HOST/OWNER/NAME or git@HOST:OWNER/NAME"
        )
    scheme, separator, _ = text.partition("://")
    if separator:
        return _checked_url(text, scheme)
    match = _SCP.fullmatch(text)
    if not match or any((match[part] or "").startswith("-") for part in ("user", "host", "path")):
        raise ValueError("must be file://, ssh:// or https://, git@HOST:PATH, or an absolute path")
    return text


def _checked_url(text: str, scheme: str) -> str:
    try:
        url = urlsplit(text)
        _ = url.port  # reading it checks it
    except ValueError:
        raise ValueError("is not a URL that can be understood") from None
    if scheme not in ("file", "ssh", "http", "https"):
        nearest = get_close_matches(scheme, ("file", "ssh", "http", "https"), 1)
        raise ValueError(
            "must start with file://, ssh:// or https://" + (_did_you_mean(nearest) + "://") * bool(nearest)
        )
    if url.password is not None:
        raise ValueError("must not hold a password, which `ps` and logs would show")
    if url.username is not None and scheme != "ssh":
        raise ValueError("must not hold a user name (it may be a token, which `ps` and logs would show)")
    if "?" in text or "#" in text:
        raise ValueError(
            "must not hold ? or #: the branch is repository.branch, a sub-directory repository.flake_dir"
        )
    if scheme != "file" and (not url.hostname or url.hostname.startswith("-")):
        raise ValueError("needs the name of a host")
    if (url.username or "").startswith("-") or not url.path.strip("/"):
        raise ValueError("needs a path after the host")
    return text


def api_url(text: str) -> str:
    """Where a forge's API begins."""
    plain(text)
    try:
        url = urlsplit(text)
        _ = url.port  # reading it checks it
    except ValueError:
        raise ValueError("is not a URL that can be understood") from None
    if url.scheme not in ("https", "http") or not url.hostname:
        raise ValueError("must be https://HOST/…")
    if "@" in url.netloc:
        raise ValueError("must not hold a user name or a password: write the token to `token`")
    if url.query or url.fragment or not re.fullmatch("[!-~]+", text):
        raise ValueError("must not hold ?, # or a space")
    return text.rstrip("/")


def listen_address(text: str) -> str:
    """`HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `unix:/PATH`."""
    plain(text)
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError("must name an absolute path: unix:/run/lockbot/web.sock")
        return text
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9.-]*):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise ValueError("must be HOST:PORT such as 127.0.0.1:8465, or unix:/path/to/socket")
    return text


def web_host(text: str) -> str:
    """A name in a browser's address, without a port."""
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", text):
        raise ValueError("must be the name of a host in lower case, without a port: lockbot.example.org")
    return text


def forge_host(text: str) -> str:
    """The name of a forge's host, with a port where that is not the usual one."""
    if not HOST.fullmatch(text):
        raise ValueError('must be the name of a host in lower case: [forge."git.example.org"]')
    return text


def _did_you_mean(nearest: list[str]) -> str:
    return f"; did you mean {nearest[0]}" if nearest else ""


def person(value: object) -> Person:
    """`Name <mail>` → Person; what git would strip or misread is refused."""
    if isinstance(value, Person):
        return value
    match = re.fullmatch(r"([^<>]*)<([^<>\s]+)>", value.strip()) if isinstance(value, str) else None
    if not match or CONTROL.search(match[0]):
        raise ValueError('must be "Name <mail@example.org>"')
    name, email = match[1].strip(), match[2]
    if not name.strip(" .,:;\"\\'"):  # git drops these at both ends, and refuses what is left of nothing
        raise ValueError('needs a name before <…>: "Name <mail@example.org>"')
    return Person(name, email)


PLACEHOLDERS = ("inputs", "count", "date", "hosts")


def subject(text: str) -> str:
    """A template for `str.format`, in which only the plain placeholders stand."""
    plain(text)
    try:
        fields = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("has an unpaired brace; write {{ or }} for the character itself") from None
    for _, name, spec, conversion in fields:
        if name is not None and name not in PLACEHOLDERS:
            near = get_close_matches(name, PLACEHOLDERS, 1)
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise ValueError(
                f"has an unknown placeholder: known are {known}" + (_did_you_mean(near) + "?") * bool(near)
            )
        if spec or conversion:
            raise ValueError("must use its placeholders plainly, without ! or :")
    return text


def timing(text: str) -> Cron | Every:
    """A crontab(5) line, or an interval such as `6h`."""
    if re.match(r"[0-9.]+ *(w|d|h|m|s)", text.strip()) and not text.strip().count("*"):
        seconds = duration(text)
        if seconds < 1:
            raise ValueError("must not be shorter than a second")
        return Every(seconds)
    return Cron.parse(text)


def timing_text(text: str) -> str:
    timing(text)
    return text


def time_zone(text: str) -> str:
    """A name of the IANA's time zone database."""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        near = get_close_matches(text, available_timezones(), 1)
        raise ValueError(
            "is not a time zone that this machine knows, such as Europe/Berlin"
            + _did_you_mean(near)
            + "?" * bool(near)
        ) from None
    return text


def quiet_hours(text: str) -> str:
    Quiet.parse(text)
    return text


def _secret(value: SecretStr) -> SecretStr:
    plain(value.get_secret_value())
    return value


Text = Annotated[str, AfterValidator(plain)]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict()]
Duration = Annotated[float, BeforeValidator(duration)]
Timeout = Annotated[float, BeforeValidator(duration), Field(gt=0)]
Size = Annotated[int, BeforeValidator(size)]
AttributePath = Annotated[tuple[str, ...], BeforeValidator(attribute_path)]
Branch = Annotated[str, AfterValidator(branch_name)]
Remote = Annotated[str, AfterValidator(remote_name)]
SubDirectory = Annotated[str, AfterValidator(sub_directory)]
GitUrl = Annotated[str, AfterValidator(git_url)]
ApiUrl = Annotated[str, AfterValidator(api_url)]
ListenAddress = Annotated[str, AfterValidator(listen_address)]
WebHost = Annotated[str, AfterValidator(web_host)]
ForgeHost = Annotated[str, AfterValidator(forge_host)]
Identity = Annotated[Person, BeforeValidator(person)]
Subject = Annotated[str, AfterValidator(subject)]
Timing = Annotated[Text, AfterValidator(timing_text)]
TimeZone = Annotated[Text, AfterValidator(time_zone)]
QuietHours = Annotated[Text, AfterValidator(quiet_hours)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
