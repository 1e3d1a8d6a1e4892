"""Tests of lockbot.git, on real repositories."""
