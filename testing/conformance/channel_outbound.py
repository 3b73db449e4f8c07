"""Conformance kit of channels, second half: messages of the desk to people."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.markup.shape import shape
from qwendesk.errors import ChannelError
from qwendesk.messages import Button, Outbound
from qwendesk.testing.conformance.channel_fixtures import ChannelFixtures, RecordingDesk, answer_to
from qwendesk.testing.simulators.base import Simulator, UserMessage


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
        pieces = await asyncio.to_thread(shape, text, channel.manifest.capabilities)
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
            seen = tuple((button.face, button.value) for button in buttons)
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
