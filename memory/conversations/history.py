"""Stored conversations: their list, their messages and last turn, and the context of a turn in one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Row,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from qwendesk.memory.people.repository import is_person
from qwendesk.memory.records import ConversationInfo, KnownFact, StoredContext, StoredMessage, StoredTurn, Summary
from qwendesk.memory.tables.conversations import (
    ANSWER_LANGUAGE,
    Conversation,
    Message,
    Person,
    PersonIdentity,
    StoredAttachment,
    Turn,
)
from qwendesk.memory.tables.facts import ConversationSummary, StoredFact
from qwendesk.memory.tables.tickets import MessageTranslation, Ticket
from qwendesk.memory.tables.types import Json
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import Attachment, Inbound

_MESSAGES_WITH_FILES = 4
"""Messages, newest first, that are returned with their attachments."""
_NO_LIMIT = 2**31 - 1
"""A sequence above all others."""
_LIMIT = bindparam("messages", type_=Integer)
_KEY = ("channel", "account", "key")
"""Parameters of the statements that select one conversation."""
_COLUMNS = ("kind", "id", "role", "text", "at", "sequence", "parts")


class History:
    """Reads the conversations of one tenant.

    Args:
        database: the tenant's view of the database.
        account: the desk's account of the conversations.
    """

    def __init__(self, database: TenantDatabase, account: str) -> None:
        self._database = database
        self._account = account

    @unit_of_work
    async def messages(
        self, conversation: str, *, channel: str = "python", limit: int = 200, with_attachments: bool = True
    ) -> list[StoredMessage]:
        """Return the newest ``limit`` messages, oldest first; an answer follows its question, regardless of its time.

        Args:
            conversation: the conversation's key.
            channel: the conversation's channel.
            limit: the number of messages.
            with_attachments: read the attachments of the newest few messages that have any.
        """
        of_conversation = Message.conversation_id == _conversation()
        # Each turn has a message, so older turns are out of reach; without this, PostgreSQL would sort all messages.
        newest = _conversation(Conversation.next_sequence - limit)
        statement = (
            select(Message.id, Message.role, Message.text, Message.created_at, Message.parts)
            .where(of_conversation, Message.sequence >= newest)
            # "assistant" sorts before "user": reversed, the question comes first.
            .order_by(Message.sequence.desc(), Message.role, Message.part.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(statement, self._key(conversation, channel))).all()
            having = [row.id for row in found if row.parts] if with_attachments else []
            files = await attachments_of(connection, having)
        return [
            StoredMessage(id_, role, text, created_at, tuple(files.get(id_, ())))
            for id_, role, text, created_at, _ in reversed(found)
        ]

    @unit_of_work
    async def last_turn(self, conversation: str, *, channel: str = "python") -> StoredTurn | None:
        """Return the conversation's newest turn, of any status."""
        async with self._database.read() as connection:
            found = await connection.execute(_last_turn(), self._key(conversation, channel))
            row = found.one_or_none()
        return StoredTurn(conversation, *row) if row else None

    @unit_of_work
    async def conversations(self, *, channel: str | None = None, limit: int = 20) -> list[ConversationInfo]:
        """Return the conversations of one channel or of all, newest first."""
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
            .where(*([] if channel is None else [Conversation.channel == channel]))
            .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [ConversationInfo(*row) for row in await connection.execute(statement)]

    @unit_of_work
    async def answer_language(self, conversation: str, *, channel: str = "python") -> str | None:
        """Return the ISO 639-1 code of the language that was wished for all answers of a conversation."""
        async with self._database.read() as connection:
            found = await connection.execute(_answer_language_of_conversation(), self._key(conversation, channel))
            language: str | None = found.scalar_one_or_none()
        return language

    def _key(self, conversation: str, channel: str) -> dict[str, str]:
        return {"channel": channel, "account": self._account, "key": conversation}


async def attachments_of(connection: TenantConnection, messages: Sequence[str]) -> dict[str, list[Attachment]]:
    """Return the attachments of the first few messages by message id.

    Args:
        connection: the tenant's connection.
        messages: ids of messages with attachments, newest first.
    """
    if not messages:
        return {}
    values = {"messages": list(messages[:_MESSAGES_WITH_FILES])}
    files: dict[str, list[Attachment]] = {}
    for message, *file in await connection.execute(_attachments(), values):
        files.setdefault(message, []).append(Attachment(*file))
    return files


def is_conversation(channel: Any, account: Any, key: Any) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a conversation; each argument is a value or a bound parameter."""
    return Conversation.channel == channel, Conversation.account == account, Conversation.external_id == key


def first_part_of_answer() -> ScalarSelect[Any]:
    """Select the text of a turn's answer, of its first part if it has several."""
    return (
        select(Message.text)
        .where(
            Message.conversation_id == Turn.conversation_id,
            Message.sequence == Turn.sequence,
            Message.role == "assistant",
        )
        .correlate(Turn)
        .order_by(Message.part)
        .limit(1)
        .scalar_subquery()
    )


def _conversation(column: Any = Conversation.id) -> ScalarSelect[Any]:
    """Select a column of the conversation with the parameters ``channel``, ``account`` and ``key``."""
    return select(column).where(*is_conversation(*map(bindparam, _KEY))).scalar_subquery()


@cache
def _attachments() -> Select[Any]:
    file = StoredAttachment
    columns: tuple[Any, ...] = (file.message_id, file.kind, file.mime, file.content, file.name)
    these = file.message_id.in_(bindparam("messages", expanding=True))
    return select(*columns).where(these).order_by(file.message_id, file.ordinal)


@cache
def _last_turn() -> Select[Any]:
    columns: tuple[Any, ...] = (
        Message.text,
        first_part_of_answer(),
        Turn.status,
        Turn.receipt,
        Turn.started_at,
        Turn.thinking,
    )
    return (
        select(*columns)
        .join(Message, Message.id == Turn.question_id)
        .where(Turn.conversation_id == _conversation())
        .order_by(Turn.sequence.desc())
        .limit(1)
    )


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
    rows: dict[str, list[Row[Any]]] = {"message": [], "summary": [], "fact": [], "language": []}
    for row in await connection.execute(_context(), values):
        rows[row.kind].append(row)
    newest = sorted(rows["message"], key=lambda row: (row.sequence, row.role), reverse=True)
    having = [row.id for row in newest if row.parts] if with_attachments else []
    files = await attachments_of(connection, having)
    return StoredContext(
        _messages_in_order(rows["message"], files, messages),
        next((Summary(row.text, row.sequence) for row in rows["summary"]), None),
        tuple(KnownFact(row.role, row.text) for row in sorted(rows["fact"], key=lambda row: str(row.id))),
        next((row.text for row in rows["language"]), None),
    )


def _messages_in_order(rows: list[Row[Any]], files: Mapping[str, list[Attachment]], limit: int) -> list[StoredMessage]:
    """Return messages oldest first, a question before its answer."""
    messages = sorted(rows, key=lambda row: (row.sequence, row.role != "user"))
    if len(messages) == limit and len(messages) > 1 and messages[0].sequence != messages[1].sequence:
        del messages[0]  # The limit separated a question from its answer.
    return [StoredMessage(row.id, row.role, row.text, row.at, tuple(files.get(row.id, ()))) for row in messages]


@cache
def _context() -> CompoundSelect[Any]:
    """Select rows of four kinds: messages after the summary, newest first; the summary; the facts; the language."""
    parts = (_messages(), _summary(), _facts(), _answer_language())
    return union_all(*(select(*part.subquery().columns) for part in parts))


def _row(kind: str, *columns: Any) -> list[Any]:
    return [literal(kind, Text).label("kind")] + [
        column.label(name) for name, column in zip(_COLUMNS[1:], columns, strict=True)
    ]


def _messages() -> Select[Any]:
    columns = (Message.id, Message.role, _as_told(), Message.created_at, Message.sequence, Message.parts)
    newest = _conversation(Conversation.next_sequence - _LIMIT)
    summarised = select(func.max(ConversationSummary.to_sequence)).where(
        ConversationSummary.conversation_id == _conversation()
    )
    covered = func.coalesce(summarised.scalar_subquery(), 0)
    # All columns in one direction: the index is read backwards and nothing is sorted in a long conversation.
    return (
        select(*_row("message", *columns))
        .where(Message.conversation_id == _conversation(), Message.sequence > covered)
        .where(Message.sequence > _restarted_after(), Message.sequence < bindparam("before"))
        # Each turn has a message, so older turns are out of reach; without this, PostgreSQL would sort all messages.
        .where(Message.sequence >= newest)
        .order_by(Message.sequence.desc(), Message.role.desc(), Message.part.desc())
        .limit(_LIMIT)
    )


def _as_told() -> ColumnElement[str]:
    """Select a message's text; of an operator's message, the translation that the customer got, if there is one."""
    customer = select(func.coalesce(Conversation.settings["language"].as_string(), Ticket.language))
    customer = customer.join(Conversation, Conversation.id == Ticket.conversation_id)
    language = customer.where(Ticket.id == Message.ticket_id).correlate(Message).scalar_subquery()
    translated = select(MessageTranslation.text).where(
        MessageTranslation.message_id == Message.id,
        MessageTranslation.language == language,
        MessageTranslation.status == "done",
    )
    told = func.coalesce(translated.correlate(Message).scalar_subquery(), Message.text)
    return case((Message.role == "operator", told), else_=Message.text)


def _summary() -> Select[Any]:
    of = ConversationSummary
    columns: tuple[Any, ...] = (of.id, _null(Text), of.text, of.created_at, of.to_sequence, _null(Json))
    here = of.conversation_id == _conversation()
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


def _answer_language() -> Select[Any]:
    of = Conversation
    language = of.settings[ANSWER_LANGUAGE].as_string()
    columns: tuple[Any, ...] = (of.id, _null(Text), language, of.updated_at, literal(0), _null(Json))
    return select(*_row("language", *columns)).where(*is_conversation(*map(bindparam, _KEY)), language.is_not(None))


@cache
def _answer_language_of_conversation() -> Select[Any]:
    return select(_conversation(Conversation.settings[ANSWER_LANGUAGE].as_string()))


def _restarted_after() -> ScalarSelect[Any]:
    """Select the sequence after which the person began the conversation anew in the same chat."""
    return _conversation(func.coalesce(Conversation.settings["since"].as_integer(), 0))


def _null(kind: Any) -> Any:
    return cast(null(), kind)
