"""An answer's text in the shape a platform takes: its markup, its length."""
