"""Repositories of turns, conversations, summaries and feedback."""
