"""Platforms without a network: what a person does there, and what she sees."""
