"""What every channel has to do, as tests that a channel's own tests inherit.

A channel's test module subclasses ``ChannelConformance`` and gives one fixture, ``simulator``: the platform, started.

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
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from qwendesk.channels.base import Channel
from qwendesk.channels.markup.shape import shape
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Admission, Attachment, Button, Inbound, Outbound
from qwendesk.testing.simulators.base import Simulator, UserMessage, serve

SECONDS = 30.0
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
GARBAGE: tuple[Any, ...] = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", {}, {"message": None}, {"message": []}, {"message": {"from": 7}},
    {"message": {"chat": "x", "from": {"id": "y"}, "text": {"a": 1}}}, {"event": {"type": "message", "text": 5}},
    {"type": "event_callback", "event": None}, {"content": 12, "room_id": []},
)  # fmt: skip
"""Deliveries that no platform should make."""


class RecordingDesk:
    """Takes messages as the desk does, and keeps them."""

    def __init__(self) -> None:
        self.inbox: list[Inbound] = []
        self.answer: Callable[[Inbound], Admission] = lambda _: Admission("accepted", 1)
        self._came = asyncio.Event()

    async def accept(self, inbound: Inbound) -> Admission:
        """Keep a message."""
        admission = self.answer(inbound)
        self.inbox.append(inbound)
        self._came.set()
        return admission

    async def received(self, count: int = 1) -> list[Inbound]:
        """Wait for so many messages."""
        await self._until(lambda: len(self.inbox) >= count)
        return self.inbox

    async def received_text(self, text: str) -> None:
        """Wait for a message with this text."""
        await self._until(lambda: any(inbound.text == text for inbound in self.inbox))

    async def _until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not happened():
                self._came.clear()
                await self._came.wait()


class ChannelConformance:
    """The behaviours; each test plays a person on the simulated platform."""

    channel_class: ClassVar[type[Channel]]

    @pytest.fixture
    def desk(self) -> RecordingDesk:
        """Return the other side of the channel."""
        return RecordingDesk()

    @pytest.fixture
    async def channel(self, simulator: Simulator, desk: RecordingDesk) -> AsyncIterator[Channel]:
        """Start the channel; it listens."""
        async with serve_routes(simulator) as routes:
            channel = self.channel_class.create(self.channel_class.manifest.read(simulator.settings()))
            routes.append(Mount(f"/channels/{channel.manifest.name}", routes=list(channel.routes())))
            running = asyncio.create_task(channel.start(desk.accept))
            waiting = asyncio.create_task(simulator.wait_started())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await waiting
            yield channel
            await channel.stop()
            async with asyncio.timeout(SECONDS):
                await running
            await channel.aclose()

    def test_the_manifest_needs_no_library_of_the_platform(self) -> None:
        """Settings and capabilities are known where the platform's library is not installed."""
        kind = self.channel_class
        code = (
            f"import sys; from {kind.__module__} import {kind.__name__} as c; c.manifest.settings; print(*sys.modules)"
        )
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert not {*kind.manifest.needs, "telegram", "slack_sdk", "nio", "aiohttp", "starlette"} & set(loaded)

    def test_settings_that_do_not_hold_are_refused(self) -> None:
        """An unknown setting and a missing one are named."""
        manifest = self.channel_class.manifest
        with pytest.raises(ConfigError, match="no_such_setting"):
            manifest.read({"no_such_setting": 1})
        for setting in (setting for setting in manifest.settings if setting.required):
            with pytest.raises(ConfigError, match="needs"):
                manifest.read({})
            assert setting.help

    async def test_a_message_comes_whole(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """Text, person, conversation, language and the delivery's name are there."""
        await simulator.write(UserMessage("Grüße, 世界 & <b>you</b>", locale="de"))
        (inbound,) = await desk.received()
        assert inbound.text == "Grüße, 世界 & <b>you</b>"
        assert inbound.channel == channel.manifest.name
        assert inbound.person and inbound.conversation and inbound.event and not inbound.group

    async def test_a_repeated_delivery_has_the_same_name(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The desk knows by it that the message is the same; another message has another."""
        await simulator.write(UserMessage("once"))
        await desk.received(1)
        await simulator.repeat()
        await simulator.write(UserMessage("another"))
        await desk.received_text("another")
        events = {inbound.event for inbound in desk.inbox if inbound.text == "once"}
        assert len(events) == 1 and desk.inbox[-1].event not in events

    async def test_what_a_busy_desk_did_not_take_comes_again(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """No message is acknowledged before it is stored."""
        answers = iter([Admission("busy")])
        desk.answer = lambda _: next(answers, Admission("accepted", 1))
        await simulator.write(UserMessage("please"))
        await desk.received(1)
        if simulator.uses_webhook:
            await simulator.repeat()
        taken = await desk.received(2)
        assert [inbound.text for inbound in taken[:2]] == ["please", "please"]

    async def test_what_a_person_edits_is_no_new_question(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """Who mends a typing error is not answered twice, wherever it was written; the next message is taken."""
        if not simulator.users_can_edit:
            pytest.skip("on this platform nobody can change what they wrote")
        kinds: list[dict[str, Any]] = [{}, {"mention": True, "group": True, "chat": "-5005"}]
        for kind in kinds[: 1 + channel.manifest.capabilities.groups]:
            await simulator.write(UserMessage("What is 2+2?", **kind))
            await simulator.edit("What is 3+3?")
            await simulator.repeat()
        await simulator.write(UserMessage("And then?"))
        await desk.received_text("And then?")
        assert {inbound.text for inbound in desk.inbox} == {"What is 2+2?", "And then?"}

    async def test_the_reason_of_a_refusal_is_told(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A stranger is told what to do."""
        desk.answer = lambda _: Admission("refused", text="Your code is AB<12>&CD.")
        await simulator.write(UserMessage("hello"))
        await simulator.wait_until(lambda seen: any("AB" in text for text in seen.texts()))

    async def test_programs_are_not_listened_to(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """Two bots never begin to talk with each other."""
        await simulator.write(UserMessage("I am a bot", bot=True))
        await simulator.write(UserMessage("I am a person"))
        assert [inbound.text for inbound in await desk.received()] == ["I am a person"]

    async def test_in_a_group_the_desk_speaks_when_spoken_to(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A mention is meant for the desk, talk among people is not; its own name is not part of the message."""
        if not channel.manifest.capabilities.groups:
            pytest.skip("on this platform people are alone with the desk")
        group = {"chat": "-5005", "group": True}
        await simulator.write(UserMessage("lunch?", **group))  # type: ignore[arg-type]
        await simulator.write(UserMessage("what is 2+2?", mention=True, **group))  # type: ignore[arg-type]
        (inbound,) = await desk.received()
        assert inbound.text == "what is 2+2?" and inbound.group

    async def test_a_picture_comes_with_its_bytes(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """What a model is to see arrives as it was sent."""
        if not channel.manifest.capabilities.max_file_in:
            pytest.skip("this platform brings no files")
        await simulator.write(UserMessage("what is this?", files=(Attachment("image", "image/png", PIXEL, "a.png"),)))
        (inbound,) = await desk.received()
        assert [(file.kind, file.data) for file in inbound.attachments] == [("image", PIXEL)]
        assert inbound.text == "what is this?"

    async def test_recordings_and_documents_come_as_what_they_are(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The desk is told whether to listen or to read, and a name may hold any sign."""
        if not channel.manifest.capabilities.max_file_in:
            pytest.skip("this platform brings no files")
        sound = Attachment("audio", "audio/ogg", b"OggS" + bytes(40), "voice.ogg")
        paper = Attachment("document", "text/plain", b"A few words.", "a few #1 & 2?.txt")
        for number, file in enumerate((sound, paper), 1):
            await simulator.write(UserMessage("take this", files=(file,)))
            (come,) = (await desk.received(number))[-1].attachments
            assert (come.kind, come.data) == (file.kind, file.data)

    async def test_an_answer_is_shown_where_the_question_was_asked(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """A reply reaches the chat and says what it answers."""
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        sent = await channel.send(answer_to(inbound, "Hello **you** & all", channel))
        await simulator.wait_until(lambda seen: len(seen.messages) == 1)
        assert sent == simulator.messages[0].id
        assert "you" in simulator.messages[0].text

    async def test_long_answers_fit(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """Every piece of a long answer in many scripts is taken by the platform."""
        await simulator.write(UserMessage("tell me all"))
        (inbound,) = await desk.received()
        text = "# All\n\n" + "Wörter & <Zeichen> 文字。😀 " * 2000 + "\n\n```python\n" + "x = 1\n" * 2000 + "```"
        pieces = await asyncio.to_thread(shape, text, channel.manifest.capabilities)
        for number, piece in enumerate(pieces):
            message = Outbound(f"k{number}", inbound.conversation, piece.text, inbound.account, plain=piece.plain)
            await channel.send(message)
        await simulator.wait_until(lambda seen: len(seen.messages) == len(pieces))

    async def test_an_answer_grows_by_edits(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """A message is changed in place; the same text again is no error."""
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

    async def test_a_typing_sign_is_seen(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """The person sees at once that somebody is there."""
        if channel.manifest.capabilities.typing is None:
            pytest.skip("this platform has no typing sign")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        await channel.typing(inbound.conversation)
        await simulator.wait_until(lambda seen: bool(seen.typing))

    async def test_buttons_come_back_as_messages(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """Pressing a button says its value."""
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

    async def test_buttons_are_put_under_an_answer_that_grew_and_show_which_was_pressed(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The last edit brings the buttons; the text is not sent again for a mark on one of them."""
        if not (channel.manifest.capabilities.buttons and channel.manifest.capabilities.edits):
            pytest.skip("this platform has no buttons, or no edits")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        sent = await channel.send(answer_to(inbound, "One", channel))
        assert sent
        for buttons in ((Button("Yes", "rate:1"),), (Button("Yes", "rate:1", chosen=True),)):
            await channel.edit(sent, replace(answer_to(inbound, "One two", channel), buttons=buttons))
            seen = tuple((button.face, button.value) for button in buttons)
            await simulator.wait_until(lambda platform, seen=seen: [one.buttons for one in platform.messages] == [seen])  # type: ignore[misc]
        assert len(simulator.messages[0].versions) == 2 and len(simulator.messages) == 1

    async def test_a_platform_that_asks_to_wait_is_obeyed(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The desk learns how long; the same message goes through afterwards."""
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
        """A person who has blocked the desk is let go; a broken platform is tried again."""
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        simulator.faults = [fault]
        with pytest.raises(ChannelError) as caught:
            await channel.send(answer_to(inbound, "Hello", channel))
        assert caught.value.permanent is permanent

    async def test_markup_that_is_refused_is_sent_without(
        self, simulator: Simulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        """The person reads the text, if not in bold."""
        if channel.manifest.capabilities.markup not in ("telegram", "mrkdwn"):
            pytest.skip("this platform refuses no markup")
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        simulator.faults = ["bad_markup"]
        await channel.send(answer_to(inbound, "Hello **you**", channel))
        assert simulator.texts() == ["Hello you"]

    async def test_garbage_does_no_harm(self, simulator: Simulator, channel: Channel, desk: RecordingDesk) -> None:
        """After deliveries of nonsense the next message is taken."""
        for payload in GARBAGE:
            with suppress(ConnectionError):
                await simulator.deliver_malformed(payload)
        await simulator.write(UserMessage("still there?"))
        await desk.received_text("still there?")

    async def test_a_wrong_credential_is_named(self, simulator: Simulator) -> None:
        """``check`` says who the desk is, or what to do."""
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


def answer_to(inbound: Inbound, text: str, channel: Channel) -> Outbound:
    """Return an answer to a message in the channel's markup."""
    (piece,) = shape(text, channel.manifest.capabilities)
    return Outbound("k1", inbound.conversation, piece.text, inbound.account, inbound.reply_to, plain=piece.plain)


@asynccontextmanager
async def serve_routes(simulator: Simulator) -> AsyncIterator[list[Any]]:
    """Serve the desk's side of a platform that calls it; gives the list that its routes go into."""
    app = Starlette()
    async with serve(app) as url:
        simulator.desk_url = url
        yield app.router.routes
