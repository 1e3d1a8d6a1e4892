"""The repositories of inputs: where their branches are now, and copies of their histories."""
