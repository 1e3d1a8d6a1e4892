"""Realising derivations: in which order, how often, and what came of it."""

from lockbot.nix.build.builder import Builder, Limits
from lockbot.nix.build.target import Target

__all__ = ["Builder", "Limits", "Target"]
