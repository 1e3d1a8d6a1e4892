"""The health of a flake.lock: what is wrong with it, or soon will be, and what mends it."""
