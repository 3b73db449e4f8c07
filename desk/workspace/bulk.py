"""Change several tickets at once, and undo that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from uuid_utils import uuid7

from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import Actor, TicketConflict, TicketError, TicketRecord
from qwendesk.desk.tickets.service import Tickets
from qwendesk.errors import InputError
from qwendesk.memory.tables.workspace import BulkChange
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

MAX_TICKETS = 200
_UNDO = timedelta(hours=1)
_TIMES = ("snoozed_until", "resolved_at", "waiting_since", "last_message_at", "updated_at")
_ANSWERS = ("answered", "delivered", "not_delivered")
"""Kinds of events that change nothing of a ticket."""
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
            except TicketError as error:
                problems.append(f"#{number}: {error}")
                continue
            try:
                changed = await change(ticket)
            except TicketError as error:  # the steps before it are carried out, and can be undone
                problems.append(f"#{number}: {error}")
                changed = await self._after_a_problem(ticket, operator_id)
            if changed.version != ticket.version:
                before.append({**_state_of(ticket), "after": _state_of(changed)})
        undo_id = await self._keep(operator_id, before) if before else ""
        return BulkResult(len(chosen) - len(problems), tuple(problems), undo_id)

    async def undo(self, id_: str, actor: Actor) -> BulkResult:
        """Give tickets back what they were before a change.

        What somebody has changed since then stays as it is, and is named; so does a ticket whose customer has written.

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

    async def _after_a_problem(self, ticket: TicketRecord, operator_id: str) -> TicketRecord:
        """Return a ticket as the steps before a problem have left it, or as it was if somebody else has changed it."""
        try:
            now = await self._queries.get(ticket.id)
        except TicketError:
            return ticket
        events = (await self._queries.events_of([ticket.id]))[ticket.id]
        since = [event for event in events if event.at > ticket.updated_at and event.kind not in _ANSWERS]
        mine = all(event.operator_id == operator_id for event in since)
        return now if mine else ticket

    async def _restore(self, before: dict[str, Any], actor: Actor) -> None:
        now = await self._queries.get(before["id"])
        after, is_now = before.get("after") or {}, _state_of(now)
        left = [name for name in ("priority", "team") if is_now[name] not in (before[name], after.get(name))]
        labels: dict[str, Any] = {
            name: before[name] or ""
            for name in ("priority", "team")
            if before[name] != after.get(name) and is_now[name] == after.get(name)
        }
        added = set(after.get("tags", ())) - set(before["tags"])
        removed = [tag for tag in before["tags"] if tag not in after.get("tags", before["tags"])]
        labels |= {
            name: tags
            for name, tags in (
                ("add_tags", [tag for tag in removed if tag not in now.tags]),
                ("remove_tags", [tag for tag in now.tags if tag in added]),
            )
            if tags
        }
        left = [name for name in left if before[name] != after.get(name)]
        is_handled = any(before[name] != after.get(name) for name in ("state", "operator_id", "snoozed_until"))
        if is_handled and not _is_as_left(is_now, after):
            left.insert(0, "state")
        if labels:
            now = await self._tickets.update(now.id, actor, **labels, reason="undo", as_seen=now)
        if is_handled and "state" not in left:
            await self._restore_state(await self._opened(now, before, actor), before, actor)
        if left:
            raise TicketConflict(await self._said_of(now, before, left, actor))

    async def _said_of(self, now: TicketRecord, before: dict[str, Any], left: list[str], actor: Actor) -> str:
        """Return the sentence that something of a ticket was changed meanwhile, and by whom."""
        what = f"{', '.join(left)} of #{now.number}"
        after = before.get("after") or {}
        if now.last_from == "customer" and now.last_message_at.isoformat() != after.get("last_message_at"):
            return f"The {what} stays: the customer has written meanwhile."
        events = (await self._queries.events_of([now.id]))[now.id]
        since = [event for event in events if event.at.isoformat() > (after.get("updated_at") or "")]
        names = [event.operator_name for event in since if event.operator_id not in (None, actor.operator_id)]
        return f"The {what} stays: changed meanwhile{f' by {names[-1]}' if names and names[-1] else ''}."

    async def _opened(self, now: TicketRecord, before: dict[str, Any], actor: Actor) -> TicketRecord:
        """Return a ticket that is neither resolved nor, unless it was before, snoozed."""
        if now.state == "resolved":
            now = await self._tickets.reopen(now.id, actor, as_seen=now)
        if now.state == "snoozed" and before["state"] != "snoozed":
            now = await self._tickets.wake(now.id, actor, as_seen=now)
        return now

    async def _restore_state(self, now: TicketRecord, before: dict[str, Any], actor: Actor) -> None:
        tickets, holder = self._tickets, before["operator_id"]
        match before["state"]:
            case "bot" if now.state != "bot":
                await tickets.hand_back(now.id, actor, "undo", as_seen=now)
            case "resolved":
                await tickets.resolve(now.id, actor, "undo", as_seen=now)
            case "human" if holder == actor.operator_id:
                await tickets.take_over(now.id, actor, as_seen=now)
            case "waiting" | "human":
                # a colleague's ticket waits for them again: nobody can take it over in their name
                if now.state == "bot":
                    now = await tickets.hand_over(now.id, actor, before["reason"] or "undo", as_seen=now)
                if now.operator_id != holder or now.state == "human":
                    await tickets.assign(now.id, actor, holder, as_seen=now)
            case "snoozed" if before["snoozed_until"]:
                until = datetime.fromisoformat(before["snoozed_until"])
                if until > datetime.now(UTC):
                    await tickets.snooze(now.id, actor, until, as_seen=now)

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
        mine &= BulkChange.created_at >= datetime.now(UTC) - _UNDO
        async with self._database.write() as connection:
            found = (await connection.execute(select(BulkChange.before).where(mine))).scalar_one_or_none()
            await connection.execute(delete(BulkChange).where(mine))
        if found is None:
            raise InputError("This was undone already, or it is too long ago.")
        return list(found)


def _state_of(ticket: TicketRecord) -> dict[str, Any]:
    times = {name: getattr(ticket, name) for name in _TIMES}
    return {
        "id": ticket.id,
        "state": ticket.state,
        "operator_id": ticket.operator_id,
        "priority": ticket.priority,
        "team": ticket.team,
        "tags": list(ticket.tags),
        "reason": ticket.reason,
        "last_from": ticket.last_from,
        **{name: at.isoformat() if at else None for name, at in times.items()},
    }


def _is_as_left(now: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether nobody has handled a ticket since a change, and its customer has not written."""
    times = ("snoozed_until", "resolved_at", "waiting_since")
    if any(now[name] != after.get(name) for name in ("state", "operator_id", *times)):
        return False
    return bool(now["last_from"] == "bot" or now["last_message_at"] == after.get("last_message_at"))
