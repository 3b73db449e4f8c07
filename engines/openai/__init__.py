"""The engine of OpenAI-compatible servers."""
