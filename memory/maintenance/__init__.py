"""Maintenance of the database: check, backup, dump, retention."""
