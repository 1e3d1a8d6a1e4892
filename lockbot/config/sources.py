"""Where a configuration's values come from: the file, systemd's credentials, the environment.

Each source becomes a Layer: plain data, the mistakes met while reading it, and how to name the place of a value.
The keys are handed in; what they mean is not known here. pydantic-settings' own sources stop at the first mistake,
read os.environ only and cannot tell a misspelt variable, so these stand in for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ParamSpec

from pydantic import SecretStr

from lockbot import oserrors
from lockbot.config.errors import Loc, Mistake, key_text, line_of, nearest
from lockbot.errors import UsageError
from lockbot.surroundings import here, kept_from_hooks

P = ParamSpec("P")

PREFIX = "LOCKBOT_"
OTHER_VARIABLES = frozenset({"LOCKBOT_CONFIG", "LOCKBOT_DEBUG", "LOCKBOT_EVENT"})
"""Variables that are no keys: read by the command line, or given to hooks. Those that start with LOCKBOT_TEST_ are
the tests' own."""
LARGEST_FILE = 1024 * 1024


EACH = "*"
"""In a form's place: any name (of a host, say)."""


class Kind(StrEnum):
    """How a text from the environment becomes a value."""

    TEXT = "text"
    FLAG = "flag"
    NUMBER = "number"
    JSON = "json"


@dataclass(frozen=True)
class Form:
    """What a source must know of a key: where it belongs, how it is read."""

    loc: Loc
    kind: Kind = Kind.TEXT
    secret: bool = False
    local: bool = False
    """A path in this machine's file system."""
    listed: bool = False
    """EACH stands for a place in a list, not for a name."""

    @property
    def variable(self) -> str:
        return PREFIX + "__".join(map(str, self.loc)).upper()


@dataclass(frozen=True)
class Layer:
    data: dict[str, Any]
    place: Callable[[Loc], tuple[int, str]]
    """A value's line (0 where there are none) and how to call its place."""
    mistakes: list[Mistake] = field(default_factory=list)

    def holds(self, loc: Loc) -> bool:
        value: Any = self.data
        for step in loc:
            if not isinstance(value, dict):
                return True
            if step not in value:
                return False
            value = value[step]
        return True

    def mistake(self, loc: Loc, what: str) -> Mistake:
        return Mistake(*self.place(loc), what)


def file_layer(path: Path, forms: Sequence[Form], environ: Mapping[str, str], *, secrets: bool = True) -> Layer:
    """The configuration file. Raises UsageError when it can't be read or is no TOML at all.

    `secrets` False: the files that it names for them are not read, for they may be on another machine.
    """
    text = _read(path, environ)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_syntax(path, text, str(error))) from None
    except RecursionError:
        raise UsageError(f"{path}: tables or lists are nested too deeply") from None
    except ValueError:  # Python's limit for numbers of thousands of digits, which tomllib lets through
        raise UsageError(f"{path}: not TOML: a number or a date that no program can read") from None

    def place(loc: Loc) -> tuple[int, str]:
        line = line_of(text, loc) or 0
        return line, ":".join([str(path), *([str(line)] if line else [])]) + f": {key_text(loc)}"

    layer = Layer(data, place)

    def base() -> Path:
        return Path(os.path.abspath(path)).parent  # noqa: PTH100  # resolve() would follow a link to the file

    for form in _expanded(forms, data):
        value = _get(data, form.loc)
        if form.local and isinstance(value, str):
            _try(layer, form.loc, absolute, value, base, environ)
        if form.secret and _is_given_elsewhere(value, environ):
            _leave_out(layer.data, form)
        elif form.secret and value is not None:
            _try(layer, form.loc, _secret_of_file, value, base, environ, read_secret if secrets else _unread)
    return layer


def _read(path: Path, environ: Mapping[str, str]) -> str:
    try:
        data = oserrors.read(path, LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else str(error)
        hint = (
            "`lockbot init` writes one" if isinstance(error, FileNotFoundError) else kept_from_hooks(path, environ)
        )
        raise UsageError(f"cannot read the configuration {path}: {why}", hint) from None
    if len(data) > LARGEST_FILE:
        raise UsageError(f"{path}: larger than 1 MiB, which no configuration is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8") from None


def _syntax(path: Path, text: str, message: str) -> str:
    match = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if match:
        return f"{path}:{match[1]}:{match[2]}: not TOML: {_lower(message[: match.start()])}"
    lines = text.split("\n")
    message = message.removesuffix(" (at end of document)")
    return f"{path}:{len(lines)}:{len(lines[-1]) + 1}: not TOML: {_lower(message)} at the end of the file"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def environment(environ: Mapping[str, str], forms: Sequence[Form]) -> Layer:
    """The variables LOCKBOT_SECTION__KEY. Lists and tables are JSON; relative paths start where lockbot does."""
    known = {form.variable: form for form in forms if EACH not in form.loc}

    def place(loc: Loc) -> tuple[int, str]:
        names = [form for form in forms if loc[: len(form.loc)] == form.loc]
        return 0, (names[0].variable if names else PREFIX + "__".join(map(str, loc)).upper()) + _rest(loc, names)

    layer = Layer({}, place)
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name in OTHER_VARIABLES or name.startswith("LOCKBOT_TEST_"):
            continue
        if name not in known:
            shown = name if name.isprintable() else json.dumps(name)
            what = "unknown variable" + _nearest_variable(name, [*known, *OTHER_VARIABLES])
            layer.mistakes.append(Mistake(0, shown, what))
            continue
        form, text = known[name], environ[name]
        _set(layer.data, form.loc, text)
        if form.local:
            _try(layer, form.loc, absolute, text, here, environ)
        else:
            _try(layer, form.loc, _decoded, form, text)
    return layer


def _nearest_variable(name: str, names: Sequence[str]) -> str:
    """Compared without the prefix that all share, or everything would be near."""
    given = name.upper().removeprefix(PREFIX)
    same_key = [each for each in names if each.endswith("__" + given)]
    if same_key:
        return f"; did you mean '{same_key[0]}'?"
    near = nearest(given, [each.removeprefix(PREFIX).lower() for each in names])
    return re.sub("'(.*)'", lambda match: f"'{PREFIX}{match[1].upper()}'", near)


def _rest(loc: Loc, forms: Sequence[Form]) -> str:
    """What of `loc` lies inside the variable's value."""
    if not forms or len(loc) <= len(forms[0].loc):
        return ""
    if len(forms[0].loc) == 1:
        return f": {key_text(loc)}"
    return "".join(f"[{step}]" for step in loc[len(forms[0].loc) :])


def _decoded(form: Form, text: str) -> Any:
    """What cannot be decoded stays text, and is then refused for its type."""
    if form.secret:
        return SecretStr(text)
    match form.kind:
        case Kind.FLAG:
            return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
        case Kind.NUMBER:
            return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
        case Kind.JSON:
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise ValueError(f"must be JSON, such as {_JSON.get(str(form.loc[-1]), _JSON_LIST)}") from None
        case Kind.TEXT:
            return text


_JSON_LIST = '["a", "b"]'
_JSON = {
    "group": '[{"name": "daily", "inputs": ["nixpkgs"]}]',
    "hook": '[{"event": "published", "command": ["/bin/true"]}]',
    "options": '{"sandbox": true}',
    "input": '{"nixpkgs": {"minimum_age": "3d"}}',
    "forge": '{"git.example.org": {"kind": "forgejo"}}',
}


def credentials(environ: Mapping[str, str], forms: Sequence[Form]) -> Layer:
    """systemd's credentials: `LoadCredential=eval.access_tokens:/path` sets that key. Only secrets are sought."""
    directory = environ.get("CREDENTIALS_DIRECTORY")

    def path(loc: Loc) -> Path:
        return Path(directory or "") / ".".join(map(str, loc))

    layer = Layer({}, lambda loc: (0, str(path(loc))))
    for form in _named(forms, Path(directory)) if directory else ():
        if form.secret and os.path.lexists(path(form.loc)):
            _set(layer.data, form.loc, "")
            _try(layer, form.loc, read_secret, path(form.loc))
    return layer


def _expanded(forms: Sequence[Form], data: Mapping[str, Any]) -> Iterator[Form]:
    """Forms with a name for EACH that there is in the data."""
    for form in forms:
        if EACH not in form.loc:
            yield form
            continue
        tables = _get(data, form.loc[: form.loc.index(EACH)])
        names = range(len(tables)) if isinstance(tables, list) else tables if isinstance(tables, dict) else ()
        for name in names:
            yield replace(form, loc=tuple(name if step == EACH else step for step in form.loc))


def _named(forms: Sequence[Form], directory: Path) -> Iterator[Form]:
    """Forms with a name for EACH that there is among a directory's files: `forge.HOST.token`."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(path.name for path in directory.iterdir())
    for form in forms:
        if EACH not in form.loc:
            yield form
            continue
        if form.listed:
            continue  # a list of the file's would be replaced, not completed
        before, after = ".".join(map(str, form.loc)).split(EACH)
        for name in names:
            if name.startswith(before) and name.endswith(after) and len(name) > len(before + after):
                given = name.removeprefix(before).removesuffix(after)
                yield replace(form, loc=tuple(given if step == EACH else step for step in form.loc))


def _secret_of_file(
    value: object, base: Callable[[], Path], environ: Mapping[str, str], read: Callable[[Path], SecretStr]
) -> SecretStr:
    """In the file a secret is only ever pointed at: configurations are shared, committed, and in the Nix store."""
    if isinstance(value, dict) and set(value) == {"file"} and isinstance(value["file"], str):
        return read(Path(absolute(value["file"], base, environ)))
    if isinstance(value, dict) and set(value) == {"credential"} and isinstance(value["credential"], str):
        return read(_credential(value["credential"], environ))
    raise ValueError('is a secret, which does not belong in this file: write { file = "/path/to/it" }')


ELSEWHERE = "(a credential, which only systemd gives)"
"""In place of a secret that a list's table can't do without."""


def _is_given_elsewhere(value: object, environ: Mapping[str, str]) -> bool:
    """Whether only a unit of systemd's has it: a person who calls lockbot does without, and so does who builds the
    system. What only a unit can do with it, only that does."""
    if not isinstance(value, dict) or set(value) != {"credential"} or "CREDENTIALS_DIRECTORY" in environ:
        return False
    return isinstance(value["credential"], str) and _CREDENTIAL.fullmatch(value["credential"]) is not None


def _leave_out(data: dict[str, Any], form: Form) -> None:
    if form.listed:
        _set(data, form.loc, SecretStr(ELSEWHERE))
    else:
        _drop(data, form.loc)


_CREDENTIAL = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.:-]+")


def _credential(name: str, environ: Mapping[str, str]) -> Path:
    """The file of one of systemd's credentials."""
    if not _CREDENTIAL.fullmatch(name):
        raise ValueError("must name one of systemd's credentials, such as lockbot-ntfy")
    return Path(environ.get("CREDENTIALS_DIRECTORY", "")) / name


def _unread(path: Path) -> SecretStr:  # noqa: ARG001 -- in the place of read_secret
    return SecretStr("https://unread.invalid/")  # a line, and an address: whatever a key wants it to be


def read_secret(path: Path) -> SecretStr:
    """The first and only line of a file."""
    try:
        return SecretStr(oserrors.read(path, LARGEST_FILE).decode().strip())
    except OSError as error:
        raise ValueError(f"cannot read the secret {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"cannot read the secret {path}: not UTF-8") from None


def absolute(text: str, base: Callable[[], Path], environ: Mapping[str, str]) -> str:
    """A path that no longer depends on where lockbot is started. Links stay as they are."""
    if not text:
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    if re.match(r"\w[\w+.-]*://", text):
        raise ValueError("is an address, not a path: that of a repository goes into repository.url")
    if text == "~" or text.startswith("~/"):
        text = str(home(environ)) + text[1:]
    elif text.startswith("~"):
        raise ValueError("must not start with ~NAME: write the path out (or ./~NAME)")
    # `..` stays: behind a link it is not what the text suggests
    return str(Path(text) if text.startswith("/") else base() / text)


def home(environ: Mapping[str, str]) -> Path:
    """Raises ValueError where nothing tells."""
    if told := environ.get("HOME"):
        return Path(told)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise ValueError(f"HOME is not set, and the system knows no user with uid {os.getuid()}") from None


def state_directory(environ: Mapping[str, str]) -> str:
    """systemd's, else the XDG base directory specification's. Raises UsageError where there is no home for it."""
    of_service = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if of_service.startswith("/"):
        return of_service
    of_user = environ.get("XDG_STATE_HOME", "")
    try:
        root = Path(of_user) if of_user.startswith("/") else home(environ) / ".local/state"
    except ValueError as error:
        raise UsageError(
            f"there is no place for the state directory: {error}", "set HOME, or `[state] directory`"
        ) from None
    return str(root / "lockbot")


def _get(data: Mapping[str, Any], loc: Loc) -> Any:
    value: Any = data
    for step in loc:
        if isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _set(data: dict[str, Any], loc: Loc, value: object) -> None:
    *tables, name = loc
    inside: Any = data
    for table in tables:
        inside = inside[table] if isinstance(table, int) else inside.setdefault(table, {})
    inside[name] = value


def _try(layer: Layer, loc: Loc, read: Callable[P, object], *args: P.args, **named: P.kwargs) -> None:
    """Put what is read at `loc`, or note why it can't be, and leave the key out."""
    try:
        _set(layer.data, loc, read(*args, **named))
    except ValueError as error:
        layer.mistakes.append(layer.mistake(loc, str(error)))
        _drop(layer.data, loc)


def _drop(data: dict[str, Any], loc: Loc) -> None:
    *tables, name = loc
    inside: Any = data
    for table in tables:
        inside = inside[table]
    inside.pop(name, None)
