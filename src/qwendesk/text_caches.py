"""Registry of people's texts that a process caches outside the database, so that forgetting drops them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_PURGING_TIMERS = 4096
"""More cancelled timers than a desk has timers at a time."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The person whose texts are dropped."""

    names: frozenset[tuple[str, str]] | None
    """Names of the person as channel and external user id; None: everybody, if the person is unknown."""

    def is_meant(self, channel: str, person: str) -> bool:
        """Return whether a name belongs to the person."""
        return self.names is None or (channel, person) in self.names

    def names_on(self, channel: str) -> list[str]:
        """Return the person's names on a channel; empty if the person is unknown."""
        return [person for where, person in self.names or () if where == channel]


Drop = Callable[[Forgotten], Awaitable[None]]


class TextCaches:
    """Registry of caches; each registers a function that drops a person's texts."""

    def __init__(self) -> None:
        self._drops: dict[str, Drop] = {}
        self._noted: set[str] = set()

    def register(self, name: str, drop: Drop) -> None:
        """Register a cache; one with the same name is replaced."""
        self._drops[name] = drop

    def note(self, forgetting: str) -> None:
        """Record the id of a deletion whose texts this process drops itself."""
        self._noted.add(forgetting)

    def is_new(self, forgetting: str) -> bool:
        """Return whether a deletion was made by another process; each deletion is reported once."""
        own = forgetting in self._noted
        self._noted.discard(forgetting)
        return not own

    async def drop(self, forgotten: Forgotten) -> None:
        """Drop a person's texts in all caches; an error in one does not stop the others."""
        for name, drop in self._drops.items():
            try:
                await drop(forgotten)
            except Exception as error:
                kind = type(error).__name__
                log.error("The texts of a forgotten person in the cache %r were not dropped: %s.", name, kind)


async def drop_cancelled_timers(_: Forgotten) -> None:
    """Make asyncio's event loop drop its cancelled timers now.

    A turn's timers are made and cancelled by libraries and by ``asyncio.timeout``. asyncio keeps a cancelled timer,
    and with it the context and the state of its turn, until its time comes or more than half of all timers are
    cancelled; it has no call that drops them. uvloop, which ``serve`` uses, drops a timer in the loop's next iteration.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.BaseEventLoop):
        for _number in range(_PURGING_TIMERS):
            loop.call_later(1.0, _nothing).cancel()
    await asyncio.sleep(0)


def _nothing() -> None:
    """Do nothing."""
