"""A channel as the desk's delivery sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qwendesk.channels.base import Capabilities, Channel
from qwendesk.channels.markup.shape import Piece, shape
from qwendesk.messages import Outbound

_SHORT = 1000
"""Characters that are read in less time than a thread takes to start."""


class ChannelOutlet:
    """Sends by a channel, in its shape."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def capabilities(self) -> Capabilities:
        """What the platform can do."""
        return self._channel.manifest.capabilities

    async def shape(self, text: str) -> Sequence[Piece]:
        """Cut a text into messages of the platform's length and markup; a long one without holding up the others."""
        if len(text) <= _SHORT:
            return shape(text, self.capabilities)
        return await asyncio.to_thread(shape, text, self.capabilities)

    async def send(self, message: Outbound) -> str | None:
        """Deliver a message."""
        return await self._channel.send(message)

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message."""
        await self._channel.edit(message_id, message)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written."""
        await self._channel.typing(conversation)
