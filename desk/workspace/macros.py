"""Macros: steps that are carried out together on a ticket, and a text for the reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, select
from uuid_utils import uuid7

from qwendesk.desk.tickets.records import Actor, Priority, TicketRecord
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.workspace.drafts import MAX_DRAFT_CHARS
from qwendesk.desk.workspace.snoozing import SnoozePreset, until
from qwendesk.desk.workspace.views import clean_name
from qwendesk.errors import InputError, no_such
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.workspace import Macro
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work


class MacroSteps(BaseModel):
    """The steps of a macro, in the order in which they are carried out; None or empty: not this step."""

    model_config = ConfigDict(extra="ignore")

    priority: Priority | None = None
    add_tags: list[str] = []
    remove_tags: list[str] = []
    team: str | None = None
    assign: Literal["me", "nobody"] | None = None
    end: Literal["resolve", "hand_back"] | None = None
    snooze: SnoozePreset | None = None
    sends: bool = False
    """Whether the text is sent at once; else it is put into the reply box."""


@dataclass(frozen=True, slots=True)
class MacroRecord:
    """A macro."""

    id: str
    name: str
    steps: MacroSteps
    text: str

    @property
    def summary(self) -> str:
        """The steps in words."""
        steps = self.steps
        told = [
            f"priority {steps.priority}" if steps.priority else "",
            f"add {', '.join(steps.add_tags)}" if steps.add_tags else "",
            f"remove {', '.join(steps.remove_tags)}" if steps.remove_tags else "",
            f"team {steps.team}" if steps.team else "",
            {"me": "assign to me", "nobody": "unassign"}.get(steps.assign or "", ""),
            ("send the text" if steps.sends else "text into the reply") if self.text else "",
            {"resolve": "resolve", "hand_back": "hand back"}.get(steps.end or "", ""),
            f"snooze ({steps.snooze})" if steps.snooze else "",
        ]
        return ", ".join(filter(None, told))


class Macros:
    """The macros of one tenant; all operators share them.

    Args:
        database: the tenant's view of the database.
        tickets: carries the steps out.
    """

    def __init__(self, database: TenantDatabase, tickets: Tickets) -> None:
        self._database = database
        self._tickets = tickets

    async def all(self) -> list[MacroRecord]:
        """Return all macros by name."""
        statement = select(Macro.id, Macro.name, Macro.steps, Macro.text).order_by(Macro.name)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [MacroRecord(row[0], row[1], MacroSteps.model_validate(row[2]), row[3]) for row in rows]

    async def get(self, id_: str) -> MacroRecord:
        """Return a macro.

        Raises:
            InputError: there is none with this id.
        """
        found = await self.all()
        for macro in found:
            if macro.id == id_:
                return macro
        raise InputError(no_such("There is no macro", id_, [macro.name for macro in found]))

    @unit_of_work
    async def save(self, operator_id: str, name: str, steps: MacroSteps, text: str = "") -> None:
        """Save a macro; one with the same name is replaced.

        Raises:
            InputError: the name is empty or too long, or the macro does nothing.
        """
        if len(text) > MAX_DRAFT_CHARS:
            raise InputError(f"A message has at most {MAX_DRAFT_CHARS:,} characters; this one has {len(text):,}.")
        if not MacroRecord("", name, steps, text.strip()).summary:
            raise InputError("The macro does nothing yet: give it a step or a text.")
        row = {
            "id": str(uuid7()),
            "operator_id": operator_id,
            "name": clean_name(name, "macro"),
            "steps": steps.model_dump(exclude_defaults=True),
            "text": text.strip(),
            "created_at": datetime.now(UTC),
        }
        changed = {"steps": row["steps"], "text": row["text"], "operator_id": operator_id}
        statement = upsert(self._database.dialect, Macro).on_conflict_do_update(
            index_elements=["tenant_id", "name"], set_=changed
        )
        async with self._database.write() as connection:
            await connection.execute(statement, row)

    @unit_of_work
    async def delete(self, id_: str) -> None:
        """Delete a macro."""
        async with self._database.write() as connection:
            await connection.execute(delete(Macro).where(Macro.id == id_))

    async def run(
        self, macro: MacroRecord, ticket: TicketRecord, actor: Actor, zone: str = "", *, key: str = ""
    ) -> TicketRecord:
        """Carry a macro out and return the ticket; its text is sent if the macro says so.

        Args:
            macro: the macro.
            ticket: the ticket.
            actor: the operator.
            zone: the operator's time zone, for the end of a snooze.
            key: identifies the sending of the text.

        Raises:
            TicketError: a step is not possible; those before it are carried out.
        """
        steps, tickets, reason = macro.steps, self._tickets, f"macro:{macro.name}"
        properties: Mapping[str, Any] = {
            "priority": steps.priority,
            "team": steps.team,
            "add_tags": steps.add_tags,
            "remove_tags": steps.remove_tags,
        }
        if any(properties.values()):
            ticket = await tickets.update(ticket.id, actor, **properties, reason=reason)
        if steps.assign == "me":
            ticket = await tickets.take_over(ticket.id, actor)
        elif steps.assign == "nobody" and ticket.operator_id:
            ticket = await tickets.assign(ticket.id, actor, None)
        if macro.text and steps.sends:
            ticket = await tickets.reply(ticket.id, actor, macro.text, key=key)
        if steps.end == "resolve":
            ticket = await tickets.resolve(ticket.id, actor, reason)
        elif steps.end == "hand_back":
            ticket = await tickets.hand_back(ticket.id, actor, reason)
        if steps.snooze:
            ticket = await tickets.snooze(ticket.id, actor, until(steps.snooze, zone))
        return ticket
