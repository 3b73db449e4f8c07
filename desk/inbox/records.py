"""Values of the inbox, and the rows that messages are stored as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, literal
from uuid_utils import uuid7

from qwendesk.memory.conversations.turns import title
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.messages import Attachment, Inbound, as_role, storable_text

Row = dict[str, Any]
OPEN = InboundEvent.status == literal("queued", literal_execute=True)
"""Rendered as a literal: databases do not use the partial index on open messages with a parameter."""
Outcome = Literal["done", "failed", "stopped", "dead", "gone"]
"""``gone``: the person is forgotten, so the message and a conversation without further messages are deleted."""
DETECTED_LANGUAGE = "detected_language"
"""Conversation setting: the language that was last detected in it."""
Enqueue = Callable[[Connection, str, str, int], None]
"""Adds a message to the queue within a transaction: message id, conversation id, sequence number."""


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A persistent rate limit: up to ``capacity`` tokens, refilled at ``per_second``."""

    key: str
    capacity: float
    per_second: float
    cost: float = 1.0
    """Tokens that the message takes."""
    refusal: str = "limited"
    """Key of the text for a person whose bucket has too few tokens."""


@dataclass(frozen=True, slots=True)
class AcceptResult:
    """Result of storing a message: accepted, or the reason for a refusal."""

    outcome: Literal["accepted", "duplicate", "limited", "full"]
    sequence: int | None = None
    locale: str | None = None
    """The language chosen or detected in the conversation, else the one reported by the platform."""
    id: str = ""
    wait: float = 0.0
    """Seconds until the bucket has enough tokens for the message."""
    refusal: str = "limited"
    """Key of the text for a person whose bucket has too few tokens."""


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """An accepted message that a worker has claimed."""

    id: str
    run: int
    """Number of this run, from 1; only the newest run of a message can change or send anything."""
    attempt: int
    """Number of this run since the message was accepted or last retried by hand, without forgiven runs."""
    conversation_id: str
    inbound: Inbound
    settings: dict[str, Any]
    """Settings of the conversation: role, model, think, language."""
    generation: int = 0
    """How many times the message was retried by hand for a new answer."""
    result: dict[str, Any] | None = None
    """The answer that an earlier run saved before its delivery; None if no run has saved one."""


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """A message that could not be answered or delivered."""

    id: str
    channel: str
    conversation: str
    person: str
    text: str
    status: str
    error: str
    received_at: datetime
    runs: int


def conversation_key(account: str, conversation: str) -> str:
    """Return a conversation's key in the memory, which stores no accounts of the desk on a channel."""
    return f"{account}/{conversation}" if account else conversation


def is_conversation(channel: str, account: str, conversation: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select a conversation by its key on a channel."""
    key = conversation_key(account, conversation)
    return Conversation.channel == channel, Conversation.account == "", Conversation.external_id == key


def is_newest_run(id_: str, run: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select a message while ``run`` is its newest run."""
    return InboundEvent.id == id_, InboundEvent.runs == run


def conversation_row(inbound: Inbound, now: datetime) -> Row:
    """Return the row of a new conversation."""
    return {
        "id": str(uuid7()),
        "channel": inbound.channel,
        "account": "",
        "external_id": conversation_key(inbound.account, inbound.conversation),
        "next_sequence": 1,
        "title": title(inbound),
        "locale": inbound.locale,
        "created_at": now,
        "updated_at": now,
    }


def event_row(inbound: Inbound, conversation: str, sequence: int, now: datetime) -> Row:
    """Return the row of an accepted message."""
    return {
        "id": str(uuid7()),
        "channel": inbound.channel,
        "account": inbound.account,
        "event": inbound.event,
        "conversation_id": conversation,
        "sequence": sequence,
        "person": inbound.person,
        "payload": _payload(inbound),
        "received_at": now,
    }


def file_rows(inbound: Inbound, event_id: str) -> list[Row]:
    """Return the rows of a message's files."""
    return [
        {
            "id": str(uuid7()),
            "inbound_id": event_id,
            "ordinal": ordinal,
            "kind": file.kind,
            "mime": storable_text(file.mime),
            "name": storable_text(file.name),
            "content": file.data,
        }
        for ordinal, file in enumerate(inbound.attachments)
    ]


def inbound_of(row: Any, files: list[Attachment]) -> Inbound:
    """Return the message of a stored row."""
    payload = row.payload
    return Inbound(
        text=payload["text"],
        conversation=payload["conversation"],
        attachments=tuple(files),
        role=as_role(payload.get("role") or ""),
        model=payload.get("model"),
        think=payload.get("think"),
        person=row.person,
        channel=row.channel,
        account=row.account,
        event=row.event,
        reply_to=payload.get("reply_to"),
        locale=payload.get("locale"),
        group=bool(payload.get("group")),
        display_name=payload.get("display_name", ""),
        retry=bool(payload.get("retry")),
        unsupported_media=payload.get("unsupported_media"),
        sequence=row.sequence,
    )


def _payload(inbound: Inbound) -> Row:
    values = {
        "text": storable_text(inbound.text),
        "conversation": inbound.conversation,
        "role": inbound.role,
        "model": inbound.model,
        "think": inbound.think,
        "reply_to": inbound.reply_to,
        "locale": inbound.locale,
        "group": inbound.group,
        "display_name": inbound.display_name,
        "retry": inbound.retry,
        "unsupported_media": inbound.unsupported_media,
        "files": len(inbound.attachments),
    }
    required = ("text", "conversation", "think")
    return {key: value for key, value in values.items() if value or key in required}
