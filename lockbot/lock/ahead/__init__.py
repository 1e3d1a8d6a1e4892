"""What an update would bring into a flake.lock, found out before Nix fetches it: by looking at trees alone."""
