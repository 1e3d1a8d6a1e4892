"""What other programs are kept from."""

from __future__ import annotations

from pydantic import field_validator

from lockbot.config.sections.section import Names, Section, key
from lockbot.confine import Confine


class Security(Section):
    """What Nix, git and the commands of this configuration may read and write: see security.md."""

    confine: Confine = key(
        Confine.WHEN_POSSIBLE,
        "`when-possible`: confined where the kernel has Landlock; `required`: else nothing runs; `never`.",
    )
    readable: Names = key(
        (),
        "What Nix, git and hooks may read besides, such as ~/.git-credentials for private inputs.",
        example=["~/.git-credentials"],
    )

    @field_validator("readable")
    @classmethod
    def _are_absolute(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not path.startswith(("/", "~/")):
                raise ValueError(f"must be absolute paths, or begin with ~/: {path}")
            if path.rstrip("/") in ("", "~"):
                raise ValueError(f"must not be all there is: {path}")
        return paths
