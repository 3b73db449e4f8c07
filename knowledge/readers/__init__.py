"""Readers: one function for each kind of file; all run in a worker process with limits."""
