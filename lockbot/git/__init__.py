"""Everything that knows git: lockbot's own clone and worktrees, and publishing to the user's branch."""
