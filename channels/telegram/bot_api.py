"""Bot API calls: send and edit messages, send files, show typing; and the errors of python-telegram-bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from qwendesk.errors import ChannelError, ThreadGone
from qwendesk.messages import Attachment, Outbound

if TYPE_CHECKING:
    from telegram import Bot
    from telegram.error import RetryAfter

_MAX_SHORT_LABEL_CHARS, _IN_A_ROW = 12, 4
"""Label characters and buttons of one keyboard row, for a narrow screen."""
_NO_TOPIC = ("message thread not found", "topic_deleted", "topic_id_invalid")
_TOPIC_RIGHT = " Make the bot an administrator of the operators' room with the right to manage topics."
_ROOM_ADVICE = {
    "not enough rights to create a topic": _TOPIC_RIGHT,
    "chat_admin_required": _TOPIC_RIGHT,
    "topic_closed": f" Open the topic again.{_TOPIC_RIGHT}",
    "not a forum": " Switch on topics in the settings of the group that is the operators' room.",
}
"""What to do, by a part of Telegram's error about an operators' room."""
_MAX_TOPIC_NAME_CHARS = 128


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
        if any(text in bad.message.lower() for text in _NO_TOPIC):
            raise ThreadGone(f"The topic was deleted: {bad.message}.", permanent=True) from bad
        advice = next((advice for text, advice in _ROOM_ADVICE.items() if text in bad.message.lower()), "")
        raise ChannelError(f"Telegram refuses the message: {bad.message}.{advice}", permanent=True) from bad
    except error.TelegramError as failed:
        raise ChannelError(f"Telegram cannot be reached: {failed.message}.") from failed


def _seconds(busy: RetryAfter) -> float:
    wait = busy.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


async def send(bot: Bot, message: Outbound, *, markup: bool = True) -> str:
    """Send the text, then the files; return the id of the first message."""
    ids = [await _send_text(bot, message, markup=markup)] if message.text else []
    ids += [await _send_file(bot, message, file) for file in message.attachments]
    return ids[0]


async def edit(bot: Bot, message_id: str, message: Outbound) -> None:
    """Edit the text of a message; an unchanged text is no error."""
    from telegram.constants import ParseMode
    from telegram.error import BadRequest

    chat, _ = _chat_and_topic(message.conversation)
    for text, mode in ((message.text, ParseMode.HTML), (message.plain or message.text, None)):
        try:
            await bot.edit_message_text(text, chat, int(message_id), parse_mode=mode, **_markup_options(message))
            return
        except BadRequest as error:
            if "not modified" in error.message:
                return
            if mode is None or "parse" not in error.message:
                raise


async def create_topic(bot: Bot, chat: str, title: str) -> int:
    """Create a forum topic in a group and return its id."""
    return (await bot.create_forum_topic(int(chat), title[:_MAX_TOPIC_NAME_CHARS])).message_thread_id


async def check_room(bot: Bot, chat: str) -> str:
    """Return the title of the group that is the operators' room.

    Raises:
        ChannelError: it has no topics, or the bot is no member or may not manage topics.
    """
    from telegram.error import BadRequest, Forbidden

    try:
        group = await bot.get_chat(int(chat))
    except (BadRequest, Forbidden) as error:
        text = f"The bot is not in the operators' room {chat}: add it to the group, or correct its id"
        raise ChannelError(f"{text} ({error.message}).", permanent=True) from error
    if not group.is_forum:
        raise ChannelError(f"The operators' room {group.title!r} has no topics: switch them on.", permanent=True)
    me = await bot.get_chat_member(int(chat), bot.id)
    if not getattr(me, "can_manage_topics", me.status == "creator"):
        raise ChannelError(f"The bot may not make topics in {group.title!r}.{_TOPIC_RIGHT}", permanent=True)
    return str(group.title)


async def typing(bot: Bot, conversation: str) -> None:
    """Show the typing indicator."""
    from telegram.constants import ChatAction

    chat, topic = _chat_and_topic(conversation)
    await bot.send_chat_action(chat, ChatAction.TYPING, message_thread_id=topic)


async def _send_text(bot: Bot, message: Outbound, *, markup: bool) -> str:
    from telegram.constants import ParseMode
    from telegram.error import BadRequest

    where = _destination(message) | _markup_options(message)
    if markup:
        try:
            return str((await bot.send_message(text=message.text, parse_mode=ParseMode.HTML, **where)).message_id)
        except BadRequest as error:
            if "parse" not in error.message:
                raise
    return str((await bot.send_message(text=message.plain or message.text, **where)).message_id)


async def _send_file(bot: Bot, message: Outbound, file: Attachment) -> str:
    from telegram import InputFile

    upload, where = InputFile(file.data, file.name or None), _destination(message)
    if file.kind == "image" and len(file.data) <= 10 * 2**20:
        return str((await bot.send_photo(photo=upload, **where)).message_id)
    if file.mime == "audio/ogg":
        return str((await bot.send_voice(voice=upload, **where)).message_id)
    return str((await bot.send_document(document=upload, **where)).message_id)


def _chat_and_topic(conversation: str) -> tuple[int, int | None]:
    chat, _, topic = conversation.partition(":")
    return int(chat), int(topic) if topic else None


def _destination(message: Outbound) -> dict[str, Any]:
    from telegram import ReplyParameters

    chat, topic = _chat_and_topic(message.conversation)
    quoted = ReplyParameters(int(message.reply_to), allow_sending_without_reply=True) if message.reply_to else None
    return {"chat_id": chat, "message_thread_id": topic, "reply_parameters": quoted}


def _markup_options(message: Outbound) -> dict[str, Any]:
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions

    buttons = [InlineKeyboardButton(button.shown_label, callback_data=button.value) for button in message.buttons]
    short = all(len(button.shown_label) <= _MAX_SHORT_LABEL_CHARS for button in message.buttons)
    rows = [buttons] if buttons and short and len(buttons) <= _IN_A_ROW else [[button] for button in buttons]
    # a preview would fetch a URL that the model may have invented
    previews = LinkPreviewOptions(is_disabled=True)
    return {"reply_markup": InlineKeyboardMarkup(rows) if rows else None, "link_preview_options": previews}
