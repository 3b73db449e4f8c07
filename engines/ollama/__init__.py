"""The Ollama engine, which uses Ollama's native API."""
