"""The llama.cpp engine, which runs GGUF files inside this process."""
