"""Choose the operator who gets a ticket: online, available, in the team, with the language, with the least to do."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select

from qwendesk.desk.operators.accounts import ONLINE
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


def _time(at: datetime | None) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if at is None else at
