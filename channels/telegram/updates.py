"""Take one update: read it, fetch its files, hand it to the desk, and say that a button was pressed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from qwendesk.channels.base import Accept
from qwendesk.channels.ingest import FileFetcher, submit
from qwendesk.channels.retry import sleep_unless_stopped, unless_stopped
from qwendesk.channels.telegram import messages
from qwendesk.channels.telegram.albums import ALBUM_SECONDS, Albums, is_growing, messages_of
from qwendesk.channels.telegram.errors import told
from qwendesk.channels.telegram.parse import LARGEST_FILE, File, Me, Parsed, album_of, parse, parse_album
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
        self._fetching = FileFetcher()
        self._albums = Albums(self.take_all)

    async def take(self, update: Any) -> bool:
        """Take an update and tell whether that is done; False: it has to come again.

        The pictures of an album come one by one: the first waits for the others, and none is done before all are.
        """
        album = album_of(update)
        return await (self.take_all([update]) if album is None else self._albums.take(album, update))

    async def take_all(self, updates: Sequence[Any]) -> bool:
        """Take updates that are one message, and tell whether that is done; False: they have to come again."""
        try:
            parsed = parse(updates[0], self._me) if len(updates) == 1 else parse_album(updates, self._me)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("An update of Telegram cannot be read: %r.", error)
            return True
        if parsed is None:
            return True
        try:
            inbound = await self._fetching.with_attachments(
                parsed.inbound, [partial(self._fetch, file) for file in parsed.files if not file.quoted]
            )
        except ChannelError:
            return False
        inbound = replace(inbound, attachments=(*inbound.attachments, *await self._quoted(parsed)))
        if parsed.callback:
            with suppress(ChannelError):  # the circle on the button may turn on; the press counts all the same
                async with told():
                    await self._bot.answer_callback_query(parsed.callback)
        return await submit(inbound, self._accept, partial(self._refuse, inbound))

    async def _quoted(self, parsed: Parsed) -> list[Attachment]:
        """Return the files of the message that is replied to, without those that are not to be had."""
        found = []
        for file in parsed.files:
            if file.quoted:
                try:
                    found.append(await self._fetch(file))
                except ChannelError as error:
                    log.warning("A file that is replied to was not fetched: %s", error)
        return found

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


_LONGEST_PAUSE = 60.0


class Poller:
    """Long polling over raw updates: the library's own reads all of a batch or none.

    Args:
        url: the Bot API's address with the token.
        seconds: how long one poll waits for news.
        kinds: the kinds of update to ask for.
        intake: takes the updates.
    """

    def __init__(self, url: str, seconds: int, kinds: Sequence[str], intake: Intake) -> None:
        self._url = url
        self._seconds = seconds
        self._kinds = json.dumps(kinds)
        self._intake = intake
        self._offset = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until stopped.

        Raises:
            ChannelError: the token does not hold.
        """
        from telegram.request import HTTPXRequest

        pause = 1.0
        async with HTTPXRequest(connection_pool_size=1, read_timeout=self._seconds + 10.0) as request:
            while not stopping.is_set():
                try:
                    updates = await unless_stopped(stopping, self._news(request, stopping))
                    pause = 1.0 if await self._take(updates or []) else min(pause * 2, _LONGEST_PAUSE)
                except ChannelError as error:
                    if error.permanent:
                        raise
                    pause = error.retry_after or min(pause * 2, _LONGEST_PAUSE)
                    log.warning("%s The next try is in %g s.", error, pause)
                if pause > 1.0:
                    await sleep_unless_stopped(stopping, pause)

    async def _news(self, request: Any, stopping: asyncio.Event) -> list[Any]:
        """Return what is new, an album with all its pictures: what is not confirmed comes again with what follows."""
        updates = await self._ask(request, self._seconds)
        while is_growing(updates) and not stopping.is_set():
            await sleep_unless_stopped(stopping, ALBUM_SECONDS)
            more = await self._ask(request, 0)
            if len(more) <= len(updates):
                break
            updates = more
        return updates

    async def _ask(self, request: Any, seconds: int) -> list[Any]:
        values = {"offset": self._offset, "timeout": seconds, "allowed_updates": self._kinds}
        async with told():
            found = await request.post(f"{self._url}/getUpdates?{urlencode(values)}")
        return found if isinstance(found, list) else []

    async def _take(self, updates: list[Any]) -> bool:
        """Hand updates over; the offset passes one only when it and all before are stored. False: the desk is busy."""
        waiting = {number for update in updates if (number := _number(update)) is not None}
        newest = max(waiting, default=-1)
        for message in messages_of(updates):
            if not await self._intake.take_all(message):
                return False
            waiting -= {_number(update) for update in message}
            self._offset = max(self._offset, min(waiting, default=newest + 1))
        return True


def _number(update: Any) -> int | None:
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) else None
