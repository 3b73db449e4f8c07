"""An operators' room in a Slack channel."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.desk.tickets.records import BOT
from qwendesk.errors import ChannelError
from qwendesk.memory.tables.event_deliveries import EventDelivery
from qwendesk.testing.simulators.base import UserMessage
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


async def test_slash_commands_and_buttons_of_the_room_reach_no_customer(tmp_path: Path) -> None:
    async with SlackSimulator() as platform, room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.write("I look into it.", ANN, thread)
        await desk.until(lambda: any("I look into it." in text for text in desk.answers()))
        known = desk.answers()

        def helps(place: str | None) -> int:
            return sum("!hand-back" in text for text in desk.texts(place))

        for number, text in enumerate(("new", "/resolve", "take"), 1):
            await platform.command(text, ANN, ROOM)
            await desk.until(lambda number=number: helps(None) == number)  # type: ignore[misc]
        shown = next(one.id for one in desk.seen() if one.thread == thread)
        await platform.write(UserMessage("rate:1:1", person=ANN, reply_to=shown, press=True))
        await desk.until(lambda: helps(thread) == 1)
        assert desk.answers() == known and (await desk.ticket()).state == "human"


async def test_a_room_without_the_app_gets_its_posts_later(tmp_path: Path) -> None:
    async with SlackSimulator() as platform, room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
        await desk.hire("ann", ANN)
        platform.closed = {ROOM}
        await desk.ask("/human my parcel is lost")

        async def is_told() -> bool:
            problems = (await desk.service.health())["problems"]
            return "Invite the app" in problems.get("slack (operators' room)", "")

        await desk.holds(is_told)
        platform.closed = set()
        await desk.until(lambda: any("parcel" in one.text and one.thread for one in desk.seen()))
        assert not any("cannot be shown" in one.text for one in desk.seen())


async def test_a_customer_reads_names_and_markup(tmp_path: Path) -> None:
    class Raw(SlackSimulator):
        def _event(self, message: UserMessage, stamp: str) -> dict[str, Any]:
            envelope = super()._event(message, stamp)
            envelope["event"]["text"] = message.text  # with Slack's markup
            return envelope

    async with Raw() as platform, room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
        platform.names = {"U777": "Bo Berg"}
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.write("Ask <@U777> *today*, <@U888> knows.", ANN, thread)
        await desk.until(lambda: any("knows." in text for text in desk.answers()))
        (message,) = [one for one in (await desk.stored()).messages if one.role == "operator"]
        assert message.text == "Ask @Bo Berg **today**, knows."


async def test_a_rate_limit_uses_up_no_try(tmp_path: Path) -> None:
    async with SlackSimulator() as platform, room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        await desk.write("!take", ANN, thread)
        await desk.until(lambda: any("took it over" in text for text in desk.texts(thread)))
        platform.faults = ["slow_down", "slow_down"]
        await desk.ask("hello?")
        await desk.until(lambda: any("hello?" in text for text in desk.texts(thread)))

        async def attempts() -> list[tuple[str, int]]:
            columns = select(EventDelivery.status, EventDelivery.attempts).where(EventDelivery.kind == "message")
            async with desk.service.runtime.database.read() as connection:
                found = (await connection.execute(columns.order_by(EventDelivery.event_id.desc()))).all()
            return [(status, count) for status, count in found]

        async def is_done() -> bool:
            return (await attempts())[0] == ("done", 1)

        await desk.holds(is_done)


async def test_a_customer_who_is_forgotten_while_the_thread_opens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgetting(SlackSimulator):
        desk: RoomDesk | None = None

        async def _answer(self, request: Request) -> Response:
            answer = await super()._answer(request)
            if self.desk and request.path_params["method"] == "chat.postMessage" and "#1" in self.messages[-1].text:
                desk, self.desk = self.desk, None
                await desk.service._memory.people.forget((await desk.ticket()).person_id or "")
            return answer

    async with Forgetting() as platform, room_desk(platform, "slack", "77", ROOM, tmp_path) as desk:
        await desk.hire("ann", ANN)
        platform.desk = desk
        await desk.ask("/human my parcel is lost")
        await desk.until(lambda: platform.desk is None)
        await desk.ask("/human the lamp is broken", "1002")
        await desk.until(lambda: any("lamp" in one.text and one.thread for one in desk.seen()))
        assert not any("parcel" in one.text and one.thread for one in desk.seen())
        assert "FOREIGN KEY" not in caplog.text
