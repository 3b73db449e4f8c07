"""The Matrix channel with end-to-end encryption, on matrix-nio."""
