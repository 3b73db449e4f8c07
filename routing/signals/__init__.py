"""Signals of a message: its language, cue words, references to earlier messages."""
