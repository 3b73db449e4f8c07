"""What the desk needs of a channel to deliver to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from qwendesk.messages import Event, Inbound, Outbound


class Abilities(Protocol):
    """What a platform can do, as far as delivery asks."""

    @property
    def edits(self) -> bool:
        """Whether a message that was sent can be changed."""

    @property
    def edit_interval(self) -> float:
        """Least number of seconds between two edits in one conversation."""

    @property
    def typing(self) -> float | None:
        """Seconds that a typing sign lasts; None: the platform has none."""

    @property
    def buttons(self) -> int:
        """How many buttons a message may have."""


class Piece(Protocol):
    """One message's text, in the platform's markup and without it."""

    @property
    def text(self) -> str:
        """The text in the platform's markup."""

    @property
    def plain(self) -> str:
        """The same without markup."""


class Outlet(Protocol):
    """One channel, as delivery sees it."""

    @property
    def capabilities(self) -> Abilities:
        """What the platform can do."""

    async def shape(self, text: str) -> Sequence[Piece]:
        """Cut a text into messages of the platform's length and markup."""

    async def send(self, message: Outbound) -> str | None:
        """Deliver a message and return the platform's name for it."""

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message that was sent."""

    async def typing(self, conversation: str) -> None:
        """Show for a moment that an answer is being written."""


RunTurn = Callable[[Inbound], AsyncGenerator[Event, None]]
"""Answers a message; yields what happens, last ``Finished``. Closing it stops the answer."""
