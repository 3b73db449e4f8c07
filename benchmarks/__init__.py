"""What the README and docs claim, measured; run by ``make bench``."""
