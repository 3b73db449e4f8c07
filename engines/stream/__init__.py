"""Parse streamed answers into text, thinking and tool calls."""
