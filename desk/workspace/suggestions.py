"""Suggested replies: what documents say about a customer's question, and what operators answered to questions alike."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select

from qwendesk.desk.tickets.records import TicketRecord
from qwendesk.memory.tables.conversations import Message
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.search_terms import query_terms

_MAX_CHARS = 2000
_MAX_MESSAGES = 5
"""Newest messages of the customer that make the question."""
_RESOLVED = 500
"""Newest resolved tickets that are compared."""
_MIN_LIKENESS = 0.35
_MAX_ALIKE = 3
_UNKNOWN_WORD = 0.3
"""Share of its weight with which a word counts that no resolved ticket has."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A text that an operator may put into a reply and edit."""

    kind: Literal["document", "ticket"]
    text: str
    source: str
    """Title of the document, or the subject of the ticket."""
    link: str
    """Address of the source; empty: it has none."""
    number: int = 0
    """Number of the ticket; 0: it is a document."""


SearchDocuments = Callable[[str, str | None], Awaitable[Sequence[Suggestion]]]
"""Returns what the documents for everybody say about a question, by the question and its language."""


class ReplySuggestions:
    """Suggests replies to the customers of one tenant; nothing is ever sent by itself.

    Args:
        database: the tenant's view of the database.
        search: searches the documents; None: there are none in this process.
    """

    def __init__(self, database: TenantDatabase, search: SearchDocuments | None = None) -> None:
        self._database = database
        self._search = search

    async def of(self, ticket: TicketRecord) -> list[Suggestion]:
        """Return suggestions for a ticket, those of documents first."""
        question = await self._question(ticket.id)
        if not question:
            return []
        found = list(await self._search(question, ticket.language)) if self._search else []
        return found + await self._alike(ticket, question)

    async def _question(self, ticket_id: str) -> str:
        """Return what the customer wrote last, up to the answer before."""
        statement = (
            select(Message.role, func.substr(Message.text, 1, _MAX_CHARS))
            .where(Message.ticket_id == ticket_id)
            .order_by(Message.sequence.desc(), Message.role)
            .limit(20)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        asked = [text for role, text in rows if role == "user"][:_MAX_MESSAGES]
        first = next((place for place, row in enumerate(rows) if row[0] == "operator"), len(rows))
        since = [text for role, text in rows[:first] if role == "user"][:_MAX_MESSAGES]
        return "\n".join(reversed(since or asked[:1]))[:_MAX_CHARS].strip()

    async def _alike(self, ticket: TicketRecord, question: str) -> list[Suggestion]:
        """Return answers of operators in resolved tickets whose questions have the same rare words."""
        newest = (
            select(Ticket.id)
            .where(Ticket.state == "resolved", Ticket.first_response_at.is_not(None), Ticket.id != ticket.id)
            .order_by(Ticket.resolved_at.desc())
            .limit(_RESOLVED)
        )
        statement = (
            select(
                Message.ticket_id, Message.role, func.substr(Message.text, 1, _MAX_CHARS), Ticket.number, Ticket.subject
            )
            .join(Ticket, Ticket.id == Message.ticket_id)
            .where(Message.ticket_id.in_(newest), Message.role.in_(["user", "operator"]))
            .order_by(Message.ticket_id, Message.sequence)
        )
        async with self._database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(statement)]
        return await asyncio.to_thread(_most_alike, question, rows)


@dataclass(slots=True)
class _Resolved:
    number: int
    subject: str
    asked: list[str]
    answered: list[str]


def _most_alike(question: str, rows: Sequence[tuple[str, str, str, int, str]]) -> list[Suggestion]:
    tickets: dict[str, _Resolved] = {}
    for id_, role, text, number, subject in rows:
        of_ticket = tickets.setdefault(id_, _Resolved(number, subject, [], []))
        (of_ticket.asked if role == "user" else of_ticket.answered).append(text)
    wanted = set(query_terms(question))
    terms = {id_: set(query_terms("\n".join(one.asked))) for id_, one in tickets.items() if one.answered}
    often = Counter(term for of_ticket in terms.values() for term in of_ticket)

    def weight(term: str) -> float:
        return math.log(1 + len(terms) / (1 + often[term]))

    # a word that no ticket has says little about how alike they are
    whole = sum(weight(term) * (1 if term in often else _UNKNOWN_WORD) for term in wanted)
    scored = [(sum(map(weight, wanted & of_ticket)) / whole, id_) for id_, of_ticket in terms.items() if whole]
    best = sorted((one for one in scored if one[0] >= _MIN_LIKENESS), reverse=True)
    found: dict[str, Suggestion] = {}
    for _, id_ in best:
        one = tickets[id_]
        link = f"/desk/tickets/{one.number}"
        found.setdefault(
            one.answered[0], Suggestion("ticket", one.answered[0], f"#{one.number} {one.subject}", link, one.number)
        )
    return list(found.values())[:_MAX_ALIKE]
