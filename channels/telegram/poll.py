"""Ask for updates again and again; one that cannot be read never stops the others."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from qwendesk.channels.stopping import rest, unless
from qwendesk.channels.telegram.albums import ALBUM_SECONDS, is_growing, messages_of
from qwendesk.channels.telegram.failures import told
from qwendesk.channels.telegram.intake import Intake
from qwendesk.errors import ChannelError

log = logging.getLogger(__name__)
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
                    updates = await unless(stopping, self._news(request, stopping))
                    pause = 1.0 if await self._take(updates or []) else min(pause * 2, _LONGEST_PAUSE)
                except ChannelError as error:
                    if error.permanent:
                        raise
                    pause = error.retry_after or min(pause * 2, _LONGEST_PAUSE)
                    log.warning("%s The next try is in %g s.", error, pause)
                if pause > 1.0:
                    await rest(stopping, pause)

    async def _news(self, request: Any, stopping: asyncio.Event) -> list[Any]:
        """Return what is new, an album with all its pictures: what is not confirmed comes again with what follows."""
        updates = await self._ask(request, self._seconds)
        while is_growing(updates) and not stopping.is_set():
            await rest(stopping, ALBUM_SECONDS)
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
