"""People who answer customers: accounts, passwords, the second factor, sessions in a browser, and the audit log."""
