"""Chatwoot, as its agent bot."""
