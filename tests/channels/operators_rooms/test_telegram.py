"""An operators' room in a Telegram group with topics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Attachment
from qwendesk.testing.conformance.channel_fixtures import PIXEL
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.telegram import TelegramSimulator
from tests.channels.operators_rooms.behaviour import RoomBehaviour
from tests.channels.operators_rooms.room import ANN, CUSTOMER, RoomDesk, room_desk

ROOM = "-100777"


class TestTelegramRoom(RoomBehaviour):
    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[RoomDesk]:
        async with TelegramSimulator() as platform:
            platform.forums = {ROOM: set()}
            async with room_desk(platform, "telegram", ROOM, ROOM, tmp_path) as desk:
                yield desk

    async def test_files_go_both_ways(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        photo = Attachment("image", "image/png", PIXEL, "broken.png")
        await desk.platform.write(UserMessage("look", person=CUSTOMER, files=(photo,)))
        await desk.until(lambda: any(one.file and one.thread == thread for one in desk.seen()))
        await desk.write("the label", ANN, thread, files=(photo,))
        await desk.until(lambda: any(one.file and one.chat == CUSTOMER for one in desk.platform.messages))

    async def test_who_writes_as_the_group_is_told(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        assert isinstance(desk.platform, TelegramSimulator)
        chat = {"id": int(ROOM), "type": "supergroup", "title": "Team"}
        anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
        topic = {"message_thread_id": int(thread), "is_topic_message": True}
        message = {"message_id": 800, "date": 1_780_000_000, "from": anonymous, "sender_chat": chat, "chat": chat}
        await desk.platform.deliver({"update_id": 9900, "message": message | topic | {"text": "Hello customer"}})
        await desk.until(lambda: any("anonymously" in text for text in desk.texts(thread)))
        assert not any("Hello customer" in text for text in desk.answers())


async def test_a_room_without_the_right_to_manage_topics_is_named(tmp_path: Path) -> None:
    async with TelegramSimulator() as platform:
        values = platform.settings() | {"operators_room": ROOM}
        channel = TelegramChannel.create(TelegramChannel.manifest.read(values))
        with pytest.raises(ChannelError, match="not in the operators' room"):
            await channel.check()
        platform.forums = {ROOM: set()}
        assert "operators' room Team" in await channel.check()
        platform.may_manage_topics = False
        with pytest.raises(ChannelError, match="right to manage topics"):
            await channel.check()
        await channel.aclose()
    with pytest.raises(ConfigError, match="a group with topics by its id"):
        TelegramChannel.create(TelegramChannel.manifest.read(values | {"operators_room": "@team"}))


async def test_topics_that_cannot_be_made_are_a_problem_of_the_desk(tmp_path: Path) -> None:
    async with TelegramSimulator() as platform:
        platform.forums, platform.may_manage_topics = {ROOM: set()}, False
        async with room_desk(platform, "telegram", ROOM, ROOM, tmp_path) as desk:
            await desk.hire("ann", ANN)
            await desk.ask("/human please")

            async def is_told() -> bool:
                problems = (await desk.service.health())["problems"]
                return "right to manage topics" in problems.get("telegram (operators' room)", "")

            await desk.holds(is_told)
            platform.may_manage_topics = True
            await desk.until(lambda: any(one.thread for one in desk.seen()))
