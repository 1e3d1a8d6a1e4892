"""Tests that walk through the whole program: one question put to every command, file or name."""
