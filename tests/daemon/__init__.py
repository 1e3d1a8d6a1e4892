"""Tests of lockbot.daemon: the service started as a process, and what it tells systemd."""
