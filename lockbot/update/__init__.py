"""One update cycle: sync, propose, judge, publish."""
