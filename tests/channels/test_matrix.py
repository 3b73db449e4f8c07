"""The Matrix channel with a real homeserver, in plain and encrypted rooms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.markup.split import split_message
from qwendesk.channels.matrix.channel import MatrixChannel
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Outbound
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import PIXEL, RecordingDesk, answer_to
from qwendesk.testing.simulators.base import UserMessage
from tests.channels.synapse import Homeserver, MatrixPlatform, running_synapse

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def homeserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    with running_synapse(tmp_path_factory.mktemp("synapse")) as server:
        yield server


class TestMatrix(ChannelConformance):
    channel_class = MatrixChannel

    @pytest.fixture
    async def simulator(self, homeserver: Homeserver, tmp_path: Path) -> AsyncIterator[MatrixPlatform]:
        async with MatrixPlatform(homeserver, tmp_path) as simulator:
            yield simulator

    async def test_a_repeated_delivery_has_the_same_event_id(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        """After a restart the channel continues at the stored sync position with the same event ids."""
        await simulator.write(UserMessage("before"))
        await desk.received(1)
        await channel.stop()
        await simulator.write(UserMessage("meanwhile"))
        again = MatrixChannel.create(MatrixChannel.manifest.read(simulator.settings()))
        running = asyncio.create_task(again.start(desk.accept))
        await desk.received_text("meanwhile")
        await again.stop()
        await running
        await again.aclose()
        assert len({inbound.event for inbound in desk.inbox if inbound.text == "before"}) == 1

    async def test_what_is_sent_twice_is_shown_once(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        ids = {await channel.send(answer_to(inbound, "Hi", channel)) for _ in range(2)}
        assert len(ids) == 1

    async def test_more_than_one_sync_brings_is_read_after_an_absence(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("before"))
        await desk.received(1)
        await channel.stop()
        said = [f"message {number}" for number in range(120)]
        for text in said:
            await simulator.write(UserMessage(text))
        again = MatrixChannel.create(MatrixChannel.manifest.read(simulator.settings()))
        running = asyncio.create_task(again.start(desk.accept))
        await desk.received_text(said[-1])
        await again.stop()
        await running
        await again.aclose()
        assert [inbound.text for inbound in desk.inbox if inbound.text in said] == said

    async def test_a_device_that_was_logged_out_logs_in_again(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        assert isinstance(channel, MatrixChannel)
        await simulator.write(UserMessage("before"))
        await desk.received(1)
        client = await channel.connect()
        before = client.device_id
        # not by the channel's client: a sync that finds the token gone closes it, perhaps before this call ends
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {client.access_token}"}) as http:
            (await http.post(f"{simulator.homeserver.url}/_matrix/client/v3/logout")).raise_for_status()
        await simulator.write(UserMessage("after"))
        await desk.received_text("after")
        assert (await channel.connect()).device_id != before

    @pytest.mark.parametrize("soft", [True, False], ids=["soft", "hard"])
    async def test_a_lost_token_that_another_call_finds_first_is_replaced(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk, soft: bool
    ) -> None:
        """After a soft logout the library forgets the token, and each later call says "Not logged in"."""
        assert isinstance(channel, MatrixChannel)
        await simulator.write(UserMessage("before"))
        (before,) = await desk.received(1)
        device = (await channel.connect()).device_id
        ended = {"errcode": "M_UNKNOWN_TOKEN", "error": "Token expired", "soft_logout": soft}
        simulator.refusals["/typing/"] = (401, ended)
        with pytest.raises(ChannelError) as caught:
            await channel.typing(before.conversation)
        assert not caught.value.permanent
        simulator.refusals.clear()
        await channel.typing(before.conversation)
        await simulator.write(UserMessage("after"))
        await desk.received_text("after")
        assert ((await channel.connect()).device_id == device) is soft
        assert "connected as" in await channel.check()

    async def test_a_password_that_no_longer_holds_is_said_once(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        assert isinstance(channel, MatrixChannel)
        await simulator.write(UserMessage("before"))
        (before,) = await desk.received(1)
        await channel.stop()
        again = MatrixChannel.create(MatrixChannel.manifest.read(simulator.settings()))
        running = asyncio.create_task(again.start(desk.accept))
        ended = {"errcode": "M_UNKNOWN_TOKEN", "error": "Token expired", "soft_logout": True}
        simulator.refusals |= {
            "/sync": (401, ended),
            "/login": (403, {"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}),
        }
        await simulator.write(UserMessage("meanwhile"))
        with pytest.raises(ChannelError, match="QWENDESK_CHANNELS__MATRIX__PASSWORD") as caught:
            async with asyncio.timeout(60):
                await running
        assert caught.value.permanent
        await again.aclose()

    async def test_what_is_replied_to_is_seen(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        file = Attachment("image", "image/png", PIXEL, "a.png")
        picture = await simulator.write(UserMessage("My plant", files=(file,)))
        await desk.received(1)
        await simulator.reply("what is it?", picture, "> <@bo:here.example> sent an image.\n\n")
        await simulator.reply("and that?", "$gone", "> <@bo:here.example> Something old\n\n")
        _, seen, gone = await desk.received(3)
        assert seen.text.endswith(":here.example wrote:\n> [image a.png]\n> My plant\n\nwhat is it?")
        assert seen.attachments[0].data == PIXEL
        assert gone.text == "> @bo:here.example wrote:\n> Something old\n\nand that?"
        sent = await channel.send(answer_to(seen, "A ficus.", channel))
        await simulator.reply("sure?", str(sent))
        assert (await desk.received(4))[3].text == "> you, the assistant wrote:\n> A ficus.\n\nsure?"

    async def test_a_file_that_is_never_to_be_had_does_not_hold_up_the_others(
        self, simulator: MatrixPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        simulator.refusals["/download/"] = (500, {"errcode": "M_UNKNOWN", "error": "not now"})
        await simulator.write(UserMessage("look", files=(Attachment("image", "image/png", PIXEL, "a.png"),)))
        await simulator.write(UserMessage("next"))
        first, second = await desk.received(2)
        assert (first.text, first.unsupported_media) == ("look", "file") and second.text == "next"


class TestEncrypted:
    @pytest.fixture
    async def simulator(self, homeserver: Homeserver, tmp_path: Path) -> AsyncIterator[MatrixPlatform]:
        async with MatrixPlatform(homeserver, tmp_path, encrypted=True) as simulator:
            yield simulator

    async def test_an_encrypted_room_is_read_and_answered(self, simulator: MatrixPlatform) -> None:
        desk = RecordingDesk()
        channel = MatrixChannel.create(MatrixChannel.manifest.read(simulator.settings()))
        running = asyncio.create_task(channel.start(desk.accept))
        await simulator.wait_started()
        await simulator.write(UserMessage("a secret"))
        await simulator.write(UserMessage("and a picture", files=(Attachment("image", "image/png", PIXEL, "a.png"),)))
        first, second = await desk.received(2)
        assert first.text == "a secret" and second.attachments[0].data == PIXEL
        await simulator.reply("why?", simulator.last_event)
        replied = desk.inbox[2] if len(desk.inbox) > 2 else (await desk.received(3))[2]
        assert "[image a.png]\n> and a picture" in replied.text and replied.attachments[0].data == PIXEL
        await channel.send(answer_to(first, "Kept.", channel))
        await simulator.wait_until(lambda seen: seen.texts() == ["Kept."])
        pieces = split_message("Съешь ещё этих **мягких** булок. " * 400, channel.manifest.capabilities)
        messages = [Outbound(f"k{n}", first.conversation, one.text, plain=one.plain) for n, one in enumerate(pieces)]
        sent = await channel.send(messages[0])
        assert sent and len(messages) > 2
        await channel.edit(sent, messages[1])
        await simulator.wait_until(lambda seen: seen.texts()[-1] == messages[1].plain)
        await simulator.react(simulator.messages[0].id, "🎉")
        await simulator.react(simulator.messages[0].id, "👎🏽")
        reaction = (await desk.received(4))[3]
        assert (reaction.text, reaction.conversation) == (f"rate:-1:{simulator.messages[0].id}", first.conversation)
        await channel.stop()
        await running
        await channel.aclose()
