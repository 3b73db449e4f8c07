"""E-mail channel: IMAP for receiving, SMTP for sending."""
