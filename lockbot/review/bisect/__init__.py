"""With which commit, input and upstream commit a command began to fail on a host: `lockbot bisect`."""
