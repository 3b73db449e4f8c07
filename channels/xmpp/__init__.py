"""The XMPP channel with private chats and multi-user rooms, on slixmpp."""
