"""Where people write: the terminal, and every chat network."""
