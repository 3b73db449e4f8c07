"""The Slack channel with Socket Mode and with HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

import qwendesk.channels.slack
from qwendesk.channels.base import Channel
from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.channels.slack.parse import SlackIdentity, to_plain_text
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Outbound
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.slack import SlackSimulator


class TestSocketMode(ChannelConformance):
    channel_class = SlackChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[SlackSimulator]:
        async with SlackSimulator() as simulator:
            yield simulator

    async def test_the_slash_command_asks(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.command("what is 2+2?")
        (inbound,) = await desk.received()
        assert inbound.text == "what is 2+2?" and inbound.conversation == "D1001"

    async def test_an_answer_in_a_channel_goes_into_the_thread_of_its_question(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        from qwendesk.testing.conformance.channel_fixtures import answer_to

        stamp = await simulator.write(UserMessage("hello", chat="5", group=True, mention=True))
        (inbound,) = await desk.received()
        await channel.send(answer_to(inbound, "Hi", channel))
        assert inbound.conversation == f"C5:{stamp}" and simulator.messages[0].reply_to == stamp

    async def test_a_mention_that_comes_as_a_message_too_is_taken_once(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        event = {"channel": "C5", "channel_type": "channel", "text": "<@UBOT> hi", "ts": "1.1", "user": "U7"}
        for kind in ("message", "app_mention"):
            await simulator.deliver_malformed({"type": "event_callback", "event": event | {"type": kind}})
        await simulator.write(UserMessage("next"))
        await desk.received_text("next")
        assert [inbound.text for inbound in desk.inbox] == ["hi", "next"]

    @pytest.mark.parametrize(
        ("said", "heard"),
        [
            ("stop", "/stop"),
            ("Why", "/Why"),
            ("", "/help"),
            ("/stop", "/stop"),
            ("model qwen-coder", "/model qwen-coder"),
            ("good morning", "good morning"),
            ("stop the press", "stop the press"),
        ],
    )
    async def test_a_command_after_the_slash_command_is_known_for_one(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk, said: str, heard: str
    ) -> None:
        await simulator.command(said)
        assert [inbound.text for inbound in await desk.received()] == [heard]

    async def test_a_command_in_a_channel_is_about_the_person_s_last_thread(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        stamp = await simulator.write(UserMessage("hello", chat="5", group=True, mention=True))
        await desk.received()
        await simulator.command("stop", channel="C5")
        await simulator.command("what is new?", channel="C5")
        await simulator.command("stop", person="1002", channel="C5")
        places = [inbound.conversation for inbound in await desk.received(4)]
        assert places == [f"C5:{stamp}", f"C5:{stamp}", "C5", "C5"]

    async def test_where_the_app_is_no_member_the_answer_reaches_who_asked(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        simulator.closed = {"C9"}
        await simulator.command("what is 2+2?", channel="C9")
        (inbound,) = await desk.received()
        sent = await channel.send(Outbound("k1", "C9", "Four,", reply_to=inbound.reply_to, plain="Four,"))
        await channel.send(Outbound("k2", "C9", "of course.", plain="of course."))
        assert [(shown.chat, shown.text) for shown in simulator.messages] == [("C9", "Four,"), ("C9", "of course.")]
        with pytest.raises(ChannelError) as caught:
            await channel.edit(str(sent), Outbound("k1", "C9", "Five", plain="Five"))
        assert caught.value.permanent

    async def test_an_answer_goes_to_no_address_that_is_not_slack_s(
        self, simulator: SlackSimulator, channel: Channel
    ) -> None:
        simulator.closed = {"C9"}
        with pytest.raises(ChannelError, match="Invite"):
            await channel.send(Outbound("k", "C9", "x", reply_to="https://hooks.evil.example/x", plain="x"))

    async def test_the_first_messages_make_one_connection(self, simulator: SlackSimulator) -> None:
        fresh = SlackChannel.create(SlackChannel.manifest.read(simulator.settings()))
        await asyncio.gather(*(fresh.check() for _ in range(8)))
        await fresh.aclose()
        assert simulator.requests.count("auth.test") == 1 + 8


class TestHttp(ChannelConformance):
    channel_class = SlackChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[SlackSimulator]:
        async with SlackSimulator(uses_webhook=True) as simulator:
            yield simulator

    async def test_slack_may_ask_whether_the_address_is_ours(self, simulator: SlackSimulator, channel: Channel) -> None:
        body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
        assert await simulator.call(body, "application/json") == 200

    async def test_a_forged_and_an_old_call_are_refused(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        body = json.dumps({"type": "event_callback", "event": {}}).encode()
        assert await simulator.call(body, "application/json", secret="guessed") == 401
        assert await simulator.call(body, "application/json", now=1_000_000) == 401
        assert desk.inbox == []


def test_a_text_is_read_as_it_was_typed() -> None:
    written = "<@UBOT> see <https://a.b/?x=1&amp;y=2|docs>, <@U9|anna>, <#C1|help> &amp; 1 &lt; 2 <!here>"
    assert (
        to_plain_text(written, SlackIdentity("T1", "UBOT"))
        == "see docs (https://a.b/?x=1&y=2), @anna, #help & 1 < 2 here"
    )


def test_one_of_the_two_ways_has_to_be_set_up() -> None:
    with pytest.raises(ConfigError, match="SLACK__APP_TOKEN"):
        SlackChannel.create(SlackChannel.manifest.read({"bot_token": "x"}))


def test_the_app_s_manifest_asks_for_what_the_channel_uses() -> None:
    manifest = yaml.safe_load((Path(qwendesk.channels.slack.__file__).parent / "app_manifest.yaml").read_text("utf-8"))
    assert {"chat:write", "files:read"} <= set(manifest["oauth_config"]["scopes"]["bot"])
    events = ["app_mention", "message.channels", "message.groups", "message.im"]
    assert manifest["settings"]["event_subscriptions"]["bot_events"] == events
