"""Parsing of streamed answers: text, thinking, tool calls."""
