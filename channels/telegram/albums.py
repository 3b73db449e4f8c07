"""Albums: Telegram sends each picture of one as an update of its own, and the desk reads them as one message.

Nothing is kept for that: what is not confirmed to Telegram comes again, so that a killed process loses no picture.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qwendesk.channels.telegram.parse import album_of

ALBUM_SECONDS = 0.7
"""How long the next picture of an album is waited for."""
_MOST = 10
"""Pictures of an album."""


def messages_of(updates: Sequence[Any]) -> list[list[Any]]:
    """Return updates by the message that they are of, each where its last one stands."""
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


def is_growing(updates: Sequence[Any]) -> bool:
    """Tell whether the newest update is of an album that may have more pictures."""
    messages = messages_of(updates)
    return bool(messages) and album_of(messages[-1][0]) is not None and len(messages[-1]) < _MOST


@dataclass(slots=True)
class _Album:
    """An album that is waited for."""

    updates: list[Any]
    end: asyncio.Future[bool]
    """Whether all of it is taken."""


class Albums:
    """Brings together the updates of an album that come in calls of their own.

    Args:
        take: takes the updates of one message, and tells whether that is done.
    """

    def __init__(self, take: Callable[[Sequence[Any]], Awaitable[bool]]) -> None:
        self._take = take
        self._open: dict[str, _Album] = {}

    async def take(self, name: str, update: Any) -> bool:
        """Take one update, and tell whether its whole album is taken; False: it has to come again."""
        if known := self._open.get(name):
            known.updates.append(update)
            return await asyncio.shield(known.end)
        album = self._open[name] = _Album([update], asyncio.get_running_loop().create_future())
        taken = False
        try:
            await self._wait_for_more(name, album)
            taken = await self._take(sorted(album.updates, key=_number))
        finally:
            album.end.set_result(taken)
        return taken

    async def _wait_for_more(self, name: str, album: _Album) -> None:
        """Wait until no more pictures come; one that comes later begins an album of its own."""
        known = 0
        try:
            while known < len(album.updates) < _MOST:
                known = len(album.updates)
                await asyncio.sleep(ALBUM_SECONDS)
        finally:
            del self._open[name]


def _number(update: dict[str, Any]) -> int:
    number = update.get("update_id")
    return number if isinstance(number, int) else 0
