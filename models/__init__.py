"""Models: which ones exist, which one suits a machine, where their files come from."""
