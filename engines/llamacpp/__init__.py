"""The llama.cpp engine, embedded in this process."""
