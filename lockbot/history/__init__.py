"""What is remembered between runs: SQLite, and the logs beside it."""
