"""Accept a message in one transaction: number it, store it, take its rate-limit tokens, enqueue it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, func, insert, literal, literal_column, select, update
from uuid_utils import uuid7

from qwendesk.desk.inbox.repository import OPEN, conversation_key
from qwendesk.desk.translations import DETECTED_LANGUAGE
from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.conversations.turns import change_settings, title
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.conversations import VERIFIED_CUSTOMER, Conversation
from qwendesk.memory.tables.inbox import InboundEvent, InboundFile, RateBucket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import Inbound
from qwendesk.steady_clock import SteadyClock

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


class _NotAccepted(Exception):
    def __init__(self, result: AcceptResult) -> None:
        self.result = result


class InboxAcceptance:
    """Accepts the messages of one tenant, and counts those that are open.

    A message is open from its acceptance until a worker completes it or gives it up.
    """

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._clock = SteadyClock()

    @unit_of_work
    async def accept(
        self, inbound: Inbound, buckets: Sequence[TokenBucket], enqueue: Enqueue, *, max_open: int = 50
    ) -> AcceptResult:
        """Store and enqueue a message in one transaction; a message that is not accepted changes nothing.

        Args:
            inbound: the message.
            buckets: rate limits that it takes tokens from.
            enqueue: adds it to the queue.
            max_open: most open messages of a conversation.
        """
        try:
            async with self._database.write() as connection:
                return await self._store(connection, inbound, buckets, enqueue, max_open)
        except _NotAccepted as refused:  # raised to roll the transaction back
            return refused.result

    async def open_count(self) -> int:
        """Count the open messages."""
        statement = select(func.count()).select_from(InboundEvent).where(OPEN)
        async with self._database.read() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def open_count_by_channel(self) -> dict[str, int]:
        """Count the open messages of each channel."""
        statement = select(InboundEvent.channel, func.count()).where(OPEN).group_by(InboundEvent.channel)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(statement)}

    async def open_count_of_person(self, channel: str, account: str, person: str) -> int:
        """Count the open messages of one person."""
        event = InboundEvent
        theirs = (event.channel == channel) & (event.account == account) & (event.person == person)
        statement = select(func.count()).select_from(event).where(OPEN, theirs)
        async with self._database.read() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def _store(
        self,
        connection: TenantConnection,
        inbound: Inbound,
        buckets: Sequence[TokenBucket],
        enqueue: Enqueue,
        max_open: int,
    ) -> AcceptResult:
        now = datetime.now(UTC)
        conversation, sequence, open_, settings = await self._next_sequence(connection, inbound, now)
        locale = settings.get("language") or settings.get(DETECTED_LANGUAGE) or inbound.locale
        event = _event_row(inbound, conversation, sequence, now)
        if not await self._add_event(connection, event):
            raise _NotAccepted(AcceptResult("duplicate", locale=locale))
        if open_ >= max_open:
            raise _NotAccepted(AcceptResult("full", locale=locale))
        for bucket in buckets:
            if not await self._spend(connection, bucket):
                wait = min(bucket.cost, bucket.capacity) / bucket.per_second
                raise _NotAccepted(AcceptResult("limited", locale=locale, wait=wait, refusal=bucket.refusal))
        if inbound.customer and settings.get(VERIFIED_CUSTOMER) != inbound.customer.as_dict():
            here = [Conversation.id == conversation]
            await change_settings(connection, here, {VERIFIED_CUSTOMER: inbound.customer.as_dict()})
        if files := _file_rows(inbound, event["id"]):
            await connection.execute(insert(InboundFile), files)
        await connection.raw.run_sync(enqueue, event["id"], conversation, sequence)
        return AcceptResult("accepted", sequence, locale, event["id"])

    async def _next_sequence(
        self, connection: TenantConnection, inbound: Inbound, now: datetime
    ) -> tuple[str, int, int, dict[str, Any]]:
        """Return the conversation's id, the message's number, the count of open messages and the settings.

        The conversation's row stays locked, so that numbers follow the order of acceptance.
        """
        key = conversation_key(inbound.account, inbound.conversation)
        # SQLite would drop the table's name of a mapped column within RETURNING.
        open_ = select(func.count()).where(InboundEvent.conversation_id == literal_column("conversation.id"), OPEN)
        statement = (
            update(Conversation)
            .where(*is_conversation(inbound.channel, "", key))
            .values(next_sequence=Conversation.next_sequence + 1, updated_at=now)
            .returning(Conversation.id, Conversation.next_sequence, open_.scalar_subquery(), Conversation.settings)
        )
        taken = (await connection.execute(statement)).one_or_none()
        if taken is None:
            add = upsert(self._database.dialect, Conversation).on_conflict_do_nothing()
            await connection.execute(add, _conversation_row(inbound, now))
            taken = (await connection.execute(statement)).one()
        conversation, next_sequence, count, settings = taken
        return conversation, next_sequence - 1, count, settings or {}

    async def _add_event(self, connection: TenantConnection, row: dict[str, Any]) -> bool:
        """Add a message; False if it was delivered before."""
        statement = upsert(self._database.dialect, InboundEvent).on_conflict_do_nothing(
            index_elements=["tenant_id", "channel", "account", "event"]
        )
        added = await connection.execute(statement.returning(InboundEvent.id), row)
        return added.scalar_one_or_none() is not None

    async def _spend(self, connection: TenantConnection, bucket: TokenBucket) -> bool:
        """Take the message's tokens from a bucket; False if it has too few.

        A time before the bucket's last change, after the system's clock was set back, refills nothing.
        """
        if bucket.cost > bucket.capacity:
            return False
        dialect = self._database.dialect
        least, most = (func.min, func.max) if dialect == "sqlite" else (func.least, func.greatest)
        now: Any = bindparam("now", type_=RateBucket.updated_at.type)
        capacity: Any = bindparam("capacity", type_=RateBucket.tokens.type)
        per_second: Any = bindparam("per_second", type_=RateBucket.tokens.type)
        cost: Any = bindparam("cost", type_=RateBucket.tokens.type)
        elapsed = most(now - RateBucket.updated_at, literal(0.0))
        refilled = least(capacity, RateBucket.tokens + elapsed * per_second)
        statement = upsert(dialect, RateBucket).values(key=bindparam("key"), tokens=bindparam("full"), updated_at=now)
        statement = statement.on_conflict_do_update(
            index_elements=["key"], set_={"tokens": refilled - cost, "updated_at": now}, where=refilled >= cost
        )
        values = {
            # a digest: a deleted person's name must not stay in the table
            "key": hashlib.sha256(f"{self._database.tenant}:{bucket.key}".encode()).hexdigest(),
            "capacity": bucket.capacity,
            "per_second": bucket.per_second,
            "cost": bucket.cost,
            "full": bucket.capacity - bucket.cost,
            "now": self._clock.now(),
        }
        spent = await connection.execute(statement.returning(RateBucket.tokens), values)
        return spent.scalar_one_or_none() is not None


def _conversation_row(inbound: Inbound, now: datetime) -> dict[str, Any]:
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


def _event_row(inbound: Inbound, conversation: str, sequence: int, now: datetime) -> dict[str, Any]:
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


def _payload(inbound: Inbound) -> dict[str, Any]:
    values = {
        "text": inbound.text,
        "conversation": inbound.conversation,
        "role": inbound.role,
        "model": inbound.model,
        "think": inbound.think,
        "reply_to": inbound.reply_to,
        "quoted_id": inbound.quoted_id,
        "locale": inbound.locale,
        "group": inbound.group,
        "display_name": inbound.display_name,
        "retry": inbound.retry,
        "unsupported_media": inbound.unsupported_media,
        "customer": inbound.customer.as_dict() if inbound.customer else None,
        "reply_address": inbound.reply_address.as_dict() if inbound.reply_address else None,
        "files": len(inbound.attachments),
    }
    required = ("text", "conversation", "think")
    return {key: value for key, value in values.items() if value or key in required}


def _file_rows(inbound: Inbound, event_id: str) -> list[dict[str, Any]]:
    """Return the rows of a message's files."""
    return [
        {
            "id": str(uuid7()),
            "inbound_id": event_id,
            "ordinal": ordinal,
            "kind": file.kind,
            "mime": file.mime,
            "name": file.name,
            "content": file.data,
        }
        for ordinal, file in enumerate(inbound.attachments)
    ]
