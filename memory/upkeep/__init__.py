"""Care for the database: check, back up, restore, retention."""
