"""Check what can be checked of an answer without asking a model."""
