"""What a process holds of people's words outside the database, registered so that it can be dropped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_TIMERS = 4096
"""More than twice the timers that a desk has at a time."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Whose words are to be dropped."""

    names: frozenset[tuple[str, str]] | None
    """Each name of the person as channel and external user id; None: everybody, where it is not known who it was."""

    def is_meant(self, channel: str, person: str) -> bool:
        """Tell whether a name is one of the person."""
        return self.names is None or (channel, person) in self.names

    def names_on(self, channel: str) -> list[str]:
        """Return the person's names on a channel; none where it may be anybody."""
        return [person for where, person in self.names or () if where == channel]


Drop = Callable[[Forgotten], Awaitable[None]]


class HeldWords:
    """The registry: each holder of people's words says how its part is dropped."""

    def __init__(self) -> None:
        self._drops: dict[str, Drop] = {}
        self._noted: set[str] = set()

    @property
    def holders(self) -> tuple[str, ...]:
        """The names of what is registered."""
        return tuple(self._drops)

    def register(self, holder: str, drop: Drop) -> None:
        """Add a holder; one of the same name is replaced."""
        self._drops[holder] = drop

    def note(self, forgetting: str) -> None:
        """Note the id of a forgetting whose words this process drops itself."""
        self._noted.add(forgetting)

    def is_new(self, forgetting: str) -> bool:
        """Tell whether another process has forgotten somebody; a forgetting is asked about once."""
        own = forgetting in self._noted
        self._noted.discard(forgetting)
        return not own

    async def drop(self, forgotten: Forgotten) -> None:
        """Drop the words of a person everywhere; a holder that fails keeps the others from nothing."""
        for holder, drop in self._drops.items():
            try:
                await drop(forgotten)
            except Exception as error:
                log.error("What %s holds of a forgotten person was not dropped: %s.", holder, type(error).__name__)


async def drop_cancelled_timers(_: Forgotten) -> None:
    """Let the event loop drop its cancelled timers now.

    A cancelled timer keeps the context in which it was made, and with it the state of a turn, until its time comes or
    until more than half of all timers are cancelled.
    """
    loop = asyncio.get_running_loop()
    for _number in range(_TIMERS):
        loop.call_later(1.0, _nothing).cancel()
    await asyncio.sleep(0)


def _nothing() -> None:
    """Do nothing."""
