"""An operators' room, and what a channel does for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from qwendesk.desk.delivery.deliver import RenderedText
from qwendesk.messages import Outbound


@dataclass(frozen=True, slots=True)
class OperatorsRoom:
    """A room of a channel in which operators work on tickets."""

    room: str
    """The room's id on the platform."""
    teams: tuple[str, ...] = ()
    """Teams whose tickets are shown there; empty: all tickets."""
    language: str = ""
    """Language that the operators in the room read, as a code; empty: messages are shown as they were written."""

    def takes(self, team: str | None) -> bool:
        """Return whether tickets of a team are shown in the room."""
        return not self.teams or team in self.teams


@dataclass(frozen=True, slots=True)
class OpenedThread:
    """A thread or topic that was opened."""

    conversation: str
    """The conversation of the thread on its channel."""
    message_id: str | None = None
    """The platform's id of its first message; None: it has none yet."""


class RoomCapabilities(Protocol):
    """Capabilities of a platform that operators' rooms use."""

    @property
    def edits(self) -> bool:
        """Whether a sent message can be edited."""

    @property
    def sends_files(self) -> bool:
        """Whether files can be sent."""


class RoomOutlet(Protocol):
    """A channel with an operators' room; channels implement this port."""

    @property
    def capabilities(self) -> RoomCapabilities:
        """Capabilities of the platform."""

    async def split_message(self, text: str) -> Sequence[RenderedText]:
        """Return a Markdown text as messages of the platform's length and markup."""

    async def open_thread(self, title: str, head: Outbound) -> OpenedThread:
        """Open a thread or topic in a room.

        Args:
            title: its title, for platforms that have titles.
            head: the first message; its conversation is the room.
        """

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its platform id.

        Raises:
            ThreadGone: its thread was deleted.
        """

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a sent message."""
