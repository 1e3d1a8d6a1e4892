"""systemd's units in a built system: what is in their files, which of them run, what a switch does with each."""
