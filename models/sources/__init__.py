"""Sources of model files: hubs, package indexes, the Ollama registry, local files."""
