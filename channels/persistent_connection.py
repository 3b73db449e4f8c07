"""What channels do alike whose platform is one lasting connection.

Such a platform delivers a message once, and the connection never waits for the desk: what comes over it is kept, and
handed over in order.
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
    """A part of a channel, named before ``Channel`` among its bases: it keeps a link up, and talks over it."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._link: Connection | None = None
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._accept: Accept | None = None
        self._inbound = InboundQueue(self._stopping, self._refuse)
        self._trouble = ""

    @abstractmethod
    def make_connection(self) -> Connection:
        """Make a link that is not open yet; it gives what comes to ``put``."""

    @property
    def trouble(self) -> str:
        """Why the desk hears nothing, or not all that is said to it; empty: it hears all."""
        return self._trouble or (self._link.trouble if self._link else "")

    async def start(self, accept: Accept) -> None:
        """Be there until ``stop``; a connection that breaks is made again."""
        self._accept = accept
        try:
            await retry_until_stopped(self._stopping, self._be_there)
            await self._inbound.drain()
        finally:
            if self._stopping.is_set():  # else it may be started again
                await self._inbound.close()

    async def stop(self) -> None:
        """Take no more messages; the link stays, for sending."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id."""
        return await (await self.connect()).send(message)

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message that was sent."""
        await (await self.connect()).edit(message_id, message)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written."""
        await (await self.connect()).typing(conversation)

    async def check(self) -> str:
        """Connect and log in."""
        return (await self.connect()).status()

    async def aclose(self) -> None:
        """Hang up."""
        self._stopping.set()
        await self._inbound.close()
        await self._disconnect()

    def enqueue(self, inbound: Inbound, *files: Fetch) -> None:
        """Take a message with its files from a link; one that is too many is lost."""
        if self._accept:
            self._inbound.put(inbound, files, self._accept)

    async def connect(self) -> Connection:
        """Return a link that is open.

        Raises:
            ChannelError: there can be none.
        """
        async with self._opening:
            if self._link is None or self._link.closed.done():
                await self._disconnect()
                link = self.make_connection()
                try:
                    await link.open()
                except BaseException:
                    await link.close()
                    raise
                self._link = link
            return self._link

    async def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link:
            await link.close()

    async def _be_there(self) -> None:
        try:
            link = await self.connect()
            self._trouble = ""
            link.listen(True)
            if lost := await unless_stopped(self._stopping, link.wait_closed()):
                raise lost
        except ChannelError as error:
            self._trouble = str(error)
            raise
        link.listen(False)

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        await self.send(Outbound(f"refused:{inbound.event}", inbound.conversation, text, reply_to=inbound.reply_to))
