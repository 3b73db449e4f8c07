"""HTTP: health, and what channels are called by."""
