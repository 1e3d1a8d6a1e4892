"""Pages that the history fills: runs, their logs, hosts over time, and when packages changed."""
