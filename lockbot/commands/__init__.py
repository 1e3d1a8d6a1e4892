"""What each command does: one module for a command, or for those that belong together. Words are cli's."""
