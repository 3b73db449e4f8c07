"""Tickets change by one path, once, with an event each; two people who act at the same time are told apart."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import insert

from qwendesk.desk.inbox.database_retry import DatabaseRetry
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.tickets.changes import add_event
from qwendesk.desk.tickets.placement import CHOSEN_TICKET
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.desk.tickets.records import (
    BOT,
    CUSTOMER,
    Actor,
    TicketConflict,
    TicketError,
    TicketGone,
    TicketRecord,
    TicketRules,
)
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.workspace.drafts import Drafts
from qwendesk.errors import InputError, StoreError
from qwendesk.memory.tables.tickets import MessageTranslation
from qwendesk.messages import Inbound
from tests.desk.tickets.conftest import Counter

RULE = Actor.rule("test")


async def test_messages_of_one_matter_share_a_ticket(counter: Counter) -> None:
    first = await counter.write("Where is my order 4711?", display_name="Ann")
    second = await counter.write("It was due yesterday.")
    other = await counter.write("Hello", "c2", person="bob")
    assert first.is_new and not second.is_new and other.is_new
    assert first.ticket.id == second.ticket.id != other.ticket.id
    assert (first.ticket.number, other.ticket.number) == (1, 2)
    assert (first.ticket.subject, first.ticket.state) == ("Where is my order 4711?", "bot")
    assert first.ticket.customer == "Ann" and first.ticket.channel == "test"
    assert await counter.kinds(first.ticket.id) == ["opened", "message", "message"]


async def test_a_message_is_placed_once(counter: Counter) -> None:
    claimed = await counter.accept("hi")
    first = await counter.flow.place(claimed)
    second = await counter.flow.place(claimed)
    assert first and second and first.ticket.id == second.ticket.id
    assert second.is_repeated and not first.is_repeated
    assert await counter.kinds(first.ticket.id) == ["opened", "message"]


async def test_after_a_long_silence_the_bots_ticket_is_closed_and_a_new_one_opened(counter: Counter) -> None:
    first = await counter.write("hi")
    await counter.set(first.ticket.id, last_message_at=datetime.now(UTC) - timedelta(hours=25))
    second = await counter.write("something else")
    assert second.is_new and second.ticket.id != first.ticket.id
    assert (await counter.queries.get(first.ticket.id)).state == "resolved"


async def test_a_held_ticket_takes_the_message_whatever_its_age(counter: Counter) -> None:
    ada = await counter.operator("ada")
    first = await counter.write("hi")
    await counter.tickets.take_over(first.ticket.id, ada)
    await counter.set(first.ticket.id, last_message_at=datetime.now(UTC) - timedelta(hours=500))
    assert (await counter.write("still there?")).ticket.id == first.ticket.id


async def test_the_customer_chooses_a_ticket(counter: Counter) -> None:
    ada = await counter.operator("ada")
    held = (await counter.write("my bill")).ticket
    await counter.tickets.take_over(held.id, ada)
    inbox = InboxRepository(counter.memory.scope)
    await inbox.update_settings(held.conversation_id, **{CHOSEN_TICKET: 0})
    new = (await counter.write("and where is my parcel?")).ticket
    assert new.id != held.id and new.state == "bot"
    assert (await counter.write("more on the bill")).ticket.id == held.id  # held by a person, chosen no more
    await inbox.update_settings(held.conversation_id, **{CHOSEN_TICKET: new.number})
    assert (await counter.write("more on the parcel")).ticket.id == new.id


async def test_a_resolved_ticket_is_reopened_only_if_a_person_had_answered(counter: Counter) -> None:
    ada = await counter.operator("ada")
    answered = (await counter.write("hi")).ticket
    await counter.tickets.reply(answered.id, ada, "Done.")
    await counter.tickets.resolve(answered.id, ada)
    again = await counter.write("it is not")
    assert again.ticket.id == answered.id and again.ticket.state == "bot" and again.ticket.operator_id is None
    by_bot = (await counter.write("hi", "c2")).ticket
    await counter.tickets.resolve(by_bot.id, BOT)
    assert (await counter.write("hi again", "c2")).ticket.id != by_bot.id


async def test_two_operators_take_one_ticket(counter: Counter) -> None:
    ada, bo = await counter.operator("ada"), await counter.operator("bo")
    ticket = (await counter.write("help")).ticket
    taken = await asyncio.gather(
        counter.tickets.take_over(ticket.id, ada), counter.tickets.take_over(ticket.id, bo), return_exceptions=True
    )
    conflicts = [one for one in taken if isinstance(one, TicketConflict)]
    assert len(conflicts) == 1 and conflicts[0].holder in ("Ada", "Bo")
    assert (await counter.kinds(ticket.id)).count("taken_over") == 1
    forced = await counter.tickets.take_over(ticket.id, bo, force=True)
    assert forced.operator_name == "Bo"


async def test_a_handover_assigns_who_is_online_and_speaks_the_language(counter: Counter) -> None:
    await counter.operator("ada", languages=["de"])
    await counter.operator("bo", languages=["it"])
    await counter.operator("away", languages=["it"], online=False)
    await counter.operator("viewer", languages=["it"], role="viewer")
    ticket = (await counter.write("una persona, per favore")).ticket
    await counter.tickets.update(ticket.id, BOT, language="it")
    waiting = await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
    assert (waiting.state, waiting.operator_name, waiting.reason) == ("waiting", "Bo", "asked")
    again = await counter.tickets.hand_over(ticket.id, BOT, "anger")
    assert (again.version, again.reason) == (waiting.version, "asked")
    assert waiting.waiting_since is not None


async def test_tickets_go_round_those_who_are_online(counter: Counter) -> None:
    for name in ("ada", "bo", "cy"):
        await counter.operator(name)
    got = []
    for number in range(6):
        ticket = (await counter.write("help", f"c{number}")).ticket
        got.append((await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")).operator_name)
    assert sorted(got) == ["Ada", "Ada", "Bo", "Bo", "Cy", "Cy"] and len(set(got[:3])) == 3


async def test_nobody_is_online(counter: Counter) -> None:
    await counter.operator("ada", online=False)
    ticket = (await counter.write("help")).ticket
    waiting = await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
    assert waiting.state == "waiting" and waiting.operator_id is None


async def test_a_reply_takes_the_ticket_and_is_sent_once(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    for _ in range(2):
        ticket = await counter.tickets.reply(ticket.id, ada, "Hello, I am Ada.", key="k1")
    assert (ticket.state, ticket.last_from, len(counter.queued)) == ("human", "operator", 1)
    assert ticket.first_response_at
    thread = await counter.queries.thread(ticket.id)
    assert [(one.role, one.text) for one in thread.messages] == [("user", "help"), ("operator", "Hello, I am Ada.")]
    assert thread.messages[1].operator_name == "Ada"
    bo = await counter.operator("bo")
    with pytest.raises(TicketConflict, match="Ada holds ticket 1"):
        await counter.tickets.reply(ticket.id, bo, "me too")
    assert (await counter.tickets.reply(ticket.id, bo, "me too", force=True)).operator_name == "Bo"


async def test_the_bot_reads_what_the_customer_got(counter: Counter) -> None:
    ada = await counter.operator("ada")
    placement = await counter.write("Dov'è il mio pacco? Lo aspetto da ieri.")
    assert placement.ticket.language == "it"
    ticket = await counter.tickets.reply(placement.ticket.id, ada, "It is on its way.")
    message = (await counter.queries.thread(ticket.id)).messages[-1]
    now = datetime.now(UTC)
    rows = [
        {"id": f"t{number}", "message_id": message.id, "created_at": now, "language": language, **made}
        for number, (language, made) in enumerate(
            [
                ("it", {"text": "È in viaggio.", "status": "done"}),
                ("fr", {"text": "Il est en route.", "status": "done"}),
            ]
        )
    ]
    async with counter.memory.scope.write() as connection:
        await connection.execute(insert(MessageTranslation), rows)
    context = await counter.memory.turns.context(Inbound("grazie", "c1", channel="test", person="ann"))
    assert [(one.role, one.text) for one in context.messages] == [
        ("user", "Dov'è il mio pacco? Lo aspetto da ieri."),
        ("operator", "È in viaggio."),
    ]


async def test_taking_over_stops_the_bots_turn(counter: Counter) -> None:
    ada = await counter.operator("ada")
    claimed = await counter.accept("help")
    placement = await counter.flow.place(claimed)
    assert placement
    await counter.tickets.take_over(placement.ticket.id, ada)
    assert counter.stopped == [claimed.id]


async def test_a_snoozed_ticket_wakes_with_the_customer(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    await counter.tickets.take_over(ticket.id, ada)
    with pytest.raises(TicketError, match="is over"):
        await counter.tickets.snooze(ticket.id, ada, datetime.now(UTC) - timedelta(minutes=1))
    snoozed = await counter.tickets.snooze(ticket.id, ada, datetime.now(UTC) + timedelta(days=1))
    assert snoozed.state == "snoozed"
    assert (await counter.write("hello?")).ticket.state == "human"
    await counter.tickets.snooze(ticket.id, ada, datetime.now(UTC) + timedelta(days=1))
    assert (await counter.tickets.wake(ticket.id, Actor.rule("snooze"))).state == "waiting"


async def test_states_that_do_not_allow_a_change_say_so(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    with pytest.raises(TicketConflict, match="'bot' and cannot be handed back"):
        await counter.tickets.hand_back(ticket.id, ada)
    with pytest.raises(TicketGone):
        await counter.tickets.resolve("nothing", ada)
    viewer = await counter.operator("vi", role="viewer")
    with pytest.raises(TicketError, match="viewer cannot answer"):
        await counter.tickets.take_over(ticket.id, viewer)
    with pytest.raises(TicketError, match="empty"):
        await counter.tickets.reply(ticket.id, ada, "  ")


async def test_properties_and_notes(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    changed = await counter.tickets.update(
        ticket.id, ada, priority="urgent", add_tags=["Refund ", "vip"], fields={"order": "4711"}, team="billing"
    )
    assert (changed.priority, changed.tags, changed.team) == ("urgent", ("refund", "vip"), "billing")
    changed = await counter.tickets.update(ticket.id, ada, remove_tags=["vip"], team="", fields={"order": None})
    assert (changed.tags, changed.team, changed.fields) == (("refund",), None, {})
    await counter.tickets.note(ticket.id, ada, "Called twice.")
    thread = await counter.queries.thread(ticket.id)
    assert [(note.operator_name, note.text) for note in thread.notes] == [("Ada", "Called twice.")]
    assert "4711" not in str([event.changes for event in thread.events])


async def test_merge_and_split(counter: Counter) -> None:
    ada = await counter.operator("ada")
    first = (await counter.write("my bill")).ticket
    await counter.write("and my parcel is late")
    await counter.write("very late")
    await counter.tickets.take_over(first.id, ada)
    new = await counter.tickets.split(first.id, ada, from_sequence=2)
    assert (new.subject, new.state, new.operator_name) == ("and my parcel is late", "human", "Ada")
    assert [one.text for one in (await counter.queries.thread(new.id)).messages] == [
        "and my parcel is late",
        "very late",
    ]
    with pytest.raises(TicketError, match="1 of 1 messages"):
        await counter.tickets.split(first.id, ada, from_sequence=1)
    merged = await counter.tickets.merge(new.id, first.id, ada)
    assert len((await counter.queries.thread(merged.id)).messages) == 3
    assert (await counter.queries.get(new.id)).merged_into_id == first.id
    other = (await counter.write("hi", "c2")).ticket
    with pytest.raises(TicketError, match="one conversation"):
        await counter.tickets.merge(other.id, first.id, ada)


async def told(counter: Counter, ticket: TicketRecord) -> list[str]:
    return [one.text for one in (await counter.queries.thread(ticket.id)).texts]


async def at_version(counter: Counter, ticket: TicketRecord, version: int) -> TicketRecord:
    """Change a ticket until it has a version."""
    while (ticket := await counter.queries.get(ticket.id)).version < version:
        await counter.tickets.update(ticket.id, RULE, subject=f"subject {ticket.version}")
    return ticket


async def test_what_two_tickets_of_a_chat_were_told_is_kept_when_they_are_merged(counter: Counter) -> None:
    ada = await counter.operator("ada")
    first = (await counter.write("my bill")).ticket
    await counter.write("and my parcel is late")
    second = await counter.tickets.split(first.id, ada, from_sequence=2)
    version = max([(await counter.queries.get(one.id)).version for one in (first, second)])
    for ticket in (first, second):
        ticket = await at_version(counter, ticket, version)
        ticket = await counter.tickets.hand_over(ticket.id, RULE, "asked", tells=True)
        await counter.tickets.hand_back(ticket.id, ada, tell="the bot answers")
        await counter.tickets.resolve(ticket.id, ada, tell="done")
    texts = sorted([*await told(counter, first), *await told(counter, second)])
    assert len(texts) == 6
    await counter.tickets.merge(second.id, first.id, ada)
    assert sorted(await told(counter, first)) == texts
    again = await counter.tickets.split(first.id, ada, from_sequence=2)
    moved = await told(counter, again)
    await counter.tickets.merge(again.id, first.id, ada)
    assert moved and sorted(await told(counter, first)) == texts


async def test_a_new_ticket_keeps_what_it_is_told_beside_what_was_moved_into_it(counter: Counter) -> None:
    ada = await counter.operator("ada")
    first = (await counter.write("my bill")).ticket
    await counter.write("and my parcel is late")
    await at_version(counter, first, 8)
    await counter.tickets.resolve(first.id, ada, tell="your bill is right")
    new = await counter.tickets.split(first.id, ada, from_sequence=2)
    await counter.tickets.reopen(new.id, ada)
    await at_version(counter, new, 8)
    await counter.tickets.resolve(new.id, ada, tell="your parcel is there")
    assert await told(counter, new) == ["your bill is right", "your parcel is there"]


async def test_lists_are_filtered_and_searched(counter: Counter) -> None:
    ada = await counter.operator("ada")
    bill = (await counter.write("my bill is 50% too high", display_name="Zoë")).ticket
    parcel = (await counter.write("Wo ist mein Paket?", "c2", person="bob")).ticket
    await counter.tickets.update(bill.id, ada, add_tags=["money"], priority="high")
    await counter.tickets.hand_over(bill.id, CUSTOMER, "asked")

    async def found(**conditions: object) -> list[int]:
        return [one.number for one in await counter.queries.listed(TicketFilter(**conditions))]  # type: ignore[arg-type]

    assert await found(text="paket") == [parcel.number] == await found(states=("bot",))
    assert await found(text="50%") == [bill.number] == await found(tag="money")
    assert await found(text="zoë") == [bill.number] == await found(text="#1")
    assert await found(text="_") == [] and await found(min_priority=2) == [bill.number]
    assert await counter.queries.counts() == {"waiting": 1, "bot": 1}


async def test_a_colleague_who_types_is_seen(counter: Counter) -> None:
    ada, bo = await counter.operator("ada"), await counter.operator("bo")
    ticket = (await counter.write("help")).ticket
    assert bo.operator_id and ada.operator_id
    await counter.queries.report_presence(ticket.id, bo.operator_id, is_typing=True)
    await counter.queries.report_presence(ticket.id, bo.operator_id)
    (seen,) = await counter.queries.colleagues(ticket.id, ada.operator_id)
    assert (seen.name, seen.is_typing) == ("Bo", True)
    assert await counter.queries.colleagues(ticket.id, bo.operator_id) == []


async def test_events_are_read_once(counter: Counter) -> None:
    since = datetime.now(UTC)
    await counter.write("help")
    first = await counter.queries.events_after(since)
    await counter.write("more")
    second = await counter.queries.events_after(since, {event.id for event in first})
    assert [event.kind for event in first] == ["opened", "message"]
    assert [event.kind for event in second] == ["message"]


async def test_a_hundred_messages_at_once_open_one_ticket(counter: Counter) -> None:
    claimed = [await counter.accept(f"message {number}") for number in range(30)]
    placed = await asyncio.gather(*(counter.flow.place(one) for one in claimed))
    assert len({placement.ticket.id for placement in placed if placement}) == 1
    assert sum(placement.is_new for placement in placed if placement) == 1


async def test_a_customer_without_a_name_is_called_by_the_beginning_of_the_id(counter: Counter) -> None:
    assert (await counter.write("hi", "c1", person="c4d3c5dac65410357260447a972c7655a1")).ticket.customer == "c4d3c5da…"
    assert (await counter.write("hi", "c2", person="a.very.long.name@customers.example.org")).ticket.customer[
        -4:
    ] == ".org"
    assert (await counter.write("hi", "c3", person="U024BE7LH")).ticket.customer == "U024BE7LH"


@pytest.mark.parametrize(
    ("first", "locale", "then", "language"),
    [
        ("Quando aprite?", "it-IT", "Grazie", "it"),
        ("Quando aprite?", None, "Vorrei parlare con una persona, per favore.", "it"),
        ("When do you open?", "zh", "ok", "en"),
        ("Wo ist meine Bestellung 4711 geblieben?", "en", "ok", "de"),
        ("hi", "de-AT", "Wo bleibt meine Bestellung 4711?", "de"),
        ("注文4711はどこですか", "en", "ok", "ja"),
        ("I would like to know where my order is", "en", "Ich schreibe jetzt lieber auf Deutsch weiter", "de"),
    ],
)
async def test_the_language_is_that_of_what_the_customer_writes(
    counter: Counter, first: str, locale: str | None, then: str, language: str
) -> None:
    await counter.write(first, locale=locale)
    assert (await counter.write(then, locale=locale)).ticket.language == language


async def test_a_language_that_an_operator_has_set_stays(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("I would like to know where my order is")).ticket
    await counter.tickets.update(ticket.id, ada, language="nl")
    assert (await counter.write("I would still like to know where my order is")).ticket.language == "nl"
    await counter.tickets.update(ticket.id, ada, language="")
    assert (await counter.write("I would still like to know where my order is")).ticket.language == "en"


async def test_a_merged_ticket_keeps_whoever_waits(counter: Counter) -> None:
    ada = await counter.operator("ada", online=False)
    closed = (await counter.write("my bill", display_name="Ann")).ticket
    await counter.write("and my parcel")
    waiting = await counter.tickets.split(closed.id, ada, from_sequence=2)
    await counter.tickets.resolve(closed.id, ada)
    await counter.tickets.update(waiting.id, ada, priority="high", fields={"address": "a@example.org"}, team="parcels")
    waiting = await counter.tickets.hand_over(waiting.id, CUSTOMER, "asked")
    merged = await counter.tickets.merge(waiting.id, closed.id, ada)
    assert (merged.state, merged.resolved_at, merged.waiting_since) == ("waiting", None, waiting.waiting_since)
    assert (merged.priority, merged.team, merged.reason) == ("high", "parcels", "asked")
    assert merged.fields == {"address": "a@example.org"}


async def test_merging_into_a_ticket_of_the_bot_keeps_the_holder_and_stops_the_bot(counter: Counter) -> None:
    ada = await counter.operator("ada")
    first = (await counter.write("my bill")).ticket
    await counter.write("and my parcel")
    held = await counter.tickets.split(first.id, ada, from_sequence=2)
    await counter.tickets.reply(held.id, ada, "I look into it.")
    await Drafts(counter.memory.scope).keep(held.id, ada.operator_id or "", "reply", "half a sentence")
    inbox = InboxRepository(counter.memory.scope)
    await inbox.update_settings(first.conversation_id, **{CHOSEN_TICKET: first.number})
    asked = await counter.accept("and the bill?")
    placement = await counter.flow.place(asked)
    assert placement and placement.ticket.id == first.id
    merged = await counter.tickets.merge(held.id, first.id, ada)
    assert (merged.state, merged.operator_name) == ("human", "Ada") and merged.first_response_at
    assert counter.stopped == [asked.id] and await counter.flow.stopped(asked) == "takeover"
    drafts = await Drafts(counter.memory.scope).of(first.id, ada.operator_id or "")
    assert "half a sentence" in str(drafts)


async def test_a_merged_ticket_is_changed_no_more(counter: Counter) -> None:
    ada = await counter.operator("ada")
    first = (await counter.write("my bill")).ticket
    await counter.write("and my parcel")
    merged = await counter.tickets.split(first.id, ada, from_sequence=2)
    await counter.tickets.merge(merged.id, first.id, ada)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    tickets = counter.tickets
    for change in (
        tickets.reply(merged.id, ada, "hello"),
        tickets.take_over(merged.id, ada),
        tickets.assign(merged.id, ada, ada.operator_id),
        tickets.hand_over(merged.id, ada, "operator"),
        tickets.snooze(merged.id, ada, tomorrow),
        tickets.reopen(merged.id, ada),
        tickets.merge(merged.id, first.id, ada),
    ):
        with pytest.raises(TicketError, match="merged into ticket 1"):
            await change
    assert (await counter.queries.get(merged.id)).state == "resolved"
    assert (await counter.write("more")).ticket.id == first.id


async def test_a_repeated_reply_changes_nothing(counter: Counter) -> None:
    ada, bo = await counter.operator("ada"), await counter.operator("bo")
    ticket = (await counter.write("help")).ticket
    await counter.tickets.reply(ticket.id, ada, "Done.", key="k1")
    resolved = await counter.tickets.resolve(ticket.id, ada)
    assert await counter.tickets.reply(ticket.id, ada, "Done.", key="k1") == resolved
    await counter.tickets.take_over(ticket.id, bo)
    back = await counter.tickets.hand_back(ticket.id, bo)
    assert await counter.tickets.reply(ticket.id, ada, "Done.", key="k1") == back and len(counter.queued) == 1


async def test_a_delivery_of_a_forgotten_customer_is_noted_nowhere(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    await counter.tickets.reply(ticket.id, ada, "Hello.")
    claimed = await InboxRepository(counter.memory.scope).claim(counter.queued[-1][0])
    person = await counter.memory.people.find("ann", channel="test")
    assert claimed and person
    await counter.memory.people.forget(person.id)
    async with asyncio.timeout(10):
        await DatabaseRetry().run(partial(counter.flow.note_delivery, claimed, is_sent=True))
    assert await counter.queries.listed(TicketFilter()) == []


async def test_what_contradicts_the_database_is_not_repeated_for_ever(counter: Counter) -> None:
    async def note_on_nothing() -> None:
        async with counter.memory.scope.write() as connection:
            await add_event(connection, "no ticket", "noted", BOT)

    with pytest.raises(StoreError):
        async with asyncio.timeout(20):
            await DatabaseRetry().run(note_on_nothing)


@pytest.mark.parametrize("ends", ["disabled", "viewer"])
async def test_tickets_of_an_operator_who_leaves_wait_for_others(counter: Counter, ends: str) -> None:
    bo = await counter.operator("bo")
    assert bo.operator_id
    tickets, until = [], datetime.now(UTC) + timedelta(days=1)
    for number in range(4):
        ticket = (await counter.write("help", f"c{number}")).ticket
        tickets.append(await counter.tickets.take_over(ticket.id, bo))
    held, assigned, snoozed, resolved = tickets
    await counter.tickets.assign(assigned.id, BOT, None)
    await counter.tickets.assign(assigned.id, BOT, bo.operator_id)
    await counter.tickets.snooze(snoozed.id, bo, until)
    await counter.tickets.resolve(resolved.id, bo)
    accounts = OperatorAccounts(counter.memory.scope)
    if ends == "disabled":
        await accounts.disable(bo.operator_id, AuditActor(), allow_no_admin=True)
    else:
        await accounts.set_role(bo.operator_id, "viewer", AuditActor(), allow_no_admin=True)
    listed = await counter.queries.listed(TicketFilter(states=("waiting",), is_unassigned=True))
    assert {one.id for one in listed} == {held.id, assigned.id} and all(one.waiting_since for one in listed)
    assert (await counter.kinds(held.id))[-1] == "assigned"
    for woken in (
        await counter.tickets.wake(snoozed.id, Actor.rule("snooze")),
        await counter.tickets.reopen(resolved.id, Actor("api")),
    ):
        assert (woken.state, woken.operator_id) == ("waiting", None)


async def test_a_change_that_changes_nothing_is_none(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    await counter.tickets.update(ticket.id, ada, add_tags=["Refund"], priority="high", fields={"order": "1"})
    tagged = await counter.tickets.update(ticket.id, ada, add_tags=["refund"], priority="high", fields={"order": "1"})
    assert (await counter.kinds(ticket.id)).count("updated") == 1
    assert (await counter.tickets.update(tagged.id, ada, remove_tags=[" REFUND "])).tags == ()


async def test_an_unassigned_ticket_is_not_snoozed(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    await counter.tickets.snooze(ticket.id, ada, datetime.now(UTC) + timedelta(days=1))
    waiting = await counter.tickets.assign(ticket.id, ada, None)
    assert (waiting.state, waiting.snoozed_until) == ("waiting", None)


async def test_an_answer_that_is_noted_late_is_not_the_last_message(counter: Counter) -> None:
    ada = await counter.operator("ada")
    claimed = await counter.accept("help")
    placement = await counter.flow.place(claimed)
    assert placement
    replied = await counter.tickets.reply(placement.ticket.id, ada, "Ada here.")
    await counter.flow.note_answer(claimed)
    now = await counter.queries.get(replied.id)
    assert (now.last_from, now.last_message_at) == ("operator", replied.last_message_at)


async def test_a_split_ticket_is_as_far_as_its_messages(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("my bill")).ticket
    await counter.write("and my parcel")
    await counter.tickets.reply(ticket.id, ada, "The parcel is on its way.")
    await counter.tickets.update(ticket.id, ada, priority="urgent", add_tags=["vip"])
    await counter.tickets.resolve(ticket.id, ada)
    new = await counter.tickets.split(ticket.id, ada, from_sequence=2)
    assert (new.priority, new.tags, new.last_from, new.state) == ("urgent", ("vip",), "operator", "resolved")
    assert new.first_response_at and new.resolved_at
    old = await counter.queries.get(ticket.id)
    assert (old.last_from, old.first_response_at) == ("customer", None) and old.last_message_at < new.last_message_at
    assert "replied" in await counter.kinds(new.id) and "replied" not in await counter.kinds(old.id)


async def test_a_chosen_ticket_takes_the_message_whatever_its_age_and_is_forgotten_at_its_end(counter: Counter) -> None:
    ticket = (await counter.write("my bill")).ticket
    inbox = InboxRepository(counter.memory.scope)
    await inbox.update_settings(ticket.conversation_id, **{CHOSEN_TICKET: ticket.number})
    await counter.set(ticket.id, last_message_at=datetime.now(UTC) - timedelta(hours=90))
    assert (await counter.write("more on the bill")).ticket.id == ticket.id
    await counter.tickets.resolve(ticket.id, BOT)
    other = (await counter.write("and my parcel?")).ticket
    assert other.id != ticket.id
    await counter.tickets.reopen(ticket.id, Actor("api"))
    assert (await counter.write("when does it come?")).ticket.id == other.id


async def test_a_customer_whom_an_operator_hands_over_is_told_once(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    for _ in range(2):
        await counter.tickets.hand_over(ticket.id, ada, "operator")
    assert len(counter.queued) == 1
    claimed = await InboxRepository(counter.memory.scope).claim(counter.queued[0][0])
    assert claimed and claimed.source == "desk" and "person" in claimed.inbound.text


async def test_a_team_that_the_desk_does_not_know_is_refused(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    tickets = Tickets(counter.memory.scope, lambda *row: None, TicketRules(teams=("billing",)))
    for change in (
        tickets.update(ticket.id, ada, team="biling"),
        tickets.hand_over(ticket.id, ada, "operator", team="biling"),
    ):
        with pytest.raises(TicketError, match="no team 'biling'"):
            await change
    assert (await tickets.update(ticket.id, ada, team="billing")).team == "billing"


async def test_a_language_is_kept_by_its_code(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    for written, code in (("pt-BR", "pt"), ("German", "de"), ("JA", "ja"), ("", None)):
        assert (await counter.tickets.update(ticket.id, ada, language=written)).language == code
    with pytest.raises(InputError, match="not a language"):
        await counter.tickets.update(ticket.id, ada, language="not a language")
