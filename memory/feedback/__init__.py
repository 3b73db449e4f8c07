"""What became of past turns, and what people thought of the answers."""
