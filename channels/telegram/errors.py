"""Translate errors of python-telegram-bot to ``ChannelError``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from qwendesk.errors import ChannelError

if TYPE_CHECKING:
    from telegram.error import RetryAfter


@asynccontextmanager
async def translate_errors() -> AsyncIterator[None]:
    """Raise ``ChannelError`` for errors of the library."""
    from telegram import error

    try:
        yield
    except error.RetryAfter as busy:
        wait = _seconds(busy)
        raise ChannelError(f"Telegram asks to wait {wait:g} s.", retry_after=wait) from busy
    except error.Forbidden as gone:
        raise ChannelError(f"Telegram does not deliver to this chat: {gone.message}.", permanent=True) from gone
    except error.InvalidToken as wrong:
        text = "Telegram refuses the bot's token: copy it from @BotFather into QWENDESK_CHANNELS__TELEGRAM__TOKEN."
        raise ChannelError(text, permanent=True) from wrong
    except error.ChatMigrated as moved:
        raise ChannelError(f"The group has become the chat {moved.new_chat_id}.", permanent=True) from moved
    except error.BadRequest as bad:
        raise ChannelError(f"Telegram refuses the message: {bad.message}.", permanent=True) from bad
    except error.TelegramError as failed:
        raise ChannelError(f"Telegram cannot be reached: {failed.message}.") from failed


def _seconds(busy: RetryAfter) -> float:
    wait = busy.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
