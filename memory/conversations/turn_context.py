"""The context of a turn in one query: newest messages, summary and facts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Integer,
    Row,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from qwendesk.memory.conversations.history import attachments_of, is_conversation
from qwendesk.memory.people.repository import is_person
from qwendesk.memory.records import KnownFact, StoredContext, StoredMessage, Summary
from qwendesk.memory.tables.conversations import Conversation, Message, Person, PersonIdentity
from qwendesk.memory.tables.facts import ConversationSummary, StoredFact
from qwendesk.memory.tables.types import Json
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.messages import Attachment, Inbound

_NO_LIMIT = 2**31 - 1
"""A sequence above all others."""
_LIMIT = bindparam("messages", type_=Integer)
_COLUMNS = ("kind", "id", "role", "text", "at", "sequence", "parts")


async def read_context(
    connection: TenantConnection,
    inbound: Inbound,
    account: str,
    *,
    messages: int,
    facts: int,
    with_attachments: bool,
) -> StoredContext:
    """Return the newest messages after the summary, the summary, and the person's newest facts."""
    values: dict[str, Any] = {"channel": inbound.channel, "account": account, "key": inbound.conversation}
    values |= {"person": inbound.person, "messages": messages, "facts": facts}
    values["before"] = _NO_LIMIT if inbound.sequence is None else inbound.sequence
    rows: dict[str, list[Row[Any]]] = {"message": [], "summary": [], "fact": []}
    for row in await connection.execute(_context(), values):
        rows[row.kind].append(row)
    newest = sorted(rows["message"], key=lambda row: (row.sequence, row.role), reverse=True)
    having = [row.id for row in newest if row.parts] if with_attachments else []
    files = await attachments_of(connection, having)
    return StoredContext(
        _messages_in_order(rows["message"], files, messages),
        next((Summary(row.text, row.sequence) for row in rows["summary"]), None),
        tuple(KnownFact(row.role, row.text) for row in sorted(rows["fact"], key=lambda row: str(row.id))),
    )


def _messages_in_order(rows: list[Row[Any]], files: Mapping[str, list[Attachment]], limit: int) -> list[StoredMessage]:
    """Return messages oldest first, a question before its answer."""
    messages = sorted(rows, key=lambda row: (row.sequence, row.role != "user"))
    if len(messages) == limit and len(messages) > 1 and messages[0].sequence != messages[1].sequence:
        del messages[0]  # The limit separated a question from its answer.
    return [StoredMessage(row.id, row.role, row.text, row.at, tuple(files.get(row.id, ()))) for row in messages]


@cache
def _context() -> CompoundSelect[Any]:
    """Select rows of three kinds: messages after the summary, newest first; the summary; the person's facts."""
    parts = (_messages(), _summary(), _facts())
    return union_all(*(select(*part.subquery().columns) for part in parts))


def _row(kind: str, *columns: Any) -> list[Any]:
    return [literal(kind, Text).label("kind")] + [
        column.label(name) for name, column in zip(_COLUMNS[1:], columns, strict=True)
    ]


def _messages() -> Select[Any]:
    columns = (Message.id, Message.role, Message.text, Message.created_at, Message.sequence, Message.parts)
    newest = _conversation(Conversation.next_sequence - _LIMIT).scalar_subquery()
    summarised = select(func.max(ConversationSummary.to_sequence)).where(
        ConversationSummary.conversation_id == _conversation().scalar_subquery()
    )
    covered = func.coalesce(summarised.scalar_subquery(), 0)
    # All columns in one direction: the index is read backwards and nothing is sorted in a long conversation.
    return (
        select(*_row("message", *columns))
        .where(Message.conversation_id == _conversation().scalar_subquery(), Message.sequence > covered)
        .where(Message.sequence > _restarted_after(), Message.sequence < bindparam("before"))
        # Each turn has a message, so older turns are out of reach; without this, PostgreSQL would sort all messages.
        .where(Message.sequence >= newest)
        .order_by(Message.sequence.desc(), Message.role.desc(), Message.part.desc())
        .limit(_LIMIT)
    )


def _summary() -> Select[Any]:
    of = ConversationSummary
    columns: tuple[Any, ...] = (of.id, _null(Text), of.text, of.created_at, of.to_sequence, _null(Json))
    here = of.conversation_id == _conversation().scalar_subquery()
    summaries = select(*_row("summary", *columns)).where(here, of.to_sequence > _restarted_after())
    return summaries.order_by(of.to_sequence.desc()).limit(1)


def _facts() -> Select[Any]:
    of = StoredFact
    columns: tuple[Any, ...] = (of.id, of.key, of.value, of.valid_from, literal(0), _null(Json))
    person = (
        select(PersonIdentity.person_id)
        .join(Person, Person.id == PersonIdentity.person_id)
        .where(*is_person(), Person.remembers.is_(True))
    )
    mine = of.person_id == person.scalar_subquery()
    live = select(*_row("fact", *columns)).where(mine, of.namespace == "", of.valid_to.is_(None))
    return live.order_by(of.id.desc()).limit(bindparam("facts"))


def _conversation(column: Any = Conversation.id) -> Select[Any]:
    return select(column).where(*is_conversation())


def _restarted_after() -> ScalarSelect[Any]:
    """Select the sequence after which the person began the conversation anew in the same chat."""
    return _conversation(func.coalesce(Conversation.settings["since"].as_integer(), 0)).scalar_subquery()


def _null(kind: Any) -> Any:
    return cast(null(), kind)
