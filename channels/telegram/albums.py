"""Albums: Telegram sends each picture of one as an update of its own, and the desk reads them as one message.

Nothing is kept for that: what is not confirmed to Telegram comes again, so that a killed process loses no picture.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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


class Albums:
    """Brings together the updates of an album that come in calls of their own.

    Args:
        take: takes the updates of one message, and tells whether that is done.
    """

    def __init__(self, take: Callable[[Sequence[Any]], Awaitable[bool]]) -> None:
        self._take = take
        self._open: dict[str, list[Any]] = {}
        self._ends: dict[str, asyncio.Future[bool]] = {}

    async def take(self, name: str, update: Any) -> bool:
        """Take one update, and tell whether its whole album is taken; False: it has to come again."""
        if name in self._open:
            self._open[name].append(update)
            return await asyncio.shield(self._ends[name])
        self._open[name] = [update]
        end = self._ends[name] = asyncio.get_running_loop().create_future()
        taken = False
        try:
            known = 0
            while known < len(self._open[name]) < _MOST:
                known = len(self._open[name])
                await asyncio.sleep(ALBUM_SECONDS)
            updates = sorted(self._open.pop(name), key=_number)
            taken = await self._take(updates)
        finally:
            self._open.pop(name, None)
            self._ends.pop(name, None)
            end.set_result(taken)
        return taken


def _number(update: dict[str, Any]) -> int:
    number = update.get("update_id")
    return number if isinstance(number, int) else 0
