"""Maintenance of the database: check, backup, portable dump, retention."""
