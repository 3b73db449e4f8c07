"""What channels do alike whose platform is one lasting connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic

from qwendesk.channels.base import Accept
from qwendesk.channels.link import L, Line
from qwendesk.messages import Inbound, Outbound


class OverLine(ABC, Generic[L]):
    """A part of a channel, named before ``Channel`` among its bases: it keeps the line, and leaves talking over it."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._line: Line[L] = Line(self._link, self._refuse)

    @property
    def trouble(self) -> str:
        """Why it does not hear all that it should."""
        return self._line.trouble

    async def start(self, accept: Accept) -> None:
        """Be there until ``stop``; a connection that breaks is made again."""
        await self._line.start(accept)

    async def stop(self) -> None:
        """Take no more messages."""
        await self._line.stop()

    async def aclose(self) -> None:
        """Hang up."""
        await self._line.aclose()

    @abstractmethod
    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id."""

    @abstractmethod
    def _link(self) -> L:
        """Make a link that is not open yet."""

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        await self.send(Outbound(f"refused:{inbound.event}", inbound.conversation, text, reply_to=inbound.reply_to))
