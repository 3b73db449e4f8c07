"""Handing over: when a person takes a conversation from the bot, what the customer is told, what the operator reads."""
