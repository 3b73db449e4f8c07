"""The steps of a turn, one module each; every node is a function from the state to its changes."""
