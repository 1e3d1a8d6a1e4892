"""Tests of what Nix is given of this machine."""
