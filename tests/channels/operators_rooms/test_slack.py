"""An operators' room in a Slack channel."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage

from qwendesk import risky
from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.desk.tickets.records import BOT
from qwendesk.errors import ChannelError
from qwendesk.testing.simulators.slack import SlackSimulator
from tests.channels.operators_rooms.behaviour import RoomBehaviour
from tests.channels.operators_rooms.room import ANN, RoomDesk, room_desk

ROOM = "C77"


class TestSlackRoom(RoomBehaviour):
    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[RoomDesk]:
        async with SlackSimulator() as platform, room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
            yield desk


async def test_a_room_without_the_app_is_named(tmp_path: Path) -> None:
    async with SlackSimulator() as platform:
        values = platform.settings() | {"operators_room": ROOM}
        channel = SlackChannel.create(SlackChannel.manifest.read(values))
        assert ROOM in await channel.check()
        platform.closed = {ROOM}
        with pytest.raises(ChannelError, match="Invite the app"):
            await channel.check()
        await channel.aclose()


async def test_a_restart_keeps_the_threads(tmp_path: Path) -> None:
    async with SlackSimulator() as platform:
        async with room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
            await desk.hire("ann", ANN)
            thread = await desk.handed_over()
        async with room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
            await desk.write("Back again.", ANN, thread)
            await desk.until(lambda: any("Back again." in text for text in desk.answers()))
            await desk.ask("good to hear")
            await desk.until(lambda: any("good to hear" in text for text in desk.texts(thread)))
            assert {one.thread for one in desk.seen()} == {None, thread}


async def test_a_room_takes_the_tickets_of_its_teams(tmp_path: Path) -> None:
    async with (
        SlackSimulator() as platform,
        room_desk(platform, "slack", "77", ROOM, tmp_path, operators_room_teams=["billing"]) as desk,
    ):
        await desk.hire("ann", ANN)
        await desk.ask("/human the invoice is wrong")
        await desk.state("waiting")
        await desk.ask("/human my parcel is lost", "1002")
        await desk.state("waiting", 2)
        await desk.service.runtime.tickets.update((await desk.ticket()).id, BOT, team="billing")
        await desk.service.runtime.tickets.escalate((await desk.ticket()).id, BOT)
        await desk.until(lambda: any("invoice" in text for text in desk.texts(None)))
        assert not any("parcel" in one.text for one in desk.seen())


async def test_messages_are_read_in_the_language_of_the_room(tmp_path: Path) -> None:
    def script(messages: list[BaseMessage]) -> str:
        is_asked = "wo ist mein paket" in messages[-1].text.lower()
        return json.dumps({"translation": "Where is my parcel please, it is late?"}) if is_asked else "{}"

    async with (
        SlackSimulator() as platform,
        room_desk(
            platform, "slack", "77", ROOM, tmp_path, script=script, translates=True, operators_room_language="en"
        ) as desk,
    ):
        await desk.hire("ann", ANN)
        thread = await desk.handed_over("/human Wo ist mein Paket bitte, es ist zu spät?")
        await desk.until(lambda: any("Where is my parcel" in text for text in desk.texts(thread)))
        (text,) = [text for text in desk.texts(thread) if "Where is my parcel" in text]
        assert "&gt; Wo ist" in text or "> Wo ist mein Paket" in text, "the original is kept"


async def test_a_mention_and_a_slash_command_in_the_room_are_no_customer_s(tmp_path: Path) -> None:
    async with SlackSimulator() as platform, room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
        await desk.hire("ann", ANN)
        await platform.command("what is 2+2?", "2001", ROOM)
        await desk.write("what is 3+3?", ANN, mention=True)
        await desk.write("!help", ANN)
        await desk.until(lambda: any("!hand-back" in text for text in desk.texts(None)))
        assert not any("The bot answers." in one.text for one in platform.messages)


async def test_a_risky_call_is_approved_in_the_room(tmp_path: Path) -> None:
    refunds = []

    async def refund(order: str, amount: int) -> str:
        """Refund an order."""
        refunds.append((order, amount))
        return f"Refunded {amount} for {order}."

    call = json.dumps({"name": "refund", "arguments": {"order": "4711", "amount": 50}})
    script = [f"<tool_call>{call}</tool_call>", "It is refunded."]
    async with (
        SlackSimulator() as platform,
        room_desk(platform, "slack", "77", ROOM, tmp_path, script=script, tools=[risky(refund)]) as desk,
    ):
        await desk.hire("ann", ANN)
        await desk.ask("Please refund order 4711 to me.")
        thread = await desk.thread()
        await desk.until(lambda: any("refund(order='4711', amount=50)" in text for text in desk.texts(thread)))
        await desk.write("!approve amount=x", ANN, thread)
        await desk.until(lambda: any("does not fit" in text for text in desk.texts(thread)))
        assert refunds == []
        await desk.write("!approve amount=40", ANN, thread)
        await desk.until(lambda: any("It is refunded." in text for text in desk.answers()))
        assert refunds == [("4711", 40)]
        await desk.until(lambda: any("Ann approved refund" in text for text in desk.texts(thread)))
        await desk.write("!decline", ANN, thread)
        await desk.until(lambda: any("already" in text for text in desk.texts(thread)))
