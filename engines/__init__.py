"""Run a model: llama.cpp, Ollama, OpenAI-compatible servers, scripted; the catalogue and the model store."""
