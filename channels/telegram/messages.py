"""Send, change and announce messages through the Bot API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwendesk.messages import Attachment, Outbound

if TYPE_CHECKING:
    from telegram import Bot


_SHORT_LABEL, _IN_A_ROW = 12, 4
"""Characters of labels, and buttons, that stand side by side on a narrow screen."""


async def send(bot: Bot, message: Outbound, *, markup: bool = True) -> str:
    """Send the text, then the files; return the id of what came first."""
    ids = [await _send_text(bot, message, markup=markup)] if message.text else []
    ids += [await _send_file(bot, message, file) for file in message.attachments]
    return ids[0]


async def edit(bot: Bot, message_id: str, message: Outbound) -> None:
    """Replace the text of a message; one that is the same already is left alone."""
    from telegram.constants import ParseMode
    from telegram.error import BadRequest

    chat, _ = _place(message.conversation)
    ways = [(message.text, ParseMode.HTML), (message.plain or message.text, None)]
    for text, mode in ways:
        try:
            await bot.edit_message_text(text, chat, int(message_id), parse_mode=mode, **_extras(message))
            return
        except BadRequest as error:
            if "not modified" in error.message:
                return
            if mode is None or "parse" not in error.message:
                raise


async def typing(bot: Bot, conversation: str) -> None:
    """Show that an answer is being written."""
    from telegram.constants import ChatAction

    chat, topic = _place(conversation)
    await bot.send_chat_action(chat, ChatAction.TYPING, message_thread_id=topic)


async def _send_text(bot: Bot, message: Outbound, *, markup: bool) -> str:
    from telegram.constants import ParseMode
    from telegram.error import BadRequest

    where = _where(message) | _extras(message)
    if markup:
        try:
            return str((await bot.send_message(text=message.text, parse_mode=ParseMode.HTML, **where)).message_id)
        except BadRequest as error:
            if "parse" not in error.message:
                raise
    return str((await bot.send_message(text=message.plain or message.text, **where)).message_id)


async def _send_file(bot: Bot, message: Outbound, file: Attachment) -> str:
    from telegram import InputFile

    upload, where = InputFile(file.data, file.name or None), _where(message)
    if file.kind == "image" and len(file.data) <= 10 * 2**20:
        return str((await bot.send_photo(photo=upload, **where)).message_id)
    if file.mime == "audio/ogg":
        return str((await bot.send_voice(voice=upload, **where)).message_id)
    return str((await bot.send_document(document=upload, **where)).message_id)


def _place(conversation: str) -> tuple[int, int | None]:
    chat, _, topic = conversation.partition(":")
    return int(chat), int(topic) if topic else None


def _where(message: Outbound) -> dict[str, Any]:
    from telegram import ReplyParameters

    chat, topic = _place(message.conversation)
    quoted = ReplyParameters(int(message.reply_to), allow_sending_without_reply=True) if message.reply_to else None
    return {"chat_id": chat, "message_thread_id": topic, "reply_parameters": quoted}


def _extras(message: Outbound) -> dict[str, Any]:
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions

    buttons = [InlineKeyboardButton(button.face, callback_data=button.value) for button in message.buttons]
    short = all(len(button.face) <= _SHORT_LABEL for button in message.buttons)
    rows = [buttons] if buttons and short and len(buttons) <= _IN_A_ROW else [[button] for button in buttons]
    # a preview would fetch an address that a model may have made up
    previews = LinkPreviewOptions(is_disabled=True)
    return {"reply_markup": InlineKeyboardMarkup(rows) if rows else None, "link_preview_options": previews}
