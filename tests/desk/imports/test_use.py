"""An imported ticket that somebody writes into or changes here is one of this desk: for the clock, and for undoing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.imports.conversation_store import ConversationRules
from qwendesk.desk.imports.runs import ImportRuns
from qwendesk.desk.imports.undo import ImportUndo
from qwendesk.desk.reports.satisfaction import Satisfaction
from qwendesk.desk.service_times.timed_rules import TimedRules
from qwendesk.desk.tickets.records import DeliveryAddress
from qwendesk.hours_settings import HoursSettings
from qwendesk.memory.tables.tickets import TicketEvent
from qwendesk.service_times_settings import FollowUpSettings, ServiceTimesSettings
from tests.desk.imports.conftest import Receiving, Write
from tests.desk.imports.samples import CHATWOOT_FILES, DAY, chatwoot_conversation
from tests.desk.tickets.operators import add_operator

pytestmark = pytest.mark.timeout(180)
TO = DeliveryAddress("shop@desk.example", "ann@shop.example <r@x>", "ann@shop.example", "Ann Lee")
BY_MAIL = ConversationRules(mail_address=lambda given: TO)


def rules_of_time(receiving: Receiving, **follow_ups: Any) -> TimedRules:
    return TimedRules(
        receiving.memory.scope,
        receiving.tickets,
        DeskHours(HoursSettings()),
        ServiceTimesSettings.model_validate({"first_response": {"high": "1h"}}),
        FollowUpSettings.model_validate(follow_ups),
        timedelta(hours=24),
    )


async def kinds(receiving: Receiving, ticket: str) -> list[str]:
    return [event.kind for event in (await receiving.queries.thread(ticket)).events]


async def test_a_customer_who_writes_into_a_waiting_ticket_is_seen_by_the_rules_of_time(
    receiving: Receiving, write: Write
) -> None:
    await receiving.take(write(CHATWOOT_FILES), rules=BY_MAIL)
    ticket = await receiving.write("Is anybody there?", TO)
    now = datetime.now(UTC)
    rules = rules_of_time(receiving, escalate_after="1h")
    await rules.once(now + timedelta(minutes=30))
    assert await kinds(receiving, ticket) == ["message"], "its times begin with that message"
    await rules.once(now + timedelta(minutes=70))
    assert await kinds(receiving, ticket) == ["message", "sla_breached", "escalated"]


async def test_the_holder_of_a_ticket_owes_an_answer_to_a_customer_who_writes(
    receiving: Receiving, write: Write
) -> None:
    await add_operator(receiving.memory.scope, "bo", display_name="Bo")
    files = {**CHATWOOT_FILES, "messages-12.json": {"payload": CHATWOOT_FILES["messages-12.json"]["payload"][:5]}}
    await receiving.take(write(files), rules=BY_MAIL)
    (thread,) = await receiving.threads()
    assert thread.ticket.state == "human"
    ticket = await receiving.write("Is anybody there?", TO)
    rules = rules_of_time(receiving, holder_timeout="1h")
    await rules.once(datetime.now(UTC) + timedelta(minutes=30))
    assert await kinds(receiving, ticket) == ["message"]
    await rules.once(datetime.now(UTC) + timedelta(minutes=70))
    assert (await receiving.queries.get(ticket)).state == "waiting"


async def test_who_writes_here_is_asked_for_a_rating(receiving: Receiving, write: Write) -> None:
    bo = await add_operator(receiving.memory.scope, "bo")
    await receiving.take(write(CHATWOOT_FILES), rules=BY_MAIL)
    ticket = await receiving.write("Is anybody there?", TO)
    await receiving.tickets.reply(ticket, bo, "Yes.")
    await receiving.tickets.resolve(ticket, bo)
    assert await Satisfaction(receiving.memory.scope, receiving.tickets).ask_due() == 1


@pytest.mark.parametrize("has_events", [True, False])
async def test_a_ticket_that_was_written_into_stays(receiving: Receiving, write: Write, has_events: bool) -> None:
    folder = write(CHATWOOT_FILES)
    await receiving.take(folder, rules=BY_MAIL)
    ticket = await receiving.write("Is anybody there?", TO)
    if not has_events:  # as after the retention time
        async with receiving.memory.scope.write() as connection:
            await connection.execute(delete(TicketEvent))
    resolved = chatwoot_conversation(status="resolved", last_activity_at=2_000_000_000 + DAY)
    write({"conversations-1.json": {"data": {"payload": [resolved]}}})
    await receiving.take(folder, rules=BY_MAIL)
    assert (await receiving.queries.get(ticket)).state == "waiting"
    run = (await ImportRuns(receiving.memory.scope).listed())[-1]
    undone = await ImportUndo(receiving.memory.scope, receiving.knowledge).undo(run)
    assert len(undone.kept) == 1 and (await receiving.queries.get(ticket)).state == "waiting"
