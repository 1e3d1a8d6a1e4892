"""What is told of many runs together: each in short, by day, by host and by package; their totals, and what they
could not judge."""
