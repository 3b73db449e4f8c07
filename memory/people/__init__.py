"""Repositories of people and facts; linking, export and erasure of people."""
