"""Model sources: hubs, package indexes, the Ollama registry, local files."""
