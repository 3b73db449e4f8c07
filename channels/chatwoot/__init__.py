"""The Chatwoot channel: an agent bot with a signed webhook."""
