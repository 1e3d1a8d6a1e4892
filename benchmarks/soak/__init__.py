"""A year of nights in an hour: whether what lockbot keeps stays bounded, and its services stay small."""
