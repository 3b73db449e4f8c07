"""The Telegram channel with independent servers: the project's simulator may share the channel's mistakes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Desk, Settings
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.messages import Button, Outbound
from qwendesk.service import Service
from qwendesk.testing.conformance.channel_fixtures import PIXEL
from tests.channels import telegram_test_api, telemelya
from tests.channels.telegram_test_api import TelegramTestApi, running_telegram_test_api
from tests.channels.telemelya import Telemelya, door, running_telemelya
from tests.ports import free_port

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]
ANSWER = "One two three four five six seven eight nine ten."


@dataclass
class Parts:
    """A running desk with its channel and engine, and the server with a webhook."""

    channel: TelegramChannel
    engine: ScriptedEngine
    telegram: Telemelya


@dataclass
class Polled:
    """The same with the polling server."""

    channel: TelegramChannel
    engine: ScriptedEngine
    telegram: TelegramTestApi


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("telemelya")


@pytest.fixture
async def parts(folder: Path, tmp_path: Path) -> AsyncIterator[Parts]:
    port = free_port()
    called = door(lambda: f"http://127.0.0.1:{port}", lambda: channel.webhook_secret)
    async with running_telemelya(folder) as telegram, called as url:
        values = {"token": telemelya.TOKEN, "base_url": telegram.url, "webhook_url": url}
        async with served(values, tmp_path, port) as (channel, engine):
            await telegram.registered()
            yield Parts(channel, engine, telegram)


@pytest.fixture
async def polled(tmp_path: Path) -> AsyncIterator[Polled]:
    async with running_telegram_test_api() as telegram:
        values = {"token": telegram_test_api.TOKEN, "base_url": telegram.url, "poll_seconds": 1}
        async with served(values, tmp_path, free_port()) as (channel, engine):
            yield Polled(channel, engine, telegram)


@asynccontextmanager
async def served(
    values: dict[str, Any], home: Path, port: int
) -> AsyncIterator[tuple[TelegramChannel, ScriptedEngine]]:
    engine = ScriptedEngine([ANSWER] * 5, delay=0.3)
    channel = TelegramChannel.create(TelegramChannel.manifest.read(values))
    where = {"home": home, "engine": "scripted", "port": port, "shutdown_timeout": 5}
    settings = Settings(**where, channels={"telegram": values | {"access": "open", "machine_notice": False}})
    desk = Desk(settings, engines={"scripted": engine})
    async with Service(settings, channels={"telegram": channel}, desk=desk):
        yield channel, engine


async def test_an_answer_is_sent_and_grows_by_edits(parts: Parts) -> None:
    await parts.telegram.say("Count, please")
    calls = await parts.telegram.until(lambda seen: bool(seen) and seen[-1]["text"] == ANSWER)
    assert calls[0]["method"] == "sendMessage" and calls[0]["raw"]["chat_id"] == telemelya.CHAT
    edits = calls[1:]
    assert edits and {(call["method"], call["message_id"]) for call in edits} == {
        ("editMessageText", calls[0]["message_id"])
    }
    assert all(ANSWER.startswith(call["text"]) for call in calls)


async def test_a_button_is_shown_and_its_press_is_answered(parts: Parts) -> None:
    buttons = (Button("Yes", "yes"), Button("No", "no"))
    sent = await parts.channel.send(Outbound("k", str(telemelya.CHAT), "Good?", buttons=buttons, plain="Good?"))
    (asked,) = await parts.telegram.calls()
    shown = asked["reply_markup"]["inline_keyboard"]
    assert [(one["text"], one["callback_data"]) for row in shown for one in row] == [("Yes", "yes"), ("No", "no")]
    await parts.telegram.say("", callback_data="yes", callback_message_id=int(sent or 0))
    calls = await parts.telegram.until(lambda seen: seen[-1].get("text") == ANSWER)
    assert "answerCallbackQuery" in {call["method"] for call in calls}
    assert _asked(parts) == "yes"


async def test_a_picture_reaches_the_model_as_it_was_sent(parts: Parts) -> None:
    await parts.telegram.show(PIXEL, "What is this?")
    await parts.telegram.until(lambda seen: bool(seen) and seen[-1]["text"] == ANSWER)
    name, messages, _ = parts.engine.calls[0]
    asked = str(messages[-1].content)
    assert name == "scripted-vision" and "What is this?" in asked and base64.b64encode(PIXEL).decode() in asked


def _asked(parts: Parts | Polled) -> str:
    return str(parts.engine.calls[0][1][-1].content)


async def test_a_bot_that_polls_answers_each_message_once(polled: Polled) -> None:
    for question in ("Count, please", "And again"):
        await polled.telegram.say(question)
    seen = await polled.telegram.until(lambda shown: [one["text"] for one in shown] == [ANSWER, ANSWER])
    assert {one["chat_id"] for one in seen} == {str(telegram_test_api.CHAT)}
    assert [str(call[1][-1].content) for call in polled.engine.calls] == ["Count, please", "And again"]


async def test_a_bot_that_polls_hears_of_a_button(polled: Polled) -> None:
    button = (Button("Yes", "yes"),)
    sent = await polled.channel.send(Outbound("k", str(telegram_test_api.CHAT), "Good?", buttons=button, plain="Good?"))
    (shown,) = await polled.telegram.shown()
    assert shown["reply_markup"]["inline_keyboard"] == [[{"text": "Yes", "callback_data": "yes"}]]
    await polled.telegram.press("yes", sent or "")
    await polled.telegram.until(lambda shown: shown[-1]["text"] == ANSWER)
    assert _asked(polled) == "yes"
