"""The Telegram channel: the Bot API by long polling or webhook, on python-telegram-bot."""
