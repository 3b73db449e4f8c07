"""The nodes of a turn's graph; each is a function from the state to its changes."""
