"""What every operators' room does; a subclass has the fixture ``desk``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from qwendesk.desk.operator_rooms.posts import Introduction, RoomPosts
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.tickets.records import Actor, TicketRecord
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.operator_rooms import RoomThread
from qwendesk.memory.tables.operators import OperatorAudit
from tests.channels.operators_rooms.room import ANN, BO, CUSTOMER, STRANGER, RoomDesk


class RoomBehaviour:
    """Tests of a room on one platform."""

    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[RoomDesk]:
        raise NotImplementedError
        yield

    async def test_a_ticket_that_needs_a_person_is_a_thread(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        await desk.ask("Where is my *parcel*?")
        await desk.until(lambda: "The bot answers." in desk.answers())
        assert not [one for one in desk.seen() if one.thread], "the bot answers alone"
        thread = await desk.handed_over("/human please")
        await desk.until(lambda: any("Reason:" in text for text in desk.texts(thread)))
        (introduction,) = [text for text in desk.texts(thread) if "Reason:" in text]
        assert "*parcel*" in introduction, "a customer's words are shown as they are"
        assert "The bot answers." in introduction
        head = next(one for one in desk.seen() if "#1" in one.text)
        assert desk.channel in head.text and "waiting" in head.text

    async def test_messages_go_both_ways(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.until(lambda: any("Reason:" in text for text in desk.texts(thread)))
        await desk.write("It left our house today.", ANN, thread)
        await desk.until(lambda: any("It left our house today." in text for text in desk.answers()))
        assert (await desk.ticket()).operator_name == "Ann"
        await desk.ask("Thank you <b>so</b> much")
        await desk.until(lambda: any("Thank you" in text for text in desk.texts(thread)))
        assert not any("It left our house" in text for text in desk.texts(thread)), "what was written there is there"
        head = next(one for one in desk.seen() if "#1" in one.text)
        await desk.until(lambda: "Ann" in head.text)
        assert any("Ann took it over" in text for text in desk.texts(thread))
        async with desk.service.runtime.database.read() as connection:
            count = select(func.count()).select_from(InboundEvent).where(InboundEvent.source == "customer")
            assert (await connection.execute(count)).scalar_one() == 2, "the room is no customer"
            actions = (await connection.execute(select(OperatorAudit.action))).scalars().all()
        assert "ticket.reply" in actions and "operator.link" in actions

    async def test_commands_change_the_ticket(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        await desk.hire("bo", BO)
        thread = await desk.handed_over()
        await desk.write("!take", ANN, thread)
        await desk.state("human")
        await desk.write("!note ask @bo about it", ANN, thread)
        await desk.until(lambda: any("Noted" in text for text in desk.texts(thread)))
        (note,) = (await desk.stored()).notes
        assert note.text == "ask @bo about it" and len(note.mentions) == 1
        await desk.write("!assign bo", ANN, thread)
        await desk.state("waiting")
        assert (await desk.ticket()).operator_name == "Bo"
        await desk.write("!snooze 2h", BO, thread)
        await desk.state("snoozed")
        await desk.write("!hand-back", BO, thread)
        await desk.state("bot")
        await desk.ask("And now?")
        await desk.until(lambda: any("The bot answers." in text for text in desk.texts(thread)))
        await desk.write("!resolve", ANN, thread)
        await desk.state("resolved")
        await desk.until(lambda: any("Ann resolved it" in text for text in desk.texts(thread)))
        await desk.write("!reopen", ANN, thread)
        await desk.state("waiting" if (await desk.ticket()).first_response_at else "bot")
        assert not any("!" in text or "ask @bo" in text for text in desk.answers())

    async def test_a_risky_call_is_decided_on_by_its_id(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        await desk.ask("Please refund order 4711 to me.")
        thread = await desk.thread()
        await desk.until(lambda: any("!approve" in text for text in desk.texts(thread)))
        found = (re.search(r"!approve (\w{9})\b", text) for text in desk.texts(thread))
        call = next(one[1] for one in found if one)
        for unnamed in ("!approve", "!approve amount=40"):
            await desk.write(unnamed, ANN, thread)
        await desk.until(lambda: sum("Name one call" in text for text in desk.texts(thread)) == 2)
        await desk.write(f"!approve {call} amount=x", ANN, thread)
        await desk.until(lambda: any("does not fit" in text for text in desk.texts(thread)))
        assert desk.refunds == []
        await desk.write(f"!approve {call} amount=40", ANN, thread)
        await desk.until(lambda: any("It is refunded." in text for text in desk.answers()))
        assert desk.refunds == [("4711", 40)]
        await desk.until(lambda: any("Ann approved refund" in text for text in desk.texts(thread)))
        await desk.write(f"!decline {call}", ANN, thread)
        await desk.until(lambda: any("already" in text for text in desk.texts(thread)))
        async with desk.service.runtime.database.read() as connection:
            decided = select(OperatorAudit.details).where(OperatorAudit.action == "ticket.approve")
            (details,) = (await connection.execute(decided)).scalars()
        assert details["room"] == desk.channel

    async def test_a_word_that_is_no_command_is_not_sent(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.write("!resolv", ANN, thread)
        await desk.until(lambda: any("no command" in text for text in desk.texts(thread)))
        await desk.write("!resolve and tell them that it is done", ANN, thread)
        await desk.until(lambda: any("stands alone" in text for text in desk.texts(thread)))
        await desk.write("/new", ANN, thread)
        await desk.until(lambda: any("no command /new" in text for text in desk.texts(thread)))
        assert (await desk.ticket()).state == "waiting"

    async def test_who_is_not_linked_sends_nothing(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.write("Hello customer", STRANGER, thread)
        await desk.until(lambda: any("operators link" in text for text in desk.texts(thread)))
        await desk.write("!link WRONGXYZ", STRANGER)
        await desk.until(lambda: any("not valid" in text for text in desk.texts(None)))
        operators = Operators(desk.service.runtime.database)
        await operators.accounts.disable((await operators.accounts.named("ann")).id, AuditActor(), allow_no_admin=True)
        await desk.write("I was here", ANN, thread)
        await desk.until(lambda: sum("operators link" in text for text in desk.texts(thread)) == 2)
        assert not any("Hello customer" in text or "I was here" in text for text in desk.answers())
        assert (await desk.ticket()).state == "waiting"

    async def test_a_code_may_be_written_to_the_bot_itself(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN, links=False)
        operators = Operators(desk.service.runtime.database)
        ann = await operators.accounts.named("ann")
        code = await operators.links.make_code(ann, desk.channel, AuditActor())
        await desk.ask(f"!link {code}", ANN)
        await desk.until(lambda: any("You are Ann here" in text for text in desk.answers()))
        assert await operators.links.redeem(code, desk.channel, "somebody") is None, "a code is used once"
        await desk.ask("hello", CUSTOMER)
        await desk.until(lambda: "The bot answers." in desk.answers())
        assert await operators.links.remove(ann, desk.channel, AuditActor())
        assert await operators.links.operator_of(desk.channel, ANN) is None

    async def test_a_colleague_s_ticket_is_not_taken_by_the_way(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        await desk.hire("bo", BO)
        thread = await desk.handed_over()
        await desk.write("Ann here.", ANN, thread)
        await desk.until(lambda: any("Ann here." in text for text in desk.answers()))
        await desk.write("Bo here.", BO, thread)
        await desk.until(lambda: any("Ann holds this ticket" in text for text in desk.texts(thread)))
        assert not any("Bo here." in text for text in desk.answers())
        await desk.write("!force Bo here.", BO, thread)
        await desk.until(lambda: any("Bo here." in text for text in desk.answers()))
        assert (await desk.ticket()).operator_name == "Bo"

    async def test_what_comes_twice_counts_once(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.write("Once.", ANN, thread)
        await desk.platform.repeat()
        await desk.write("!note once", ANN, thread)
        await desk.platform.repeat()
        await desk.write("!hand-back", ANN, thread)
        await desk.platform.repeat()
        await desk.write("!help", ANN, thread)
        await desk.until(lambda: any("!hand-back" in text for text in desk.texts(thread)))
        stored = await desk.stored()
        assert [one.text for one in stored.messages if one.role == "operator"] == ["Once."]
        assert [note.text for note in stored.notes] == ["once"]
        assert not any("cannot be handed back" in text for text in desk.texts(thread))

    async def test_a_deleted_thread_is_opened_again(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.until(lambda: any("parcel" in text for text in desk.texts(thread)))
        await desk.platform.delete_thread(desk.room, thread)
        await desk.write("!help", ANN)
        await desk.until(lambda: any("!hand-back" in text for text in desk.texts(None)))
        await desk.ask("hello?")
        await desk.until(lambda: any(one.thread not in (None, thread) for one in desk.seen()))
        again = next(one.thread for one in desk.seen() if one.thread not in (None, thread))
        await desk.until(lambda: any("hello?" in text for text in desk.texts(again)))
        await desk.write("Here I am.", ANN, again)
        await desk.until(lambda: any("Here I am." in text for text in desk.answers()))

    async def test_a_forgotten_customer_leaves_no_thread(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        memory = desk.service._memory
        person = (await desk.ticket()).person_id
        assert person
        await memory.people.forget(person)
        async with desk.service.runtime.database.read() as connection:
            left = select(func.count()).select_from(RoomThread)
            assert (await connection.execute(left)).scalar_one() == 0
        await desk.write("Still there?", ANN, thread)
        await desk.until(lambda: any("No ticket belongs" in text for text in desk.texts(thread)))
        await desk.write("!take", ANN, thread)
        await desk.until(lambda: any("in the thread of a ticket" in text for text in desk.texts(thread)))
        assert not any("Still there?" in text for text in desk.answers())

    async def test_replies_from_the_inbox_are_shown(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        ticket, runtime = await desk.ticket(), desk.service.runtime
        operators = Operators(runtime.database)
        ann = await operators.accounts.named("ann")
        actor = Actor.operator(ann.id, ann.display_name)
        await runtime.tickets.reply(ticket.id, actor, "Written at the desk.")
        await runtime.tickets.note(ticket.id, actor, "A note of the desk.")
        for text in ("Written at the desk.", "A note of the desk."):
            await desk.until(lambda text=text: any(text in shown for shown in desk.texts(thread)))  # type: ignore[misc]

    async def test_a_post_that_is_refused_holds_nothing_back(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.until(lambda: any("Reason:" in text for text in desk.texts(thread)))
        desk.platform.unwanted = {"unwanted"}
        await desk.ask("an unwanted word")
        await desk.ask("a good word")
        await desk.until(lambda: any("a good word" in text for text in desk.texts(thread)))
        assert sum("cannot be shown here" in text for text in desk.texts(thread)) == 1
        assert not any("an unwanted word" in text for text in desk.texts(thread))
        assert not (await desk.service.health())["problems"], "the room is in order"

    async def test_a_thread_opens_without_a_first_message_that_is_refused(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        desk.platform.unwanted = {"unwanted"}
        thread = await desk.handed_over("/human an unwanted word")
        await desk.until(lambda: any("cannot be shown here" in text for text in desk.texts(thread)))
        await desk.ask("a good word")
        await desk.until(lambda: any("a good word" in text for text in desk.texts(thread)))
        await desk.write("Here I am.", ANN, thread)
        await desk.until(lambda: any("Here I am." in text for text in desk.answers()))

    async def test_an_edit_is_not_sent(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.write("It costs 5.", ANN, thread)
        await desk.until(lambda: any("It costs 5." in text for text in desk.answers()))
        await desk.platform.edit("It costs 6.")
        await desk.until(lambda: any("does not see this change" in text for text in desk.texts(thread)))
        assert not any("It costs 6." in text for text in desk.answers())

    async def test_a_viewer_changes_nothing(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        await desk.hire("vic", BO, role="viewer")
        thread = await desk.handed_over()
        await desk.write("Vic here.", BO, thread)
        await desk.write("!resolve", BO, thread)
        await desk.until(lambda: sum("viewer" in text.lower() for text in desk.texts(thread)) == 2)
        assert (await desk.ticket()).state == "waiting"

    async def test_talk_in_the_room_is_left_alone(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        await desk.write("Who has the early shift?", STRANGER)
        thread = await desk.handed_over()
        assert not any("shift" in text for text in desk.texts(None) + desk.texts(thread) + desk.answers())

    async def test_who_answers_before_the_introduction_is_named_by_it(
        self, desk: RoomDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answered, introduce = asyncio.Event(), RoomPosts.introduction

        async def introduce_late(posts: RoomPosts, ticket: TicketRecord, opened_at: datetime) -> Introduction:
            await answered.wait()
            return await introduce(posts, ticket, opened_at)

        monkeypatch.setattr(RoomPosts, "introduction", introduce_late)
        await desk.hire("ann", ANN)
        await desk.ask("/human my parcel is lost")
        await desk.until(lambda: any("#1" in one.text for one in desk.seen()))
        head = next(one for one in desk.seen() if "#1" in one.text)
        thread = head.thread or head.id
        await desk.write("It left our house today.", ANN, thread)
        await desk.until(lambda: any("It left our house today." in text for text in desk.answers()))
        answered.set()
        await desk.until(lambda: any("Reason:" in text for text in desk.texts(thread)))
        assert not any("It left our house" in text for text in desk.texts(thread)), "what was written there is there"
        await desk.until(lambda: "Ann" in next(one.text for one in desk.seen() if "#1" in one.text))
