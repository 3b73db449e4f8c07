"""Outbound webhooks: events of tickets are posted to other programs, signed, in order, with retries."""
