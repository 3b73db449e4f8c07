"""Conformance kit of channels: the tests that every channel's own tests inherit.

A channel's test module subclasses ``ChannelConformance`` and defines one fixture, ``simulator``, the started platform:

    class TestMyChannel(ChannelConformance):
        channel_class = MyChannel

        @pytest.fixture
        async def simulator(self):
            async with MySimulator() as simulator:
                yield simulator

The tests are asynchronous: pytest-asyncio has to run in its ``auto`` mode.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.delivery_adapter import DeliveryAdapter
from qwendesk.channels.markup.split import split_message
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Admission, Attachment, Author, Button, Outbound
from qwendesk.testing.conformance.channel_fixtures import PIXEL, ChannelFixtures, RecordingDesk, answer_to
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


class OutboundConformance(ChannelFixtures):
    """Answers, edits, typing, buttons, and errors of the platform."""

    async def test_an_answer_is_shown_in_the_chat_of_its_question(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """An answer appears in the chat, and ``send`` returns its id."""
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        sent = await channel.send(answer_to(inbound, "Hello **you** & all", channel))
        await simulator.wait_until(lambda seen: len(seen.messages) == 1)
        assert sent == simulator.messages[0].id
        assert "you" in simulator.messages[0].text

    async def test_long_answers_fit(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """The platform accepts each part of a long answer in several scripts."""
        await simulator.write(UserMessage("tell me all"))
        (inbound,) = await desk.received()
        text = "# All\n\n" + "Wörter & <Zeichen> 文字。😀 " * 2000 + "\n\n```python\n" + "x = 1\n" * 2000 + "```"
        pieces = await asyncio.to_thread(split_message, text, channel.manifest.capabilities)
        for number, piece in enumerate(pieces):
            message = Outbound(f"k{number}", inbound.conversation, piece.text, inbound.account, plain=piece.plain)
            await channel.send(message)
        await simulator.wait_until(lambda seen: len(seen.messages) == len(pieces))

    async def test_an_answer_grows_by_edits(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """``edit`` changes the message; an unchanged text is no error."""
        if not channel.manifest.capabilities.edits:
            pytest.skip("this platform has no edits")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        sent = await channel.send(answer_to(inbound, "One", channel))
        assert sent
        for text in ("One two", "One two", "One two three"):
            await channel.edit(sent, answer_to(inbound, text, channel))
        plain = ["One", "One two", "One two three"]
        marked = [answer_to(inbound, text, channel).text for text in plain]
        await simulator.wait_until(lambda seen: [shown.versions for shown in seen.messages] in ([plain], [marked]))

    async def test_typing_is_shown(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """The typing indicator appears."""
        if channel.manifest.capabilities.typing is None:
            pytest.skip("this platform has no typing indicator")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        await channel.typing(inbound.conversation)
        await simulator.wait_until(lambda seen: bool(seen.typing))

    async def test_an_operator_is_named(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """The name comes with an operator's message: beside it, or before its text; the typing sign works."""
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        author, outlet = Author("operator", "Anna_Grün (2)"), DeliveryAdapter(channel)
        if outlet.capabilities.typing is not None:
            await outlet.typing(inbound.conversation, author)
            await simulator.wait_until(lambda seen: bool(seen.typing))
        (piece,) = await outlet.split_message("Hello *you*", author)
        message = Outbound("k", inbound.conversation, piece.text, inbound.account, plain=piece.plain, author=author)
        await channel.send(message)
        await simulator.wait_until(lambda seen: len(seen.messages) == 1)
        if not outlet.capabilities.shows_author:
            assert "Anna_Grün (2): Hello" in simulator.texts()[0]

    async def test_an_edit_adds_buttons_and_marks_the_pressed_one(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The last edit adds the buttons; marking the pressed one does not change the text."""
        if not (channel.manifest.capabilities.buttons and channel.manifest.capabilities.edits):
            pytest.skip("this platform has no buttons, or no edits")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        sent = await channel.send(answer_to(inbound, "One", channel))
        assert sent
        for buttons in ((Button("Yes", "rate:1"),), (Button("Yes", "rate:1", chosen=True),)):
            await channel.edit(sent, replace(answer_to(inbound, "One two", channel), buttons=buttons))
            seen = tuple((button.shown_label, button.value) for button in buttons)
            await simulator.wait_until(lambda platform, seen=seen: [one.buttons for one in platform.messages] == [seen])  # type: ignore[misc]
        assert len(simulator.messages[0].versions) == 2 and len(simulator.messages) == 1

    async def test_a_rate_limit_says_how_long_to_wait(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The error has ``retry_after``; the same message is delivered afterwards."""
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        simulator.faults, simulator.retry_after = ["slow_down"], 7
        with pytest.raises(ChannelError) as caught:
            await channel.send(answer_to(inbound, "Hello", channel))
        assert caught.value.retry_after == (7 if simulator.sends_retry_after else None) and not caught.value.permanent
        assert await channel.send(answer_to(inbound, "Hello", channel))

    @pytest.mark.parametrize(("fault", "permanent"), [("gone", True), ("broken", False)])
    async def test_failures_say_whether_to_try_again(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk, fault: Any, permanent: bool
    ) -> None:
        """A blocked desk gets a permanent error; a server error is temporary."""
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        simulator.faults = [fault]
        with pytest.raises(ChannelError) as caught:
            await channel.send(answer_to(inbound, "Hello", channel))
        assert caught.value.permanent is permanent

    async def test_refused_markup_is_sent_as_plain_text(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The text is delivered without markup."""
        if channel.manifest.capabilities.markup not in ("telegram", "mrkdwn"):
            pytest.skip("this platform accepts any markup")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        simulator.faults = ["bad_markup"]
        await channel.send(answer_to(inbound, "Hello **you**", channel))
        assert simulator.texts() == ["Hello you"]


class ChannelConformance(InboundConformance, OutboundConformance):
    """All tests of a channel: its manifest and credentials, inbound, and outbound."""

    def test_the_manifest_needs_no_library_of_the_platform(self) -> None:
        """The manifest can be read without the platform's library."""
        kind = self.channel_class
        code = (
            f"import sys; from {kind.__module__} import {kind.__name__} as c; c.manifest.settings; print(*sys.modules)"
        )
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert not {*kind.manifest.needs, "telegram", "slack_sdk", "nio", "aiohttp", "starlette"} & set(loaded)

    def test_invalid_settings_are_refused(self) -> None:
        """The error names an unknown or missing setting."""
        manifest = self.channel_class.manifest
        with pytest.raises(ConfigError, match="no_such_setting"):
            manifest.read({"no_such_setting": 1})
        for setting in (setting for setting in manifest.settings if setting.required):
            with pytest.raises(ConfigError, match="needs"):
                manifest.read({})
            assert setting.help

    async def test_a_wrong_credential_is_named(self, simulator: Simulator) -> None:
        """``check`` returns the desk's account, or the error names the wrong credential."""
        channel = self.channel_class.create(self.channel_class.manifest.read(simulator.settings()))
        assert await channel.check()
        await channel.aclose()
        secret = next((one.name for one in self.channel_class.manifest.settings if one.secret and one.required), None)
        if secret is None:
            return
        wrong = self.channel_class.create(self.channel_class.manifest.read(simulator.wrong_settings(secret)))
        with pytest.raises((ChannelError, ConfigError), match=f"(?i){secret}"):
            await wrong.check()
        await wrong.aclose()
