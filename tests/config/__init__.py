"""Tests of lockbot.config."""
