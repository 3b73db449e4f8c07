"""How fast a group may be written to: Telegram takes twenty messages and changes a minute there."""

from __future__ import annotations

import asyncio
from time import monotonic

from cachetools import FIFOCache

from qwendesk.errors import ChannelError

_GROUP_SECONDS = 3.5
_MOST_GROUPS = 1000


class Pace:
    """Remembers when a group was written to last; alone with a person, nothing has to wait."""

    def __init__(self) -> None:
        self._last = FIFOCache[str, float](_MOST_GROUPS)

    def note(self, conversation: str, *, ahead: float = 0.0) -> None:
        """Remember that a group is written to now, or so many seconds ahead."""
        if conversation.startswith("-"):  # what has a negative number is a group
            self._last[conversation.partition(":")[0]] = monotonic() + ahead

    async def turn(self, conversation: str) -> None:
        """Wait until a group may be written to, and note that it is."""
        wait = self._wait(conversation)
        self.note(conversation, ahead=max(0.0, wait))
        await asyncio.sleep(max(0.0, wait))

    def check(self, conversation: str) -> None:
        """Note that a group is written to now.

        Raises:
            ChannelError: it is too soon; the error says for how long.
        """
        wait = self._wait(conversation)
        if wait > 0:
            raise ChannelError(f"A group on Telegram is written to every {_GROUP_SECONDS:g} s.", retry_after=wait)
        self.note(conversation)

    def _wait(self, conversation: str) -> float:
        last = self._last.get(conversation.partition(":")[0])
        return 0.0 if last is None else last + _GROUP_SECONDS - monotonic()
