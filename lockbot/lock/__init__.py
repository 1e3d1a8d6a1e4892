"""flake.lock files: the one that an update asks for, and those with each input at a revision that is chosen."""
