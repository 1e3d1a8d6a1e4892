"""Measurements of lockbot against what one would do without it. `python -m benchmarks --help`."""
