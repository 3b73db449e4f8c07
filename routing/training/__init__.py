"""Training and evaluation of the router. The code of turns does not use it."""
