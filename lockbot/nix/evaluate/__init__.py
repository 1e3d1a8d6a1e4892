"""Asking a flake what it builds: the names of its hosts, and each host's derivation.

`hosts` lists them, `pool` keeps several evaluators at work, `evaluator` is one of them, and `fault` says whose
fault it is that one has failed.
"""

from lockbot.nix.evaluate.evaluator import Evaluation, Job
from lockbot.nix.evaluate.hosts import host_names
from lockbot.nix.evaluate.pool import Explain, Limits, evaluate

__all__ = ["Evaluation", "Explain", "Job", "Limits", "evaluate", "host_names"]
