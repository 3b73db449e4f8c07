"""The lists of the inbox: tickets with what an operator has yet to read, and how many there are of each kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import String, and_, cast, func, or_, select
from uuid_utils import uuid7

from qwendesk.desk.tickets.approval_records import WAITING, read_approvals
from qwendesk.desk.tickets.queries import PRESENT, TYPING, Colleague, TicketFilter, TicketQueries
from qwendesk.desk.tickets.records import PRIORITIES, TicketRecord
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.conversations import Conversation, Message
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import Ticket, TicketApproval, TicketNote, TicketPresence
from qwendesk.memory.tables.workspace import TicketRead
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

ViewName = Literal[
    "mine", "unassigned", "waiting", "approvals", "human", "bot", "snoozed", "mentions", "resolved", "all"
]
VIEW_NAMES: tuple[ViewName, ...] = get_args(ViewName)
_SNIPPET_CHARS = 160


@dataclass(frozen=True, slots=True)
class ListedTicket:
    """A ticket as a list shows it."""

    ticket: TicketRecord
    snippet: str
    """The beginning of its last message."""
    is_unread: bool
    """Whether the customer wrote after the operator looked."""
    is_mentioned: bool
    """Whether a note that the operator has not seen mentions them."""
    approval: str = ""
    """The tools whose calls wait for an approval; empty: none does."""


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """What tickets can be filtered by: the values that tickets have."""

    channels: Sequence[str]
    languages: Sequence[str]
    teams: Sequence[str]


def filter_of(view: ViewName, operator_id: str) -> TicketFilter:
    """Return the tickets that a view shows to an operator."""
    match view:
        case "mine":
            return TicketFilter(states=("waiting", "human"), operator_id=operator_id)
        case "unassigned":
            return TicketFilter(states=("waiting",), is_unassigned=True)
        case "approvals":
            return TicketFilter(needs_approval=True)
        case "mentions":
            return TicketFilter(mentions=operator_id)
        case "all":
            return TicketFilter()
    return TicketFilter(states=(view,))


def matches(filter_: TicketFilter, row: ListedTicket) -> bool | None:
    """Return whether a list shows a ticket; None: only the database can tell."""
    ticket = row.ticket
    fits = (
        (not filter_.states or ticket.state in filter_.states)
        and (not filter_.operator_id or ticket.operator_id == filter_.operator_id)
        and not (filter_.is_unassigned and ticket.operator_id)
        and not (filter_.needs_approval and not row.approval)
        and (not filter_.team or ticket.team == filter_.team)
        and (not filter_.language or ticket.language == filter_.language)
        and (not filter_.tag or filter_.tag in ticket.tags)
        and (not filter_.channel or ticket.channel == filter_.channel)
        and PRIORITIES.index(ticket.priority) >= filter_.min_priority
    )
    return None if fits and (filter_.text or filter_.mentions) else fits


class InboxLists:
    """The lists of one tenant's operators.

    Args:
        database: the tenant's view of the database.
    """

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._queries = TicketQueries(database)

    async def page(
        self, filter_: TicketFilter, operator_id: str, *, limit: int = 50, offset: int = 0
    ) -> list[ListedTicket]:
        """Return tickets for an operator, as ``TicketQueries.listed`` sorts them."""
        tickets = await self._queries.listed(filter_, limit=limit, offset=offset)
        return await self.with_marks(tickets, operator_id)

    async def with_marks(self, tickets: Sequence[TicketRecord], operator_id: str) -> list[ListedTicket]:
        """Return tickets with their last messages and the marks of an operator."""
        ids = [ticket.id for ticket in tickets]
        snippets = await self.snippets(ids)
        read = select(TicketRead.ticket_id, TicketRead.read_at).where(
            TicketRead.operator_id == operator_id, TicketRead.ticket_id.in_(ids)
        )
        mentioned = select(TicketNote.ticket_id).where(
            TicketNote.ticket_id.in_(ids), _mentions(operator_id), _is_unseen(operator_id)
        )
        async with self._database.read() as connection:
            times: dict[str, datetime] = {row[0]: row[1] for row in await connection.execute(read)}
            marked = set((await connection.execute(mentioned)).scalars())
            asked = await read_approvals(connection, WAITING, TicketApproval.ticket_id.in_(ids))
        waits = {one.ticket_id: ", ".join(dict.fromkeys(call.tool for call in one.undecided)) for one in asked}
        return [
            ListedTicket(
                ticket,
                snippets.get(ticket.id, ""),
                ticket.last_from == "customer"
                and ticket.is_open
                and (ticket.id not in times or times[ticket.id] < ticket.last_message_at),
                ticket.id in marked,
                waits.get(ticket.id, ""),
            )
            for ticket in tickets
        ]

    async def snippets(self, ids: Collection[str]) -> dict[str, str]:
        """Return the beginnings of the last messages of tickets, by the ticket's id."""
        last = select(func.max(Message.id)).where(Message.ticket_id.in_(ids)).group_by(Message.ticket_id)
        beginning = func.substr(Message.text, 1, _SNIPPET_CHARS)
        statement = select(Message.ticket_id, beginning).where(Message.id.in_(last))
        async with self._database.read() as connection:
            return {row[0]: " ".join(row[1].split()) for row in await connection.execute(statement)}

    async def records(self, ids: Collection[str]) -> list[TicketRecord]:
        """Return the tickets with these ids that are still there."""
        return await self._queries.listed(TicketFilter(ids=tuple(ids)), limit=len(ids)) if ids else []

    async def counts(
        self, operators: Collection[str], mentioned: Collection[str] | None = None
    ) -> dict[str, dict[ViewName, int]]:
        """Return how many tickets each view has, by operator.

        Args:
            operators: the operators' ids.
            mentioned: those whose mentions are counted, each by a query of its own; None: all of them.
        """
        grouped = select(Ticket.state, Ticket.operator_id, func.count()).group_by(Ticket.state, Ticket.operator_id)
        async with self._database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(grouped)]
            waiting = select(func.count(TicketApproval.ticket_id.distinct())).where(WAITING)
            approvals = (await connection.execute(waiting)).scalar_one()
            unseen: dict[str, int] = {}
            for operator in operators if mentioned is None else mentioned:
                noted = select(func.count(TicketNote.ticket_id.distinct())).where(
                    _mentions(operator), _is_unseen(operator)
                )
                unseen[operator] = (await connection.execute(noted)).scalar_one()
        counted: dict[str, dict[ViewName, int]] = {operator: _counts(rows, operator) for operator in operators}
        for operator in operators:
            counted[operator]["approvals"] = approvals
            if operator in unseen:
                counted[operator]["mentions"] = unseen[operator]
        return counted

    async def choices(self) -> FilterChoices:
        """Return what tickets can be filtered by."""
        async with self._database.read() as connection:
            found = []
            for column in (Ticket.language, Ticket.team):
                rows = await connection.execute(select(column).where(column.is_not(None)).distinct().order_by(column))
                found.append([str(one) for one in rows.scalars()])
            channels = select(Conversation.channel).distinct().order_by(Conversation.channel)
            return FilterChoices([str(one) for one in (await connection.execute(channels)).scalars()], *found)

    @unit_of_work
    async def mark_read(self, ticket_ids: Sequence[str], operator_id: str) -> None:
        """Note that an operator has looked at tickets now."""
        now = datetime.now(UTC)
        rows = [
            {"id": str(uuid7()), "ticket_id": ticket, "operator_id": operator_id, "read_at": now}
            for ticket in ticket_ids
        ]
        statement = upsert(self._database.dialect, TicketRead)
        statement = statement.on_conflict_do_update(
            index_elements=["ticket_id", "operator_id"], set_={"read_at": statement.excluded.read_at}
        )
        if rows:
            async with self._database.write() as connection:
                await connection.execute(statement, rows)

    async def present(self, ticket_ids: Collection[str]) -> dict[str, tuple[Colleague, ...]]:
        """Return who has each ticket open, by the ticket's id; a ticket that is gone is left out."""
        now = datetime.now(UTC)
        columns: tuple[Any, ...] = (
            Ticket.id,
            TicketPresence.operator_id,
            Operator.display_name,
            TicketPresence.typing_at,
        )
        here = and_(TicketPresence.ticket_id == Ticket.id, TicketPresence.seen_at >= now - PRESENT)
        statement = (
            select(*columns)
            .outerjoin(TicketPresence, here)
            .outerjoin(Operator, Operator.id == TicketPresence.operator_id)
            .where(Ticket.id.in_(ticket_ids))
            .order_by(Operator.display_name, TicketPresence.operator_id)
        )
        found: dict[str, tuple[Colleague, ...]] = {}
        async with self._database.read() as connection:
            for ticket, operator, name, typing in await connection.execute(statement):
                there = Colleague(operator, name, typing is not None and typing >= now - TYPING) if operator else None
                found[ticket] = (*found.get(ticket, ()), *([there] if there else []))
        return found


def _mentions(operator_id: str) -> Any:
    return cast(TicketNote.mentions, String).contains(f'"{operator_id}"', autoescape=True)


def _is_unseen(operator_id: str) -> Any:
    seen = (
        select(TicketRead.id)
        .where(
            TicketRead.ticket_id == TicketNote.ticket_id,
            TicketRead.operator_id == operator_id,
            TicketRead.read_at >= TicketNote.created_at,
        )
        .correlate(TicketNote)
    )
    return ~seen.exists() & or_(TicketNote.operator_id.is_(None), TicketNote.operator_id != operator_id)


def _counts(rows: Sequence[Any], operator: str) -> dict[ViewName, int]:
    def total(*states: str, of: tuple[str | None, ...] | None = None) -> int:
        return sum(
            count for state, holder, count in rows if (not states or state in states) and (of is None or holder in of)
        )

    states: Mapping[ViewName, int] = {name: total(name) for name in ("waiting", "human", "bot", "snoozed", "resolved")}
    return {
        **states,
        "mine": total("waiting", "human", of=(operator,)),
        "unassigned": total("waiting", of=(None,)),
        "all": total(),
    }
