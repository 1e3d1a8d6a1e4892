"""lockbot: keeps a flake's inputs as new as they can be while every host still builds."""

__version__ = "0.1.0"
