"""Embedders: the port and one module per engine."""
