"""What is forgotten, exported, deleted with time and separated between tenants, of tickets too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select
from uuid_utils import uuid7

from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.tickets.queries import TicketFilter, TicketQueries
from qwendesk.desk.tickets.records import CUSTOMER, TicketGone
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.memory.maintenance.retention import purge
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.conversations import Base
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.reports import KnowledgeDraft, TicketRating
from qwendesk.memory.tables.tickets import MessageTranslation
from qwendesk.messages import Attachment
from tests.desk.tickets.conftest import Counter

SECRET = "sesame"


async def everything(memory: Memory) -> str:
    """Return all rows but those of the audit, as a text."""
    tables = [table for table in Base.metadata.sorted_tables if table.name != "audit"]
    async with memory.database.read() as connection:  # type: ignore[attr-defined]
        return repr([(table.name, row) for table in tables for row in await connection.execute(select(table))])


async def helped(counter: Counter, conversation: str = "c1", **more: str) -> str:
    """Let an operator help a customer, whose every text holds the secret; return the ticket's id."""
    ada = await counter.operator(f"ada-{conversation}-{more.get('person', '')}")
    ticket = (await counter.write(f"my {SECRET} is lost", conversation, display_name=f"{SECRET} smith", **more)).ticket
    await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
    await counter.tickets.reply(ticket.id, ada, f"I found your {SECRET}.")
    await counter.tickets.note(ticket.id, ada, f"Lost {SECRET}.")
    await counter.tickets.update(ticket.id, ada, fields={"address": f"{SECRET} street"}, subject=f"{SECRET}!")
    thread = await counter.queries.thread(ticket.id)
    async with counter.memory.scope.write() as connection:
        for message in thread.messages:
            row = {"message_id": message.id, "language": "de", "text": f"{SECRET} auf Deutsch", "status": "done"}
            row |= {"id": str(uuid7()), "created_at": datetime.now(UTC)}
            await connection.execute(insert(MessageTranslation), row)
    return ticket.id


async def person_of(counter: Counter, name: str) -> str:
    person = await counter.memory.people.find(name, channel="test")
    assert person
    return person.id


async def test_a_forgotten_customer_leaves_nothing(counter: Counter) -> None:
    await helped(counter, person="ann")
    assert SECRET in await everything(counter.memory)
    await counter.memory.people.forget(await person_of(counter, "ann"))
    assert SECRET not in await everything(counter.memory)
    assert await counter.queries.listed(TicketFilter()) == []


async def test_the_others_of_a_group_keep_their_tickets(counter: Counter) -> None:
    await helped(counter, "group", person="ann", group=True)  # type: ignore[arg-type]
    await counter.tickets.resolve((await counter.queries.listed(TicketFilter()))[0].id, CUSTOMER)
    bob = await counter.operator("bo")
    ticket = (await counter.write("my key", "group", person="bob", group=True)).ticket
    await counter.tickets.reply(ticket.id, bob, "Here is your key.")
    ann = await person_of(counter, "ann")
    mine = ticket.person_id == ann  # reopened: the ticket is Ann's, and Bob has written in it
    await counter.memory.people.forget(ann)
    left = await everything(counter.memory)
    assert SECRET not in left and "my key" in left
    assert mine or "Here is your key." in left


async def test_the_export_has_what_operators_know(counter: Counter) -> None:
    await helped(counter, person="ann")
    exported = await counter.memory.people.export(await person_of(counter, "ann"))
    assert [row["state"] for row in exported["ticket"]] == ["human"]
    assert [row["text"] for row in exported["ticket_note"]] == [f"Lost {SECRET}."]
    assert {row["role"] for row in exported["messages"]} == {"user", "operator"}
    assert len(exported["message_translation"]) == 2 and exported["ticket_event"]
    json.dumps(exported)


async def test_old_tickets_are_deleted_with_their_messages(counter: Counter) -> None:
    ticket = await helped(counter)
    in_a_day = datetime.now(UTC) + timedelta(days=1)
    assert (await purge(counter.memory.scope, datetime.now(UTC) - timedelta(days=1)))["ticket"] == 0
    await counter.queries.get(ticket)
    await purge(counter.memory.scope, in_a_day)
    left = await everything(counter.memory)
    assert "Lost" not in left and "found your" not in left
    with pytest.raises(TicketGone):
        await counter.queries.get(ticket)


async def test_another_tenant_reaches_no_ticket(counter: Counter) -> None:
    ticket = await helped(counter)
    other = counter.memory.of_tenant("other")
    await other.open()
    queries, tickets = TicketQueries(other.scope), Tickets(other.scope, lambda *row: None)
    async with other.scope.write() as connection:
        row = {"id": str(uuid7()), "name": "eve", "display_name": "Eve", "password_hash": "", "role": "admin"}
        await connection.execute(insert(Operator), {**row, "created_at": datetime.now(UTC)})
    assert await queries.listed(TicketFilter()) == [] and await queries.counts() == {}
    assert await queries.events_after(datetime.now(UTC) - timedelta(days=1)) == []
    for refused in (queries.get(ticket), queries.thread(ticket), tickets.resolve(ticket, CUSTOMER)):
        with pytest.raises(TicketGone):
            await refused
    with pytest.raises(TicketGone):
        await queries.numbered(1)
    assert (await counter.queries.get(ticket)).state == "human"


async def test_numbers_are_each_tenants_own(counter: Counter) -> None:
    await counter.write("hi")
    other = counter.memory.of_tenant("other")
    await other.open()
    theirs = Counter(other, Tickets(other.scope, lambda *row: None), TicketQueries(other.scope), [])
    assert (await theirs.write("hi")).ticket.number == 1


async def test_a_customer_who_is_forgotten_while_an_operator_writes(counter: Counter) -> None:
    ticket = await helped(counter, person="ann")
    ada = await counter.operator("late")
    await counter.memory.people.forget(await person_of(counter, "ann"))
    with pytest.raises(TicketGone, match="deleted with its customer"):
        await counter.tickets.reply(ticket, ada, f"Your {SECRET}?", force=True)
    assert SECRET not in await everything(counter.memory)


async def add_report_rows(counter: Counter, ticket: str) -> None:
    now = datetime.now(UTC)
    async with counter.memory.scope.write() as connection:
        rated = {"id": str(uuid7()), "ticket_id": ticket, "score": 2, "comment": f"{SECRET} failed", "asked_at": now}
        await connection.execute(insert(TicketRating), rated)
        draft = {
            "id": str(uuid7()),
            "ticket_id": ticket,
            "question": f"my {SECRET}?",
            "answer": "Here.",
            "status": "open",
        }
        await connection.execute(insert(KnowledgeDraft), {**draft, "created_at": now})


async def test_the_export_has_ratings_drafts_and_files_of_operators(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("my key")).ticket
    await counter.tickets.reply(ticket.id, ada, "", [Attachment("document", "text/plain", b"the key", "key.txt")])
    await add_report_rows(counter, ticket.id)
    exported = await counter.memory.people.export(await person_of(counter, "ann"))
    assert exported["ticket_rating"][0]["comment"] == f"{SECRET} failed"
    assert exported["knowledge_draft"][0]["question"] == f"my {SECRET}?"
    assert [file["name"] for file in exported["attachments"]] == ["key.txt"]


async def test_words_of_a_forgotten_member_of_a_group_leave_the_tickets_of_others(counter: Counter) -> None:
    ticket = (await counter.write("my key", "group", person="ann", group=True)).ticket
    await counter.write(f"my number is {SECRET}", "group", person="bob", group=True)
    await counter.tickets.update(ticket.id, CUSTOMER, fields={"phone": SECRET})
    await add_report_rows(counter, ticket.id)
    await counter.memory.people.forget(await person_of(counter, "bob"))
    assert SECRET not in await everything(counter.memory)
    assert (await counter.queries.get(ticket.id)).fields == {}


@pytest.mark.parametrize("state", ["waiting", "snoozed"])
async def test_open_tickets_are_kept_whatever_their_age(counter: Counter, state: str) -> None:
    ada = await counter.operator("ada", online=False)
    ticket = (await counter.write("call me", store=False)).ticket
    if state == "waiting":
        await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
    else:
        await counter.tickets.snooze(ticket.id, ada, datetime.now(UTC) + timedelta(days=60))
    old = datetime.now(UTC) - timedelta(days=40)
    await counter.set(ticket.id, updated_at=old, last_message_at=old)
    await purge(counter.memory.scope, datetime.now(UTC) - timedelta(days=30))
    assert (await counter.queries.get(ticket.id)).state == state


def asked(**arguments: str) -> tuple[dict[str, object], ...]:
    return ({"id": "r1", "tool": "refund", "arguments": arguments, "reason": f"it is {SECRET}"},)


async def test_what_waits_for_an_approval_is_exported_and_forgotten(counter: Counter) -> None:
    ticket = await counter.ask_approval(f"refund {SECRET}", calls=asked(order=SECRET), person="ann")
    (waiting,) = await counter.approvals.waiting()
    await counter.approvals.decide(ticket.id, await counter.operator("ada"), waiting.id, None, True)
    person = await person_of(counter, "ann")
    exported = await counter.memory.people.export(person)
    assert exported["ticket_approval"][0]["calls"][0]["arguments"] == {"order": SECRET}
    json.dumps(exported)
    await counter.memory.people.forget(person)
    assert SECRET not in await everything(counter.memory) and await counter.approvals.waiting() == []
    with pytest.raises(TicketGone):
        await counter.approvals.decide(ticket.id, await counter.operator("bo"), waiting.id, None, True)


async def test_a_forgotten_member_of_a_group_leaves_no_call_in_the_ticket_of_another(counter: Counter) -> None:
    await counter.write("hello", "group", person="ann", group=True)
    await counter.write(f"my number is {SECRET}", "group", person="bob", group=True)
    ticket = await counter.ask_approval("refund it", "group", asked(phone=SECRET), person="ann", group=True)
    await counter.memory.people.forget(await person_of(counter, "bob"))
    assert SECRET not in await everything(counter.memory)
    await counter.approvals.expire()
    assert await counter.approvals.waiting() == []
    ended = await counter.queries.thread(ticket.id)
    assert (ended.ticket.state, ended.approvals[0].reason) == ("waiting", "withdrawn")
    assert ended.texts[0].text == say("approval_withdrawn")


async def test_another_tenant_reaches_no_approval(counter: Counter) -> None:
    ticket = await counter.ask_approval("refund it")
    other = counter.memory.of_tenant("other")
    await other.open()
    theirs = TicketApprovals(other.scope, lambda *row: None, Tickets(other.scope, lambda *row: None))
    assert await theirs.waiting() == []
    (waiting,) = await counter.approvals.waiting()
    with pytest.raises(TicketGone):
        await theirs.decide(ticket.id, await counter.operator("ada"), waiting.id, None, True)
    await theirs.expire(datetime.now(UTC) + timedelta(days=9))
    assert len(await counter.approvals.waiting()) == 1
