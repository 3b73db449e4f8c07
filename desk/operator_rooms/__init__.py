"""Operators' rooms: operators work on tickets in a chat, where each ticket is a thread."""
