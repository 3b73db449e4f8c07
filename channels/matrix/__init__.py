"""Matrix, with encryption."""
