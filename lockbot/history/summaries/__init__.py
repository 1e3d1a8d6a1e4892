"""What is told of many runs together: each in short, their totals, and what they could not judge."""
