"""All that a turn needs to know, in one round trip: newest messages, summary, facts."""

from __future__ import annotations

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

from qwendesk.memory.conversations.statements import is_conversation, is_person
from qwendesk.memory.tables.conversations import Conversation, Message, Person, PersonIdentity
from qwendesk.memory.tables.facts import ConversationSummary, StoredFact
from qwendesk.memory.tables.types import Json

_LIMIT = bindparam("messages", type_=Integer)
_SHAPE = ("kind", "id", "role", "text", "at", "sequence", "parts")


@cache
def statement() -> CompoundSelect[Any]:
    """Give rows of three kinds: messages after the summary, newest first; the summary; the person's facts."""
    parts = (_messages(), _summary(), _facts())
    return union_all(*(select(*part.subquery().columns) for part in parts))


def split(rows: list[Row[Any]]) -> tuple[list[Row[Any]], list[Row[Any]], list[Row[Any]]]:
    """Return messages, summaries and facts apart."""
    kinds: dict[str, list[Row[Any]]] = {"message": [], "summary": [], "fact": []}
    for row in rows:
        kinds[row.kind].append(row)
    return kinds["message"], kinds["summary"], kinds["fact"]


def _row(kind: str, *columns: Any) -> list[Any]:
    return [literal(kind, Text).label("kind")] + [
        column.label(name) for name, column in zip(_SHAPE[1:], columns, strict=True)
    ]


def _messages() -> Select[Any]:
    columns = (Message.id, Message.role, Message.text, Message.created_at, Message.sequence, Message.parts)
    newest = _conversation(Conversation.next_sequence - _LIMIT).scalar_subquery()
    covered = func.coalesce(_reach().scalar_subquery(), 0)
    # all columns in one direction: the index is read backwards and nothing is sorted, however long the conversation
    return (
        select(*_row("message", *columns))
        .where(Message.conversation_id == _conversation().scalar_subquery(), Message.sequence > covered)
        .where(Message.sequence > _begun_anew(), Message.sequence < bindparam("before"))
        # each turn has a message, so older turns need no look; without this, PostgreSQL reads and sorts them all
        .where(Message.sequence >= newest)
        .order_by(Message.sequence.desc(), Message.role.desc(), Message.part.desc())
        .limit(_LIMIT)
    )


def _summary() -> Select[Any]:
    of = ConversationSummary
    columns: tuple[Any, ...] = (of.id, _nothing(Text), of.text, of.created_at, of.to_sequence, _nothing(Json))
    here = of.conversation_id == _conversation().scalar_subquery()
    return (
        select(*_row("summary", *columns))
        .where(here, of.to_sequence > _begun_anew())
        .order_by(of.to_sequence.desc())
        .limit(1)
    )


def _facts() -> Select[Any]:
    of = StoredFact
    columns: tuple[Any, ...] = (of.id, of.key, of.value, of.valid_from, literal(0), _nothing(Json))
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


def _begun_anew() -> ScalarSelect[Any]:
    """Give the number after which the person began the conversation anew, in the same chat."""
    return _conversation(func.coalesce(Conversation.settings["since"].as_integer(), 0)).scalar_subquery()


def _reach() -> Select[Any]:
    here = ConversationSummary.conversation_id == _conversation().scalar_subquery()
    return select(func.max(ConversationSummary.to_sequence)).where(here)


def _nothing(kind: Any) -> Any:
    return cast(null(), kind)
