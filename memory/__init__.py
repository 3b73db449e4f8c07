"""The database: opening, tenants, tables, migrations, and a file for each repository of stored data."""
