"""Drafts for the knowledge base: what the desk did not know, and what an operator answered; a person approves them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import exists, func, insert, select, update
from uuid_utils import uuid7

from qwendesk.desk.tickets.records import Actor, TicketError
from qwendesk.errors import not_among
from qwendesk.memory.tables.conversations import Message, Tenant
from qwendesk.memory.tables.reports import KnowledgeDraft
from qwendesk.memory.tables.tickets import MessageTranslation, Ticket
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

DraftStatus = Literal["open", "approved", "dismissed"]
AddDocument = Callable[[str, bytes], Awaitable[object]]
"""Adds a document to the knowledge base, by its name and content."""
UNANSWERED = ("unknown", "failed_checks", "low_confidence", "repeated", "promise")
"""Reasons of a handover after which an operator's answer is worth a draft."""
_MAX_CHARS = 4000
_COLLECTED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class ArticleDraft:
    """A question with an operator's answer."""

    id: str
    ticket: int
    question: str
    answer: str
    language: str | None
    status: DraftStatus
    document: str | None
    created_at: datetime


class KnowledgeDrafts:
    """The drafts of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    @unit_of_work
    async def collect(self, since: datetime) -> int:
        """Write drafts from the tickets resolved since then that the desk could not answer; return their number.

        A ticket has one draft at most; it is not written again after it was decided. A call looks at the newest tickets
        only, and writes no longer than others can wait for the database.
        """
        drafted = select(KnowledgeDraft.id).where(KnowledgeDraft.ticket_id == Ticket.id)
        resolved = (Ticket.state == "resolved") & (Ticket.resolved_at >= since) & Ticket.merged_into_id.is_(None)
        statement = select(Ticket.id, Ticket.language).where(
            resolved, Ticket.reason.in_(UNANSWERED), Ticket.first_response_at.is_not(None), ~exists(drafted)
        )
        async with self._database.read() as connection:
            found = await connection.execute(statement.order_by(Ticket.resolved_at.desc()).limit(_COLLECTED_AT_ONCE))
            languages = {row.id: row.language for row in found}
            said: defaultdict[str, list[Any]] = defaultdict(list)
            for row in await connection.execute(_messages(list(languages))):
                said[row.ticket_id].append(row)
        drafts = [_draft(id_, languages[id_], said[id_]) for id_ in reversed(languages)]
        rows = [draft for draft in drafts if draft]
        return await self._add(rows) if rows else 0

    async def _add(self, rows: Sequence[dict[str, Any]]) -> int:
        """Store drafts of tickets that have none; return how many."""
        ids = [row["ticket_id"] for row in rows]
        async with self._database.write() as connection:
            # one process after the other: a ticket has one draft
            await connection.execute(select(Tenant.id).where(Tenant.id == connection.tenant).with_for_update())
            known = select(KnowledgeDraft.ticket_id).where(KnowledgeDraft.ticket_id.in_(ids))
            drafted = set((await connection.execute(known)).scalars())
            still = set((await connection.execute(select(Ticket.id).where(Ticket.id.in_(ids)))).scalars())
            new = [row for row in rows if row["ticket_id"] in still - drafted]
            if new:
                await connection.execute(insert(KnowledgeDraft), new)
        return len(new)

    async def listed(self, status: DraftStatus | None = "open", limit: int = 100) -> list[ArticleDraft]:
        """Return drafts, oldest first; None: of every status."""
        statement = _select()
        if status:
            statement = statement.where(KnowledgeDraft.status == status)
        statement = statement.order_by(KnowledgeDraft.created_at, KnowledgeDraft.id).limit(limit)
        async with self._database.read() as connection:
            return [ArticleDraft(**row._mapping) for row in await connection.execute(statement)]

    async def get(self, id_: str) -> ArticleDraft:
        """Return a draft.

        Raises:
            TicketError: there is none.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(_select().where(KnowledgeDraft.id == id_))).one_or_none()
        if row is None:
            raise TicketError(f"There is no draft {id_!r}; 'qwendesk tickets drafts' lists them.")
        return ArticleDraft(**row._mapping)

    @unit_of_work
    async def edit(self, id_: str, *, question: str | None = None, answer: str | None = None) -> None:
        """Change the texts of an open draft, such as to remove what is personal.

        Raises:
            TicketError: a text is empty, or the draft is decided.
        """
        changes = {"question": question, "answer": answer}
        changes = {name: text.strip()[:_MAX_CHARS] for name, text in changes.items() if text is not None}
        if not all(changes.values()):
            raise TicketError("A draft needs a question and an answer.")
        if changes:
            await self._change(id_, changes)

    async def approve(self, id_: str, operator: Actor, add: AddDocument) -> str:
        """Add a draft to the knowledge base and return the document's name.

        Raises:
            TicketError: the draft is decided already.
        """
        draft = await self.get(id_)
        if draft.status != "open":
            raise _decided(id_)
        name = f"answers/ticket-{draft.ticket}.md"
        # the document first: what ends in between leaves an open draft, whose next approval writes the same document
        await add(name, f"# {' '.join(draft.question.split())}\n\n{draft.answer}\n".encode())
        await self._decide(draft, "approved", operator, name)
        return name

    async def dismiss(self, id_: str, operator: Actor) -> None:
        """Leave a draft out of the knowledge base.

        Raises:
            TicketError: the draft is decided already.
        """
        await self._decide(await self.get(id_), "dismissed", operator, None)

    async def _decide(self, draft: ArticleDraft, status: DraftStatus, operator: Actor, document: str | None) -> None:
        changes = {"status": status, "document": document, "operator_id": operator.operator_id}
        await self._database.shield(self._change(draft.id, {**changes, "decided_at": datetime.now(UTC)}))

    async def _change(self, id_: str, changes: dict[str, Any]) -> None:
        here = (KnowledgeDraft.id == id_) & (KnowledgeDraft.status == "open")
        async with self._database.write() as connection:
            changed = await connection.execute(update(KnowledgeDraft).where(here).values(**changes))
        if not changed.rowcount:
            raise _decided(id_)


def _decided(id_: str) -> TicketError:
    return TicketError(f"The draft {id_!r} was decided or deleted meanwhile; 'qwendesk tickets drafts' lists them.")


def draft_status(text: str) -> DraftStatus | None:
    """Return the status of a name; None for ``all``.

    Raises:
        TicketError: there is no such status.
    """
    statuses: dict[str, DraftStatus | None] = {
        "open": "open",
        "approved": "approved",
        "dismissed": "dismissed",
        "all": None,
    }
    if text not in statuses:
        raise TicketError(not_among("There is no status", text, list(statuses)))
    return statuses[text]


def _messages(tickets: Sequence[str]) -> Any:
    """Select the messages of tickets, those of operators as the customer has got them."""
    text = func.coalesce(MessageTranslation.text, Message.text).label("text")
    delivered = (MessageTranslation.message_id == Message.id) & (MessageTranslation.language == Ticket.language)
    delivered &= (MessageTranslation.status == "done") & (Message.role == "operator")
    statement = select(Message.ticket_id, Message.role, text).join(Ticket, Ticket.id == Message.ticket_id)
    statement = statement.outerjoin(MessageTranslation, delivered)
    statement = statement.where(Message.ticket_id.in_(tickets), Message.role != "assistant")
    return statement.order_by(Message.sequence, Message.part)


def _draft(ticket_id: str, language: str | None, messages: Sequence[Any]) -> dict[str, Any] | None:
    """Return the draft of a ticket; None if it has no question before the answer."""
    answers = [row.text for row in messages if row.role == "operator" and row.text.strip()]
    first = next((at for at, row in enumerate(messages) if row.role == "operator"), 0)
    questions = [row.text for row in messages[:first] if row.text.strip()]
    if not answers or not questions:
        return None
    return {
        "id": str(uuid7()),
        "ticket_id": ticket_id,
        "question": max(questions, key=len)[:_MAX_CHARS],
        "answer": "\n\n".join(answers)[:_MAX_CHARS],
        "language": language,
        "status": "open",
        "created_at": datetime.now(UTC),
    }


def _select() -> Any:
    draft = KnowledgeDraft
    columns: tuple[Any, ...] = (
        draft.id,
        Ticket.number.label("ticket"),
        draft.question,
        draft.answer,
        draft.language,
        draft.status,
        draft.document,
        draft.created_at,
    )
    return select(*columns).join(Ticket, Ticket.id == draft.ticket_id)
