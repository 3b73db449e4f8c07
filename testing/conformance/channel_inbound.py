"""Conformance kit of channels, first half: messages of people to the desk."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from qwendesk.channels.base import Channel
from qwendesk.messages import Admission, Attachment, Button, Outbound
from qwendesk.testing.conformance.channel_fixtures import PIXEL, ChannelFixtures, RecordingDesk
from qwendesk.testing.simulators.base import Simulator, UserMessage

MALFORMED: tuple[Any, ...] = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", {}, {"message": None}, {"message": []}, {"message": {"from": 7}},
    {"message": {"chat": "x", "from": {"id": "y"}, "text": {"a": 1}}}, {"event": {"type": "message", "text": 5}},
    {"type": "event_callback", "event": None}, {"content": 12, "room_id": []},
)  # fmt: skip
"""Deliveries that do not conform to any platform's protocol."""


class InboundConformance(ChannelFixtures):
    """Messages, deliveries, groups, files, and pressed buttons."""

    async def test_a_message_arrives_complete(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A message has its text, person, conversation and event id."""
        await simulator.write(UserMessage("Grüße, 世界 & <b>you</b>", locale="de"))
        (inbound,) = await desk.received()
        assert inbound.text == "Grüße, 世界 & <b>you</b>"
        assert inbound.channel == channel.manifest.name
        assert inbound.person and inbound.conversation and inbound.event and not inbound.group

    async def test_a_repeated_delivery_has_the_same_event_id(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The desk recognises a repeated delivery by its event id; another message has another id."""
        await simulator.write(UserMessage("once"))
        await desk.received(1)
        await simulator.repeat()
        await simulator.write(UserMessage("another"))
        await desk.received_text("another")
        events = {inbound.event for inbound in desk.inbox if inbound.text == "once"}
        assert len(events) == 1 and desk.inbox[-1].event not in events

    async def test_a_message_that_a_busy_desk_refused_comes_again(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The channel acknowledges a message only after the desk has accepted it."""
        answers = iter([Admission("busy")])
        desk.answer = lambda _: next(answers, Admission("accepted", 1))
        await simulator.write(UserMessage("please"))
        await desk.received(1)
        if simulator.uses_webhook:
            await simulator.repeat()
        taken = await desk.received(2)
        assert [inbound.text for inbound in taken[:2]] == ["please", "please"]

    async def test_an_edited_message_is_no_new_message(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """An edit is not passed to the desk, in private chats and groups; the next message is."""
        if not simulator.users_can_edit:
            pytest.skip("people cannot edit messages on this platform")
        kinds: list[dict[str, Any]] = [{}, {"mention": True, "group": True, "chat": "-5005"}]
        for kind in kinds[: 1 + channel.manifest.capabilities.groups]:
            await simulator.write(UserMessage("What is 2+2?", **kind))
            await simulator.edit("What is 3+3?")
            await simulator.repeat()
        await simulator.write(UserMessage("And then?"))
        await desk.received_text("And then?")
        assert {inbound.text for inbound in desk.inbox} == {"What is 2+2?", "And then?"}

    async def test_the_reason_of_a_refusal_is_sent(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A refused person receives the text of the refusal."""
        desk.answer = lambda _: Admission("refused", text="Your code is AB<12>&CD.")
        await simulator.write(UserMessage("hello"))
        await simulator.wait_until(lambda seen: any("AB" in text for text in seen.texts()))

    async def test_messages_of_bots_are_ignored(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """Messages of other bots are not passed to the desk, so that two bots never answer each other."""
        await simulator.write(UserMessage("I am a bot", bot=True))
        await simulator.write(UserMessage("I am a person"))
        assert [inbound.text for inbound in await desk.received()] == ["I am a person"]

    async def test_in_a_group_only_mentions_reach_the_desk(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A group message without a mention is ignored; the mention is removed from the text."""
        if not channel.manifest.capabilities.groups:
            pytest.skip("this platform has no groups")
        group = {"chat": "-5005", "group": True}
        await simulator.write(UserMessage("lunch?", **group))  # type: ignore[arg-type]
        await simulator.write(UserMessage("what is 2+2?", mention=True, **group))  # type: ignore[arg-type]
        (inbound,) = await desk.received()
        assert inbound.text == "what is 2+2?" and inbound.group

    async def test_a_picture_arrives_with_its_bytes(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A picture arrives unchanged."""
        if not channel.manifest.capabilities.max_file_in:
            pytest.skip("this platform has no files")
        await simulator.write(UserMessage("what is this?", files=(Attachment("image", "image/png", PIXEL, "a.png"),)))
        (inbound,) = await desk.received()
        assert [(file.kind, file.data) for file in inbound.attachments] == [("image", PIXEL)]
        assert inbound.text == "what is this?"

    async def test_recordings_and_documents_have_their_kind(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """Recordings and documents arrive with their kind; file names may have any character."""
        if not channel.manifest.capabilities.max_file_in:
            pytest.skip("this platform has no files")
        sound = Attachment("audio", "audio/ogg", b"OggS" + bytes(40), "voice.ogg")
        paper = Attachment("document", "text/plain", b"A few words.", "a few #1 & 2?.txt")
        for number, file in enumerate((sound, paper), 1):
            await simulator.write(UserMessage("take this", files=(file,)))
            (come,) = (await desk.received(number))[-1].attachments
            assert (come.kind, come.data) == (file.kind, file.data)

    async def test_buttons_come_back_as_messages(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A pressed button arrives as a message with the button's value."""
        if not channel.manifest.capabilities.buttons:
            pytest.skip("this platform has no buttons")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        buttons = (Button("Yes", "rate:1"), Button("No", "rate:-1"))
        message = Outbound("k", inbound.conversation, "Good?", inbound.account, buttons=buttons, plain="Good?")
        sent = await channel.send(message)
        await simulator.wait_until(lambda seen: len(seen.messages) == 1)
        assert simulator.messages[0].buttons == (("Yes", "rate:1"), ("No", "rate:-1"))
        await simulator.write(UserMessage("rate:1", reply_to=sent, press=True))
        assert (await desk.received(2))[1].text == "rate:1"

    async def test_malformed_deliveries_do_no_harm(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The channel accepts the next message after malformed deliveries."""
        for payload in MALFORMED:
            with suppress(ConnectionError):
                await simulator.deliver_malformed(payload)
        await simulator.write(UserMessage("still there?"))
        await desk.received_text("still there?")
