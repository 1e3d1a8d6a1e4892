"""What Nix is given of this machine: variables (`variables`), nix.conf (`configuration`), files (`place`)."""

from lockbot.nix.environment.place import Place
from lockbot.nix.environment.variables import FEATURES, SETTINGS, environment

__all__ = ["FEATURES", "SETTINGS", "Place", "environment"]
