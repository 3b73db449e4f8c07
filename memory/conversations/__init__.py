"""Repositories of conversations, turns, summaries and ratings."""
