"""Telegram, polled and called."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.conformance import ChannelConformance, Desk
from qwendesk.channels.simulate.base import Written
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.channels.telegram.simulator import TelegramSimulator


class TestPolling(ChannelConformance):
    channel_class = TelegramChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[TelegramSimulator]:
        async with TelegramSimulator() as simulator:
            yield simulator

    async def test_a_file_that_is_gone_does_not_hold_up_the_others(
        self, simulator: TelegramSimulator, channel: Channel, desk: Desk
    ) -> None:
        gone = {"file_id": "gone", "file_unique_id": "gone", "file_size": 9}
        message = {"message_id": 5, "date": 1, "chat": {"id": 7, "type": "private"}, "from": {"id": 7, "is_bot": False}}
        await simulator.garble({"message": message | {"document": gone}})
        await simulator.write(Written("next"))
        first, second = await desk.came(2)
        assert first.unreadable == "file" and second.text == "next"

    async def test_what_cannot_be_read_is_named_and_never_ignored(
        self, simulator: TelegramSimulator, channel: Channel, desk: Desk
    ) -> None:
        message = {"message_id": 5, "date": 1, "chat": {"id": 7, "type": "private"}, "from": {"id": 7, "is_bot": False}}
        await simulator.garble({"message": message | {"sticker": {"file_id": "x"}}})
        large = {"file_id": "x", "file_unique_id": "x", "file_size": 10**8}
        await simulator.garble({"message": message | {"document": large, "caption": "see"}})
        first, second = await desk.came(2)
        assert first.unreadable == "sticker" and (second.unreadable, second.text) == ("large file", "see")

    async def test_a_topic_is_a_conversation_of_its_own(
        self, simulator: TelegramSimulator, channel: Channel, desk: Desk
    ) -> None:
        chat = {"id": -7, "type": "supergroup", "is_forum": True}
        message = {"message_id": 5, "date": 1, "chat": chat, "from": {"id": 7, "is_bot": False}}
        topic = {"message_thread_id": 33, "is_topic_message": True, "text": "/why@desk_bot"}
        await simulator.garble({"message": message | topic})
        await simulator.garble({"message": message | {"text": "/why@another_bot"}})
        await simulator.write(Written("next"))
        first, second = await desk.came(2)
        assert (first.conversation, first.text) == ("-7:33", "/why") and second.text == "next"


class TestWebhook(ChannelConformance):
    channel_class = TelegramChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[TelegramSimulator]:
        async with TelegramSimulator(calls=True) as simulator:
            yield simulator

    async def test_a_call_without_the_secret_is_refused(
        self, simulator: TelegramSimulator, channel: Channel, desk: Desk
    ) -> None:
        simulator._secret = "guessed"
        await simulator.write(Written("let me in"))
        assert simulator.caller.answers == [403] and desk.inbox == []
