"""A channel as the desk's delivery sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwendesk.channels.base import Capabilities, Channel
from qwendesk.messages import Outbound


@dataclass(frozen=True, slots=True)
class PlainPiece:
    """One message's text without markup."""

    text: str
    plain: str


class ChannelOutlet:
    """Sends by a channel, in its shape."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def capabilities(self) -> Capabilities:
        """What the platform can do."""
        return self._channel.manifest.capabilities

    def shape(self, text: str) -> Sequence[PlainPiece]:
        """Cut a text into messages of the platform's length."""
        longest = self.capabilities.max_length
        return [PlainPiece(part, part) for part in _cut(text.strip(), longest) if part.strip()]

    async def send(self, message: Outbound) -> str | None:
        """Deliver a message."""
        return await self._channel.send(message)

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message."""
        await self._channel.edit(message_id, message)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written."""
        await self._channel.typing(conversation)


def _cut(text: str, longest: int) -> list[str]:
    return [text[start : start + longest] for start in range(0, len(text), longest)]
