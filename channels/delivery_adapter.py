"""Connect a channel to the desk: deliver its messages, and read them again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qwendesk.channels.base import Channel, ChannelCapabilities, ShownMessage
from qwendesk.channels.markup.author import with_name
from qwendesk.channels.markup.split import MessagePart, split_message
from qwendesk.desk.commands.rating import is_rating_press, rating_buttons
from qwendesk.desk.delivery.transcript import Transcript, TranscriptLine
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.operator_rooms.room import OpenedThread
from qwendesk.errors import ChannelError
from qwendesk.memory.records import Thumb
from qwendesk.messages import Author, Outbound

_MAX_INLINE_CHARS = 1000
"""Length of a text that is rendered in less time than a thread takes to start."""


class DeliveryAdapter:
    """Delivers messages by a channel, in its markup and length."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def capabilities(self) -> ChannelCapabilities:
        """Capabilities of the platform."""
        return self._channel.manifest.capabilities

    async def split_message(self, text: str, author: Author | None = None) -> Sequence[MessagePart]:
        """Return a text as messages of the platform's length and markup; a long text is rendered in a thread.

        An operator's text begins with the name, unless the platform shows it, or the previous message has it.
        """
        if len(text) <= _MAX_INLINE_CHARS:
            return self._split(text, author)
        return await asyncio.to_thread(self._split, text, author)

    def _split(self, text: str, author: Author | None) -> Sequence[MessagePart]:
        is_named = author and author.kind == "operator" and not author.is_repeated
        if author and is_named and not self.capabilities.shows_author:
            text = with_name(author.name, text)
        return split_message(text, self.capabilities)

    async def send(self, message: Outbound) -> str | None:
        """Deliver a message.

        Raises:
            ChannelError: it was not delivered; also where it has files and the platform cannot send them.
        """
        if message.attachments and not self.capabilities.sends_files:
            title = self._channel.manifest.title
            raise ChannelError(f"{title} cannot send files; send the text again, with a link to them.", permanent=True)
        return await self._channel.send(message)

    async def open_thread(self, title: str, head: Outbound) -> OpenedThread:
        """Open a thread or topic in the operators' room of the channel."""
        return await self._channel.open_thread(title, head)

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message."""
        await self._channel.edit(message_id, message)

    async def typing(self, conversation: str, author: Author | None = None) -> None:
        """Show that an answer is being written, by the bot or by an operator."""
        if author and author.kind == "operator":
            await self._channel.operator_typing(conversation, author)
        else:
            await self._channel.typing(conversation)


class ChannelTranscript:
    """Reads the stored messages of one channel's conversations.

    Args:
        channel: name of the channel.
        inbox: finds conversations.
        lines: reads their messages.
        has_feedback_buttons: whether answers have rating buttons.
    """

    def __init__(self, channel: str, inbox: InboxRepository, lines: Transcript, *, has_feedback_buttons: bool) -> None:
        self._channel = channel
        self._inbox = inbox
        self._lines = lines
        self._has_feedback_buttons = has_feedback_buttons

    async def __call__(self, conversation: str) -> list[ShownMessage]:
        """Return the newest messages of a conversation, oldest first.

        Raises:
            StoreError: the database cannot be read.
        """
        id_ = await self._inbox.conversation_id(self._channel, "", conversation)
        lines = await self._lines.of_conversation(id_) if id_ else []
        return [self._message(line) for line in lines if not (line.from_person and is_rating_press(line.text))]

    def _message(self, line: TranscriptLine) -> ShownMessage:
        if line.from_person:
            return ShownMessage(line.key, line.text, from_person=True, at=line.at)
        rating: Thumb | None = 1 if line.rating == 1 else -1 if line.rating == -1 else None
        buttons = rating_buttons(line.sequence, rating) if line.is_last and self._has_feedback_buttons else ()
        return ShownMessage(line.key, line.text, buttons, line.is_complete, author=line.author, at=line.at)
