"""The Telegram channel with polling and with a webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from telegram.request import HTTPXRequest

from qwendesk.channels.base import Channel
from qwendesk.channels.telegram import channel as telegram_channel
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.channels.telegram.entities import TelegramIdentity
from qwendesk.channels.telegram.parse import parse
from qwendesk.desk.access import PUBLIC_COMMANDS
from qwendesk.desk.commands.chat_commands import ChatCommands
from qwendesk.desk.commands.memory import MemoryCommands
from qwendesk.desk.commands.rating import RatingCommands
from qwendesk.errors import ChannelError
from qwendesk.messages import Outbound
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.telegram import TelegramSimulator

_ME = TelegramIdentity(4242, "desk_bot")
_GROUP = {"message_id": 5, "date": 1, "chat": {"id": -7, "type": "supergroup"}, "from": {"id": 7, "is_bot": False}}


class TestPolling(ChannelConformance):
    channel_class = TelegramChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[TelegramSimulator]:
        async with TelegramSimulator() as simulator:
            yield simulator

    async def test_a_file_that_is_gone_does_not_hold_up_the_others(
        self, simulator: TelegramSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        gone = {"file_id": "gone", "file_unique_id": "gone", "file_size": 9}
        message = {"message_id": 5, "date": 1, "chat": {"id": 7, "type": "private"}, "from": {"id": 7, "is_bot": False}}
        await simulator.deliver_malformed({"message": message | {"document": gone}})
        await simulator.write(UserMessage("next"))
        first, second = await desk.received(2)
        assert first.unsupported_media == "file" and second.text == "next"

    async def test_what_cannot_be_read_is_named_and_never_ignored(
        self, simulator: TelegramSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        message = {"message_id": 5, "date": 1, "chat": {"id": 7, "type": "private"}, "from": {"id": 7, "is_bot": False}}
        await simulator.deliver_malformed({"message": message | {"sticker": {"file_id": "x"}}})
        large = {"file_id": "x", "file_unique_id": "x", "file_size": 10**8}
        await simulator.deliver_malformed({"message": message | {"document": large, "caption": "see"}})
        first, second = await desk.received(2)
        assert first.unsupported_media == "sticker" and (second.unsupported_media, second.text) == ("large file", "see")

    async def test_a_topic_is_a_conversation_of_its_own(
        self, simulator: TelegramSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        chat = {"id": -7, "type": "supergroup", "is_forum": True}
        message = {"message_id": 5, "date": 1, "chat": chat, "from": {"id": 7, "is_bot": False}}
        topic = {"message_thread_id": 33, "is_topic_message": True}
        await simulator.deliver_malformed({"message": message | topic | _marked("/why@desk_bot", "bot_command")})
        await simulator.deliver_malformed({"message": message | _marked("/why@another_bot", "bot_command")})
        await simulator.write(UserMessage("next"))
        first, second = await desk.received(2)
        assert (first.conversation, first.text) == ("-7:33", "/why") and second.text == "next"

    async def test_the_first_messages_make_one_connection(self, simulator: TelegramSimulator) -> None:
        fresh = TelegramChannel.create(TelegramChannel.manifest.read(simulator.settings()))
        await asyncio.gather(*(fresh.typing("7") for _ in range(8)))
        await fresh.aclose()
        assert simulator.requests.count("getme") == 1

    async def test_a_slow_platform_is_waited_for(
        self, simulator: TelegramSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        timeouts = []

        class RecordedRequest(HTTPXRequest):
            def __init__(self, *args: Any, read_timeout: float, **options: Any) -> None:
                timeouts.append(read_timeout)
                super().__init__(*args, read_timeout=read_timeout, **options)

        monkeypatch.setattr("telegram.request.HTTPXRequest", RecordedRequest)
        fresh = TelegramChannel.create(TelegramChannel.manifest.read(simulator.settings()))
        await fresh.check()
        await fresh.aclose()
        assert timeouts and min(timeouts) >= 20

    async def test_an_answer_follows_its_group_to_where_it_has_moved(
        self, simulator: TelegramSimulator, channel: Channel
    ) -> None:
        simulator.moved = {"-7": "-1007"}
        await channel.send(Outbound("k", "-7", "Hello", reply_to="5", plain="Hello"))
        assert [(shown.chat, shown.text) for shown in simulator.messages] == [("-1007", "Hello")]

    async def test_in_a_group_an_answer_grows_slowly(
        self, simulator: TelegramSimulator, channel: Channel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(telegram_channel, "monotonic", lambda: 1000.0)
        for chat, soon in (("-7", True), ("7", False)):
            sent = await channel.send(Outbound("k", chat, "One", plain="One"))
            assert sent
            edit = channel.edit(sent, Outbound("k", chat, "One two", plain="One two"))
            if soon:
                with pytest.raises(ChannelError) as caught:
                    await edit
                assert (
                    caught.value.retry_after == telegram_channel.GROUP_INTERVAL_SECONDS and not caught.value.permanent
                )
            else:
                await edit


@pytest.mark.parametrize(
    ("text", "kind", "heard"),
    [
        ("/weather", "bot_command", None),
        ("/why", "bot_command", "/why"),
        ("/start", "bot_command", "/start"),
        ("/weather@Desk_Bot", "bot_command", "/weather"),
        ("/why@desk_bot2", "bot_command", None),
        ("@desk_bot2 hello", "mention", None),
        ("@Desk_Bot hello", "mention", "hello"),
        ("see https://a.example/@desk_bot", "url", None),
        ("just talk", None, None),
    ],
)
def test_in_a_group_the_desk_hears_what_is_marked_as_its_own(text: str, kind: str | None, heard: str | None) -> None:
    marked = _marked(text, kind) if kind else {"text": text}
    parsed = parse({"update_id": 1, "message": _GROUP | marked}, _ME)
    assert (parsed and parsed.inbound.text) == heard


def test_a_mention_behind_a_picture_sign_is_found() -> None:
    text = "😀😀 what is this @desk_bot"
    mention = {"type": "mention", "offset": len(text.encode("utf-16-le")) // 2 - 9, "length": 9}
    assert parse({"update_id": 1, "message": _GROUP | {"text": text, "entities": [mention]}}, _ME)
    named = {"type": "text_mention", "offset": 0, "length": 2, "user": {"id": 4242}}
    assert parse({"update_id": 1, "message": _GROUP | {"caption": "you there", "caption_entities": [named]}}, _ME)


async def test_a_thumb_in_a_group_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 1000.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    monkeypatch.setattr(telegram_channel, "monotonic", lambda: now)
    monkeypatch.setattr(telegram_channel, "asyncio", SimpleNamespace(sleep=sleep))
    limit = telegram_channel.GroupRateLimit()
    limit.record("-7")
    now += 1.5
    await limit.wait("-7:3")
    assert slept == [telegram_channel.GROUP_INTERVAL_SECONDS - 1.5]
    # the rating was recorded as a message, so the next edit waits for a whole interval
    with pytest.raises(ChannelError) as caught:
        limit.check("-7")
    assert caught.value.retry_after == telegram_channel.GROUP_INTERVAL_SECONDS
    now += telegram_channel.GROUP_INTERVAL_SECONDS
    limit.check("-7")


def test_the_names_of_the_commands_are_those_of_the_desk() -> None:
    commands = ChatCommands(None, None, None)  # type: ignore[arg-type]
    RatingCommands(None, None).register(commands)  # type: ignore[arg-type]
    MemoryCommands(None).register(commands)  # type: ignore[arg-type]
    assert set(commands.names) == set(PUBLIC_COMMANDS)


def _marked(text: str, kind: str) -> dict[str, Any]:
    return {"text": text, "entities": [{"type": kind, "offset": 0, "length": len(text.split()[0])}]}


class TestWebhook(ChannelConformance):
    channel_class = TelegramChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[TelegramSimulator]:
        async with TelegramSimulator(uses_webhook=True) as simulator:
            yield simulator

    async def test_a_call_without_the_secret_is_refused(
        self, simulator: TelegramSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        simulator.webhook_secret = "guessed"
        await simulator.write(UserMessage("let me in"))
        assert simulator.webhook.statuses == [403] and desk.inbox == []
