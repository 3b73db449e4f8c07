"""Routing: which role answers a message, and why. It uses no model and no engine."""
