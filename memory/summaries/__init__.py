"""What older turns said, in short."""
