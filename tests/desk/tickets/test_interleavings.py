"""Customers, operators and the bot act at random times: what always holds."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import select

from qwendesk.desk.tickets.records import Actor, TicketError, TicketRecord
from qwendesk.memory.tables.conversations import Conversation, Message
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.messages import Author
from tests.desk.parts import Piece, Running, TestOutlet
from tests.desk.tickets.conftest import Desks
from tests.desk.tickets.operators import add_operator

CONVERSATIONS = int(os.environ.get("QWENDESK_TICKET_CONVERSATIONS", "4"))
ACTIONS = int(os.environ.get("QWENDESK_TICKET_ACTIONS", "6"))
SEEDS = [int(seed) for seed in os.environ.get("QWENDESK_TICKET_SEEDS", "1").split(",")]


@dataclass
class Story:
    """One conversation, as it went."""

    name: str
    desk: Running
    people: list[Actor]
    random: random.Random
    said: list[str] = field(default_factory=list)
    """Texts of the customer."""
    replied: list[str] = field(default_factory=list)
    """Texts of operators, in the order in which they were stored."""
    held: list[list[float]] = field(default_factory=list)
    """When a person held all tickets: from the end of the takeover to the begin of the next hand-back."""

    async def run(self) -> None:
        actions: list[Callable[[], Awaitable[None]]] = [
            self.say, self.say, self.say, self.ask_for_person, self.take, self.reply, self.reply, self.hand_back,
        ]  # fmt: skip
        await self.say()
        for _ in range(ACTIONS):
            await self.random.choice(actions)()
            await asyncio.sleep(self.random.choice([0, 0, 0.01, 0.1, 0.4]))

    async def say(self) -> None:
        text = f"{self.name} says {len(self.said)}"
        self.said.append(text)
        await self.desk.say(text, self.name, person=self.name)

    async def ask_for_person(self) -> None:
        text = f"{self.name} asks {len(self.said)}"
        self.said.append(text)
        await self.desk.say(f"/human {text}", self.name, person=self.name)

    async def take(self) -> None:
        if ticket := await self.ticket():
            await self.desk.runtime.tickets.take_over(ticket.id, self.someone(), force=True)
            self.held.append([monotonic(), float("inf")])

    async def reply(self) -> None:
        if ticket := await self.ticket():
            text = f"{self.name} gets {len(self.replied)}"
            self.replied.append(text)
            key = text
            for _ in range(self.random.choice([1, 1, 2])):  # a double click
                await self.desk.runtime.tickets.reply(ticket.id, self.someone(), text, key=key, force=True)
            self.held.append([monotonic(), float("inf")])

    async def hand_back(self) -> None:
        if ticket := await self.ticket():
            for span in self.held:
                span[1] = min(span[1], monotonic())
            try:
                await self.desk.runtime.tickets.hand_back(ticket.id, self.someone())
            except TicketError:
                assert (await self.desk.runtime.ticket_queries.get(ticket.id)).state in ("bot", "resolved")

    async def ticket(self) -> TicketRecord | None:
        id_ = await self.desk.runtime.inbox.conversation_id("test", "", self.name)
        found = await self.desk.runtime.ticket_queries.of_conversation(id_) if id_ else []
        return found[0] if found else None

    def someone(self) -> Actor:
        return self.random.choice(self.people)


def watch_claims(desk: Running) -> list[tuple[float, str, str]]:
    """Return a list that gets the begin of each claim of a bot's text, with its conversation and the text."""
    claims: list[tuple[float, str, str]] = []
    claim = desk.runtime.outbox.claim

    async def watched(claimed: Any, part: int, text: str, *args: Any, by_bot: bool = False) -> Any:
        at = monotonic()
        made = await claim(claimed, part, text, *args, by_bot=by_bot)
        if made and by_bot:
            claims.append((at, claimed.inbound.conversation, text))
        return made

    desk.runtime.outbox.claim = watched  # type: ignore[method-assign, assignment]
    return claims


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_people_do_at_the_same_time(desks: Desks, seed: int) -> None:
    chance = random.Random(seed)

    async def script(messages: Any) -> str:
        await asyncio.sleep(chance.choice([0, 0.05, 0.3, 0.6]))
        return f"re {messages[-1].text}"

    class SlowOutlet(TestOutlet):
        async def split_message(self, text: str, author: Author | None = None) -> list[Piece]:
            await asyncio.sleep(chance.choice([0, 0, 0.1, 0.3]))  # between an answer and its delivery
            return await super().split_message(text, author)

    async with desks(script, outlet=SlowOutlet()) as desk:
        people = [await add_operator(desk.runtime.database, name) for name in ("ada", "bo")]
        claims = watch_claims(desk)
        stories = [Story(f"c{n}", desk, people, random.Random(f"{seed}-{n}")) for n in range(CONVERSATIONS)]
        await asyncio.gather(*(story.run() for story in stories))
        await desk.settle()
        for story in stories:
            await check(desk, story, claims)


async def check(desk: Running, story: Story, claims: list[tuple[float, str, str]]) -> None:
    sent = [message.text for message in desk.outlet.sent if message.conversation == story.name]
    assert [text for text in sent if " gets " in text] == story.replied, "each reply once and in order"
    by_bot = [text for text in sent if text.startswith("re ")]
    assert len(by_bot) == len(set(by_bot)), "no answer twice"
    late = [
        text
        for at, conversation, text in claims
        for begin, end in story.held
        if conversation == story.name and begin < at < end
    ]
    assert not late, "the bot is silent while a person holds the ticket"
    handovers = [text for text in sent if "to a person" in text or "nobody is free" in text]
    ticket = await story.ticket()
    assert ticket
    thread = await desk.runtime.ticket_queries.thread(ticket.id, limit=500)
    assert len(handovers) == [event.kind for event in thread.events].count("handed_over"), "each handover is told once"
    async with desk.runtime.database.read() as connection:
        here = select(Conversation.id).where(Conversation.external_id == story.name).scalar_subquery()
        stored = (
            await connection.execute(
                select(Message.role, Message.text, Message.ticket_id)
                .where(Message.conversation_id == here)
                .order_by(Message.sequence, Message.role.desc())
            )
        ).all()
        placed = (
            await connection.execute(
                select(InboundEvent.ticket_id).where(
                    InboundEvent.conversation_id == here, InboundEvent.source == "customer"
                )
            )
        ).scalars()
        assert set(placed) == {ticket.id}, "each message of the customer is in a ticket"
    assert [row.text for row in stored if row.role == "user"] == story.said
    assert [row.text for row in stored if row.role == "operator"] == story.replied
    assert [row.text for row in stored if row.role == "assistant"] == by_bot, "the history has what was sent"
    assert {row.ticket_id for row in stored} == {ticket.id}
