"""Chat commands, the same on every channel."""
