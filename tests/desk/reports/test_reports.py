"""The report counts what happened in its period; drafts and exports hold what was said."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from qwendesk.desk.reports.drafts import KnowledgeDrafts
from qwendesk.desk.reports.export import export_tickets
from qwendesk.desk.reports.ticket_report import TicketReport, UnansweredQuestion, group_questions, make_report
from qwendesk.desk.tickets.records import BOT, CUSTOMER, TicketError
from qwendesk.memory.tables.tickets import MessageTranslation
from tests.desk.tickets.conftest import Counter


async def report_of(counter: Counter, since: datetime | None = None, **more: Any) -> TicketReport:
    now = datetime.now(UTC)
    return await make_report(counter.memory.scope, since or now - timedelta(days=1), now + timedelta(hours=1), **more)


async def test_an_empty_period(counter: Counter) -> None:
    report = await report_of(counter)
    assert (report.opened, report.resolved, report.deflection, report.satisfaction) == (0, 0, None, None)
    assert report.first_response.median is None and sum(report.by_day.values()) == 0
    json.dumps(asdict(report), default=str)


async def test_a_week_of_a_small_shop(counter: Counter) -> None:
    ada = await counter.operator("ada")
    by_bot = (await counter.write("opening hours?", "c1")).ticket
    await counter.tickets.resolve(by_bot.id, BOT)
    helped = (await counter.write("mein Paket fehlt", "c2", person="bo")).ticket
    await counter.tickets.update(helped.id, BOT, language="de")
    await counter.tickets.hand_over(helped.id, CUSTOMER, "asked")
    await counter.tickets.reply(helped.id, ada, "Kommt morgen.")
    await counter.tickets.resolve(helped.id, ada)
    waiting = (await counter.write("hello?", "c3", person="cy")).ticket
    await counter.tickets.hand_over(waiting.id, BOT, "unknown")
    report = await report_of(counter)
    assert (report.opened, report.resolved, report.deflected, report.deflection) == (3, 2, 1, 0.5)
    assert report.by_state == {"resolved": 2, "waiting": 1} and report.by_language["de"] == 1
    assert report.handed_over == {"asked": 1, "unknown": 1}
    assert report.first_response.count == 1 and report.resolution.count == 2
    (figures,) = report.operators
    assert (figures.name, figures.replies, figures.resolved) == ("Ada", 1, 1)
    earlier = await make_report(
        counter.memory.scope, datetime.now(UTC) - timedelta(days=9), datetime.now(UTC) - timedelta(days=2)
    )
    assert earlier.opened == earlier.resolved == 0


async def test_times_are_counted_as_asked(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("help")).ticket
    await counter.tickets.reply(ticket.id, ada, "Hello.")
    await counter.tickets.update(ticket.id, ada, team="tokyo")

    def elapsed(begin: datetime, end: datetime, team: str | None) -> timedelta:
        return timedelta(minutes=7 if team == "tokyo" else 1)

    report = await report_of(counter, elapsed=elapsed)
    assert report.first_response.median == 7


async def test_a_ticket_counts_by_its_first_handover_alone(counter: Counter) -> None:
    ticket = (await counter.write("help")).ticket
    for reason in ("asked", "unknown", "anger"):
        await counter.tickets.hand_over(ticket.id, CUSTOMER, reason)
        await counter.tickets.hand_back(ticket.id, BOT)
    assert (await report_of(counter)).handed_over == {"asked": 1}


async def test_a_matter_that_fell_silent_ended_with_its_last_message(counter: Counter) -> None:
    ticket = (await counter.write("opening hours?")).ticket
    begin = datetime.now(UTC) - timedelta(days=21)
    await counter.set(ticket.id, created_at=begin, last_message_at=begin + timedelta(minutes=2))
    await counter.write("And on Sunday?")  # three weeks later
    report = await report_of(counter)
    assert (report.resolved, report.deflected, report.resolution.median) == (1, 1, 2)


async def test_days_are_those_of_the_time_zone(counter: Counter) -> None:
    ticket = (await counter.write("late")).ticket
    await counter.set(ticket.id, created_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
    in_tokyo = await make_report(counter.memory.scope, since, until, zone="Asia/Tokyo")
    assert {day for day, count in in_tokyo.by_day.items() if count} == {"2026-03-02"}


def test_questions_alike_are_one() -> None:
    def asked(text: str, ticket: int, language: str = "en") -> UnansweredQuestion:
        return UnansweredQuestion(text, language, ticket)

    questions = [
        asked("Do you ship to Norway?", 1),
        asked("do you SHIP to norway", 2),
        asked("Kann ich mit Krypto bezahlen?", 3, "de"),
        asked("ノルウェーに発送できますか", 4, "ja"),
    ]
    groups = group_questions(questions)
    assert [(group.count, group.tickets) for group in groups] == [(2, (1, 2)), (1, (3,)), (1, (4,))]
    assert groups[0].examples == ("Do you ship to Norway?", "do you SHIP to norway")


def test_many_different_questions_are_grouped_in_time() -> None:
    questions = [UnansweredQuestion(f"wort{n} begriff{n} frage{n} sache{n}", "de", n) for n in range(4000)]
    begin = time.process_time()
    groups = group_questions([*questions, questions[17]])
    assert (groups[0].tickets, groups[0].count) == ((17,), 2)
    assert time.process_time() - begin < 1.5, "each question was compared with every group"


async def drafted(counter: Counter) -> KnowledgeDrafts:
    ada = await counter.operator("ada")
    ticket = (await counter.write("Do you ship to Norway?")).ticket
    await counter.tickets.hand_over(ticket.id, BOT, "unknown")
    await counter.tickets.reply(ticket.id, ada, "Yes, for 9 euros.")
    await counter.tickets.resolve(ticket.id, ada)
    known = (await counter.write("a person please", "c2")).ticket
    await counter.tickets.hand_over(known.id, CUSTOMER, "asked")
    await counter.tickets.reply(known.id, ada, "Hello.")
    await counter.tickets.resolve(known.id, ada)
    return KnowledgeDrafts(counter.memory.scope)


async def test_what_an_operator_answered_becomes_a_draft_once(counter: Counter) -> None:
    drafts, since = await drafted(counter), datetime.now(UTC) - timedelta(days=1)
    assert (await drafts.collect(since), await drafts.collect(since)) == (1, 0)
    (draft,) = await drafts.listed()
    assert (draft.ticket, draft.question, draft.answer) == (1, "Do you ship to Norway?", "Yes, for 9 euros.")


async def test_an_approved_draft_is_a_document(counter: Counter) -> None:
    drafts, added = await drafted(counter), dict[str, bytes]()
    await drafts.collect(datetime.now(UTC) - timedelta(days=1))
    (draft,) = await drafts.listed()
    ada = await counter.operator("boss", role="admin")

    async def add(name: str, data: bytes) -> None:
        added[name] = data

    async def broken(name: str, data: bytes) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await drafts.approve(draft.id, ada, broken)
    await drafts.edit(draft.id, answer="Yes, we ship to Norway for 9 euros.")
    name = await drafts.approve(draft.id, ada, add)
    assert added == {name: b"# Do you ship to Norway?\n\nYes, we ship to Norway for 9 euros.\n"}
    with pytest.raises(TicketError, match="was decided"):
        await drafts.dismiss(draft.id, ada)
    with pytest.raises(TicketError, match="was decided"):
        await drafts.edit(draft.id, answer="x")
    assert await drafts.listed() == [] and [one.status for one in await drafts.listed(None)] == ["approved"]


async def test_a_draft_has_the_answer_in_the_customers_language(counter: Counter) -> None:
    ada = await counter.operator("ada")
    ticket = (await counter.write("ノルウェーに発送できますか")).ticket
    await counter.tickets.update(ticket.id, ada, language="ja")
    await counter.tickets.hand_over(ticket.id, BOT, "unknown")
    await counter.tickets.reply(ticket.id, ada, "Ja, für 9 Euro.")
    await counter.tickets.resolve(ticket.id, ada)
    (said,) = [one for one in (await counter.queries.thread(ticket.id)).messages if one.role == "operator"]
    row = {"message_id": said.id, "text": "はい、9ユーロです。", "language": "ja", "status": "done"}
    async with counter.memory.scope.write() as connection:
        await connection.execute(insert(MessageTranslation), {"id": "t1", "created_at": datetime.now(UTC), **row})
        await connection.execute(
            insert(MessageTranslation),
            {**row, "id": "t2", "language": "en", "text": "x", "created_at": datetime.now(UTC)},
        )
    drafts = KnowledgeDrafts(counter.memory.scope)
    await drafts.collect(datetime.now(UTC) - timedelta(days=1))
    assert [(one.answer, one.language) for one in await drafts.listed()] == [("はい、9ユーロです。", "ja")]


async def test_an_approval_that_ends_midway_is_repeated(counter: Counter) -> None:
    drafts = await drafted(counter)
    await drafts.collect(datetime.now(UTC) - timedelta(days=1))
    (draft,) = await drafts.listed()
    ada, added = await counter.operator("boss", role="admin"), list[str]()

    async def disconnected(name: str, data: bytes) -> None:
        raise asyncio.CancelledError

    async def add(name: str, data: bytes) -> None:
        added.append(name)

    with pytest.raises(asyncio.CancelledError):
        await drafts.approve(draft.id, ada, disconnected)
    assert [one.status for one in await drafts.listed(None)] == ["open"]
    assert await drafts.approve(draft.id, ada, add) == added[0]
    with pytest.raises(TicketError, match="was decided"):
        await drafts.approve(draft.id, ada, add)
    assert len(added) == 1


async def test_calls_at_once_write_a_draft_once_and_hold_nobody_up(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts, since = await drafted(counter), datetime.now(UTC) - timedelta(days=1)
    assert sorted(await asyncio.gather(*(drafts.collect(since) for _ in range(4)))) == [0, 0, 0, 1]
    monkeypatch.setattr("qwendesk.desk.reports.drafts._COLLECTED_AT_ONCE", 2)
    boss = await counter.operator("boss")
    for number in range(3):
        ticket = (await counter.write(f"Question {number}?", f"d{number}")).ticket
        await counter.tickets.hand_over(ticket.id, BOT, "unknown")
        await counter.tickets.reply(ticket.id, boss, "Yes.")
        await counter.tickets.resolve(ticket.id, boss)
    assert [await drafts.collect(since) for _ in range(3)] == [2, 1, 0]


async def test_an_export_has_every_ticket_with_its_texts(counter: Counter) -> None:
    drafts = await drafted(counter)
    assert drafts
    lines = [line async for line in export_tickets(counter.memory.scope)]
    assert [line["ticket"]["number"] for line in lines] == [1, 2]
    assert [(one["from"], one["text"]) for one in lines[0]["messages"]] == [
        ("customer", "Do you ship to Norway?"),
        ("operator", "Yes, for 9 euros."),
    ]
    assert [event["kind"] for event in lines[0]["events"]][0] == "opened"
    json.dumps(lines)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert [line async for line in export_tickets(counter.memory.scope, since=tomorrow)] == []
