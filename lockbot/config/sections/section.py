"""What sections are made of: keys with their meaning, and what happens where one is not given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from lockbot.config.types import (
    Local,
    Text,
)

Directory = Annotated[Path, Local()]
Names = tuple[Text, ...]


def key(default: Any, meaning: str, *, absent: str = "", example: Any = None, **limits: Any) -> Any:
    """A key. Where the default is None, `absent` says what happens then, and `example` what could be written."""
    return Field(default, description=meaning, json_schema_extra={"absent": absent, "example": example}, **limits)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
