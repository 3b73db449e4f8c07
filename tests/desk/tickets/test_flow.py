"""A running desk with operators: the bot is silent while a person answers, and what people write arrives once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from qwendesk.desk.reports.export import export_tickets
from qwendesk.desk.tickets.records import Actor, TicketRecord
from qwendesk.desk.translations import say
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.messages import Attachment, Author, Outbound, ReplyAddress
from qwendesk.server.pages.inbox.presenting import thread_items
from tests.desk.parts import Abilities, Piece, Running, TestOutlet
from tests.desk.tickets import operators
from tests.desk.tickets.conftest import Desks

PIXEL = Attachment("image", "image/png", b"not really a picture", "a.png")


async def add_operator(desk: Running, name: str = "ada", *, online: bool = True) -> Actor:
    return await operators.add_operator(desk.runtime.database, name, online=online)


async def wait_until_kept(desk: Running) -> None:
    """Wait until the desk has noticed that there is an operator."""
    async with asyncio.timeout(10):
        while not await desk.runtime.tickets.are_kept():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def tickets_of(desk: Running, conversation: str = "c1") -> list[TicketRecord]:
    id_ = await desk.runtime.inbox.conversation_id("test", "", conversation)
    return await desk.runtime.ticket_queries.of_conversation(id_) if id_ else []


async def newest(desk: Running) -> TicketRecord:
    return (await tickets_of(desk))[0]


async def taken_over(desk: Running) -> tuple[Actor, TicketRecord]:
    """Return an operator and the ticket of a greeted customer, which the operator has taken over."""
    ada = await add_operator(desk)
    await desk.say("hello")
    await desk.settle()
    ticket = await newest(desk)
    await desk.runtime.tickets.take_over(ticket.id, ada)
    return ada, ticket


async def thread(desk: Running) -> list[tuple[str, str]]:
    found = await desk.runtime.ticket_queries.thread((await newest(desk)).id)
    return [(message.role, message.text) for message in found.messages]


async def kinds(desk: Running) -> list[str]:
    return [event.kind for event in (await desk.runtime.ticket_queries.thread((await newest(desk)).id)).events]


def echo(messages: Any) -> str:
    return f"re {messages[-1].text}"


class Slow:
    """A model that answers once it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.questions: list[str] = []

    async def __call__(self, messages: Any) -> str:
        self.questions.append(messages[-1].text)
        self.asked.set()
        await self.go.wait()
        return f"re {messages[-1].text}"


async def test_a_desk_without_operators_keeps_no_tickets(desks: Desks) -> None:
    async with desks(echo) as desk:
        await desk.say("hello")
        await desk.say("/human please")
        await desk.say("/help")
        await desk.settle()
        assert desk.outlet.texts[0] == "re hello"
        assert "/human" in desk.outlet.texts[1] and "no command" in desk.outlet.texts[1].lower()
        assert "/human" not in desk.outlet.texts[2] and "/ticket" not in desk.outlet.texts[2]
        async with desk.runtime.database.read() as connection:
            assert (await connection.execute(select(func.count()).select_from(Ticket))).scalar_one() == 0


async def test_tickets_can_be_switched_off_and_on(desks: Desks) -> None:
    async with desks(echo, tickets={"enabled": "off"}) as desk:
        await add_operator(desk)
        await desk.say("hello")
        await desk.settle()
        assert await tickets_of(desk) == []
    async with desks(echo, tickets={"enabled": "on"}) as desk:
        await desk.say("hello again")
        await desk.settle()
        assert len(await tickets_of(desk)) == 1


async def test_the_bot_answers_and_the_ticket_says_so(desks: Desks) -> None:
    async with desks(echo) as desk:
        await add_operator(desk)
        await desk.say("hello")
        await desk.settle()
        assert desk.outlet.texts == ["re hello"]
        assert await thread(desk) == [("user", "hello"), ("assistant", "re hello")]
        assert await kinds(desk) == ["opened", "message", "answered"]
        assert (await newest(desk)).last_from == "bot"


async def test_a_customer_asks_for_a_person(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada = await add_operator(desk)
        await desk.say("/human my parcel is lost")
        await desk.settle()
        ticket = await newest(desk)
        assert (ticket.state, ticket.operator_id, ticket.reason) == ("waiting", ada.operator_id, "asked")
        assert len(desk.outlet.texts) == 1 and "a person" in desk.outlet.texts[0]
        await desk.say("hello?")
        await desk.settle()
        assert len(desk.outlet.texts) == 1, "the bot is silent"
        await desk.runtime.tickets.reply(ticket.id, ada, "Found it.", [PIXEL], key="1")
        await desk.settle()
        assert desk.outlet.texts[1:] == ["Found it."]
        sent = desk.outlet.sent[1]
        assert sent.author and sent.author.name == "Ada" and sent.attachments == (PIXEL,)
        assert await thread(desk) == [
            ("user", "my parcel is lost"),
            ("user", "hello?"),
            ("operator", "Found it."),
        ]
        assert (await kinds(desk))[-2:] == ["replied", "delivered"]


async def test_operators_read_what_the_desk_has_told_the_customer(desks: Desks) -> None:
    async with desks(echo, tickets={"announce": True}) as desk:
        ada = await add_operator(desk, online=False)
        await desk.say("/human")
        await desk.settle()
        await desk.say("/human")  # it waits already
        await desk.settle()
        ticket = await newest(desk)
        await desk.runtime.tickets.take_over(ticket.id, ada)
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        found = await desk.runtime.ticket_queries.thread(ticket.id)
        assert [one.text for one in found.texts] == desk.outlet.texts and len(desk.outlet.texts) == 4
        assert [item.told.text for item in thread_items(found) if item.told] == desk.outlet.texts
        exported = [line async for line in export_tickets(desk.runtime.database)]
        assert [one["text"] for one in exported[0]["texts"]] == desk.outlet.texts


async def test_nobody_is_online(desks: Desks) -> None:
    async with desks(echo) as desk:
        await add_operator(desk, online=False)
        await desk.say("/human")
        await desk.settle()
        assert "nobody is free" in desk.outlet.texts[0]
        assert (await newest(desk)).state == "waiting"
        await desk.say("/human")
        await desk.settle()
        assert len(desk.outlet.texts) == 2 and "stays open" in desk.outlet.texts[1]
        assert (await kinds(desk)).count("handed_over") == 1


async def test_the_bot_comes_back_and_knows_what_the_operator_said(desks: Desks) -> None:
    seen: list[Any] = []

    def script(messages: Any) -> str:
        seen.append([message.text for message in messages[-4:]])
        return f"re {messages[-1].text}"

    async with desks(script) as desk:
        ada = await add_operator(desk)
        await desk.say("my parcel is lost")
        await desk.settle()
        await desk.runtime.tickets.reply((await newest(desk)).id, ada, "It comes on Monday.", key="1")
        await desk.say("thanks")
        await desk.settle()
        assert desk.outlet.texts == ["re my parcel is lost", "It comes on Monday."]
        await desk.runtime.tickets.hand_back((await newest(desk)).id, ada)
        await desk.settle()
        assert desk.outlet.texts[2:] == ["re thanks"]
        await desk.say("when does it come")
        await desk.settle()
        assert desk.outlet.texts[3:] == ["re when does it come"]
        assert seen[-1] == ["It comes on Monday.", "thanks", "re thanks", "when does it come"]


async def test_what_nobody_has_answered_is_answered_after_the_hold(desks: Desks) -> None:
    seen: list[Any] = []

    def script(messages: Any) -> str:
        seen.append([message.text for message in messages if message.text in ("is it red?", "or blue?", "which one?")])
        return f"re {messages[-1].text}"

    async with desks(script) as desk:
        ada, ticket = await taken_over(desk)
        for text in ("is it red?", "or blue?", "which one?"):
            await desk.say(text)
        await desk.settle()
        assert desk.outlet.texts == ["re hello"]
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert desk.outlet.texts == ["re hello", "re which one?"]
        assert seen[-1] == ["is it red?", "or blue?", "which one?"]
        await desk.runtime.tickets.take_over(ticket.id, ada)
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert len(desk.outlet.texts) == 2, "it is answered once"
        assert [role for role, _ in await thread(desk)] == ["user", "assistant", "user", "user", "user", "assistant"]


async def test_the_message_that_asked_for_a_person_is_not_answered_again(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada = await add_operator(desk)
        await desk.say("I want to talk to a human please")
        await desk.settle()
        ticket = await newest(desk)
        assert ticket.state == "waiting" and len(desk.outlet.texts) == 1
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert (await newest(desk)).state == "bot" and len(desk.outlet.texts) == 1


@pytest.mark.parametrize("press", ["rate:-1:1", "/help", "rate:1:1"])
async def test_a_press_or_command_after_it_leaves_the_question_to_be_answered(desks: Desks, press: str) -> None:
    async with desks(echo) as desk:
        ada, ticket = await taken_over(desk)
        await desk.say("my parcel is lost")
        await desk.say(press)
        await desk.settle()
        assert press not in [text for _, text in await thread(desk)]
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert [text for text in desk.outlet.texts if text.startswith("re ")] == ["re hello", "re my parcel is lost"]


async def test_a_wish_for_a_person_that_a_person_has_read_is_no_reason_to_hand_over_again(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada, ticket = await taken_over(desk)
        wish = "I want to talk to a human please"
        await desk.say(wish)
        await desk.settle()
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert (await newest(desk)).state == "bot" and desk.outlet.texts == ["re hello", f"re {wish}"]
        await desk.say(wish)
        await desk.settle()
        assert (await newest(desk)).state == "waiting", "said again, it is one"


async def test_the_answer_after_the_hold_can_be_switched_off(desks: Desks) -> None:
    async with desks(echo, tickets={"answer_after_hand_back": False}) as desk:
        ada, ticket = await taken_over(desk)
        await desk.say("which one?")
        await desk.settle()
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert desk.outlet.texts == ["re hello"]


async def test_a_bad_rating_alone_opens_no_ticket(desks: Desks) -> None:
    async with desks(echo) as desk:
        await desk.say("hello")
        await desk.settle()
        await add_operator(desk)  # from now on there are tickets
        await wait_until_kept(desk)
        await desk.say("rate:-1:1")
        await desk.settle()
        assert await tickets_of(desk) == [] and len(desk.outlet.texts) == 2, "answered again, without a ticket"
        await desk.say("and now?")
        await desk.settle()
        assert len(await tickets_of(desk)) == 1


async def test_a_bad_rating_belongs_to_the_open_ticket(desks: Desks) -> None:
    async with desks(echo) as desk:
        await add_operator(desk)
        await desk.say("hello")
        await desk.settle()
        await desk.say("rate:-1:1")
        await desk.settle()
        assert len(desk.outlet.texts) == 2 and len(await tickets_of(desk)) == 1
        assert (await newest(desk)).signals["rated_down"] == 1


async def test_a_rating_that_hands_over_at_once_opens_a_ticket(desks: Desks) -> None:
    async with desks(echo, handover={"rated_down": 1}) as desk:
        await desk.say("hello")
        await desk.settle()
        await add_operator(desk)
        await wait_until_kept(desk)
        await desk.say("rate:-1:1")
        await desk.settle()
        assert (await newest(desk)).state == "waiting"


async def test_in_a_group_each_person_chooses_a_ticket(desks: Desks) -> None:
    async with desks(echo) as desk:
        await add_operator(desk)
        group: dict[str, Any] = {"conversation": "g1", "group": True}
        await desk.say("my bill", person="ann", **group)
        await desk.settle()
        await desk.say("/ticket new", person="bob", **group)
        await desk.say("me again", person="ann", **group)
        await desk.settle()
        assert len(await tickets_of(desk, "g1")) == 1, "Bob's wish is not Ann's"
        await desk.say("my parcel", person="bob", **group)
        await desk.settle()
        assert [one.subject for one in await tickets_of(desk, "g1")] == ["my parcel", "my bill"]


async def test_a_takeover_stops_the_running_turn_without_a_word(desks: Desks) -> None:
    slow = Slow()
    async with desks(slow) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await asyncio.wait_for(slow.asked.wait(), 10)
        await desk.say("it is urgent")  # queued behind the turn
        await desk.runtime.tickets.reply((await newest(desk)).id, ada, "Ada here.", key="1")
        await desk.settle()
        assert desk.outlet.texts == ["Ada here."]
        assert slow.questions == ["help"]
        assert await thread(desk) == [("user", "help"), ("user", "it is urgent"), ("operator", "Ada here.")]


async def test_a_takeover_between_the_answer_and_its_delivery(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada = await add_operator(desk)
        finish = desk.desk.memory.turns.finish

        async def finish_and_take_over(*args: Any) -> None:
            await finish(*args)
            await desk.runtime.tickets.take_over((await newest(desk)).id, ada)

        desk.desk.memory.turns.finish = finish_and_take_over  # type: ignore[method-assign]
        await desk.say("help")
        await desk.settle()
        assert desk.outlet.texts == []
        assert await thread(desk) == [("user", "help")], "what was not sent is not in the history"
        assert (await newest(desk)).state == "human"


@pytest.mark.parametrize("hands_back", [False, True])
async def test_a_takeover_before_the_first_part_is_claimed(desks: Desks, hands_back: bool) -> None:
    taken: list[str] = []

    class Interrupted(TestOutlet):
        async def split_message(self, text: str, author: Author | None = None) -> list[Piece]:
            if text == "re help" and not taken:
                taken.append(text)
                ticket = await newest(desk)
                await desk.runtime.tickets.take_over(ticket.id, ada)
                if hands_back:
                    await desk.runtime.tickets.hand_back(ticket.id, ada)
            return await super().split_message(text, author)

    async with desks(echo, outlet=Interrupted()) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await desk.settle()
        assert taken and desk.outlet.texts == (["re help"] if hands_back else [])
        assert await thread(desk) == [("user", "help"), *([("assistant", "re help")] if hands_back else [])]


async def test_a_takeover_between_two_parts(desks: Desks) -> None:
    class Interrupted(TestOutlet):
        async def send(self, message: Outbound) -> str | None:
            sent = await super().send(message)
            if message.text == "one":
                await desk.runtime.tickets.reply((await newest(desk)).id, ada, "Ada here.", key="1")
            return sent

    async with desks(lambda messages: "one\n\n\ntwo", outlet=Interrupted()) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await desk.settle()
        assert desk.outlet.texts == ["one", "Ada here."]
        assert await thread(desk) == [("user", "help"), ("assistant", "one"), ("operator", "Ada here.")]


async def test_a_partly_shown_answer_is_ended(desks: Desks) -> None:
    outlet = TestOutlet(Abilities(edits=True, edit_interval=0.05))
    words = " ".join(f"word{number}" for number in range(400))
    async with desks(lambda messages: words, outlet=outlet) as desk:
        desk.engine.delay = 0.05
        ada = await add_operator(desk)
        await desk.say("tell me a story")
        async with asyncio.timeout(20):
            while not outlet.edited:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await desk.runtime.tickets.take_over((await newest(desk)).id, ada)
        await desk.settle()
        assert outlet.edited[-1][1].endswith("[…]") and len(outlet.sent) == 1
        assert "(stopped)" not in outlet.edited[-1][1]
        edits = len(outlet.edited)
        await desk.runtime.tickets.reply((await newest(desk)).id, ada, "Ten.", key="1")
        await desk.settle()
        assert outlet.texts[1:] == ["Ten."] and len(outlet.edited) == edits
        roles = [role for role, _ in await thread(desk)]
        assert roles == ["user", "assistant", "operator"]


async def test_taken_over_and_handed_back_at_once_the_bot_answers(desks: Desks) -> None:
    slow = Slow()
    async with desks(slow) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await asyncio.wait_for(slow.asked.wait(), 10)
        ticket = await newest(desk)
        await desk.runtime.tickets.take_over(ticket.id, ada)
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        slow.go.set()
        await desk.settle()
        assert desk.outlet.texts == ["re help"]
        assert await thread(desk) == [("user", "help"), ("assistant", "re help")]


@pytest.mark.parametrize("ending", ["resolved", "snoozed"])
async def test_a_ticket_that_is_set_aside_lets_the_answer_end(desks: Desks, ending: str) -> None:
    slow = Slow()
    async with desks(slow) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await asyncio.wait_for(slow.asked.wait(), 10)
        ticket = await newest(desk)
        if ending == "resolved":
            await desk.runtime.tickets.resolve(ticket.id, ada)
        else:
            await desk.runtime.tickets.snooze(ticket.id, ada, datetime.now(UTC) + timedelta(days=1))
        slow.go.set()
        await desk.settle()
        assert desk.outlet.texts == ["re help"]
        assert await thread(desk) == [("user", "help"), ("assistant", "re help")]
        assert (await newest(desk)).state == ending


async def test_taken_over_and_resolved_at_once_the_bot_is_silent(desks: Desks) -> None:
    slow = Slow()
    async with desks(slow) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await asyncio.wait_for(slow.asked.wait(), 10)
        ticket = await newest(desk)
        await desk.runtime.tickets.take_over(ticket.id, ada)
        await desk.runtime.tickets.resolve(ticket.id, ada)
        slow.go.set()
        await desk.settle()
        assert desk.outlet.texts == []


async def test_stop_and_commands_go_on_working(desks: Desks) -> None:
    slow = Slow()
    async with desks(slow) as desk:
        ada = await add_operator(desk)
        await desk.say("help me")
        await asyncio.wait_for(slow.asked.wait(), 10)
        await desk.say("/stop")
        await desk.settle()
        assert "stopped" in desk.outlet.texts[0].lower()
        await desk.runtime.tickets.take_over((await newest(desk)).id, ada)
        for text in ("/help", "/retry", "/lang de"):
            await desk.say(text)
        await desk.settle()
        assert "/human" in desk.outlet.texts[1] and len(desk.outlet.texts) == 3
        assert slow.questions == ["help me"]


async def test_the_customer_chooses_a_ticket(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada = await add_operator(desk)
        await desk.say("my bill")
        await desk.settle()
        bill = await newest(desk)
        await desk.runtime.tickets.take_over(bill.id, ada)
        await desk.say("/ticket new where is my parcel")
        await desk.settle()
        parcel = await newest(desk)
        assert parcel.id != bill.id and parcel.subject == "where is my parcel"
        assert desk.outlet.texts[-1] == "re where is my parcel"
        await desk.say("/tickets")
        await desk.settle()
        assert "1 – my bill (a person answers)" in desk.outlet.texts[-1]
        assert "2 – where is my parcel (the assistant answers)" in desk.outlet.texts[-1]
        await desk.say("/ticket 2")
        await desk.say("it is late")
        await desk.say("/ticket 9")
        await desk.say("/new")
        await desk.say("a third thing")
        await desk.settle()
        assert desk.outlet.texts[-4] == "re it is late" and "no open request 9" in desk.outlet.texts[-3]
        assert [one.subject for one in await tickets_of(desk)] == ["a third thing", "where is my parcel", "my bill"]


async def test_a_text_of_the_desk_has_buttons_and_is_no_part_of_the_history(desks: Desks) -> None:
    outlet = TestOutlet(Abilities(buttons=5))
    async with desks(echo, outlet=outlet) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await desk.settle()
        ticket = await newest(desk)
        await desk.runtime.tickets.take_over(ticket.id, ada)
        for _ in range(2):
            await desk.runtime.tickets.tell(ticket.id, "Was it good?", key="csat", buttons=[("Yes", "csat:1")])
        await desk.settle()
        assert outlet.texts == ["re help", "Was it good?"]
        assert [button.value for button in outlet.sent[1].buttons] == ["csat:1"] and outlet.sent[1].author is None
        assert ("assistant", "Was it good?") not in await thread(desk)


async def test_an_address_that_the_customer_leaves_is_kept_in_the_ticket_and_the_bot_is_silent(desks: Desks) -> None:
    address = ReplyAddress("Ann", "ann@shop.example")
    async with desks(echo) as desk:
        await add_operator(desk, online=False)
        await desk.say("/human")
        await desk.say("Please write to me.", event="a", reply_address=address)
        await desk.say("Please write to me.", event="a", reply_address=address)
        await desk.settle()
        ticket = await newest(desk)
        assert ticket.state == "waiting" and ticket.fields == {"name": "Ann", "email": "ann@shop.example"}
        assert len(desk.outlet.texts) == 1 and desk.engine.calls == []
        assert ("user", "Please write to me.") in await thread(desk)
        events = (await desk.runtime.ticket_queries.thread(ticket.id)).events
        (noted,) = [event for event in events if event.kind == "updated"]
        assert noted.actor == "customer" and "ann@shop.example" not in str(noted.changes)


async def test_a_name_that_the_customer_leaves_stands_for_later_messages(desks: Desks) -> None:
    async with desks(echo) as desk:
        await add_operator(desk, online=False)
        await desk.say("/human")
        await desk.say("Please write to me.", display_name="Ann")
        await desk.say("Are you there?")
        await desk.settle()
        assert (await newest(desk)).delivery.display_name == "Ann"
        await desk.say("It is me, Bob.", person="bob")
        await desk.settle()
        assert (await newest(desk)).delivery.display_name != "Ann"


async def test_an_address_left_while_the_bot_answers_hands_the_conversation_over(desks: Desks) -> None:
    async with desks(echo) as desk:
        await add_operator(desk, online=False)
        await desk.say("Call me.", reply_address=ReplyAddress(phone="+39 02 1234567"))
        await desk.settle()
        ticket = await newest(desk)
        assert (ticket.state, ticket.reason) == ("waiting", "asked")
        assert ticket.fields == {"phone": "+39 02 1234567"}
        assert len(desk.outlet.texts) == 1 and desk.engine.calls == []


async def test_a_pressed_button_under_the_question_at_the_end_is_a_rating(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada, ticket = await taken_over(desk)
        await desk.runtime.tickets.resolve(ticket.id, ada)
        await desk.runtime.satisfaction.ask(await newest(desk))
        await desk.settle()
        before = len(desk.engine.calls)
        await desk.say(f"csat:{ticket.number}:5")
        await desk.settle()
        assert desk.outlet.texts[-1] == say("csat_thanks") and len(desk.engine.calls) == before
        assert (await newest(desk)).state == "resolved"


@pytest.mark.parametrize(
    "words",
    ["Can I talk to a human please?", "Ich möchte mit einem Menschen sprechen", "人間のオペレーターと話したいです"],
)
async def test_a_customer_asks_for_a_person_in_words(desks: Desks, words: str) -> None:
    async with desks(echo) as desk:
        await add_operator(desk)
        await desk.say(words)
        await desk.say("hello?")
        await desk.settle()
        assert len(desk.outlet.texts) == 1 and not desk.outlet.texts[0].startswith("re ")
        assert (await newest(desk)).state == "waiting"
        assert await thread(desk) == [("user", words), ("user", "hello?")]


async def test_without_operators_the_words_are_for_the_model(desks: Desks) -> None:
    async with desks(echo) as desk:
        await desk.say("Can I talk to a human please?")
        await desk.settle()
        assert desk.outlet.texts == ["re Can I talk to a human please?"]


async def test_a_message_goes_to_the_ticket_that_it_quotes(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada = await add_operator(desk)
        await desk.say("my bill")
        await desk.say("/ticket new my parcel")
        await desk.settle()
        bill = (await tickets_of(desk))[1]
        await desk.runtime.tickets.reply(bill.id, ada, "Which bill?", key="1")
        await desk.settle()
        await desk.say("it came today", quoted_id="m2")  # the answer about the parcel
        await desk.say("that of May", quoted_id="m3")
        await desk.say("that of June", quoted_id="unknown")
        await desk.settle()
        assert desk.outlet.texts[-1] == "re it came today"
        shown = await desk.runtime.ticket_queries.thread(bill.id)
        assert [message.text for message in shown.messages if message.role == "user"] == [
            "my bill",
            "that of May",
            "that of June",
        ]


async def test_an_answer_on_the_platform_itself_takes_the_ticket(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await desk.settle()
        for _ in range(2):
            await desk.say("I do it.", event="agent-1", from_operator=True, display_name="ADA")
        await desk.say("Me too.", event="agent-2", from_operator=True, display_name="Somebody")
        await desk.say("thanks")
        await desk.settle()
        assert desk.outlet.texts == ["re help"], "what is delivered is not sent again"
        ticket = await newest(desk)
        assert (ticket.state, ticket.operator_id) == ("human", None)
        events = (await desk.runtime.ticket_queries.thread(ticket.id)).events
        assert [event.operator_id for event in events if event.kind == "replied"] == [ada.operator_id, None]
        assert await thread(desk) == [
            ("user", "help"),
            ("assistant", "re help"),
            ("operator", "I do it."),
            ("operator", "Me too."),
            ("user", "thanks"),
        ]
        await desk.say("nobody asked", "c9", event="agent-3", from_operator=True)
        assert await desk.runtime.inbox.conversation_id("test", "", "c9") is None


async def test_takeover_and_handing_back_can_be_announced(desks: Desks) -> None:
    async with desks(echo, tickets={"announce": True}) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await desk.settle()
        ticket = await newest(desk)
        for _ in range(2):
            await desk.runtime.tickets.take_over(ticket.id, ada)
        await desk.runtime.tickets.reply(ticket.id, ada, "Done.", key="1")
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert desk.outlet.texts == ["re help", say("taken_over_by", name="Ada"), "Done.", say("handed_back")]
        assert [text for _, text in await thread(desk)] == ["help", "re help", "Done."]


async def test_handing_back_is_announced_before_the_bot_answers(desks: Desks) -> None:
    async with desks(echo, tickets={"announce": True}) as desk:
        ada, ticket = await taken_over(desk)
        await desk.say("which one?")
        await desk.settle()
        await desk.runtime.tickets.hand_back(ticket.id, ada)
        await desk.settle()
        assert desk.outlet.texts[-2:] == [say("handed_back"), "re which one?"]


async def test_a_reply_on_a_channel_that_is_gone_is_marked(desks: Desks) -> None:
    async with desks(echo) as desk:
        ada = await add_operator(desk)
        await desk.say("help")
        await desk.settle()
        ticket = await newest(desk)
        async with desk.runtime.database.write() as connection:
            await connection.execute(update(Conversation).values(channel="removed"))
        await desk.runtime.tickets.reply(ticket.id, ada, "Ada here.")
        await desk.settle()
        events = (await desk.runtime.ticket_queries.thread(ticket.id)).events
        assert events[-1].kind == "not_delivered"
