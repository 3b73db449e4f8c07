"""Who writes: names on channels, links between them, everything about a person, and its removal."""
