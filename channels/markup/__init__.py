"""Markdown answers rendered in the markup of each platform."""
