"""Checks of answers that need no model."""
