"""Opening hours, the service times that are counted in them, and what is due by the clock."""
