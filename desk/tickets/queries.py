"""Read tickets for the inbox, commands and reports: lists, one ticket with all that belongs to it, and its events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, func, or_, select
from uuid_utils import uuid7

from qwendesk.desk.tickets.approval_records import WAITING, ApprovalRecord, read_approvals
from qwendesk.desk.tickets.changes import read_ticket, select_tickets
from qwendesk.desk.tickets.records import (
    ActorKind,
    TicketEventRecord,
    TicketGone,
    TicketNoteRecord,
    TicketRecord,
    TicketState,
    ticket_record,
)
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.conversations import Conversation, Message
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import (
    MessageTranslation,
    Ticket,
    TicketApproval,
    TicketEvent,
    TicketNote,
    TicketPresence,
    TicketText,
)
from qwendesk.memory.tables.types import to_json
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

TYPING = timedelta(seconds=6)
"""How long after a keystroke an operator counts as typing."""
PRESENT = timedelta(seconds=40)
"""How long after the last report an operator counts as having the ticket open."""
_TEXT_OF_INBOX = ("message", "replied")
"""Events about a message that is stored before a turn stores its own."""
_COMMIT_DELAY = timedelta(seconds=5)
"""Time within which an event that was made earlier may still be committed."""


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets are listed; every condition that is given holds."""

    states: tuple[TicketState, ...] = ()
    """States; empty: all."""
    operator_id: str | None = None
    """Holder, or the operator it is assigned to."""
    is_unassigned: bool = False
    needs_approval: bool = False
    """Whether a call waits for an approval."""
    team: str | None = None
    language: str | None = None
    tag: str | None = None
    channel: str | None = None
    mentions: str | None = None
    """Id of an operator whom a note mentions."""
    ids: tuple[str, ...] = ()
    """Ids of tickets; empty: any."""
    min_priority: int = 0
    """Index of the lowest priority in ``PRIORITIES``."""
    text: str = ""
    """Words that the subject, the customer's name or a message contains, or a ticket's number."""


EventMark = tuple[int, int, str, str]
"""The number of a ticket's events, and the id of the newest."""


@dataclass(frozen=True, slots=True)
class TranslationRecord:
    """A message in another language."""

    language: str
    text: str
    status: str
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A message of a ticket."""

    id: str
    sequence: int
    role: str
    """``user``, ``assistant`` or ``operator``."""
    text: str
    """The text as it was written."""
    model: str | None
    operator_id: str | None
    operator_name: str
    attachments: tuple[dict[str, Any], ...]
    """Kind and id of each file."""
    delivery: str | None
    """Status of the delivery of an answer: ``queued``, ``sending``, ``sent`` or ``failed``; None: none is known."""
    translations: tuple[TranslationRecord, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeskText:
    """What the desk itself told the customer."""

    id: str
    sequence: int
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TicketThread:
    """A ticket with its messages, notes, events, the desk's own texts and approvals, each the oldest first."""

    ticket: TicketRecord
    messages: tuple[ThreadMessage, ...]
    notes: tuple[TicketNoteRecord, ...]
    events: tuple[TicketEventRecord, ...]
    texts: tuple[DeskText, ...] = ()
    approvals: tuple[ApprovalRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Colleague:
    """An operator who has a ticket open."""

    operator_id: str
    name: str
    is_typing: bool


class TicketQueries:
    """Reads the tickets of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def get(self, id_: str) -> TicketRecord:
        """Return a ticket.

        Raises:
            TicketGone: there is none.
        """
        async with self._database.read() as connection:
            return await read_ticket(connection, id_)

    async def numbered(self, number: int) -> TicketRecord:
        """Return a ticket by its number.

        Raises:
            TicketGone: there is none.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select_tickets().where(Ticket.number == number))).one_or_none()
        if row is None:
            raise TicketGone(f"There is no ticket {number}; 'qwendesk tickets list' shows which there are.")
        return ticket_record(row)

    async def listed(
        self, filter_: TicketFilter, *, limit: int = 50, offset: int = 0, waiting_first: bool = False
    ) -> list[TicketRecord]:
        """Return tickets, those with the highest priority first, then those that have waited longest.

        Args:
            filter_: which tickets.
            limit: the most tickets.
            offset: how many are skipped.
            waiting_first: those in state ``waiting`` come before all others.
        """
        waits = func.coalesce(Ticket.waiting_since, Ticket.last_message_at)
        statement = select_tickets().where(*_conditions(filter_))
        if filter_.states == ("waiting",):
            statement = statement.order_by(Ticket.priority.desc(), waits, Ticket.number)
        else:
            waiting = [case((Ticket.state == "waiting", 0), else_=1)] if waiting_first else []
            statement = statement.order_by(*waiting, Ticket.last_message_at.desc(), Ticket.number.desc())
        async with self._database.read() as connection:
            return [ticket_record(row) for row in await connection.execute(statement.limit(limit).offset(offset))]

    async def counts(self, filter_: TicketFilter | None = None) -> dict[TicketState, int]:
        """Count tickets by state."""
        statement = (
            select(Ticket.state, func.count())
            .join(Conversation, Conversation.id == Ticket.conversation_id)
            .where(*_conditions(filter_ or TicketFilter()))
            .group_by(Ticket.state)
        )
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(statement)}

    async def of_conversation(self, conversation_id: str) -> list[TicketRecord]:
        """Return the tickets of a conversation, newest first."""
        statement = select_tickets().where(Ticket.conversation_id == conversation_id).order_by(Ticket.number.desc())
        async with self._database.read() as connection:
            return [ticket_record(row) for row in await connection.execute(statement)]

    async def of_person(self, person_id: str, limit: int = 20) -> list[TicketRecord]:
        """Return the newest tickets of a customer, newest first."""
        statement = select_tickets().where(Ticket.person_id == person_id).order_by(Ticket.number.desc()).limit(limit)
        async with self._database.read() as connection:
            return [ticket_record(row) for row in await connection.execute(statement)]

    async def thread(self, id_: str, *, limit: int = 200) -> TicketThread:
        """Return a ticket with its newest messages, notes and events.

        Raises:
            TicketGone: there is none.
        """
        async with self._database.read() as connection:
            ticket = await read_ticket(connection, id_)
            messages = (await connection.execute(_messages(id_, limit))).all()
            notes = (await connection.execute(_notes(id_))).all()
            events = (await connection.execute(_events(TicketEvent.ticket_id == id_, limit))).all()
            told = select(TicketText.id, TicketText.sequence, TicketText.text, TicketText.created_at)
            told = told.where(TicketText.ticket_id == id_).order_by(TicketText.id.desc()).limit(limit)
            texts = (await connection.execute(told)).all()
            approvals = await read_approvals(connection, TicketApproval.ticket_id == id_)
            ids = [row.id for row in messages]
            translated = select(MessageTranslation).where(MessageTranslation.message_id.in_(ids))
            translations: dict[str, list[TranslationRecord]] = {}
            for row in (await connection.execute(translated)).all():
                made = TranslationRecord(row.language, row.text, row.status, tuple(row.doubts))
                translations.setdefault(row.message_id, []).append(made)
        return TicketThread(
            ticket,
            tuple(_message(row, tuple(translations.get(row.id, ()))) for row in reversed(messages)),
            tuple(_note(row) for row in notes),
            tuple(_event(row) for row in reversed(events)),
            tuple(DeskText(*row) for row in reversed(texts)),
            tuple(approvals),
        )

    async def events_after(self, at: datetime, seen: Collection[str] = (), limit: int = 500) -> list[TicketEventRecord]:
        """Return the events since a time, oldest first, without those seen.

        Events are committed out of order by some seconds, so a reader asks again for the last seconds and names the ids
        that it has seen.
        """
        # those seen are among the rows, and must not fill them
        statement = _events(TicketEvent.at >= at - _COMMIT_DELAY, limit + len(seen), newest_first=False)
        async with self._database.read() as connection:
            return [_event(row) for row in await connection.execute(statement) if row.id not in seen]

    async def events_of(self, ticket_ids: Collection[str]) -> dict[str, list[TicketEventRecord]]:
        """Return all events of tickets by the ticket's id, the oldest first."""
        found: dict[str, list[TicketEventRecord]] = {id_: [] for id_ in ticket_ids}
        statement = _events(TicketEvent.ticket_id.in_(found), None, newest_first=False)
        async with self._database.read() as connection:
            for row in await connection.execute(statement):
                found[row.ticket_id].append(_event(row))
        return found

    async def event_marks(self, ticket_ids: Collection[str]) -> dict[str, EventMark]:
        """Return what tells whether there are other events of tickets than before.

        A split moves events away and adds one, a retention deletes the oldest ones, and others come meanwhile, with any
        id: so the splits are counted, too, and the oldest id is told beside the newest.
        """
        event = TicketEvent
        splits = func.count().filter(event.kind == "split")
        columns = (event.ticket_id, func.count(), splits, func.min(event.id), func.max(event.id))
        statement = select(*columns).where(event.ticket_id.in_(ticket_ids))
        async with self._database.read() as connection:
            found = await connection.execute(statement.group_by(event.ticket_id))
            return {ticket_id: (count, splits, oldest, newest) for ticket_id, count, splits, oldest, newest in found}

    @unit_of_work
    async def report_presence(self, ticket_id: str, operator_id: str, *, is_typing: bool = False) -> None:
        """Store that an operator has a ticket open, or types an answer."""
        now = datetime.now(UTC)
        statement = upsert(self._database.dialect, TicketPresence).values(
            id=str(uuid7()),
            ticket_id=ticket_id,
            operator_id=operator_id,
            typing_at=now if is_typing else None,
            seen_at=now,
        )
        changed = {"seen_at": now} | ({"typing_at": now} if is_typing else {})
        async with self._database.write() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["ticket_id", "operator_id"], set_=changed)
            )

    async def colleagues(self, ticket_id: str, operator_id: str) -> list[Colleague]:
        """Return the other operators who have a ticket open."""
        now = datetime.now(UTC)
        here = (TicketPresence.ticket_id == ticket_id) & (TicketPresence.operator_id != operator_id)
        statement = (
            select(TicketPresence.operator_id, Operator.display_name, TicketPresence.typing_at)
            .join(Operator, Operator.id == TicketPresence.operator_id)
            .where(here, TicketPresence.seen_at >= now - PRESENT)
            .order_by(Operator.display_name)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [Colleague(row[0], row[1], row[2] is not None and row[2] >= now - TYPING) for row in rows]


async def read_event(connection: TenantConnection, event_id: str) -> TicketEventRecord | None:
    """Return an event of a ticket; None if there is none."""
    row = (await connection.execute(_events(TicketEvent.id == event_id, None))).one_or_none()
    return None if row is None else _event(row)


async def read_event_text(connection: TenantConnection, ticket: TicketRecord, event: TicketEventRecord) -> str | None:
    """Return the text of the message that an event is about; None if it is about none."""
    sequence = event.changes.get("sequence")
    if sequence is None:
        return None
    if event.kind in _TEXT_OF_INBOX:
        inbound = (InboundEvent.conversation_id == ticket.conversation_id) & (InboundEvent.sequence == sequence)
        payload = (await connection.execute(select(InboundEvent.payload).where(inbound))).scalar_one_or_none()
        return str(payload["text"]) if payload else None
    if event.kind == "answered":
        message = (Message.conversation_id == ticket.conversation_id) & (Message.sequence == sequence)
        answers = select(Message.text).where(message, Message.role == "assistant").order_by(Message.part)
        parts = (await connection.execute(answers)).scalars().all()
        return "\n\n".join(parts) if parts else None
    return None


def _conditions(filter_: TicketFilter) -> list[ColumnElement[bool]]:
    mentioned = cast(TicketNote.mentions, String).contains(f'"{filter_.mentions}"', autoescape=True)
    wanted: tuple[tuple[object, ColumnElement[bool]], ...] = (
        (filter_.states, Ticket.state.in_(filter_.states)),
        (filter_.operator_id, Ticket.operator_id == filter_.operator_id),
        (filter_.is_unassigned, Ticket.operator_id.is_(None)),
        (filter_.needs_approval, Ticket.id.in_(select(TicketApproval.ticket_id).where(WAITING))),
        (filter_.team, Ticket.team == filter_.team),
        (filter_.language, Ticket.language == filter_.language),
        (filter_.channel, Conversation.channel == filter_.channel),
        (filter_.ids, Ticket.id.in_(filter_.ids)),
        (filter_.mentions, Ticket.id.in_(select(TicketNote.ticket_id).where(mentioned))),
        (filter_.min_priority, Ticket.priority >= filter_.min_priority),
        (filter_.tag, cast(Ticket.tags, String).contains(to_json(filter_.tag), autoescape=True)),
    )
    return [condition for value, condition in wanted if value] + [_contains(word) for word in filter_.text.split()]


def _contains(word: str) -> ColumnElement[bool]:
    # SQLite folds the case of ASCII alone
    forms = (word,) if word.isascii() else dict.fromkeys((word.lower(), word.upper(), word.title()))
    conditions = [
        condition
        for form in forms
        for condition in (
            Ticket.subject.icontains(form, autoescape=True),
            *(Ticket.delivery[key].as_string().icontains(form, autoescape=True) for key in ("display_name", "person")),
            Ticket.id.in_(select(Message.ticket_id).where(Message.text.icontains(form, autoescape=True))),
        )
    ]
    number = word.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 10:
        conditions.append(Ticket.number == int(number))
    return or_(*conditions)


def _messages(ticket_id: str, limit: int) -> Any:
    # an answer or an operator's message is delivered for the accepted message with its number, or for the one by which
    # its turn went on after an approval
    delivery = (
        select(OutboundMessage.status)
        .join(InboundEvent, InboundEvent.id == OutboundMessage.inbound_id)
        .where(
            InboundEvent.conversation_id == Message.conversation_id,
            or_(
                InboundEvent.sequence == Message.sequence,
                InboundEvent.payload["answers"].as_integer() == Message.sequence,
            ),
            Message.role != "user",
        )
        .order_by(OutboundMessage.id.desc())
        .limit(1)
        .correlate(Message)
        .scalar_subquery()
    )
    columns: tuple[Any, ...] = (
        Message.id,
        Message.sequence,
        Message.role,
        Message.text,
        Message.model,
        Message.operator_id,
        func.coalesce(Operator.display_name, Message.author).label("operator_name"),
        Message.parts,
        delivery.label("delivery"),
        Message.created_at,
    )
    return (
        select(*columns)
        .outerjoin(Operator, Operator.id == Message.operator_id)
        .where(Message.ticket_id == ticket_id)
        .order_by(Message.sequence.desc(), Message.role, Message.part.desc())
        .limit(limit)
    )


def _message(row: Any, translations: tuple[TranslationRecord, ...]) -> ThreadMessage:
    return ThreadMessage(
        row.id,
        row.sequence,
        row.role,
        row.text,
        row.model,
        row.operator_id,
        row.operator_name or "",
        tuple(row.parts or ()),
        row.delivery,
        translations,
        row.created_at,
    )


def _notes(ticket_id: str) -> Any:
    name = func.coalesce(Operator.display_name, TicketNote.author)
    columns: tuple[Any, ...] = (*TicketNote.__table__.columns, name.label("operator_name"))
    return (
        select(*columns)
        .outerjoin(Operator, Operator.id == TicketNote.operator_id)
        .where(TicketNote.ticket_id == ticket_id)
        .order_by(TicketNote.created_at, TicketNote.id)
    )


def _note(row: Any) -> TicketNoteRecord:
    return TicketNoteRecord(
        row.id, row.ticket_id, row.operator_id, row.operator_name or "", row.text, tuple(row.mentions), row.created_at
    )


def _events(condition: ColumnElement[bool], limit: int | None, *, newest_first: bool = True) -> Any:
    columns: tuple[Any, ...] = (*TicketEvent.__table__.columns, Operator.display_name.label("operator_name"))
    order = TicketEvent.id.desc() if newest_first else TicketEvent.id
    return (
        select(*columns)
        .outerjoin(Operator, Operator.id == TicketEvent.operator_id)
        .where(condition)
        .order_by(order)
        .limit(limit)
    )


def _event(row: Any) -> TicketEventRecord:
    actor: ActorKind = row.actor
    return TicketEventRecord(
        row.id,
        row.ticket_id,
        row.kind,
        actor,
        row.operator_id,
        row.operator_name or "",
        row.reason,
        row.changes,
        row.at,
    )
