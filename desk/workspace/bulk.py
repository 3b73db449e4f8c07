"""Change several tickets at once, and undo that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from uuid_utils import uuid7

from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import Actor, TicketError, TicketRecord
from qwendesk.desk.tickets.service import Tickets
from qwendesk.errors import InputError
from qwendesk.memory.tables.workspace import BulkChange
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

MAX_TICKETS = 200
_UNDO = timedelta(hours=1)
Change = Callable[[TicketRecord], Awaitable[TicketRecord]]


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a change of several tickets came to."""

    done: int
    problems: tuple[str, ...]
    """Why tickets were not changed, each in a sentence."""
    undo_id: str = ""
    """Id by which it is undone; empty: there is nothing to undo."""


class BulkChanges:
    """Changes several tickets of one tenant at once.

    Args:
        database: the tenant's view of the database.
        tickets: changes a ticket.
    """

    def __init__(self, database: TenantDatabase, tickets: Tickets) -> None:
        self._database = database
        self._tickets = tickets
        self._queries = TicketQueries(database)

    async def apply(self, numbers: Iterable[int], operator_id: str, change: Change) -> BulkResult:
        """Change tickets one after the other; one that cannot be changed does not stop the others.

        Args:
            numbers: the tickets' numbers.
            operator_id: who changes them.
            change: changes one ticket.

        Raises:
            InputError: there are none, or too many.
        """
        chosen = list(dict.fromkeys(numbers))
        if not chosen or len(chosen) > MAX_TICKETS:
            raise InputError(f"Choose 1 to {MAX_TICKETS} tickets; {len(chosen)} were chosen.")
        before: list[dict[str, Any]] = []
        problems: list[str] = []
        for number in chosen:
            try:
                ticket = await self._queries.numbered(number)
                changed = await change(ticket)
            except TicketError as error:
                problems.append(f"#{number}: {error}")
                continue
            if changed.version != ticket.version:
                before.append(_state_of(ticket))
        undo_id = await self._keep(operator_id, before) if before else ""
        return BulkResult(len(chosen) - len(problems), tuple(problems), undo_id)

    async def undo(self, id_: str, actor: Actor) -> BulkResult:
        """Give tickets back what they were before a change; one that cannot be given it back stays as it is.

        Raises:
            InputError: there is no such change of the operator, or it was undone already.
        """
        before = await self._take(id_, actor.operator_id or "")
        problems: list[str] = []
        for state in before:
            try:
                await self._restore(state, actor)
            except TicketError as error:
                problems.append(str(error))
        return BulkResult(len(before) - len(problems), tuple(problems))

    async def _restore(self, before: dict[str, Any], actor: Actor) -> None:
        now = await self._queries.get(before["id"])
        added = [tag for tag in now.tags if tag not in before["tags"]]
        if now.priority != before["priority"] or added or set(before["tags"]) - set(now.tags):
            labels = {"priority": before["priority"], "add_tags": before["tags"], "remove_tags": added}
            now = await self._tickets.update(now.id, actor, **labels, reason="undo")
        if (now.state, now.operator_id) == (before["state"], before["operator_id"]):
            return
        if now.state == "resolved":
            now = await self._tickets.reopen(now.id, actor)
        if now.state == "snoozed" and before["state"] != "snoozed":
            now = await self._tickets.wake(now.id, actor)
        await self._restore_state(now, before, actor)

    async def _restore_state(self, now: TicketRecord, before: dict[str, Any], actor: Actor) -> None:
        tickets, holder = self._tickets, before["operator_id"]
        match before["state"]:
            case "bot" if now.state != "bot":
                await tickets.hand_back(now.id, actor, "undo")
            case "resolved":
                await tickets.resolve(now.id, actor, "undo")
            case "human" if holder == actor.operator_id:
                await tickets.take_over(now.id, actor)
            case "waiting" | "human":
                # a colleague's ticket waits for them again: nobody can take it over in their name
                if now.state == "bot":
                    now = await tickets.hand_over(now.id, actor, before["reason"] or "undo")
                if now.operator_id != holder or now.state == "human":
                    await tickets.assign(now.id, actor, holder)
            case "snoozed" if before["snoozed_until"]:
                until = datetime.fromisoformat(before["snoozed_until"])
                if until > datetime.now(UTC):
                    await tickets.snooze(now.id, actor, until)

    @unit_of_work
    async def _keep(self, operator_id: str, before: list[dict[str, Any]]) -> str:
        now = datetime.now(UTC)
        row = {"id": str(uuid7()), "operator_id": operator_id, "before": before, "created_at": now}
        async with self._database.write() as connection:
            await connection.execute(delete(BulkChange).where(BulkChange.created_at < now - _UNDO))
            await connection.execute(insert(BulkChange), row)
        return str(row["id"])

    @unit_of_work
    async def _take(self, id_: str, operator_id: str) -> list[dict[str, Any]]:
        mine = (BulkChange.id == id_) & (BulkChange.operator_id == operator_id)
        async with self._database.write() as connection:
            found = (await connection.execute(select(BulkChange.before).where(mine))).scalar_one_or_none()
            await connection.execute(delete(BulkChange).where(mine))
        if found is None:
            raise InputError("This was undone already, or it is too long ago.")
        return list(found)


def _state_of(ticket: TicketRecord) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "state": ticket.state,
        "operator_id": ticket.operator_id,
        "priority": ticket.priority,
        "tags": list(ticket.tags),
        "reason": ticket.reason,
        "snoozed_until": ticket.snoozed_until.isoformat() if ticket.snoozed_until else None,
    }
