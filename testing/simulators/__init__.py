"""Simulated chat platforms that channels connect to without a network."""
