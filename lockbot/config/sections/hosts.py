"""What must build, and how it is evaluated and built."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from lockbot.config.options import NixOptions
from lockbot.config.sections.section import Names, Section, key
from lockbot.config.types import (
    AttributePath,
    Count,
    Duration,
    Flag,
    Secret,
    Size,
    Timeout,
    duration,
    duration_text,
)
from lockbot.model import Gate, HostKind


class Hosts(Section):
    __doc__ = f"Which of the flake's {HostKind.named()} must build."

    include: Names = key(
        ("*",), f"Shell-style patterns on the name (`web*`) or the attribute (`{HostKind.HOME}.*`)."
    )
    exclude: Names = key((), "Patterns of those to leave out.")
    attributes: tuple[AttributePath, ...] = key(
        (),
        'Other attributes that must build, such as `packages.x86_64-linux.tool` or `checks.x86_64-linux."a.b"`.',
    )
    evaluate_only: Names = key((), "Patterns of those that only have to evaluate, and are not built.")
    unbuildable: Names = key((), "Patterns of those that nothing here can build: evaluated, never judged good.")

    @model_validator(mode="after")
    def _not_nothing(self) -> Hosts:
        if not self.include and not self.attributes:
            why = ValueError("is empty, and attributes too: nothing would be built before it is published")
            error = InitErrorDetails(type="value_error", loc=("include",), input=None, ctx={"error": why})
            raise ValidationError.from_exception_data("hosts", [error], hide_input=True)
        return self


class Eval(Section):
    """Evaluation: Nix reading the flake, before anything is built."""

    workers: Count | None = key(
        None,
        "How many hosts are evaluated at the same time.",
        absent="one for each core",
        example=2,
        ge=1,
        le=1024,
    )
    memory: Size | None = key(
        None,
        "What all evaluations together may use of memory.",
        absent="half of the machine's",
        example="8G",
        ge=16 * 1024**2,
    )
    timeout: Timeout = key(duration("30m"), "The longest that one host's evaluation may take.")
    import_from_derivation: Flag = key(True, "Let an evaluation build what it wants to read.")
    access_tokens: Secret | None = key(
        None,
        "Nix's access-tokens (`github.com=TOKEN …`) for private inputs and rate limits. A secret: "
        "in this file only as `{ file = … }`, else the environment or the credential `eval.access_tokens`.",
        absent="none",
        example={"file": "/run/secrets/nix-access-tokens"},
    )


class Build(Section):
    """Building the hosts, and what counts as good."""

    gate: Gate = key(
        Gate.NO_REGRESSION, "`no-regression`: hosts that were broken before do not block; `all-green`: they do."
    )
    timeout: Timeout = key(duration("6h"), "The longest that one derivation's build may take.")
    silence: Timeout = key(duration("1h"), "The longest that a build may go without printing anything.")
    jobs: Count | None = key(
        None,
        "How many derivations are built here at the same time; 0: only on remote builders.",
        absent="Nix's own setting",
        example=2,
        ge=0,
        le=1000,
    )
    cores: Count | None = key(
        None, "How many cores one build may use; 0: all.", absent="Nix's own setting", example=4, ge=0, le=10000
    )
    retries: Count = key(3, "How often to try again when network, daemon or builder fail.", ge=0, le=100)
    retry_delay: Duration = key(duration("5s"), "The wait before the first of these; it doubles each time.")
    options: NixOptions = key({}, "Further Nix settings, as in nix.conf.", example={"sandbox": True})

    @field_validator("silence")
    @classmethod
    def _silence_within(cls, silence: float, info: ValidationInfo) -> float:
        timeout = info.data.get("timeout", silence)
        if silence > timeout:
            raise ValueError(f"must not be longer than build.timeout, which is {duration_text(timeout)}")
        return silence


class Review(Section):
    """What is told of an update beside how hosts fare: what it means for each, before anyone switches."""

    differences: Flag = key(
        True, "Compare each host with what it is without the update, and tell what a switch does."
    )
    build_base: Flag = key(
        True,
        "Fetch or build what hosts are without the update, where the store lacks it: else there is nothing to "
        "compare with. Never what `policy.never_compile` or `policy.max_builds` forbid.",
    )
    upstream: Flag = key(True, "Tell upstream's commits: all where they are few, else those that touch the hosts.")


class AfterUpdate(Section):
    """Commands that regenerate files from the new lock: what they change joins the commit, judged with it."""

    commands: tuple[Annotated[Names, Field(min_length=1)], ...] = key(
        (),
        "Each a program and its arguments, run without a shell in the flake's directory of lockbot's work tree.",
        example=[["./scripts/regenerate", "--all"]],
    )
    paths: Names = key(
        (),
        "Patterns of the files that they may change, from the repository's root; any other is an error.",
        example=["generated/*"],
    )
    timeout: Timeout = key(duration("10m"), "The longest that one of them may take.")

    @model_validator(mode="after")
    def _declared(self) -> AfterUpdate:
        if self.commands and not self.paths:
            raise ValueError("commands are given, but paths, which says what they may change, is empty")
        return self
