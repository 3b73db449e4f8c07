"""Guards: deterministic checks of each sentence of an answer before it is shown, and of the whole answer."""
