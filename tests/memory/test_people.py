"""People: found by name, joined by a code, exported and forgotten."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text

from qwendesk.errors import InputError, StoreError
from qwendesk.memory.audit import add_audit_entry
from qwendesk.memory.memory import Memory
from qwendesk.memory.people import repository as people_sql
from qwendesk.memory.records import Identity, NewFact
from qwendesk.memory.tables.conversations import Base, Conversation
from qwendesk.memory.tables.facts import AuditEntry, ToolCall
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.messages import Attachment, Inbound
from tests.memory.talk import say

PICTURE = Attachment("image", "image/png", b"face_of_ada" * 50, "ada.png")


async def test_a_person_is_met_once(memory: Memory) -> None:
    assert await memory.people.find("ada") is None
    met = await memory.people.get_or_create("ada")
    assert met.names == (Identity("python", "ada"),) and met.remembers
    assert (
        await memory.people.get_or_create("ada")
        == met
        == await memory.people.find("ada")
        == await memory.people.get(met.id)
    )
    assert await memory.people.find("ada", channel="slack") is None


async def test_who_writes_is_a_person(memory: Memory) -> None:
    await say(memory, "hi", person="ada")
    await say(memory, "hi", person="bob", channel="slack")
    assert [person.names[0].name for person in await memory.people.listed()] == ["bob", "ada"]
    assert len(await memory.people.listed(limit=1)) == 1


async def test_a_text_may_mean_several(memory: Memory) -> None:
    one = await memory.people.get_or_create("ada")
    two = await memory.people.get_or_create("ada", channel="slack")
    assert {person.id for person in await memory.people.named("ada")} == {one.id, two.id}
    assert [person.id for person in await memory.people.named("slack:ada")] == [two.id]
    assert [person.id for person in await memory.people.named(one.id)] == [one.id]
    assert await memory.people.named("adam") == []


async def linked(memory: Memory) -> None:
    code = await memory.people.new_code("ada")
    assert await memory.people.enter_code(code.code, "U1", channel="slack") == "half"
    assert await memory.people.enter_code(code.code, "ada") == "joined"


async def test_a_code_that_both_sides_enter_joins_them(memory: Memory) -> None:
    await say(memory, "hello from here")
    await say(memory, "hello from slack", person="U1", channel="slack")
    ada, other = await memory.people.get_or_create("ada"), await memory.people.get_or_create("U1", channel="slack")
    await memory.facts.learn(ada.id, [NewFact("home", "Berlin"), NewFact("pet", "a cat")])
    await memory.facts.learn(other.id, [NewFact("home", "Rome")])
    await linked(memory)
    person = await memory.people.find("U1", channel="slack")
    assert person and person == await memory.people.find("ada")
    assert set(person.names) == {Identity("python", "ada"), Identity("slack", "U1")}
    assert {fact.key: fact.value for fact in await memory.facts.known(person.id)} == {"home": "Rome", "pet": "a cat"}
    assert [fact.value for fact in await memory.facts.past(person.id, "home")] == ["Rome", "Berlin"]
    assert len((await memory.people.export(person.id))["conversations"]) == 2
    assert len(await memory.people.listed()) == 1


async def test_the_order_of_entering_does_not_matter(memory: Memory) -> None:
    code = await memory.people.new_code("ada")
    assert await memory.people.enter_code(code.code, "ada") == "waiting"
    assert await memory.people.find("U1", channel="slack") is None
    assert await memory.people.enter_code(code.code.lower().replace("-", " "), "U1", channel="slack") == "joined"
    assert await memory.people.enter_code(code.code, "ada") == "unknown", "a code works once"


async def test_one_side_alone_joins_nothing(memory: Memory) -> None:
    code = await memory.people.new_code("ada")
    assert await memory.people.enter_code(code.code, "U1", channel="slack") == "half"
    assert len(await memory.people.listed()) == 2


async def test_a_code_that_a_third_side_has_is_void(memory: Memory) -> None:
    code = await memory.people.new_code("ada")
    await memory.people.enter_code(code.code, "U1", channel="slack")
    assert await memory.people.enter_code(code.code, "thief", channel="matrix") == "unknown"
    assert await memory.people.enter_code(code.code, "ada") == "unknown"
    assert len(await memory.people.listed()) == 3


async def test_a_wrong_or_replaced_code_does_nothing(memory: Memory) -> None:
    old = await memory.people.new_code("ada")
    await memory.people.new_code("ada")
    for code in (old.code, "", "AAAAA-AAAAA", "x" * 10_000):
        assert await memory.people.enter_code(code, "U1", channel="slack") == "unknown"


async def test_a_wish_for_no_facts_outlives_a_link(memory: Memory) -> None:
    await memory.people.set_remembers((await memory.people.get_or_create("U1", channel="slack")).id, False)
    await linked(memory)
    person = await memory.people.find("ada")
    assert person and not person.remembers


async def test_linking_what_is_linked_says_so(memory: Memory) -> None:
    await linked(memory)
    code = await memory.people.new_code("ada")
    assert await memory.people.enter_code(code.code, "U1", channel="slack") == "same"


async def filled(memory: Memory) -> str:
    """Let Ada leave something in every table, and Bob beside her."""
    message = await say(memory, "ada_word-1 I live in ada_town", "ada_echo", files=(PICTURE,))
    await say(memory, "ada_word-2", "ada_echo-2", conversation="group")
    await say(memory, "bob-word", "bob-echo", conversation="group", person="bob")
    ada = await memory.people.get_or_create("ada")
    await memory.facts.learn(ada.id, [NewFact("home", "ada_town", "place", 1.0, message)])
    await memory.facts.learn((await memory.people.get_or_create("bob")).id, [NewFact("home", "bob-town")])
    for conversation in ("c1", "group"):
        unread = await memory.summaries.pending(conversation)
        assert unread and await memory.summaries.add(unread, unread.lines[-1].sequence, "ada_summary", "m")
    await memory.people.new_code("ada")
    # what Bob waits for quotes the conversation, and so Ada
    for conversation, person in (("c1", "ada"), ("group", "bob")):
        turn = await memory.turns.begin(Inbound(f"{person}-pay", conversation, person=person))
        until = datetime.now(UTC) + timedelta(days=1)
        await memory.pending.add(turn, [{"tool": "pay", "arguments": {"to": "ada_bank"}}], b"ada_state", until)
        await memory.turns.fail(turn, "stopped", "not approved")
    return ada.id


async def test_an_export_has_everything(memory: Memory) -> None:
    ada = await filled(memory)
    export = json.loads(json.dumps(await memory.people.export(ada)))
    assert [row["external_user_id"] for row in export["person_identity"]] == ["ada"]
    assert [row["text"] for row in export["messages"] if row["role"] == "user"] == [
        "ada_word-1 I live in ada_town",
        "ada-pay",
        "ada_word-2",
    ]
    assert [row["calls"][0]["arguments"] for row in export["pending_turn"]] == [{"to": "ada_bank"}]
    assert base64.b64decode(export["attachments"][0]["content"]) == PICTURE.data
    assert [row["value"] for row in export["fact"]] == ["ada_town"]
    assert len(export["conversations"]) == len(export["tool_calls"]) == 2 and len(export["turns"]) == 3
    assert "bob" not in json.dumps(export)


async def dump(memory: Memory) -> str:
    """Return all rows of all tables as a text."""
    async with memory.database.read() as connection:
        found = [
            (table.name, row)
            for table in Base.metadata.sorted_tables
            for row in await connection.execute(table.select())
        ]
    return repr(found)


async def test_who_is_forgotten_is_in_no_row(memory: Memory) -> None:
    ada = await filled(memory)
    before = await dump(memory)
    assert before.count("ada_") > 10 and "face_of_ada" in before
    erased = await memory.people.forget(ada)
    left = await dump(memory)
    assert "ada_" not in left and "face_of_ada" not in left and "'ada'" not in left
    assert left.count(ada) == 1, "only the audit names the id"
    assert erased.counts == {
        "attachment": 1,
        "conversation": 1,
        "conversation_summary": 2,
        "fact": 1,
        "inbound_event": 0,
        "kb_document": 0,
        "message": 5,
        "pending_turn": 2,
        "person": 1,
        "person_identity": 1,
        "ticket": 0,
    }
    assert [message.text for message in await memory.history.messages("group")] == ["bob-word", "bob-echo", "bob-pay"]
    assert [fact.value for fact in await memory.facts.known((await memory.people.get_or_create("bob")).id)] == [
        "bob-town"
    ]
    async with memory.scope.read() as connection:
        (entry,) = await connection.execute(AuditEntry.__table__.select())  # type: ignore[attr-defined]
        assert (entry.action, entry.subject, entry.counts) == ("forget", ada, erased.counts)
        assert len(list(await connection.execute(ToolCall.__table__.select()))) == 1  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="There is no person"):
        await memory.people.forget(ada)
    with pytest.raises(StoreError, match="There is no person"):
        await memory.people.export(ada)


async def test_who_is_forgotten_is_not_in_the_file_either(file: Path) -> None:
    memory = Memory(f"sqlite+aiosqlite:///{file}")
    await memory.open()
    ada = await filled(memory)
    for number in range(60):
        await say(memory, f"ada_more-{number} " * 50, f"ada_echo-{number}", conversation=f"c{number % 7}")
        await say(memory, f"bob-more-{number}", person="bob", conversation=f"b{number % 5}")
    await memory.people.forget(ada)
    found = b"".join(path.read_bytes() for path in (file, file.with_name(file.name + "-wal")))
    await memory.aclose()
    assert b"ada_" not in found and b"face_of_ada" not in found
    assert b"bob-more-59" in found


async def test_what_is_learned_too_late_is_not_kept(memory: Memory) -> None:
    message = await say(memory, "I live in Berlin")
    ada = await memory.people.get_or_create("ada")
    unread = await memory.summaries.pending("c1")
    await memory.people.forget(ada.id)
    again = await memory.people.get_or_create("ada")
    learned = await memory.facts.learn(again.id, [NewFact("home", "Berlin", source_message=message)])
    assert learned.refused == (("home", "its message is gone"),)
    assert unread and not await memory.summaries.add(unread, 1, "Ada lives in Berlin", "m")
    assert (await memory.turns.context(Inbound("hi", "c1", person="ada"))).summary is None


async def test_forgetting_while_others_write(memory: Memory) -> None:
    ada = await filled(memory)
    writing = [say(memory, f"bob {number}", person="bob", conversation=f"b{number}") for number in range(10)]
    await asyncio.gather(memory.people.forget(ada), *writing)
    assert "ada_" not in await dump(memory)
    assert len([info for info in await memory.history.conversations() if info.key.startswith("b")]) == 10


async def accepted(memory: Memory, person: str, status: str) -> None:
    """Let the durable desk have taken a message of a group's member, and answered."""
    async with memory.database.write() as connection:
        conversation = (
            await connection.execute(select(Conversation.id).where(Conversation.external_id == "group"))
        ).scalar_one()
        id_, now = str(uuid4()), datetime.now(UTC)
        row = {"id": id_, "channel": "python", "account": "", "conversation_id": conversation, "person": person}
        sequence = (await connection.execute(select(func.count()).select_from(InboundEvent))).scalar_one()
        row |= {"sequence": sequence, "payload": {"text": f"{person}_word"}, "status": status, "received_at": now}
        await connection.execute(insert(InboundEvent), row)
        sent = {"id": id_, "key": id_, "inbound_id": id_, "conversation_id": conversation, "part": 0}
        await connection.execute(
            insert(OutboundMessage), sent | {"text": f"{person}_echo", "status": "sent", "created_at": now}
        )


async def test_what_the_durable_desk_took_is_exported_and_forgotten(memory: Memory) -> None:
    ada = await filled(memory)
    for person in ("ada", "bob"):
        await accepted(memory, person, "done")
    export = await memory.people.export(ada)
    assert [row["payload"] for row in export["inbound_event"]] == [{"text": "ada_word"}]
    assert [row["text"] for row in export["outbound"]] == ["ada_echo"]
    await memory.people.forget(ada)
    left = await dump(memory)
    assert "ada_" not in left and "bob_word" in left and "bob_echo" in left


async def test_a_turn_that_begins_while_its_writer_is_forgotten_stores_nothing(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk begins it when all is deleted, but not yet committed."""
    ada = await filled(memory)
    await accepted(memory, "ada", "queued")
    deleted, go_on = asyncio.Event(), asyncio.Event()

    async def slow_record(*what: Any) -> None:
        deleted.set()
        await go_on.wait()
        await add_audit_entry(*what)

    monkeypatch.setattr(people_sql, "add_audit_entry", slow_record)
    forgetting = asyncio.create_task(memory.people.forget(ada))
    await deleted.wait()
    beginning = asyncio.create_task(memory.turns.begin(Inbound("ada_word", "group", person="ada", sequence=0)))
    await held_up(memory)
    go_on.set()
    await forgetting
    with pytest.raises(InputError, match="asked to be forgotten"):
        await beginning
    assert "ada_" not in await dump(memory)


async def held_up(memory: Memory) -> None:
    """Let a writer begin to wait for another."""
    if memory.database.is_sqlite:
        await asyncio.sleep(0.1)  # it waits for the lock of this process, which nothing shows
        return
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(20):
        while True:
            async with memory.database.read() as connection:
                if (await connection.execute(waiting)).scalar_one():
                    return
            await asyncio.sleep(0.01)
