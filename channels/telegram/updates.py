"""Receive updates: long polling, collection of albums, file downloads, and submission to the desk.

Telegram repeats updates that are not confirmed, so that a killed process loses none.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from qwendesk.certificates import trusted_certificates
from qwendesk.channels.base import Accept
from qwendesk.channels.ingest import FileFetcher, submit
from qwendesk.channels.lifecycle import sleep_unless_stopped, unless_stopped
from qwendesk.channels.telegram import bot_api
from qwendesk.channels.telegram.bot_api import translate_errors
from qwendesk.channels.telegram.entities import TelegramIdentity
from qwendesk.channels.telegram.parse import (
    MAX_FILE_BYTES,
    TelegramFile,
    TelegramUpdate,
    album_of,
    is_of_room,
    parse,
    parse_album,
    parse_room,
)
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound, Outbound

if TYPE_CHECKING:
    from telegram import Bot

log = logging.getLogger(__name__)
ALBUM_SECONDS = 0.7
"""Time to wait for the next picture of an album."""
_MAX_ALBUM_FILES = 10
_ATTACHMENT_KINDS = {"photo": "image", "voice": "audio", "audio": "audio"}
_MAX_PAUSE_SECONDS = 60.0


def group_albums(updates: Sequence[Any]) -> list[list[Any]]:
    """Group the updates of each album; a group has the position of its last update."""
    albums: dict[str, list[Any]] = {}
    found: list[list[Any]] = []
    for update in updates:
        if (name := album_of(update)) is None:
            found.append([update])
            continue
        album = albums.setdefault(name, [])
        found = [message for message in found if message is not album]
        album.append(update)
        found.append(album)
    return found


def has_open_album(updates: Sequence[Any]) -> bool:
    """Return whether the newest update belongs to an album that may be incomplete."""
    messages = group_albums(updates)
    return bool(messages) and album_of(messages[-1][0]) is not None and len(messages[-1]) < _MAX_ALBUM_FILES


@dataclass(slots=True)
class _PendingAlbum:
    """An album that may be incomplete."""

    updates: list[Any]
    accepted: asyncio.Future[bool]
    """Whether the desk accepted the album."""


class AlbumCollector:
    """Collects the updates of albums that arrive in separate webhook calls.

    Args:
        receive: Accepts the updates of one message; False if Telegram has to repeat them.
    """

    def __init__(self, receive: Callable[[Sequence[Any]], Awaitable[bool]]) -> None:
        self._receive = receive
        self._open: dict[str, _PendingAlbum] = {}

    async def add(self, name: str, update: Any) -> bool:
        """Accept one update of an album after the album is complete; False if Telegram has to repeat it."""
        if known := self._open.get(name):
            known.updates.append(update)
            return await asyncio.shield(known.accepted)
        album = self._open[name] = _PendingAlbum([update], asyncio.get_running_loop().create_future())
        taken = False
        try:
            await self._wait_for_more(name, album)
            taken = await self._receive(sorted(album.updates, key=_sort_key))
        finally:
            album.accepted.set_result(taken)
        return taken

    async def _wait_for_more(self, name: str, album: _PendingAlbum) -> None:
        """Wait until the album is complete; a later picture starts a new album."""
        known = 0
        try:
            while known < len(album.updates) < _MAX_ALBUM_FILES:
                known = len(album.updates)
                await asyncio.sleep(ALBUM_SECONDS)
        finally:
            del self._open[name]


def _sort_key(update: dict[str, Any]) -> int:
    number = update.get("update_id")
    return number if isinstance(number, int) else 0


class UpdateReceiver:
    """Passes updates of polling and webhook to the desk."""

    def __init__(self, bot: Bot, me: TelegramIdentity, accept: Accept, room: str = "") -> None:
        self._bot = bot
        self._room = room
        self._me = me
        self._accept = accept
        self._fetching = FileFetcher()
        self._albums = AlbumCollector(self.receive_message)

    async def receive(self, update: Any) -> bool:
        """Accept an update; False if Telegram has to repeat it.

        The updates of an album are accepted together.
        """
        album = album_of(update)
        return await (self.receive_message([update]) if album is None else self._albums.add(album, update))

    async def receive_message(self, updates: Sequence[Any]) -> bool:
        """Accept the updates of one message; False if Telegram has to repeat them."""
        try:
            parsed = self._parsed(updates)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("Telegram sent an invalid update: %r.", error)
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
            with suppress(ChannelError):  # without it the button only shows its progress circle longer
                async with translate_errors():
                    await self._bot.answer_callback_query(parsed.callback)
        return await submit(inbound, self._accept, partial(self._refuse, inbound))

    def _parsed(self, updates: Sequence[Any]) -> TelegramUpdate | None:
        if is_of_room(updates[0], self._room):
            return parse_room(updates, self._me)
        return parse(updates[0], self._me) if len(updates) == 1 else parse_album(updates, self._me)

    async def _quoted(self, parsed: TelegramUpdate) -> list[Attachment]:
        """Return the files of the replied-to message, without failed downloads."""
        found = []
        for file in parsed.files:
            if file.quoted:
                try:
                    found.append(await self._fetch(file))
                except ChannelError as error:
                    log.warning("A file of the replied-to message was not downloaded: %s", error)
        return found

    async def _fetch(self, file: TelegramFile) -> Attachment:
        async with translate_errors():
            waiting = await self._bot.get_file(file.id)
            data = bytes(await waiting.download_as_bytearray())
        if len(data) > MAX_FILE_BYTES:
            raise ChannelError(f"The file is larger than {MAX_FILE_BYTES:,} bytes.", permanent=True)
        picture = file.mime.startswith("image/") and file.kind == "document"
        kind = "image" if picture else _ATTACHMENT_KINDS.get(file.kind, "document")
        return Attachment(kind, file.mime or "application/octet-stream", data, file.name)  # type: ignore[arg-type]

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        key = f"refused:{inbound.event}"
        message = Outbound(key, inbound.conversation, text, reply_to=inbound.reply_to, plain=text)
        async with translate_errors():
            await bot_api.send(self._bot, message, markup=False)


class UpdatePoller:
    """Long polling with raw updates: the library's ``Updater`` confirms a batch before its updates are stored.

    Args:
        url: The Bot API's address with the token.
        seconds: Time that one poll waits for updates.
        types: The update types to ask for.
        receiver: Accepts the updates.
    """

    def __init__(self, url: str, seconds: int, types: Sequence[str], receiver: UpdateReceiver) -> None:
        self._url = url
        self._seconds = seconds
        self._allowed_updates = json.dumps(types)
        self._receiver = receiver
        self._offset = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until ``stopping`` is set.

        Raises:
            ChannelError: Telegram refuses the token.
        """
        from telegram.request import HTTPXRequest

        pause = 1.0
        trusted = {"verify": trusted_certificates()}
        async with HTTPXRequest(1, read_timeout=self._seconds + 10.0, httpx_kwargs=trusted) as request:
            while not stopping.is_set():
                try:
                    updates = await unless_stopped(stopping, self._poll(request, stopping))
                    pause = 1.0 if await self._receive(updates or []) else min(pause * 2, _MAX_PAUSE_SECONDS)
                except ChannelError as error:
                    if error.permanent:
                        raise
                    pause = error.retry_after or min(pause * 2, _MAX_PAUSE_SECONDS)
                    log.warning("%s The next try is in %g s.", error, pause)
                if pause > 1.0:
                    await sleep_unless_stopped(stopping, pause)

    async def _poll(self, request: Any, stopping: asyncio.Event) -> list[Any]:
        """Return new updates; poll again, without confirming, while the last album may be incomplete."""
        updates = await self._get_updates(request, self._seconds)
        while has_open_album(updates) and not stopping.is_set():
            await sleep_unless_stopped(stopping, ALBUM_SECONDS)
            more = await self._get_updates(request, 0)
            if len(more) <= len(updates):
                break
            updates = more
        return updates

    async def _get_updates(self, request: Any, seconds: int) -> list[Any]:
        values = {"offset": self._offset, "timeout": seconds, "allowed_updates": self._allowed_updates}
        async with translate_errors():
            found = await request.post(f"{self._url}/getUpdates?{urlencode(values)}")
        return found if isinstance(found, list) else []

    async def _receive(self, updates: list[Any]) -> bool:
        """Pass updates to the desk; False if it is busy.

        The offset passes an update after it and all earlier ones are stored.
        """
        waiting = {number for update in updates if (number := _update_id(update)) is not None}
        newest = max(waiting, default=-1)
        for message in group_albums(updates):
            if not await self._receiver.receive_message(message):
                return False
            waiting -= {_update_id(update) for update in message}
            self._offset = max(self._offset, min(waiting, default=newest + 1))
        return True


def _update_id(update: Any) -> int | None:
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) else None
