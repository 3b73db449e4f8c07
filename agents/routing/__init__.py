"""Which specialist a message goes to, and why."""
