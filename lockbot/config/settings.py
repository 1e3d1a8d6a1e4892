"""Settings, made of what the sources give: environment before systemd credentials before file before defaults."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BeforeValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from lockbot.config.errors import LISTED, Loc, Mistake, explain
from lockbot.config.sections import (
    AfterUpdate,
    Build,
    Commit,
    DaemonLimits,
    Eval,
    ForgeAccount,
    Group,
    Hook,
    Hosts,
    InputPolicy,
    NotifyTarget,
    Ping,
    Policy,
    Publish,
    Repository,
    Review,
    RunLimits,
    Schedule,
    Search,
    Section,
    Security,
    State,
    Web,
)
from lockbot.config.sources import EACH, Form, Kind, Layer, credentials, environment, file_layer, state_directory
from lockbot.config.types import ForgeHost, Local, Person, Text, duration, duration_text, size, size_text
from lockbot.errors import UsageError
from lockbot.policy.rules import PolicyRules

_layers: ContextVar[tuple[Layer, ...]] = ContextVar("layers", default=())
"""What the next Settings() is made of, strongest first: pydantic-settings asks for it in a class method."""


class Settings(BaseSettings):
    """The whole configuration. Made by `load`; by itself it reads nothing, neither file nor environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    repository: Repository = Repository()
    state: State
    hosts: Hosts = Hosts()
    eval: Eval = Eval()
    build: Build = Build()
    review: Review = Review()
    run: RunLimits = RunLimits()
    commit: Commit = Commit()
    policy: Policy = Policy()
    input: Mapping[Text, InputPolicy] = {}
    search: Search = Search()
    after_update: AfterUpdate = AfterUpdate()
    forge: Mapping[ForgeHost, ForgeAccount] = {}
    publish: Publish = Publish()
    schedule: Schedule = Schedule()
    daemon: DaemonLimits = DaemonLimits()
    group: tuple[Group, ...] = ()
    web: Web = Web()
    notify: tuple[NotifyTarget, ...] = ()
    ping: Ping = Ping()
    hook: tuple[Hook, ...] = ()
    security: Security = Security()

    def policy_rules(self) -> PolicyRules:
        """[policy] and [input.*], as plain values."""
        own = {name: table.over(self.policy) for name, table in self.input.items()}
        return PolicyRules(self.policy.rules(), own)

    @field_validator("group", "notify", mode="wrap")
    @classmethod
    def _names_differ(
        cls, value: Any, inner: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> tuple[Section, ...]:
        """Wrapped around the tables' own checks, so that both kinds of mistake are told at once."""
        title = str(info.field_name)
        errors = [_same_name(title, position) for position in _repeated(value)]
        try:
            tables: tuple[Section, ...] = inner(value)
        except ValidationError as error:
            errors += [
                InitErrorDetails(type=e["type"], loc=e["loc"], input=e["input"], ctx=e.get("ctx", {}))
                for e in error.errors()
            ]
            tables = ()
        if errors:
            raise ValidationError.from_exception_data(title, errors, hide_input=True)
        return tables

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, dotenv_settings, file_secret_settings  # `sources` says why not
        return init_settings, *(InitSettingsSource(settings_cls, layer.data) for layer in _layers.get())


def _repeated(tables: object) -> Iterator[int]:
    """The positions of tables whose name an earlier one has."""
    seen: list[object] = []
    for position, table in enumerate(tables if isinstance(tables, list) else []):
        name = table.get("name") if isinstance(table, dict) else None
        if name is not None and name in seen:
            yield position
        seen.append(name)


def _same_name(title: str, position: int) -> InitErrorDetails:
    error = ValueError(f"an earlier {title} has the same name")
    return InitErrorDetails(type="value_error", loc=(position, "name"), input=None, ctx={"error": error})


@dataclass(frozen=True)
class Key:
    """A key as documentation needs it. `section` is `group` for those of [[group]], for instance."""

    section: str
    name: str
    meaning: str
    default: Any
    """As TOML would hold it; None: there is none. Then `absent` says what happens without, or it is required."""
    absent: str
    example: Any
    form: Form
    kind: Any
    """Its type, without `| None` and what it is annotated with."""
    marks: tuple[Any, ...]
    """What it is annotated with: pydantic's validators and limits."""


def sections() -> dict[str, type[Section]]:
    """Every table of the file with its model, in the order in which they are best read."""
    return {name: _section(field) for name, field in Settings.model_fields.items()}


MANY = frozenset({"input", "forge"}) | LISTED
"""The sections of which there may be several: [input.NAME] and [forge.HOST] by name, the others in a list."""


def _section(field: FieldInfo) -> type[Section]:
    kind: Any = field.annotation
    match get_origin(kind):
        case origin if origin is tuple:
            kind = get_args(kind)[0]
        case origin if origin is Mapping:
            kind = get_args(kind)[1]
    assert isinstance(kind, type) and issubclass(kind, Section)
    return kind


def keys() -> Iterator[Key]:
    """Every key, section by section; those of [input.NAME] are [policy]'s."""
    for section, model in sections().items():
        if section == "input":
            continue
        for name, info in model.model_fields.items():
            kind, marks = _kind(info)
            extra = info.json_schema_extra
            extra = extra if isinstance(extra, dict) else {}
            yield Key(
                section,
                name,
                info.description or "",
                None if info.is_required() else _written(info.default, marks),
                str(extra.get("absent") or ""),
                extra.get("example"),
                _form(section, name, kind, marks),
                kind,
                tuple(marks),
            )


def _kind(info: FieldInfo) -> tuple[Any, list[Any]]:
    """A key's type without `| None`, and what it is annotated with."""
    kind, marks = info.annotation, list(info.metadata)
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        marks += more
    return kind, marks


def _form(section: str, name: str, kind: Any, marks: list[Any]) -> Form:
    """How the environment's text becomes this key's value."""
    loc = (section, EACH, name) if section in MANY else (section, name)
    how = Kind.TEXT
    if get_origin(kind) in (tuple, Mapping):
        how = Kind.JSON
    elif kind in (bool, int):
        how = Kind.FLAG if kind is bool else Kind.NUMBER
    return Form(
        loc,
        how,
        secret=kind is SecretStr,
        local=any(isinstance(mark, Local) for mark in marks),
        listed=section in LISTED,
    )


def _written(value: Any, marks: list[Any]) -> Any:
    """A default as one would write it: 21600.0 → "6h"."""
    readers = [mark.func for mark in marks if isinstance(mark, BeforeValidator)]
    if duration in readers:
        return duration_text(value)
    if size in readers and value is not None:
        return size_text(value)
    return str(value) if isinstance(value, Person) else value


def forms() -> list[Form]:
    """What can be given elsewhere than in the file: every key of which there is one, the secrets of those of which
    there may be several, and the latter's sections as JSON."""
    return [
        *(key.form for key in keys() if key.section not in MANY or key.form.secret),
        *(Form((name,), Kind.JSON) for name in sorted(MANY)),
    ]


def load(path: Path | None, environ: Mapping[str, str], *, secrets: bool = True) -> Settings:
    """The settings; `path` None: without a file. Raises UsageError with every mistake, each with its place.

    `secrets` False: only to see whether the file is right; the secrets that it points at are not read.
    """
    known = forms()
    files = [file_layer(path, known, environ, secrets=secrets)] if path is not None else []
    given = (environment(environ, known), credentials(environ, known), *files)
    told = any(layer.holds(("state", "directory")) for layer in given)
    default = {} if told else {"state": {"directory": state_directory(environ)}}
    layers = (*given, Layer(default, lambda loc: (0, ".".join(map(str, loc)))))
    mistakes = {mistake for layer in layers for mistake in layer.mistakes}
    token = _layers.set(layers)
    try:
        settings = Settings()
    except ValidationError as error:
        mistakes |= {_mistake(details, layers) for details in error.errors(include_url=False)}
    finally:
        _layers.reset(token)
    if mistakes:
        text = "\n".join(str(mistake) for mistake in sorted(mistakes))
        raise UsageError(text, "docs/configuration.md explains every key")
    return settings


def _mistake(details: Any, layers: tuple[Layer, ...]) -> Mistake:
    loc: Loc = details["loc"]
    section = sections().get(str(loc[0])) if loc else None
    siblings = list(section.model_fields if section and len(loc) > 1 else sections())
    elsewhere = {key.name: f"{key.section}.{key.name}" for key in keys() if key.section not in MANY}
    inside = loc[:-1] if details["type"] == "missing" else loc
    layer = next((layer for layer in layers if layer.holds(inside)), layers[-2])
    return layer.mistake(loc, explain(details, siblings, elsewhere))
