"""Everything that knows Nix: its lock files, its commands, its failures. `command` holds every version branch."""
