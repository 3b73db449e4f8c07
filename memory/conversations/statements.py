"""The statements of the memory, each built once; values come in as parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Update,
    bindparam,
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

from qwendesk.memory.tables.conversations import (
    Conversation,
    Message,
    Person,
    PersonIdentity,
    StoredAttachment,
    Tenant,
    Turn,
)
from qwendesk.memory.tables.facts import ToolCall
from qwendesk.memory.tables.inbox import InboundEvent

INTERRUPTED = "interrupted: the process ended before the answer"
"""The error of a turn that a dead process left running."""


def _upsert(dialect: str, table: type[Any]) -> SqliteInsert | PostgresqlInsert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def enter_conversation(dialect: str) -> ReturningInsert[Any]:
    """Create the conversation or take its next number, all in one round trip.

    Gives its id, the number after the one taken, the person's id if known, whether a turn is still running, and whether
    what was accepted under the number ``at`` is still there: who wrote it may have been forgotten.
    """
    statement = _upsert(dialect, Conversation)
    person = select(PersonIdentity.person_id).where(
        PersonIdentity.channel == bindparam("of_channel"),
        PersonIdentity.account == bindparam("of_account"),
        PersonIdentity.external_user_id == bindparam("of_person"),
    )
    # A column would lose its table's name inside RETURNING on SQLite.
    here: ColumnElement[str] = literal_column("conversation.id")
    left = select(Turn.id).where(Turn.conversation_id == here, Turn.status == literal("running", literal_execute=True))
    accepted = select(InboundEvent.id).where(
        InboundEvent.conversation_id == here, InboundEvent.sequence == bindparam("at")
    )
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "channel", "account", "external_id"],
        set_={
            "next_sequence": Conversation.next_sequence + bindparam("step"),
            "updated_at": statement.excluded.updated_at,
        },
    ).returning(Conversation.id, Conversation.next_sequence, person.scalar_subquery(), left.exists(), accepted.exists())


@cache
def add_identity(dialect: str) -> ReturningInsert[Any]:
    """Name a person on a channel and give the person's id; the name's first owner keeps it."""
    key = ["tenant_id", "channel", "account", "external_user_id"]
    # DO NOTHING would give no row back, so the row is written over with what it holds.
    same = {"external_user_id": PersonIdentity.external_user_id}
    statement = _upsert(dialect, PersonIdentity).on_conflict_do_update(index_elements=key, set_=same)
    return statement.returning(PersonIdentity.person_id)


@cache
def add_person() -> Insert:
    """Add a person."""
    return insert(Person)


@cache
def add_message() -> Insert:
    """Add a message."""
    return insert(Message)


@cache
def add_attachment() -> Insert:
    """Add a file."""
    return insert(StoredAttachment)


@cache
def add_turn() -> Insert:
    """Add a turn."""
    return insert(Turn)


@cache
def add_tool_call() -> Insert:
    """Add calls of tools."""
    return insert(ToolCall)


@cache
def add_tenant(dialect: str) -> Insert:
    """Add a tenant unless it is there."""
    return _upsert(dialect, Tenant).on_conflict_do_nothing()


@cache
def close_left_turns() -> Update:
    """Mark a conversation's running turns as interrupted."""
    running = (Turn.conversation_id == bindparam("in_conversation")) & (Turn.status == "running")
    return update(Turn).where(running).values(status="failed", error=INTERRUPTED, finished_at=bindparam("now"))


@cache
def close_turn() -> ReturningUpdate[str, int]:
    """Close a turn that is open, or was only thought dead, and give its conversation and number."""
    is_open = (Turn.status == "running") | (Turn.error == INTERRUPTED)
    statement = update(Turn).where(Turn.id == bindparam("turn_id"), is_open)
    return statement.returning(Turn.conversation_id, Turn.sequence)


@cache
def turn_status() -> Select[Any]:
    """Give a turn's status."""
    return select(Turn.status).where(Turn.id == bindparam("turn_id"))


def _in_conversation(column: Any) -> Any:
    return column == _of_conversation(Conversation.id)


def _of_conversation(column: Any) -> ScalarSelect[Any]:
    return select(column).where(*is_conversation()).scalar_subquery()


def is_conversation() -> tuple[ColumnElement[bool], ...]:
    """Tell of a conversation that it is the one with the platform's name: ``channel``, ``account`` and ``key``."""
    return (
        Conversation.channel == bindparam("channel"),
        Conversation.account == bindparam("account"),
        Conversation.external_id == bindparam("key"),
    )


def is_person() -> tuple[ColumnElement[bool], ...]:
    """Tell of a person's name on a channel that it is the one: ``channel``, ``account`` and ``person``."""
    return (
        PersonIdentity.channel == bindparam("channel"),
        PersonIdentity.account == bindparam("account"),
        PersonIdentity.external_user_id == bindparam("person"),
    )


@cache
def newest_messages() -> Select[Any]:
    """Give a conversation's messages, newest first: an answer stands beside its question, whenever it came."""
    limit = bindparam("limit", type_=Integer)
    # "assistant" sorts before "user": read backwards, the question comes first.
    return (
        select(Message.id, Message.role, Message.text, Message.created_at, Message.parts)
        .where(_in_conversation(Message.conversation_id))
        # each turn has a message, so older turns need no look; without this, PostgreSQL reads and sorts them all
        .where(Message.sequence >= _of_conversation(Conversation.next_sequence - limit))
        .order_by(Message.sequence.desc(), Message.role, Message.part.desc())
        .limit(limit)
    )


@cache
def files_of_messages() -> Select[Any]:
    """Give the files of some messages in order."""
    file = StoredAttachment
    columns: tuple[Any, ...] = (file.message_id, file.kind, file.mime, file.content, file.name)
    return (
        select(*columns)
        .where(file.message_id.in_(bindparam("messages", expanding=True)))
        .order_by(file.message_id, file.ordinal)
    )


@cache
def newest_turn() -> Select[Any]:
    """Give a conversation's newest turn with its question and answer."""
    answer = select(Message.text).where(
        Message.conversation_id == Turn.conversation_id, Message.sequence == Turn.sequence, Message.role == "assistant"
    )
    return (
        select(
            Message.text,
            answer.correlate(Turn).order_by(Message.part).limit(1).scalar_subquery(),
            Turn.status,
            Turn.receipt,
            Turn.started_at,
            Turn.thinking,
        )
        .join(Message, Message.id == Turn.question_id)
        .where(_in_conversation(Turn.conversation_id))
        .order_by(Turn.sequence.desc())
        .limit(1)
    )


@cache
def newest_conversations(one_channel: bool) -> Select[Any]:
    """Give the conversations, newest first, of one channel or of all."""
    count = select(func.count()).where(Message.conversation_id == Conversation.id).scalar_subquery()
    identity = (PersonIdentity.person_id == Message.person_id) & (PersonIdentity.channel == Conversation.channel)
    writer = (
        select(PersonIdentity.external_user_id)
        .join(Message, identity)
        .where(Message.conversation_id == Conversation.id)
        .order_by(Message.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = (Conversation.external_id, Conversation.title, count, Conversation.updated_at, Conversation.channel)
    statement = (
        select(*columns, func.coalesce(writer, ""))
        .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
        .limit(bindparam("limit"))
    )
    return statement.where(Conversation.channel == bindparam("channel")) if one_channel else statement
