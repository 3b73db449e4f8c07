"""What makes it a desk: taking a message, answering it, keeping it."""
