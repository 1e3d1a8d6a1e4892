"""The configuration: `load` reads it, Settings holds it, `keys` describes it.

Only app, daemon and cli may import this; what is below them gets plain arguments. Importing it costs a quarter of
a second (pydantic), so the command line does it late.
"""

from lockbot.config.secret_files import secret_files
from lockbot.config.sections import Group
from lockbot.config.settings import Settings, keys, load
from lockbot.config.types import Person, Sign, Strategy

__all__ = ["Group", "Person", "Settings", "Sign", "Strategy", "keys", "load", "secret_files"]
