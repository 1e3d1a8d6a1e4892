"""Tests of lockbot.process, on real children."""
