"""The inbox: accept, store, queue and recover messages."""
