"""What an update means for each host, told: in a commit's message, on a terminal, as JSON."""
