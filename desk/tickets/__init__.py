"""Tickets: one for each matter of a customer, their states, and the one path by which they change."""
