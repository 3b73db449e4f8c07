"""What is known about a person: learned, superseded, forgotten."""
