"""A run told to people and machines: commit message, terminal, JSON. Pure: values in, text out."""
