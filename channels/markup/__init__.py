"""Render Markdown answers in the markup of each platform."""
