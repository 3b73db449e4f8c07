"""Checks of operators' rooms against the teams that there are, and of the posts in them that were given up."""

from __future__ import annotations

from collections.abc import Mapping

from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.tickets.event_deliveries import ROOM_PREFIX, EventDeliveries
from qwendesk.errors import not_among
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.settings import Settings


async def room_problems(
    settings: Settings, database: TenantDatabase, rooms: Mapping[str, OperatorsRoom]
) -> dict[str, list[str]]:
    """Return what is wrong with operators' rooms, by channel.

    Args:
        settings: all settings.
        database: the tenant's view of the database.
        rooms: the room of each channel that has one.

    Raises:
        StoreError: the database cannot be read.
    """
    known = await _teams(settings, database)
    counts = await EventDeliveries(database, to_rooms=True).counts()
    found: dict[str, list[str]] = {}
    for name, room in rooms.items():
        told = found.setdefault(name, [])
        if unknown := [team for team in room.teams if team not in known]:
            told.append(not_among(f"operators_room_teams in [channels.{name}] has unknown teams", unknown, known))
        reader = counts.get(f"{ROOM_PREFIX}{name}")
        if reader and reader.failed:
            told.append(f"{reader.failed} posts in its operators' room were given up; see 'qwendesk rooms failed'.")
    return {name: told for name, told in found.items() if told}


async def _teams(settings: Settings, database: TenantDatabase) -> list[str]:
    """Return the names of the teams: those of the settings, where there is a list, or all that are used."""
    if settings.tickets.teams:
        return sorted(settings.tickets.teams)
    operators = await OperatorAccounts(database).all()
    used = {team for operator in operators if operator.disabled_at is None for team in operator.teams}
    return sorted({*used, *settings.hours.teams, *settings.service_times.teams})
