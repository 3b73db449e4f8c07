"""Service times of tickets in open time, and what happens to tickets by the clock."""
