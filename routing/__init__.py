"""Routing: choose the role that answers a message, without a model or an engine."""
