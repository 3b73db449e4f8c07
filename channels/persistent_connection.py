"""Base class of channels with one persistent connection.

Such a platform delivers a message once and does not wait for the desk: incoming messages are queued and submitted in
order.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from qwendesk.channels.base import Accept
from qwendesk.channels.connection import Connection
from qwendesk.channels.inbound_queue import InboundQueue
from qwendesk.channels.ingest import Fetch
from qwendesk.channels.retry import retry_until_stopped, unless_stopped
from qwendesk.errors import ChannelError
from qwendesk.messages import Inbound, Outbound


class PersistentConnectionChannel(ABC):
    """Mixin, placed before ``Channel`` among the bases, that keeps a connection open and sends over it."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._accept: Accept | None = None
        self._inbound = InboundQueue(self._stopping, self._refuse)
        self._trouble = ""

    @abstractmethod
    def make_connection(self) -> Connection:
        """Create a connection that is not open yet and queues incoming messages by ``enqueue``."""

    @property
    def trouble(self) -> str:
        """Why the channel misses messages; empty: it misses none."""
        return self._trouble or (self._connection.trouble if self._connection else "")

    async def start(self, accept: Accept) -> None:
        """Receive messages until ``stop``; reconnect when the connection is lost."""
        self._accept = accept
        try:
            await retry_until_stopped(self._stopping, self._listen)
            await self._inbound.drain()
        finally:
            if self._stopping.is_set():  # otherwise it may be started again
                await self._inbound.close()

    async def stop(self) -> None:
        """Stop receiving; the connection stays open for sending."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id."""
        return await (await self.connect()).send(message)

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a sent message."""
        await (await self.connect()).edit(message_id, message)

    async def typing(self, conversation: str) -> None:
        """Show the typing sign."""
        await (await self.connect()).typing(conversation)

    async def check(self) -> str:
        """Connect and log in."""
        return (await self.connect()).status()

    async def aclose(self) -> None:
        """Close the connection."""
        self._stopping.set()
        await self._inbound.close()
        await self._disconnect()

    def enqueue(self, inbound: Inbound, *files: Fetch) -> None:
        """Queue a message with its files; drop it if the queue is full."""
        if self._accept:
            self._inbound.put(inbound, files, self._accept)

    async def connect(self) -> Connection:
        """Return the open connection, made if there is none.

        Raises:
            ChannelError: connecting failed.
        """
        async with self._opening:
            if self._connection is None or self._connection.closed.done():
                await self._disconnect()
                connection = self.make_connection()
                try:
                    await connection.open()
                except BaseException:
                    await connection.close()
                    raise
                self._connection = connection
            return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()

    async def _listen(self) -> None:
        try:
            connection = await self.connect()
            self._trouble = ""
            connection.listen(True)
            if lost := await unless_stopped(self._stopping, connection.wait_closed()):
                raise lost
        except ChannelError as error:
            self._trouble = str(error)
            raise
        connection.listen(False)

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        await self.send(Outbound(f"refused:{inbound.event}", inbound.conversation, text, reply_to=inbound.reply_to))
