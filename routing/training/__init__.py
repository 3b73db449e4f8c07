"""Training and evaluation of the router. Nothing here runs in a turn, except for examples of use."""
