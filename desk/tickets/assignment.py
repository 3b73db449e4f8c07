"""Who gets a ticket, who may hold it, and what its customer is told of that."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select

from qwendesk.desk.handover.reasons import Reason
from qwendesk.desk.handover.texts import handover_text
from qwendesk.desk.operators.accounts import ONLINE
from qwendesk.desk.tickets.records import TicketError, TicketRecord, TicketRules
from qwendesk.errors import no_such
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantConnection


async def choose_operator(connection: TenantConnection, team: str | None, language: str | None) -> str | None:
    """Return the id of the operator who gets a ticket; None: nobody is online for it.

    An operator who speaks the language is preferred, and one who does not is taken, since messages are translated.
    Among equals, the one with the fewest tickets gets it, then the one who got none for the longest time.

    Args:
        connection: the tenant's connection.
        team: the ticket's team; None: any.
        language: the customer's language; None: unknown.
    """
    theirs = (Ticket.operator_id == Operator.id) & Ticket.state.in_(["waiting", "human"])
    load = select(func.count()).select_from(Ticket).where(theirs).correlate(Operator).scalar_subquery()
    last = select(func.max(Ticket.updated_at)).where(Ticket.operator_id == Operator.id).correlate(Operator)
    statement = select(
        Operator.id, Operator.languages, Operator.teams, load.label("load"), last.scalar_subquery().label("last")
    ).where(
        Operator.disabled_at.is_(None),
        Operator.is_available,
        Operator.role != "viewer",
        Operator.seen_at >= datetime.now(UTC) - ONLINE,
    )
    found = (await connection.execute(statement)).all()
    in_team = [row for row in found if team is None or team in row.teams]
    speaking = [row for row in in_team if language is None or language in row.languages]
    candidates = speaking or in_team
    if not candidates:
        return None
    return str(min(candidates, key=lambda row: (row.load, _time(row.last), row.id)).id)


async def is_somebody_online(connection: TenantConnection, team: str | None = None) -> bool:
    """Return whether an operator is online and available, in the team if one is given."""
    return await choose_operator(connection, team, None) is not None


def select_named(name: str) -> Select[Any]:
    """Select the id of the operator with a name, if there is one alone."""
    named = (func.lower(Operator.display_name) == name.strip().lower()) & Operator.disabled_at.is_(None)
    return select(func.min(Operator.id)).where(named).having(func.count() == 1)


async def require_operator(connection: TenantConnection, operator_id: str) -> None:
    """Check that an operator may hold a ticket.

    Raises:
        TicketError: there is no such operator, the account is disabled, or it may only look on.
    """
    statement = select(Operator.role, Operator.disabled_at).where(Operator.id == operator_id)
    found = (await connection.execute(statement)).one_or_none()
    if found is None or found.disabled_at is not None:
        raise TicketError("There is no such operator, or the account is disabled; see 'qwendesk operators list'.")
    if found.role == "viewer":
        raise TicketError("A viewer cannot answer customers; give the account the role 'operator'.")


async def holder_at_work(connection: TenantConnection, ticket: TicketRecord) -> str | None:
    """Return the id of a ticket's operator; None if the account is disabled, or may not answer any more."""
    able = (Operator.id == ticket.operator_id) & Operator.disabled_at.is_(None) & (Operator.role != "viewer")
    found: str | None = (await connection.execute(select(Operator.id).where(able))).scalar_one_or_none()
    return found


def known_team(team: str | None, known: Collection[str]) -> str | None:
    """Return a team; None if none is given.

    Raises:
        TicketError: the desk has a list of teams, and this is none of them.
    """
    if team and known and team not in known:
        raise TicketError(no_such("There is no team", team, known))
    return team or None


def told_of_handover(ticket: TicketRecord, rules: TicketRules, language: str | None, reason: Reason = "asked") -> str:
    """Return what the customer is told of a ticket that was handed over.

    Args:
        ticket: the ticket, as it is assigned now.
        rules: the opening hours.
        language: the customer's language.
        reason: why it was handed over.
    """
    is_there = ticket.operator_id is not None
    opens = None if is_there else rules.opens(ticket.team, datetime.now(UTC))
    return handover_text(language, reason, is_somebody_there=is_there, opens=opens, number=ticket.number)


def _time(at: datetime | None) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if at is None else at
