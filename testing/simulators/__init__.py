"""Simulators of chat platforms."""
