"""Export tickets as JSON Lines: one ticket a line, with its messages, notes, events and rating."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from sqlalchemy import select

from qwendesk.desk.tickets.queries import TicketQueries, TicketThread
from qwendesk.desk.tickets.records import TicketGone, TicketRecord
from qwendesk.memory.tables.reports import TicketRating
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantDatabase

FORMAT = 1
"""Version of a line's structure."""
_BATCH = 200
_MAX_MESSAGES = 10_000


async def export_tickets(
    database: TenantDatabase, since: datetime | None = None, until: datetime | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Yield the tickets opened in a period, oldest first, as values for JSON.

    A ticket that is deleted meanwhile is left out.

    Args:
        database: the tenant's view of the database.
        since: begin of the period; None: the first ticket.
        until: its end, which does not belong to it; None: now.
    """
    queries, last = TicketQueries(database), 0
    while numbers := await _numbers(database, last, since, until):
        for id_, number in numbers:
            last = number
            thread = await _thread(queries, id_)
            if thread is not None:
                yield _line(thread, await _rating(database, id_))


async def _numbers(
    database: TenantDatabase, after: int, since: datetime | None, until: datetime | None
) -> list[tuple[str, int]]:
    statement = select(Ticket.id, Ticket.number).where(Ticket.number > after).order_by(Ticket.number).limit(_BATCH)
    if since:
        statement = statement.where(Ticket.created_at >= since)
    if until:
        statement = statement.where(Ticket.created_at < until)
    async with database.read() as connection:
        return [(row.id, row.number) for row in await connection.execute(statement)]


async def _thread(queries: TicketQueries, id_: str) -> TicketThread | None:
    try:
        return await queries.thread(id_, limit=_MAX_MESSAGES)
    except TicketGone:
        return None


async def _rating(database: TenantDatabase, id_: str) -> dict[str, Any] | None:
    columns: tuple[Any, ...] = (TicketRating.score, TicketRating.comment, TicketRating.answered_at)
    async with database.read() as connection:
        found = await connection.execute(select(*columns).where(TicketRating.ticket_id == id_))
        row = found.one_or_none()
    if row is None:
        return None
    return {"score": row.score, "comment": row.comment, "answered_at": _time(row.answered_at)}


def _line(thread: TicketThread, rating: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "ticket": _ticket(thread.ticket),
        "messages": [
            {
                "sequence": message.sequence,
                "from": {"user": "customer", "assistant": "bot"}.get(message.role, message.role),
                "name": message.operator_name or None,
                "text": message.text,
                "translations": {one.language: one.text for one in message.translations if one.status == "done"},
                "at": _time(message.created_at),
            }
            for message in thread.messages
        ],
        "notes": [
            {"name": note.operator_name, "text": note.text, "at": _time(note.created_at)} for note in thread.notes
        ],
        "texts": [{"sequence": one.sequence, "text": one.text, "at": _time(one.created_at)} for one in thread.texts],
        "events": [
            {
                "kind": event.kind,
                "actor": event.actor,
                "name": event.operator_name or None,
                "reason": event.reason or None,
                "changes": event.changes,
                "at": _time(event.at),
            }
            for event in thread.events
        ],
        "approvals": [
            {
                "sequence": approval.sequence,
                "status": approval.status,
                "reason": approval.reason or None,
                "calls": approval.plain(),
                "at": _time(approval.created_at),
            }
            for approval in thread.approvals
        ],
        "rating": rating,
    }


def _ticket(ticket: TicketRecord) -> dict[str, Any]:
    return {
        "number": ticket.number,
        "channel": ticket.channel,
        "customer": ticket.customer,
        "state": ticket.state,
        "operator": ticket.operator_name or None,
        "subject": ticket.subject,
        "priority": ticket.priority,
        "tags": list(ticket.tags),
        "fields": ticket.fields,
        "team": ticket.team,
        "language": ticket.language,
        "reason": ticket.reason,
        "created_at": _time(ticket.created_at),
        "first_response_at": _time(ticket.first_response_at),
        "resolved_at": _time(ticket.resolved_at),
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
