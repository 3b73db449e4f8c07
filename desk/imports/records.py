"""What is imported from another help desk, in the words of this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from qwendesk.desk.tickets.records import Priority, Writer
from qwendesk.errors import InputError

Kind = Literal["contact", "ticket", "article", "canned"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OpenState = Literal["waiting", "resolved"]
"""The state that an open conversation gets."""


class Unusable(InputError):
    """An item of an export cannot be imported; the text says why, in a few words without any of the item's."""


class Unreadable(InputError):
    """A part of the other system, such as all of its articles, cannot be read; the others may be.

    Args:
        text: what happened and what to do.
        brief: what happened, in a few words without an address.
    """

    def __init__(self, text: str, brief: str) -> None:
        super().__init__(text)
        self.brief = brief


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer of the other help desk."""

    external_id: str
    name: str = ""
    email: str = ""
    phone: str = ""
    company: str = ""
    identities: tuple[tuple[str, str], ...] = ()
    """Channels of this desk with the name that their platform gives the customer there."""


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """A message or a private note of a conversation."""

    number: int
    """Its number in the other system, which rises with time."""
    writer: Writer
    text: str
    at: datetime
    author: str = ""
    """The name of the agent who wrote it."""
    is_note: bool = False
    is_html: bool = False
    mail_id: str = ""
    """The Message-ID of a mail."""


@dataclass(frozen=True, slots=True)
class SourceConversation:
    """A conversation of the other help desk, which becomes a ticket."""

    external_id: str
    contact: Contact
    state: Literal["open", "snoozed", "resolved"]
    created_at: datetime
    active_at: datetime
    """Last activity."""
    messages: tuple[SourceMessage, ...]
    subject: str = ""
    priority: Priority = "normal"
    tags: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    team: str = ""
    assignee: str = ""
    """Name of the agent."""
    language: str = ""
    snoozed_until: datetime | None = None
    resolved_at: datetime | None = None
    left_out: int = 0
    """Messages that are none of a person or a bot, such as notices of the system."""
    mark: str = ""
    """A text that is another one once the conversation has changed there; empty: that is not known."""


@dataclass(frozen=True, slots=True)
class Article:
    """An article of a help centre."""

    external_id: str
    title: str
    body: str
    is_html: bool
    link: str = ""
    """The public address; empty: it is not known."""
    language: str = ""


@dataclass(frozen=True, slots=True)
class CannedResponse:
    """A text that agents insert into their messages."""

    external_id: str
    shortcut: str
    text: str
    is_html: bool = False
