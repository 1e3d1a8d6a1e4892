"""What lockbot is packaged as: nix/'s modules and flake.nix, evaluated by real Nix."""
