"""What people were told, and what waits to be sent to them: conditions and the outbox, in the history."""
