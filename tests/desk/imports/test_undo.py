"""An import is undone, except for what was used here since; one that was broken off goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from qwendesk.desk.imports.chatwoot import Chatwoot
from qwendesk.desk.imports.export_files import ExportFiles
from qwendesk.desk.imports.help_desk import Item
from qwendesk.desk.imports.records import Kind
from qwendesk.desk.imports.runs import ImportRuns
from qwendesk.desk.imports.undo import ImportUndo, Undone
from qwendesk.desk.interpreter.canned import CannedAnswers
from qwendesk.desk.operators.audit import OperatorAuditLog
from qwendesk.desk.tickets.records import DeliveryAddress
from qwendesk.errors import InputError
from qwendesk.memory.tables.conversations import Base
from tests.desk.imports.conftest import Receiving, Write
from tests.desk.imports.samples import (
    CHATWOOT_FILES,
    ZAMMAD_FILES,
    chatwoot_contact,
    chatwoot_conversation,
    chatwoot_messages,
)
from tests.desk.tickets.operators import add_operator

_KEPT = ("tenant", "operator", "operator_audit", "audit", "kb_state")


async def rows(receiving: Receiving) -> dict[str, int]:
    """Return how many rows each table has that an import may fill."""
    async with receiving.memory.database.read() as connection:
        counts = {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in Base.metadata.sorted_tables
            if table.name not in _KEPT
        }
    return {name: count for name, count in counts.items() if count}


async def undo(receiving: Receiving, name: str = "last", **more: Any) -> Undone:
    run = await ImportRuns(receiving.memory.scope).named(name)
    return await ImportUndo(receiving.memory.scope, receiving.knowledge).undo(run, **more)


@pytest.mark.parametrize(("files", "source"), [(CHATWOOT_FILES, "chatwoot"), (ZAMMAD_FILES, "zammad")])
async def test_nothing_is_left(receiving: Receiving, write: Write, files: dict[str, Any], source: str) -> None:
    await receiving.take(write(files), source=source)
    undone = await undo(receiving)
    assert await rows(receiving) == {} and undone.kept == []
    assert undone.deleted["ticket"] == 1 and undone.deleted["article"] == 1 and undone.deleted["contact"] == 1
    entries = await OperatorAuditLog(receiving.memory.scope).entries()
    assert [entry.action for entry in entries] == ["import.undo"]


async def test_last_is_the_newest_import_that_has_added_something(receiving: Receiving, write: Write) -> None:
    runs = ImportRuns(receiving.memory.scope)
    empty = await runs.begin("chatwoot", "chatwoot", "nowhere")
    with pytest.raises(InputError, match="imports list"):
        await runs.named("last")
    await receiving.take(write(CHATWOOT_FILES))
    added = await runs.named("last")
    assert added.id != empty
    await runs.begin("chatwoot", "chatwoot", "nowhere")
    assert (await runs.named("last")).id == added.id


async def test_what_was_here_before_stays(receiving: Receiving, write: Write) -> None:
    met = await receiving.memory.people.get_or_create("ann@shop.example", channel="mail")
    await CannedAnswers(receiving.memory.scope).add("hello", "en", "Hello!")
    before = await rows(receiving)
    await receiving.take(write(CHATWOOT_FILES))
    await undo(receiving)
    assert await rows(receiving) == before
    person = await receiving.memory.people.get(met.id)
    assert person and [name.channel for name in person.names] == ["mail"]


async def test_a_ticket_that_was_used_here_stays(receiving: Receiving, write: Write) -> None:
    bo = await add_operator(receiving.memory.scope, "bo")
    await receiving.take(write(CHATWOOT_FILES))
    (thread,) = await receiving.threads()
    await receiving.tickets.note(thread.ticket.id, bo, "I call her.")
    undone = await undo(receiving)
    assert undone.kept == [thread.ticket.number] and len(await receiving.threads()) == 1
    assert await receiving.memory.people.find("7", channel="chatwoot-import")
    await undo(receiving, force=True)
    assert await rows(receiving) == {}


async def test_only_that_run_is_undone(receiving: Receiving, write: Write) -> None:
    folder = write(CHATWOOT_FILES)
    first = await receiving.take(folder)
    other = chatwoot_conversation(13, meta={"sender": chatwoot_contact(8, "Cy", email="cy@shop.example")})
    messages = [{**one, "conversation_id": 13, "id": one["id"] + 20} for one in chatwoot_messages()]
    write({"conversations-2.json": {"data": {"payload": [other]}}, "messages-13.json": {"payload": messages}})
    second = await receiving.take(folder)
    assert second.as_dict()["ticket"] == {"unchanged": 1, "added": 1}
    await undo(receiving, second.run[-8:])
    assert [one.ticket.customer for one in await receiving.threads()] == ["Ann Lee"]
    assert [run.id for run in await ImportRuns(receiving.memory.scope).listed()] == [first.run]


async def test_who_was_forgotten_does_not_come_back_after_an_undo(receiving: Receiving, write: Write) -> None:
    folder = write(CHATWOOT_FILES)
    await receiving.take(folder)
    person = await receiving.memory.people.find("7", channel="chatwoot-import")
    assert person
    await receiving.memory.people.forget(person.id)
    await undo(receiving)
    assert await ImportRuns(receiving.memory.scope).listed() == []
    again = await receiving.take(folder)
    assert again.as_dict()["contact"]["left_out"] == 1 and await receiving.memory.people.listed() == []
    await undo(receiving)
    assert (await receiving.take(folder)).as_dict()["ticket"] == {"left_out": 1}


async def test_what_is_kept_can_be_taken_back_later(receiving: Receiving, write: Write) -> None:
    bo = await add_operator(receiving.memory.scope, "bo")
    await receiving.take(write(CHATWOOT_FILES))
    (thread,) = await receiving.threads()
    await receiving.tickets.note(thread.ticket.id, bo, "I call her.")
    assert (await undo(receiving)).kept_contacts == 1
    person = await receiving.memory.people.find("7", channel="chatwoot-import")
    assert person and await receiving.memory.facts.known(person.id) == []
    assert await receiving.memory.people.find("ann@shop.example", channel="mail") is None
    assert (await undo(receiving, force=True)).deleted["contact"] == 1


@pytest.mark.parametrize("force", [False, True])
async def test_a_contact_that_was_joined_wrongly_is_taken_back(receiving: Receiving, write: Write, force: bool) -> None:
    """The person has written here before, so that only what the import has added may go."""
    to = DeliveryAddress("shop@desk.example", "ann@shop.example <r@x>", "ann@shop.example")
    await receiving.write("Hello, it is Ann.", to)
    ann = await receiving.memory.people.find("ann@shop.example", channel="mail")
    assert ann
    before = await rows(receiving)
    await receiving.take(write({"contacts-1.json": {"payload": [chatwoot_contact(8, "Eve", phone_number="+666")]}}))
    assert await receiving.memory.people.find("8", channel="chatwoot-import")
    undone = await undo(receiving, force=force)
    assert await rows(receiving) == before and undone.kept_contacts == 0
    person = await receiving.memory.people.find("ann@shop.example", channel="mail")
    assert person and person.id == ann.id and [name.channel for name in person.names] == ["mail"]


async def test_who_writes_here_keeps_the_name_by_which_they_write(receiving: Receiving, write: Write) -> None:
    await receiving.take(write({"contacts-1.json": {"payload": [chatwoot_contact()]}}))
    to = DeliveryAddress("shop@desk.example", "ann@shop.example <r@x>", "ann@shop.example")
    await receiving.write("Hello, it is Ann.", to)
    assert (await undo(receiving)).kept_contacts == 1
    assert len(await ImportRuns(receiving.memory.scope).listed()) == 1
    undone = await undo(receiving, force=True)
    assert undone.kept_contacts == 1 and await ImportRuns(receiving.memory.scope).listed() == []
    person = await receiving.memory.people.find("ann@shop.example", channel="mail")
    assert person and [name.channel for name in person.names] == ["mail"]
    assert await receiving.memory.facts.known(person.id) == []


class Ends:
    """Items that end with an error, as those of a system that is switched off."""

    def __init__(self, items: Any, after: int) -> None:
        self.location, self.left_out = items.location, items.left_out
        self.lists_are_current = False
        self._items, self._after = items, after

    async def total(self, kind: Kind) -> int | None:
        found: int | None = await self._items.total(kind)
        return found

    async def items(self, kind: Kind, since: datetime | None = None) -> AsyncIterator[Item]:
        async for item in self._items.items(kind, since):
            if not self._after:
                raise InputError("the server cannot be reached")
            self._after -= 1
            yield item

    async def messages(self, conversation: Item) -> Sequence[Item]:
        found: Sequence[Item] = await self._items.messages(conversation)
        return found

    async def tags(self, conversation: Item) -> Sequence[str]:
        return ()


@pytest.mark.parametrize("after", range(5))
async def test_a_run_that_was_broken_off_goes_on(receiving: Receiving, write: Write, after: int) -> None:
    folder = write(CHATWOOT_FILES)
    desk = Chatwoot("https://chat.example")
    with pytest.raises(InputError, match="cannot be reached"):
        await receiving.take(Ends(ExportFiles(folder, desk), after), desk)
    assert [run.status for run in await ImportRuns(receiving.memory.scope).listed()] == ["stopped"]
    await receiving.take(folder)
    whole = await rows(receiving)
    assert (whole["ticket"], whole["message"], whole["person"], whole["kb_document"]) == (1, 4, 1, 1)
    assert (whole["canned_answer"], whole["fact"], whole["import_run"]) == (2, 4, 2)
