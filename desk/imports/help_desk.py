"""The port of another help desk: which items there are, and what each of them is here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from qwendesk.desk.imports.records import Article, CannedResponse, Contact, Kind, SourceConversation

Item = Mapping[str, Any]
"""An object of the other system's JSON."""


class SourceItems(Protocol):
    """Where the items come from: files, or the running system."""

    location: str
    """The folder, or the address without credentials."""
    left_out: list[str]
    """Files, or parts of the system, that could not be read, with the reason."""
    lists_are_current: bool
    """Whether the list of conversations is as new as their messages, so that those without a change are not read."""

    async def total(self, kind: Kind) -> int | None:
        """Return how many items there are; None: that is not known."""

    def items(self, kind: Kind, since: datetime | None = None) -> AsyncIterator[Item]:
        """Yield the items of a kind; with ``since``, older ones may be left out.

        Raises:
            Unreadable: they cannot be read, but others may be.
            InputError: nothing can be read any more.
        """

    async def messages(self, conversation: Item) -> Sequence[Item]:
        """Return the messages of a conversation, in any order.

        Raises:
            Unusable: those of this conversation cannot be read.
        """

    async def tags(self, conversation: Item) -> Sequence[str]:
        """Return the tags of a conversation that are not part of it."""


class HelpDesk(Protocol):
    """Reads items of one system; each method raises ``Unusable`` for an item that cannot be imported."""

    name: str
    """The name of the system, as in the command."""
    names_agents_by_contacts: bool
    """Whether the names of agents stand among the contacts, so that these are read before all others."""

    def kind_of(self, item: Item) -> Kind | str | None:
        """Return the kind of an item by its keys: one of the kinds, ``message`` or another part; None: unknown."""

    def contact(self, item: Item) -> Contact | None:
        """Return a customer; None if it is one of the other desk's own people."""

    def last_activity(self, item: Item) -> datetime | None:
        """Return when a conversation was active last, before its messages are read; None: that is not known."""

    def change_mark(self, item: Item) -> str:
        """Return a text that is another one once a conversation has changed; empty: that is not known."""

    def conversation(self, item: Item, messages: Sequence[Item], tags: Sequence[str]) -> SourceConversation:
        """Return a conversation with its messages."""

    def articles(self, item: Item) -> Sequence[Article]:
        """Return an article in its languages."""

    def canned(self, item: Item) -> CannedResponse:
        """Return a text that agents insert."""
