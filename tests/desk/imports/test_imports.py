"""What an import brings here, what it does not do again, and what nobody is sent."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.imports.conversation_store import ConversationRules
from qwendesk.desk.imports.message_texts import MessageTexts, without_tags
from qwendesk.desk.imports.report import ImportReport
from qwendesk.desk.interpreter.canned import CannedAnswers
from qwendesk.desk.reports.satisfaction import Satisfaction
from qwendesk.desk.reports.ticket_report import make_report
from qwendesk.desk.service_times.timed_rules import TimedRules
from qwendesk.desk.tickets.records import DeliveryAddress, TicketError
from qwendesk.hours_settings import HoursSettings
from qwendesk.memory.maintenance.retention import purge
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.service_times_settings import FollowUpSettings, ServiceTimesSettings
from tests.desk.imports.conftest import Receiving, Write
from tests.desk.imports.samples import (
    BEGIN,
    CHATWOOT_FILES,
    DAY,
    ZAMMAD_FILES,
    chatwoot_contact,
    chatwoot_conversation,
    chatwoot_message,
    chatwoot_messages,
    zammad_article,
    zammad_ticket,
)
from tests.desk.tickets.operators import add_operator

pytestmark = pytest.mark.timeout(180)


def reasons(report: ImportReport) -> set[tuple[str, str]]:
    return {(one.kind, one.reason) for one in report.left_out}


async def queued(receiving: Receiving) -> int:
    """Return how many messages were accepted, or wait to be sent."""
    async with receiving.memory.scope.read() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (InboundEvent, OutboundMessage)
        ]
    return sum(counts) + len(receiving.queued)


async def test_a_conversation_of_chatwoot_is_a_ticket(receiving: Receiving, write: Write) -> None:
    await add_operator(receiving.memory.scope, "bo", display_name="Bo")
    report = await receiving.take(write(CHATWOOT_FILES))
    thread = (await receiving.threads())[0]
    ticket = thread.ticket
    assert [(one.role, one.text, one.operator_name) for one in thread.messages] == [
        ("user", "Where is my parcel 4711? It should have come on Monday.", ""),
        ("assistant", "I am looking.", ""),
        ("operator", "It is on its way.", "Bo"),
        ("user", "[box a.jpg]", ""),
    ]
    assert thread.messages[0].created_at == datetime.fromtimestamp(BEGIN + 60, UTC)
    assert [(note.text, note.operator_name) for note in thread.notes] == [("She has a gold card.", "Bo")]
    assert (ticket.state, ticket.operator_name, ticket.priority, ticket.team) == ("waiting", "Bo", "high", "sales")
    assert (ticket.tags, ticket.language, ticket.customer) == (("delivery", "vip"), "en", "Ann Lee")
    assert ticket.fields == {"imported from": "Chatwoot conversation 12 (WebWidget)", "order": "4711"}
    assert ticket.created_at == datetime.fromtimestamp(BEGIN, UTC)
    assert report.as_dict()["message"] == {"added": 4, "left_out": 1}
    assert not thread.events and await queued(receiving) == 0


async def test_a_contact_is_a_person_with_names_and_facts(receiving: Receiving, write: Write) -> None:
    await receiving.take(write(CHATWOOT_FILES))
    person = await receiving.memory.people.find("ann@shop.example", channel="mail")
    assert person and {(name.channel, name.name) for name in person.names} == {
        ("chatwoot-import", "7"),
        ("mail", "ann@shop.example"),
    }
    facts = {fact.key: fact.value for fact in await receiving.memory.facts.known(person.id)}
    assert facts == {"name": "Ann Lee", "email": "ann@shop.example", "phone": "+4912345", "company": "Lee Ltd"}


async def test_a_known_person_keeps_what_is_known(receiving: Receiving, write: Write) -> None:
    met = await receiving.memory.people.get_or_create("ann@shop.example", channel="mail")
    await receiving.take(write(CHATWOOT_FILES))
    person = await receiving.memory.people.find("7", channel="chatwoot-import")
    assert person and person.id == met.id


async def test_articles_and_canned_answers_come_along(receiving: Receiving, write: Write) -> None:
    report = await receiving.take(write(CHATWOOT_FILES))
    documents = await receiving.knowledge.documents()
    assert [(one.title, one.uri) for one in documents] == [("Returns", "https://chat.example/hc/help/articles/returns")]
    canned = {one.shortcut: one.source.text for one in await CannedAnswers(receiving.memory.scope).listed()}
    assert canned == {"open-hours": "We are open from nine to five.", "hello": "Hello {{contact.name}}!"}
    assert ("article", "it is not published") in reasons(report)
    assert ("canned", "it holds a placeholder, which is not filled in here: edit it") in reasons(report)


async def test_a_ticket_of_zammad_is_a_ticket(receiving: Receiving, write: Write) -> None:
    report = await receiving.take(write(ZAMMAD_FILES), source="zammad")
    (thread,) = await receiving.threads()
    ticket = thread.ticket
    said = [(one.role, one.text, one.operator_name) for one in thread.messages]
    assert said[0][0] == "user" and "My cup is broken." in said[0][1] and "What now?" in said[0][1]
    assert "alert" not in said[0][1]
    assert said[1:] == [("assistant", "We have got your message.", ""), ("operator", "We send a new one.", "Bo Fox")]
    assert [(note.text, note.operator_name) for note in thread.notes] == [("A new one?", "Bo Fox")]
    assert (ticket.state, ticket.subject, ticket.priority, ticket.tags) == (
        "resolved",
        "Broken cup",
        "high",
        ("broken", "cup"),
    )
    assert ticket.fields == {"imported from": "Zammad ticket 71003", "order_number": "4712"}
    assert ticket.resolved_at == datetime(2025, 6, 17, 10, tzinfo=UTC)
    assert {("ticket", "it is merged"), ("article", "it is not published")} <= reasons(report)
    documents = await receiving.knowledge.documents()
    assert [(one.title, one.uri) for one in documents] == [("Care <tips>", "import:zammad/articles/1-4")]
    canned = [one.source.text for one in await CannedAnswers(receiving.memory.scope).listed()]
    assert canned == ["We are sorry."]
    person = await receiving.memory.people.find("eva@shop.example", channel="mail")
    assert person and await receiving.memory.people.find("2", channel="zammad-import") is None


async def test_a_second_run_adds_only_what_is_new(receiving: Receiving, write: Write) -> None:
    folder = write(CHATWOOT_FILES)
    await receiving.take(folder)
    again = await receiving.take(folder)
    assert {kind: counts.get("added", 0) for kind, counts in again.as_dict().items()} == {
        "contact": 0,
        "ticket": 0,
        "message": 0,
        "note": 0,
        "article": 0,
        "canned": 0,
    }
    more = [*chatwoot_messages(), chatwoot_message(9, "Thanks, it came!")]
    resolved = chatwoot_conversation(status="resolved", last_activity_at=BEGIN + 2 * DAY)
    write({"messages-12.json": {"payload": more}, "conversations-1.json": {"data": {"payload": [resolved]}}})
    third = await receiving.take(folder)
    (thread,) = await receiving.threads()
    assert third.as_dict()["ticket"] == {"changed": 1} and third.as_dict()["message"]["added"] == 1
    assert [one.text for one in thread.messages][-1] == "Thanks, it came!" and len(thread.messages) == 5
    assert thread.ticket.state == "resolved"


async def test_a_ticket_that_was_changed_here_keeps_its_state(receiving: Receiving, write: Write) -> None:
    folder = write(CHATWOOT_FILES)
    bo = await add_operator(receiving.memory.scope, "bo")
    await receiving.take(folder)
    (thread,) = await receiving.threads()
    await receiving.tickets.take_over(thread.ticket.id, bo)
    write({"conversations-1.json": {"data": {"payload": [chatwoot_conversation(status="resolved")]}}})
    await receiving.take(folder)
    assert (await receiving.queries.get(thread.ticket.id)).state == "human"


@pytest.mark.parametrize(
    ("status", "rules", "state"),
    [
        ("open", ConversationRules(), "waiting"),
        ("pending", ConversationRules(), "waiting"),
        ("snoozed", ConversationRules(), "snoozed"),
        ("resolved", ConversationRules(), "resolved"),
        ("open", ConversationRules("resolved"), "resolved"),
    ],
)
async def test_states(receiving: Receiving, write: Write, status: str, rules: ConversationRules, state: str) -> None:
    until = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    given = chatwoot_conversation(status=status, snoozed_until=until if status == "snoozed" else None)
    files = {**CHATWOOT_FILES, "conversations-1.json": {"data": {"payload": [given]}}}
    await receiving.take(write(files), rules=rules, kinds=["ticket"])
    assert [one.ticket.state for one in await receiving.threads()] == [state]


async def test_a_poor_contact_gets_what_another_run_knows(receiving: Receiving, write: Write) -> None:
    poor = {**chatwoot_contact(), "email": None, "phone_number": None, "additional_attributes": {}}
    meta = {**chatwoot_conversation()["meta"], "sender": poor}
    listed = {"data": {"payload": [chatwoot_conversation(meta=meta)]}}
    folder = write({**CHATWOOT_FILES, "conversations-1.json": listed})
    await receiving.take(folder, kinds=["ticket"])
    person = await receiving.memory.people.find("7", channel="chatwoot-import")
    assert person and [fact.key for fact in await receiving.memory.facts.known(person.id)] == ["name"]
    report = await receiving.take(folder, kinds=["contact"])
    assert report.as_dict()["contact"] == {"changed": 1}
    found = await receiving.memory.people.find("ann@shop.example", channel="mail")
    known = {fact.key: fact.id for fact in await receiving.memory.facts.known(person.id)}
    assert found and found.id == person.id and known.keys() == {"name", "email", "phone", "company"}
    await receiving.memory.facts.delete(person.id, [known["phone"]])
    assert (await receiving.take(folder, kinds=["contact"])).as_dict()["contact"] == {"unchanged": 1}
    assert "phone" not in [fact.key for fact in await receiving.memory.facts.known(person.id)]


@pytest.mark.parametrize("trusts_addresses", [False, True])
async def test_a_typed_address_gives_nobody_on_a_platform_another_ones_place(
    receiving: Receiving, write: Write, trusts_addresses: bool
) -> None:
    ann = await receiving.memory.people.get_or_create("ann@shop.example", channel="mail")
    inbox = {"inbox": {"channel_type": "Channel::Telegram"}, "source_id": "666"}
    folder = write(
        {
            "contacts-1.json": {"payload": [chatwoot_contact(8, "Eve", contact_inboxes=[inbox])]},
            "contacts-2.json": {"payload": [chatwoot_contact(8, "Eve")]},
        }
    )
    await receiving.take(folder, trusts_addresses=trusts_addresses)
    eve = await receiving.memory.people.find("666", channel="telegram")
    assert eve and (eve.id == ann.id) == trusts_addresses
    write({"contacts-1.json": {"payload": [chatwoot_contact(9, "Eve")]}})
    write({"contacts-2.json": {"payload": [chatwoot_contact(9, "Eve", contact_inboxes=[{**inbox, "source_id": "7"}])]}})
    await receiving.take(folder, trusts_addresses=trusts_addresses)
    assert (await receiving.memory.people.find("7", channel="telegram") is not None) == trusts_addresses


async def test_html_that_takes_too_long_to_read_keeps_its_text() -> None:
    report = ImportReport("")
    texts = MessageTexts(report)
    end = "My cup<br>is <b>broken</b> &amp; old.<script>alert(1)</script>"
    assert await texts.plain("<table><tr><td>" * 6_000 + end, "message", "5") == "My cup\nis broken & old."
    await texts.aclose()
    assert reasons(report) == {("message", "its HTML cannot be read; the text is kept without its tags")}


async def test_a_message_without_a_text_is_counted(receiving: Receiving, write: Write) -> None:
    articles = [zammad_article(5, "<p>My cup is broken.</p>"), zammad_article(6, "<p> </p>")]
    report = await receiving.take(
        write({**ZAMMAD_FILES, "articles-3.json": articles}), source="zammad", kinds=["ticket"]
    )
    assert ("message", "it holds no text") in reasons(report)
    assert report.as_dict()["message"] == {"left_out": 1, "added": 1}


@pytest.mark.parametrize("html", ["<script>" * 12_500, "<br" * 30_000, "<" * 100_000, "<style>x</style" * 7_000])
def test_hostile_html_is_stripped_in_a_short_time(html: str) -> None:
    begin = time.process_time()
    without_tags(html)
    assert time.process_time() - begin < 2


async def test_hostile_placeholders_take_a_short_time(receiving: Receiving, write: Write) -> None:
    texts = ["{{" * 4_000, "#{" * 4_000, "{{a" * 2_600]
    canned = [{"id": n, "short_code": f"c{n}", "content": text} for n, text in enumerate(texts, 1)]
    begin = time.process_time()
    report = await receiving.take(write({"canned.json": canned}), kinds=["canned"])
    assert report.as_dict()["canned"] == {"added": 3} and time.process_time() - begin < 5


async def test_a_dry_run_tells_of_shortcuts_in_use(receiving: Receiving, write: Write) -> None:
    await CannedAnswers(receiving.memory.scope).add("hello", "en", "Hello!")
    dry = await receiving.take(write(CHATWOOT_FILES), is_dry_run=True)
    assert dry.as_dict()["canned"] == {"added": 1, "left_out": 1}
    assert ("canned", "there is a canned answer with its shortcut already") in reasons(dry)


async def test_an_article_that_was_deleted_here_stays_so(receiving: Receiving, write: Write) -> None:
    folder = write(CHATWOOT_FILES)
    await receiving.take(folder)
    await receiving.knowledge.remove([one.id for one in await receiving.knowledge.documents()])
    assert ("article", "it was deleted here") in reasons(await receiving.take(folder))
    assert await receiving.knowledge.documents() == []


async def test_a_dry_run_stores_nothing(receiving: Receiving, write: Write) -> None:
    report = await receiving.take(write(CHATWOOT_FILES), is_dry_run=True)
    assert report.run == "" and report.as_dict()["ticket"] == {"added": 1}
    assert await receiving.threads() == [] and await receiving.knowledge.documents() == []
    assert await receiving.memory.people.listed() == []


async def test_only_conversations_since_a_time(receiving: Receiving, write: Write) -> None:
    report = await receiving.take(write(CHATWOOT_FILES), since=datetime.fromtimestamp(BEGIN + 2 * DAY, UTC))
    assert report.as_dict()["ticket"] == {"older": 1} and await receiving.threads() == []


async def test_nothing_is_sent_and_an_operator_is_told_why(receiving: Receiving, write: Write) -> None:
    bo = await add_operator(receiving.memory.scope, "bo")
    await receiving.take(write(CHATWOOT_FILES))
    (thread,) = await receiving.threads()
    with pytest.raises(TicketError, match="was imported"):
        await receiving.tickets.reply(thread.ticket.id, bo, "Hello?")
    await receiving.tickets.hand_back(thread.ticket.id, bo, tell="The bot answers.")
    await receiving.tickets.hand_over(thread.ticket.id, bo, "operator")
    resolved = await receiving.tickets.resolve(thread.ticket.id, bo, tell="Closed.")
    assert resolved.state == "resolved" and await queued(receiving) == 0
    assert await Satisfaction(receiving.memory.scope, receiving.tickets).ask_due() == 0


async def test_an_answer_goes_by_mail_where_that_is_wished(receiving: Receiving, write: Write) -> None:
    bo = await add_operator(receiving.memory.scope, "bo")
    to = DeliveryAddress("shop@desk.example", "ann@shop.example <r@x>", "ann@shop.example", "Ann Lee")
    await receiving.take(write(CHATWOOT_FILES), rules=ConversationRules(mail_address=lambda given: to))
    (thread,) = await receiving.threads()
    assert thread.ticket.channel == "mail" and await queued(receiving) == 0
    await receiving.tickets.reply(thread.ticket.id, bo, "Hello, it is here.")
    async with receiving.memory.scope.read() as connection:
        sent = (await connection.execute(select(InboundEvent.channel, InboundEvent.person))).all()
    assert [tuple(row) for row in sent] == [("mail", "ann@shop.example")]


async def test_clocks_and_ratings_leave_imported_tickets_alone(receiving: Receiving, write: Write) -> None:
    lately = datetime.now(UTC) - timedelta(minutes=5)
    files = {
        **ZAMMAD_FILES,
        "tickets-1.json": [zammad_ticket(), zammad_ticket(5, "closed", close_at=lately.isoformat())],
        "articles-5.json": [{**one, "ticket_id": 5, "id": one["id"] + 50} for one in ZAMMAD_FILES["articles-3.json"]],
    }
    await receiving.take(write(files), source="zammad")
    await receiving.take(write(CHATWOOT_FILES), kinds=["ticket"])
    settings: dict[str, Any] = {"escalate_after": "10m", "waiting_timeout": "20m"}
    rules = TimedRules(
        receiving.memory.scope,
        receiving.tickets,
        DeskHours(HoursSettings()),
        ServiceTimesSettings.model_validate({"first_response": {"high": "1h"}}),
        FollowUpSettings.model_validate(settings),
        timedelta(hours=24),
    )
    await rules.once(datetime.now(UTC) + timedelta(hours=5))
    assert [one.events for one in await receiving.threads()] == [()] * 3
    assert await Satisfaction(receiving.memory.scope, receiving.tickets).ask_due() == 0
    bo = await add_operator(receiving.memory.scope, "bo")
    waiting = next(one.ticket for one in await receiving.threads() if one.ticket.state == "waiting")
    await receiving.tickets.update(waiting.id, bo, priority="high", subject="touched")
    await rules.once(datetime.now(UTC) + timedelta(hours=5))
    thread = await receiving.queries.thread(waiting.id)
    assert "sla_breached" in [event.kind for event in thread.events]


async def test_reports_count_what_is_done_here(receiving: Receiving, write: Write) -> None:
    bo = await add_operator(receiving.memory.scope, "bo")
    await receiving.take(write(CHATWOOT_FILES))
    (thread,) = await receiving.threads()
    await receiving.tickets.take_over(thread.ticket.id, bo)
    await receiving.tickets.resolve(thread.ticket.id, bo)
    begin = datetime.fromtimestamp(BEGIN - DAY, UTC)
    made = await make_report(receiving.memory.scope, begin, datetime.now(UTC) + timedelta(minutes=1))
    assert (made.opened, made.resolved, made.first_response.count, made.deflected) == (0, 0, 0, 0)
    assert [(one.resolved, one.replies) for one in made.operators] == [(1, 0)]


async def test_a_forgotten_customer_leaves_nothing_and_does_not_come_back(receiving: Receiving, write: Write) -> None:
    folder = write(CHATWOOT_FILES)
    await receiving.take(folder)
    person = await receiving.memory.people.find("7", channel="chatwoot-import")
    assert person
    exported = await receiving.memory.people.export(person.id)
    assert [one["text"] for one in exported["messages"]][1] == "I am looking."
    assert exported["ticket_note"][0]["text"] == "She has a gold card." and exported["import_item"]
    await receiving.memory.people.forget(person.id)
    assert await receiving.threads() == [] and await receiving.memory.history.conversations() == []
    again = await receiving.take(folder)
    assert {("contact", "it was forgotten here"), ("ticket", "its customer was forgotten here")} <= reasons(again)
    assert await receiving.threads() == [] and await receiving.memory.people.listed() == []


async def test_retention_reaches_what_was_imported(receiving: Receiving, write: Write) -> None:
    await receiving.take(write(ZAMMAD_FILES), source="zammad")
    await purge(receiving.memory.scope, datetime.now(UTC) - timedelta(days=30))
    assert await receiving.threads() == []
