"""Bot API calls: send and edit messages, send files, show typing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwendesk.messages import Attachment, Outbound

if TYPE_CHECKING:
    from telegram import Bot


_MAX_SHORT_LABEL_CHARS, _IN_A_ROW = 12, 4
"""Label characters and buttons of one keyboard row, for a narrow screen."""


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

    buttons = [InlineKeyboardButton(button.face, callback_data=button.value) for button in message.buttons]
    short = all(len(button.face) <= _MAX_SHORT_LABEL_CHARS for button in message.buttons)
    rows = [buttons] if buttons and short and len(buttons) <= _IN_A_ROW else [[button] for button in buttons]
    # a preview would fetch a URL that the model may have invented
    previews = LinkPreviewOptions(is_disabled=True)
    return {"reply_markup": InlineKeyboardMarkup(rows) if rows else None, "link_preview_options": previews}
