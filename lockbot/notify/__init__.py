"""Telling people and programs: notifications, pings, hooks. Knows how to tell, not what a run does."""
