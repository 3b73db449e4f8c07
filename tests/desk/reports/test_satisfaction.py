"""A customer is asked once how the help was; a score is told apart from a message with a number in it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.reports.satisfaction import Satisfaction, SatisfactionScore, read_score
from qwendesk.desk.reports.ticket_report import make_report
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.desk.tickets.records import Actor, TicketRecord
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.operators import Operator
from tests.desk.parts import running
from tests.desk.tickets.conftest import Counter


@pytest.mark.parametrize(
    ("text", "score", "comment"),
    [
        ("4", 4, ""),
        (" 5! ", 5, ""),
        ("5/5", 5, ""),
        ("٤", 4, ""),
        ("४", 4, ""),
        ("３", 3, ""),
        ("★★★★", 4, ""),
        ("⭐⭐", 2, ""),
        ("1, nobody answered", 1, "nobody answered"),
        ("2\nToo slow", 2, "Too slow"),
        ("5 - grazie mille", 5, "grazie mille"),
    ],
)
def test_a_score_is_read(text: str, score: int, comment: str) -> None:
    assert read_score(text) == SatisfactionScore(score, comment)


@pytest.mark.parametrize(
    "text",
    ["0", "6", "12", "4 weeks", "4711", "4.5 kg", "3/7", "4 of them are broken", "hello", "", "★★★★★★", "-3", "4²"],
)
def test_another_message_is_no_score(text: str) -> None:
    assert read_score(text) is None


async def resolved(counter: Counter, language: str = "it") -> TicketRecord:
    ada = await counter.operator(f"ada{next(counter.events)}")
    ticket = (await counter.write("aiuto", f"c{next(counter.events)}")).ticket
    await counter.tickets.update(ticket.id, ada, language=language)
    await counter.tickets.reply(ticket.id, ada, "Ecco.")
    return await counter.tickets.resolve(ticket.id, ada)


async def test_the_question_is_asked_once_in_the_customers_language(counter: Counter) -> None:
    satisfaction = Satisfaction(counter.memory.scope, counter.tickets)
    ticket = await resolved(counter)
    before = len(counter.queued)
    assert await satisfaction.ask(ticket) and not await satisfaction.ask(ticket)
    assert len(counter.queued) == before + 1
    claimed = await InboxRepository(counter.memory.scope).claim(counter.queued[-1][0])
    assert claimed and claimed.inbound.text.startswith("Com'è stato l'aiuto")


async def test_a_score_is_kept_and_changed(counter: Counter) -> None:
    satisfaction = Satisfaction(counter.memory.scope, counter.tickets)
    ticket = await resolved(counter)
    assert await satisfaction.command_of("4", ticket.conversation_id) is None
    assert not await satisfaction.rate(ticket.id, SatisfactionScore(5))
    await satisfaction.ask(ticket)
    command = await satisfaction.command_of("4, thanks", ticket.conversation_id)
    assert command and (command.name, command.argument) == ("csat", f"{ticket.number}:4 thanks")
    assert await satisfaction.command_of("where is it?", ticket.conversation_id) is None
    assert await satisfaction.rate(ticket.id, SatisfactionScore(2, "slow"))
    assert await satisfaction.rate(ticket.id, SatisfactionScore(4))
    now = datetime.now(UTC)
    report = await make_report(counter.memory.scope, now - timedelta(hours=1), now + timedelta(hours=1))
    assert (report.ratings, report.asked_for_rating, report.satisfaction) == ({4: 1}, 1, 1.0)


async def test_a_number_that_answers_something_else_is_no_rating(counter: Counter) -> None:
    satisfaction = Satisfaction(counter.memory.scope, counter.tickets)
    ticket = await resolved(counter)
    ada = await counter.operator("bea")
    conversation = ticket.conversation_id
    key = ticket.delivery.conversation
    await satisfaction.ask(ticket)
    assert await satisfaction.command_of("4", conversation)
    # it was answered and is corrected
    score = await counter.accept("2, slow", key)
    assert await satisfaction.command_of("2, slow", conversation, score.inbound.sequence)
    assert await satisfaction.rate(ticket.id, SatisfactionScore(2))
    assert await satisfaction.command_of("4", conversation)
    # somebody has written since
    other = (await counter.write("One more thing", key)).ticket
    assert await satisfaction.command_of("4", conversation) is None, "another ticket is open"
    await counter.tickets.reply(other.id, ada, "How many? 1 to 9", force=True)
    assert await satisfaction.command_of("4", conversation) is None
    await counter.tickets.resolve(other.id, ada)
    assert await satisfaction.command_of("4", conversation) is None, "it answers the operator's question"
    asked = await counter.accept("4", "c99")
    assert await satisfaction.command_of("4", asked.conversation_id, asked.inbound.sequence) is None


async def test_a_question_survives_the_end_of_its_process(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    satisfaction = Satisfaction(counter.memory.scope, counter.tickets)
    ticket = await resolved(counter)

    async def killed(*more: object, **named: object) -> None:
        raise asyncio.CancelledError

    for method in ("_add", "_tickets.tell"):
        with monkeypatch.context() as patch:
            patch.setattr(satisfaction if method == "_add" else counter.tickets, method.rpartition(".")[2], killed)
            with pytest.raises(asyncio.CancelledError):
                await satisfaction.ask_due()
    await satisfaction.ask_due()
    conversation = ticket.conversation_id
    assert await satisfaction.command_of("4", conversation) and await satisfaction.ask_due() == 0
    asked = select(func.count()).where(InboundEvent.conversation_id == conversation, InboundEvent.source == "desk")
    async with counter.memory.scope.read() as connection:
        assert (await connection.execute(asked)).scalar_one() == 1


async def test_who_writes_again_meanwhile_is_not_asked(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    satisfaction = Satisfaction(counter.memory.scope, counter.tickets)
    ticket, other = await resolved(counter), await resolved(counter)
    ask = satisfaction.ask

    async def reopened(due: TicketRecord) -> bool:
        if due.id == ticket.id:
            await counter.write("One more thing", ticket.delivery.conversation)
        return await ask(due)

    monkeypatch.setattr(satisfaction, "ask", reopened)
    assert await satisfaction.ask_due() == 1
    assert await satisfaction.command_of("4", other.conversation_id)
    assert "reopened" in await counter.kinds(ticket.id)


async def test_those_are_asked_whom_an_operator_has_helped_lately(counter: Counter) -> None:
    satisfaction = Satisfaction(counter.memory.scope, counter.tickets)
    ada = await counter.operator("ada")
    await resolved(counter)
    long_ago = await resolved(counter)
    await counter.set(long_ago.id, resolved_at=datetime.now(UTC) - timedelta(days=2))
    by_bot = (await counter.write("hi", "bot")).ticket
    await counter.tickets.resolve(by_bot.id, ada)
    assert (await satisfaction.ask_due(), await satisfaction.ask_due()) == (1, 0)


async def test_a_customer_rates_in_the_chat(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}") as desk:
        tickets, scope = desk.runtime.tickets, desk.runtime.database
        row = {"id": "ada", "name": "ada", "display_name": "Ada", "password_hash": "", "role": "operator"}
        async with scope.write() as connection:
            await connection.execute(insert(Operator), {**row, "created_at": datetime.now(UTC)})
        await desk.say("help", event="1")
        await desk.settle()
        (ticket,) = await desk.runtime.ticket_queries.listed(TicketFilter())
        ada = Actor.operator("ada", "Ada")
        await tickets.reply(ticket.id, ada, "Hello.")
        await tickets.resolve(ticket.id, ada)
        assert await desk.runtime.satisfaction.ask_due() == 1
        await desk.settle()
        assert "1 (bad) to 5" in desk.outlet.texts[-1] and len(desk.outlet.sent[-1].buttons) == 5
        await desk.say("5", event="2")
        await desk.settle()
        assert desk.outlet.texts[-1] == "Thank you for your rating."
        assert [one.state for one in await desk.runtime.ticket_queries.listed(TicketFilter())] == ["resolved"]
        now = datetime.now(UTC)
        report = await make_report(scope, now - timedelta(hours=1), now + timedelta(hours=1))
        assert report.ratings == {5: 1}
