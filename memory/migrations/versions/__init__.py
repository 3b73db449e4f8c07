"""Migrations, named after their revisions."""
