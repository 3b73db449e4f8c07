"""The Chatwoot agent bot."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.chatwoot.channel import ChatwootChannel
from qwendesk.channels.chatwoot.simulator import ChatwootSimulator
from qwendesk.channels.conformance import ChannelConformance, Desk
from qwendesk.channels.simulate.base import Written


class TestChatwoot(ChannelConformance):
    channel_class = ChatwootChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[ChatwootSimulator]:
        async with ChatwootSimulator() as simulator:
            yield simulator

    async def test_a_conversation_that_people_have_taken_is_theirs(
        self, simulator: ChatwootSimulator, channel: Channel, desk: Desk
    ) -> None:
        assert isinstance(channel, ChatwootChannel)
        await simulator.write(Written("I want a person"))
        (inbound,) = await desk.came()
        await channel.hand_over(inbound.account, inbound.conversation)
        await simulator.write(Written("are you there?"))
        assert simulator.status == {"1001": "open"} and len(desk.inbox) == 1

    async def test_notes_and_answers_of_agents_are_not_questions(
        self, simulator: ChatwootSimulator, channel: Channel, desk: Desk
    ) -> None:
        await simulator.write(Written("hello"))
        body = {"event": "message_created", "id": 7, "account": {"id": 1}, "conversation": {"id": 1001}, "content": "x"}
        sender = {"sender": {"id": 3, "type": "user"}}
        for more in ({"message_type": "outgoing"}, {"message_type": "incoming", "private": True}, {"event": "x"}):
            assert await simulator.call(json.dumps(body | sender | more).encode()) == 200
        assert len(desk.inbox) == 1

    async def test_a_forged_and_an_old_call_are_refused(
        self, simulator: ChatwootSimulator, channel: Channel, desk: Desk
    ) -> None:
        await simulator.write(Written("hello"))
        body = json.dumps(simulator._last | {"id": 99}).encode()
        assert await simulator.call(body, secret=b"other") == 401
        assert await simulator.call(body, now=1_000_000) == 401
        assert len(desk.inbox) == 1

    async def test_a_file_elsewhere_is_not_fetched(
        self, simulator: ChatwootSimulator, channel: Channel, desk: Desk
    ) -> None:
        await simulator.write(Written("hello"))
        elsewhere = {"file_type": "image", "data_url": "http://169.254.169.254/latest/meta-data"}
        body = json.dumps(simulator._last | {"id": 99, "attachments": [elsewhere]}).encode()
        assert await simulator.call(body) == 200
        assert desk.inbox[1].unreadable == "file" and desk.inbox[1].attachments == ()
