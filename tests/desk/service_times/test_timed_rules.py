"""What happens by the clock happens once, inside hours, and not where somebody was faster."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update

from qwendesk.desk.handover.texts import handed_back_text, resolved_text
from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.reports.ticket_report import make_report
from qwendesk.desk.service_times.timed_rules import TimedRules
from qwendesk.desk.tickets.records import CUSTOMER, TicketRecord, TicketRules
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.hours_settings import HoursSettings
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import TicketEvent
from qwendesk.messages import Inbound
from qwendesk.service_times_settings import FollowUpSettings, ServiceTimesSettings
from tests.desk.tickets.conftest import Counter

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def rules(counter: Counter, *, hours: Any = None, times: Any = None, **follow_ups: Any) -> TimedRules:
    return TimedRules(
        counter.memory.scope,
        counter.tickets,
        DeskHours(HoursSettings.model_validate(hours or {})),
        ServiceTimesSettings.model_validate(times or {}),
        FollowUpSettings(**follow_ups),
        timedelta(hours=24),
    )


async def texts(counter: Counter, ticket: TicketRecord) -> list[str]:
    """Return the texts of the desk to the customer."""
    event = InboundEvent
    statement = select(event.payload).where(event.ticket_id == ticket.id, event.source == "desk")
    async with counter.memory.scope.read() as connection:
        return [row.payload["text"] for row in await connection.execute(statement.order_by(event.sequence))]


async def held(counter: Counter, text: str = "Where is my order?") -> TicketRecord:
    ada = await counter.operator(f"ada{len(counter.queued)}")
    ticket = (await counter.write(text)).ticket
    return await counter.tickets.take_over(ticket.id, ada)


async def waiting(counter: Counter) -> TicketRecord:
    ticket = (await counter.write("A person, please")).ticket
    return await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")


async def test_a_snooze_ends_once_at_its_time(counter_on_both: Counter) -> None:
    counter = counter_on_both
    ticket, end = await held(counter), now() + HOUR
    await counter.tickets.snooze(ticket.id, CUSTOMER, end)
    timed = rules(counter, hours={"zone": "UTC", "week": "closed"})
    await timed.once(end - timedelta(seconds=1))
    assert (await counter.queries.get(ticket.id)).state == "snoozed"
    await asyncio.gather(*(timed.once(end) for _ in range(3)))
    woken = await counter.queries.get(ticket.id)
    assert (woken.state, woken.operator_id) == ("waiting", ticket.operator_id)
    assert (await counter.kinds(ticket.id)).count("woken") == 1


async def test_a_longer_snooze_in_the_same_moment_holds(counter: Counter) -> None:
    ticket = await held(counter)
    seen = await counter.tickets.snooze(ticket.id, CUSTOMER, now() + HOUR)
    await counter.tickets.snooze(ticket.id, CUSTOMER, now() + 5 * HOUR)
    timed = rules(counter)
    await timed._apply(seen, [], now() + 2 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "snoozed"


async def test_promises_are_warned_of_and_broken_once_each(counter_on_both: Counter) -> None:
    counter = counter_on_both
    ticket = await waiting(counter)
    timed = rules(counter, times={"first_response": "2h", "resolution": "4h"}, holder_timeout=None)

    async def noted() -> list[tuple[str, str]]:
        events = (await counter.queries.thread(ticket.id)).events
        return [(event.kind, event.changes["clock"]) for event in events if event.kind.startswith("sla_")]

    begin = now()
    await timed.once(begin + HOUR)
    assert await noted() == []
    for _ in range(2):
        await asyncio.gather(*(timed.once(begin + timedelta(hours=1.6)) for _ in range(3)))
        assert await noted() == [("sla_warning", "first_response")]
    for _ in range(2):
        await asyncio.gather(*(timed.once(begin + 5 * HOUR) for _ in range(3)))
        assert sorted((await noted())[1:]) == [("sla_breached", "first_response"), ("sla_breached", "resolution")]
    event = (await counter.queries.thread(ticket.id)).events[-1]
    assert (event.actor, event.reason) == ("rule", "service_times")
    report = await make_report(counter.memory.scope, begin - HOUR, begin + HOUR)
    assert report.broken_promises == {"first_response": 1, "resolution": 1}


async def test_a_promise_broken_just_before_the_end_is_noted(counter: Counter) -> None:
    ticket = await waiting(counter)
    await _shift(counter, ticket, timedelta(hours=3))
    await counter.tickets.resolve(ticket.id, CUSTOMER)
    await rules(counter, times={"first_response": "2h"}).once()
    assert "sla_breached" in await counter.kinds(ticket.id) and "sla_warning" not in await counter.kinds(ticket.id)


async def test_a_ticket_that_nobody_takes_rises_while_the_desk_is_open(counter: Counter) -> None:
    ticket = await waiting(counter)
    closed = rules(counter, hours={"zone": "UTC", "week": "closed"}, escalate_after="30m")
    await closed.once(now() + 9 * HOUR)
    assert (await counter.queries.get(ticket.id)).priority == "normal"
    timed = rules(counter, escalate_after="30m")
    for minutes, priority in ((29, "normal"), (31, "high"), (32, "high"), (61, "urgent"), (200, "urgent")):
        await asyncio.gather(*(timed.once(now() + timedelta(minutes=minutes)) for _ in range(2)))
        assert (await counter.queries.get(ticket.id)).priority == priority
    assert (await counter.kinds(ticket.id)).count("escalated") == 2


async def _snoozed_for_a_day(counter: Counter) -> TicketRecord:
    """Return a ticket that waited, was set aside for a day, and waits again now."""
    ticket = await waiting(counter)
    await counter.tickets.snooze(ticket.id, CUSTOMER, now() + HOUR)
    await _shift(counter, ticket, 24 * HOUR)
    await counter.set(ticket.id, waiting_since=now() - 24 * HOUR)
    return await counter.tickets.wake(ticket.id, CUSTOMER)


async def test_a_snooze_does_not_count_as_waiting(counter: Counter) -> None:
    ticket = await _snoozed_for_a_day(counter)
    timed = rules(counter, escalate_after="30m", waiting_timeout="8h")
    for minutes, priority in ((0, "normal"), (1, "normal"), (29, "normal"), (31, "high"), (32, "high")):
        await timed.once(now() + timedelta(minutes=minutes))
        looked = await counter.queries.get(ticket.id)
        assert (looked.state, looked.priority) == ("waiting", priority)
    await timed.once(now() + 9 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "bot"


async def test_after_a_stop_of_the_desk_the_priority_rises_by_one_step(counter: Counter) -> None:
    ticket = await waiting(counter)
    await _shift(counter, ticket, 10 * HOUR)
    await counter.set(ticket.id, waiting_since=now() - 10 * HOUR)
    timed = rules(counter, escalate_after="30m")
    for _ in range(3):
        await timed.once()
        assert (await counter.queries.get(ticket.id)).priority == "high"
    await timed.once(now() + HOUR)
    assert (await counter.queries.get(ticket.id)).priority == "urgent"


async def test_an_escalated_ticket_goes_to_somebody_who_is_there(counter: Counter) -> None:
    away = await counter.operator("away", online=False)
    ticket = await waiting(counter)
    await counter.tickets.assign(ticket.id, CUSTOMER, away.operator_id)
    there = await counter.operator("there")
    await rules(counter, escalate_after="30m").once(now() + HOUR)
    assert (await counter.queries.get(ticket.id)).operator_id == there.operator_id


async def test_the_bot_returns_where_nobody_comes(counter: Counter) -> None:
    ticket = await waiting(counter)
    timed = rules(counter, waiting_timeout="2h")
    await timed.once(now() + HOUR)
    assert (await counter.queries.get(ticket.id)).state == "waiting"
    await asyncio.gather(*(timed.once(now() + 3 * HOUR) for _ in range(3)))
    assert (await counter.queries.get(ticket.id)).state == "bot"
    assert await texts(counter, ticket) == [handed_back_text(None, nobody_came=True)]


async def test_a_silent_holder_is_relieved(counter: Counter) -> None:
    ticket = await held(counter)
    timed = rules(counter, holder_timeout="8h")
    await timed.once(now() + 7 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "human"
    await timed.once(now() + 9 * HOUR)
    freed = await counter.queries.get(ticket.id)
    assert (freed.state, freed.operator_id) == ("waiting", None)
    assert (await counter.queries.thread(ticket.id)).events[-1].reason == "holder_timeout"


async def test_a_holder_who_has_answered_is_not_silent_until_the_customer_writes(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("Where is my order?")).ticket
    await counter.tickets.reply(ticket.id, ada, "On its way.")
    timed = rules(counter, holder_timeout="8h", holder_timeout_action="hand_back")
    await timed.once(now() + 100 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "human"
    await counter.write("Really?")
    await timed.once(now() + 7 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "human"
    await timed.once(now() + 9 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "bot"
    assert await texts(counter, ticket) == [handed_back_text(None, nobody_came=True)]


async def test_a_merged_ticket_whose_last_message_answers_the_other_one_is_relieved(counter: Counter) -> None:
    ticket = await held(counter)
    await counter.write("And my bill?")
    ada = await counter.operator("eve")
    other = await counter.tickets.split(ticket.id, ada, from_sequence=2)
    await counter.tickets.reply(other.id, ada, "It is right.", force=True)
    merged = await counter.tickets.merge(other.id, ticket.id, ada)
    assert (merged.state, merged.last_from) == ("human", "operator")
    timed = rules(counter, holder_timeout="8h")
    await timed.once(now() + 9 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "waiting"


async def test_a_holder_whose_customer_ends_the_snooze_has_the_whole_time(counter: Counter) -> None:
    ticket = await held(counter)
    await counter.tickets.snooze(ticket.id, CUSTOMER, now() + HOUR)
    await _shift(counter, ticket, 72 * HOUR)
    await counter.write("Any news?")
    timed = rules(counter, holder_timeout="8h")
    await timed.once(now() + 7 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "human"
    await timed.once(now() + 9 * HOUR)
    assert (await counter.queries.get(ticket.id)).state == "waiting"


async def test_an_answer_on_the_platform_itself_is_an_answer(counter: Counter) -> None:
    begin = now()
    await counter.operator("ada")
    ticket = await waiting(counter)
    said = Inbound("Which colour?", "c1", event="agent-1", channel="test", person="ann", display_name="Ada")
    assert await counter.tickets.note_reply(replace(said, from_operator=True))
    await rules(counter, times={"first_response": "4h"}, reminders=1).once(begin + 26 * HOUR)
    looked = await counter.queries.get(ticket.id)
    assert looked.state == "human", "the holder owes no answer"
    assert "sla_breached" not in await counter.kinds(ticket.id)
    assert await texts(counter, ticket) == [say("reminder", None)]
    await counter.tickets.resolve(ticket.id, CUSTOMER)
    report = await make_report(counter.memory.scope, begin - HOUR, begin + HOUR)
    assert (report.first_response.count, report.deflected) == (1, 0)
    assert [(one.name, one.replies) for one in report.operators] == [("Ada", 1)]


async def test_a_ticket_answered_only_on_the_platform_is_not_the_bots(counter: Counter) -> None:
    begin = now()
    await counter.operator("ada")
    ticket = (await counter.write("Hello")).ticket
    said = Inbound("I do it.", "c1", event="agent-1", channel="test", person="ann", display_name="Nobody known")
    assert await counter.tickets.note_reply(replace(said, from_operator=True))
    await counter.tickets.resolve(ticket.id, CUSTOMER)
    report = await make_report(counter.memory.scope, begin - HOUR, begin + HOUR)
    assert (report.resolved, report.deflected) == (1, 0)


async def test_a_silent_ticket_of_the_bot_is_closed(counter_on_both: Counter) -> None:
    counter = counter_on_both
    silent = (await counter.write("Opening hours?", "c1")).ticket
    asked = (await counter.write("Where is it?", "c2", person="bo")).ticket
    await counter.tickets.hand_over(asked.id, CUSTOMER, "asked")
    queued = (await counter.write("Hello?", "c3", person="cy")).ticket
    await counter.accept("Hello?", "c3", person="cy")  # no worker has looked at it yet
    timed = rules(counter, holder_timeout=None)
    await timed.once(now() + 23 * HOUR)
    assert (await counter.queries.get(silent.id)).state == "bot"
    await asyncio.gather(*(timed.once(now() + 25 * HOUR) for _ in range(3)))
    closed = await counter.queries.get(silent.id)
    assert (closed.state, closed.resolved_at) == ("resolved", silent.last_message_at)
    assert (await counter.queries.thread(silent.id)).events[-1].reason == "idle"
    assert (await counter.kinds(silent.id)).count("resolved") == 1 and await texts(counter, silent) == []
    assert [(await counter.queries.get(one.id)).state for one in (asked, queued)] == ["waiting", "bot"]
    assert (await counter.write("And on Sunday?", "c1")).ticket.number > queued.number, "the next message opens one"


async def _asked(counter: Counter, text: str = "Which colour was it?", language: str = "de") -> TicketRecord:
    ada = await counter.operator("ada")
    ticket = (await counter.write("I want to return it.")).ticket
    await counter.tickets.update(ticket.id, ada, language=language)
    return await counter.tickets.reply(ticket.id, ada, text)


async def _shift(counter: Counter, ticket: TicketRecord, by: timedelta) -> None:
    """Move the events of a ticket, and its beginning, into the past."""
    await counter.set(ticket.id, created_at=ticket.created_at - by)
    async with counter.memory.scope.write() as connection:
        rows = (await connection.execute(select(TicketEvent.id, TicketEvent.at))).all()
        for row in rows:
            await connection.execute(update(TicketEvent).where(TicketEvent.id == row.id).values(at=row.at - by))


async def test_a_customer_is_reminded_and_then_the_ticket_is_resolved(counter_on_both: Counter) -> None:
    counter = counter_on_both
    ticket = await _asked(counter)
    reminder = say("reminder", "de")

    async def three_processes() -> None:
        """Run a round in each of three processes that were just started, at the same time."""
        made = (rules(counter, reminders=2, remind_after="24h", resolve_after="48h") for _ in range(3))
        await asyncio.gather(*(timed.once() for timed in made))

    for hours, expected in ((23, 0), (2, 1), (23, 1), (2, 2), (47, 2)):
        await _shift(counter, ticket, hours * HOUR)
        await three_processes()
        assert await texts(counter, ticket) == [reminder] * expected
    assert (await counter.queries.get(ticket.id)).state == "human"
    await _shift(counter, ticket, 2 * HOUR)
    await three_processes()
    resolved = await counter.queries.get(ticket.id)
    assert resolved.state == "resolved" and await texts(counter, ticket) == [reminder, reminder, resolved_text("de")]
    assert (await counter.queries.thread(ticket.id)).events[-1].reason == "no_answer"


async def test_an_answer_stops_the_reminders(counter: Counter) -> None:
    ticket = await _asked(counter)
    timed = rules(counter, reminders=2, remind_after="24h", resolve_after="24h")
    await timed.once(now() + 25 * HOUR)
    await counter.write("Blue.")
    await timed.once(now() + 500 * HOUR)
    assert len(await texts(counter, ticket)) == 1 and (await counter.queries.get(ticket.id)).is_open


async def test_an_answer_that_waits_in_the_queue_stops_them_too(counter: Counter) -> None:
    ticket = await _asked(counter)
    await counter.accept("Blue.")  # no worker has put it into the ticket yet
    await rules(counter, reminders=2).once(now() + 25 * HOUR)
    assert await texts(counter, ticket) == []


async def test_a_new_question_begins_anew(counter: Counter) -> None:
    ticket = await _asked(counter)
    timed = rules(counter, reminders=1)
    await timed.once(now() + 25 * HOUR)
    await timed.once(now() + 90 * HOUR)
    assert len(await texts(counter, ticket)) == 1, "at most so many"
    ada = await counter.operator("bea")
    await counter.tickets.reply(ticket.id, ada, "And which size?", force=True)
    await timed.once(now() + 25 * HOUR)
    assert len(await texts(counter, ticket)) == 2


async def test_reminders_wait_for_opening_and_for_questions_and_are_off_by_default(counter: Counter) -> None:
    ticket = await _asked(counter)
    at = now() + 40 * HOUR
    night = {"zone": "UTC", "week": "always", "closed": [at.date().isoformat()]}
    await rules(counter, hours=night, reminders=1).once(at)
    await rules(counter).once(at)
    assert await texts(counter, ticket) == []
    await rules(counter, hours=night, reminders=1).once(at + 24 * HOUR)
    assert len(await texts(counter, ticket)) == 1
    told = await _told_only(counter)
    await rules(counter, reminders=1).once(at)
    assert await texts(counter, told) == []


async def _told_only(counter: Counter) -> TicketRecord:
    cem = await counter.operator("cem")
    ticket = (await counter.write("Thanks", "c9", person="eve")).ticket
    return await counter.tickets.reply(ticket.id, cem, "You are welcome.")


async def test_a_ticket_that_was_set_aside_is_not_reminded_of(counter: Counter) -> None:
    ticket = await _asked(counter)
    await counter.tickets.snooze(ticket.id, CUSTOMER, now() + 30 * 24 * HOUR)
    timed = rules(counter, reminders=1, remind_after="24h", resolve_after="24h")
    for days in (2, 4, 8):
        await timed.once(now() + days * 24 * HOUR)
    assert await texts(counter, ticket) == [] and (await counter.queries.get(ticket.id)).state == "snoozed"


def test_an_end_without_a_reminder_is_refused() -> None:
    with pytest.raises(ValidationError, match="'reminders' of 1 or more"):
        FollowUpSettings.model_validate({"resolve_after": "72h"})


async def woken_by(timed: TimedRules, counter: Counter, ticket: TicketRecord) -> None:
    """Run the rules until they end the snooze of a ticket, once."""
    await timed.start()
    try:
        async with asyncio.timeout(20):
            while (await counter.queries.get(ticket.id)).state == "snoozed":  # noqa: ASYNC110 - another task changes it
                await asyncio.sleep(0.01)
    finally:
        await timed.stop()
    woken = await counter.queries.get(ticket.id)
    assert woken.state == "waiting" and woken.snoozed_until is None
    assert (await counter.kinds(ticket.id)).count("woken") == 1


async def test_a_running_desk_applies_them(counter: Counter) -> None:
    ticket = await held(counter)
    await counter.tickets.snooze(ticket.id, CUSTOMER, now() + HOUR)
    await counter.set(ticket.id, snoozed_until=now() - HOUR)
    timed = TimedRules(
        counter.memory.scope,
        counter.tickets,
        DeskHours(HoursSettings()),
        ServiceTimesSettings(),
        FollowUpSettings(),
        HOUR,
        interval_seconds=0.01,
    )
    await woken_by(timed, counter, ticket)


async def test_a_desk_that_always_keeps_tickets_applies_them_without_accounts(counter: Counter) -> None:
    tickets = Tickets(counter.memory.scope, lambda *row: None, TicketRules(enabled="on"))
    ticket = await waiting(counter)
    await counter.set(ticket.id, state="snoozed", snoozed_until=now() - HOUR)
    hours, times, follow_ups = DeskHours(HoursSettings()), ServiceTimesSettings(), FollowUpSettings()
    timed = TimedRules(counter.memory.scope, tickets, hours, times, follow_ups, HOUR, interval_seconds=0.01)
    await woken_by(timed, counter, ticket)
