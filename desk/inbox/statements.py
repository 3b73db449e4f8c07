"""The statements about accepted messages, each built once."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Delete,
    Select,
    Update,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.sql.dml import Insert, ReturningInsert, ReturningUpdate

from qwendesk.memory.people.erasure import is_empty_conversation
from qwendesk.memory.tables.conversations import Conversation, Message, Turn
from qwendesk.memory.tables.inbox import InboundEvent, InboundFile, RateBucket

OPEN = InboundEvent.status == literal("queued", literal_execute=True)
"""Written into the statement, as the partial index on open messages is not used with a parameter."""


def upsert(dialect: str, table: type[Any]) -> SqliteInsert | PostgresqlInsert:
    """Begin an insert that may meet a row that is there already."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _is_conversation() -> tuple[Any, ...]:
    return (
        Conversation.channel == bindparam("of_channel"),
        Conversation.account == "",
        Conversation.external_id == bindparam("of_key"),
    )


@cache
def take_number() -> ReturningUpdate[Any]:
    """Take the conversation's next number; give its id, the number after, how many wait, and what was chosen."""
    # A column would lose its table's name inside RETURNING on SQLite.
    waiting = select(func.count()).where(InboundEvent.conversation_id == literal_column("conversation.id"), OPEN)
    return (
        update(Conversation)
        .where(*_is_conversation())
        .values(next_sequence=Conversation.next_sequence + 1, updated_at=bindparam("now"))
        .returning(Conversation.id, Conversation.next_sequence, waiting.scalar_subquery(), Conversation.settings)
    )


@cache
def add_conversation(dialect: str) -> Insert:
    """Begin a conversation, unless another process has begun it just now."""
    return upsert(dialect, Conversation).on_conflict_do_nothing()


@cache
def add_event(dialect: str) -> ReturningInsert[Any]:
    """Add a message, unless it is there."""
    statement = upsert(dialect, InboundEvent).on_conflict_do_nothing(
        index_elements=["tenant_id", "channel", "account", "event"]
    )
    return statement.returning(InboundEvent.id)


@cache
def add_file() -> Insert:
    """Add a file."""
    return insert(InboundFile)


@cache
def spend(dialect: str) -> ReturningInsert[Any]:
    """Take ``cost`` from a bucket, which refills as time passes; gives no row where too little is left.

    A time before the bucket's last change refills nothing: the system's clock was set back.
    """
    least, most = (func.min, func.max) if dialect == "sqlite" else (func.least, func.greatest)
    now: Any = bindparam("now", type_=RateBucket.updated_at.type)
    capacity: Any = bindparam("capacity", type_=RateBucket.tokens.type)
    per_second: Any = bindparam("per_second", type_=RateBucket.tokens.type)
    cost: Any = bindparam("cost", type_=RateBucket.tokens.type)
    elapsed = most(now - RateBucket.updated_at, literal(0.0))
    refilled = least(capacity, RateBucket.tokens + elapsed * per_second)
    statement = upsert(dialect, RateBucket).values(key=bindparam("key"), tokens=bindparam("full"), updated_at=now)
    return statement.on_conflict_do_update(
        index_elements=["key"], set_={"tokens": refilled - cost, "updated_at": now}, where=refilled >= cost
    ).returning(RateBucket.tokens)


@cache
def begin() -> ReturningUpdate[Any]:
    """Count a run and give the message."""
    event = InboundEvent
    chosen = select(Conversation.settings).where(Conversation.id == literal_column("inbound_event.conversation_id"))
    columns: tuple[Any, ...] = (
        event.runs,
        event.forgiven_runs,
        event.generation,
        event.saved_reply,
        event.conversation_id,
        event.sequence,
        event.channel,
        event.account,
        event.event,
        event.person,
        event.payload,
        chosen.scalar_subquery().label("settings"),
    )
    statement = update(event).where(event.id == bindparam("event_id"), OPEN).values(runs=event.runs + 1)
    return statement.returning(*columns)


@cache
def files() -> Select[Any]:
    """Give a message's files in order."""
    file = InboundFile
    columns: tuple[Any, ...] = (file.kind, file.mime, file.content, file.name)
    return select(*columns).where(file.inbound_id == bindparam("event_id")).order_by(file.ordinal)


@cache
def close() -> Update:
    """Finish a message, if this run is its newest."""
    return (
        update(InboundEvent)
        .where(*_is_newest(), OPEN)
        .values(status=bindparam("outcome"), error=bindparam("why"), finished_at=bindparam("now"))
    )


@cache
def settle() -> ReturningUpdate[str]:
    """Keep what is about to be said to a message, if this run is its newest."""
    said = bindparam("said", type_=InboundEvent.saved_reply.type)
    return update(InboundEvent).where(*_is_newest(), OPEN).values(saved_reply=said).returning(InboundEvent.id)


@cache
def pardon() -> ReturningUpdate[str]:
    """Take back that a run counts, if it is the newest one."""
    changed = {"forgiven_runs": InboundEvent.forgiven_runs + 1}
    return update(InboundEvent).where(*_is_newest(), OPEN).values(**changed).returning(InboundEvent.id)


def _is_newest() -> tuple[Any, ...]:
    return InboundEvent.id == bindparam("event_id"), InboundEvent.runs == bindparam("run")


@cache
def ask_to_stop(of_one_person: bool) -> ReturningUpdate[Any]:
    """Mark a conversation's first open message as one to be stopped; of one person: only if that person wrote it."""
    conversation = select(Conversation.id).where(*_is_conversation()).scalar_subquery()
    event = InboundEvent.__table__.alias("earlier")
    first = select(func.min(event.c.sequence)).where(
        event.c.conversation_id == conversation, event.c.status == "queued"
    )
    theirs = [InboundEvent.person == bindparam("of_person")] if of_one_person else []
    return (
        update(InboundEvent)
        .where(
            InboundEvent.conversation_id == conversation,
            OPEN,
            InboundEvent.sequence == first.scalar_subquery(),
            *theirs,
        )
        .values(cancel_requested=True)
        .returning(InboundEvent.id)
    )


@cache
def to_go_on() -> Select[Any]:
    """Give those of some messages that are there and not to be stopped; one that is closed has nothing to stop."""
    event = InboundEvent
    return select(event.id).where(event.id.in_(bindparam("ids", expanding=True)), ~event.cancel_requested | ~OPEN)


@cache
def hold_place() -> Select[str]:
    """Give the conversation of a message, if this run is its newest, and keep others from adding to it."""
    place = select(InboundEvent.conversation_id).where(*_is_newest())
    return select(Conversation.id).where(Conversation.id.in_(place)).with_for_update()


@cache
def drop() -> Delete:
    """Delete a message with its files and answers, if this run is its newest."""
    return delete(InboundEvent).where(*_is_newest())


@cache
def drop_empty() -> Delete:
    """Delete a conversation of which nothing is left."""
    return delete(Conversation).where(Conversation.id == bindparam("in_conversation"), *is_empty_conversation())


@cache
def answer() -> Select[Any]:
    """Give the stored answer of a turn that is done."""
    here = Turn.conversation_id == bindparam("in_conversation")
    said = (
        (Message.conversation_id == Turn.conversation_id)
        & (Message.sequence == Turn.sequence)
        & (Message.role == "assistant")
    )
    done = (Turn.sequence == bindparam("at")) & (Turn.status == "done")
    return select(Message.text).join(Turn, said).where(here, done).order_by(Message.part).limit(1)


@cache
def chosen() -> Select[Any]:
    """Give what is chosen in a conversation."""
    return select(Conversation.settings).where(Conversation.id == bindparam("in_conversation"))


@cache
def choose() -> Update:
    """Keep what is chosen in a conversation."""
    return (
        update(Conversation)
        .where(Conversation.id == bindparam("in_conversation"))
        .values(settings=bindparam("chosen", type_=Conversation.settings.type))
    )


@cache
def conversation() -> Select[str]:
    """Give a conversation's id."""
    return select(Conversation.id).where(*_is_conversation())
