"""IRC: a nick that is spoken to in channels and privately."""
