"""XMPP: an account that is written to directly and in rooms."""
