"""The port of a chat channel: it is given a handler, starts, stops, and sends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable

from qwendesk.messages import Event, Inbound, Reply

Handler = Callable[[Inbound], AsyncGenerator[Event, None]]
"""Answers a message; yields what happens, last ``Finished``. Closing it stops the answer."""


class Channel(ABC):
    """One place where people write."""

    name: str

    @abstractmethod
    async def start(self, handler: Handler) -> None:
        """Take messages and hand them to the handler until ``stop``."""

    @abstractmethod
    async def stop(self) -> None:
        """Take no more messages; ``start`` returns."""

    @abstractmethod
    async def send(self, reply: Reply) -> None:
        """Deliver a reply.

        Raises:
            ChannelError: it could not be delivered.
        """
