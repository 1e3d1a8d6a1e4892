"""Tests of what other programs are kept from: real Nix, git and hooks beside secrets that must stay put."""
