"""Take one update: read it, fetch its files, hand it to the desk, and say that a button was pressed."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from qwendesk.channels.base import Accept
from qwendesk.channels.incoming import Fetching, hand_over
from qwendesk.channels.telegram import messages
from qwendesk.channels.telegram.failures import told
from qwendesk.channels.telegram.parse import LARGEST_FILE, File, Me, parse
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound, Outbound

if TYPE_CHECKING:
    from telegram import Bot

log = logging.getLogger(__name__)
_KINDS = {"photo": "image", "voice": "audio", "audio": "audio"}


class Intake:
    """Hands updates to the desk, whichever way they came."""

    def __init__(self, bot: Bot, me: Me, accept: Accept) -> None:
        self._bot = bot
        self._me = me
        self._accept = accept
        self._fetching = Fetching()

    async def take(self, update: Any) -> bool:
        """Take an update and tell whether that is done; False: it has to come again."""
        try:
            parsed = parse(update, self._me)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("An update of Telegram cannot be read: %r.", error)
            return True
        if parsed is None:
            return True
        try:
            inbound = await self._fetching.with_files(
                parsed.inbound, [partial(self._fetch, file) for file in parsed.files]
            )
        except ChannelError:
            return False
        if parsed.callback:
            with suppress(ChannelError):  # the circle on the button may turn on; the press counts all the same
                async with told():
                    await self._bot.answer_callback_query(parsed.callback)
        return await hand_over(inbound, self._accept, partial(self._refuse, inbound))

    async def _fetch(self, file: File) -> Attachment:
        async with told():
            waiting = await self._bot.get_file(file.id)
            data = bytes(await waiting.download_as_bytearray())
        if len(data) > LARGEST_FILE:
            raise ChannelError(f"The file is larger than {LARGEST_FILE:,} bytes.", permanent=True)
        picture = file.mime.startswith("image/") and file.kind == "document"
        kind = "image" if picture else _KINDS.get(file.kind, "document")
        return Attachment(kind, file.mime or "application/octet-stream", data, file.name)  # type: ignore[arg-type]

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        key = f"refused:{inbound.event}"
        message = Outbound(key, inbound.conversation, text, reply_to=inbound.reply_to, plain=text)
        async with told():
            await messages.send(self._bot, message, markup=False)
