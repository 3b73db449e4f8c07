"""A conversation's first answer says that a machine answers; the web chat has a label."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from qwendesk.channel_wiring import make_channels
from qwendesk.channels.base import ShownMessage
from qwendesk.channels.web.channel import WebChannel
from qwendesk.channels.web.pages import ChatPage
from qwendesk.desk.inbox.repository import conversation_key
from qwendesk.desk.translations import MachineNotices, languages, say
from qwendesk.errors import ConfigError
from qwendesk.service import Service
from qwendesk.settings import Settings, load_settings
from tests.desk.parts import Abilities, TestOutlet, running

LINE = say("machine_notice", "en")
BUILT_IN = MachineNotices({"test": True})


async def test_the_first_answer_alone_says_it(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: "An answer.", notices=BUILT_IN) as desk:
        for number in range(3):
            await desk.say(f"What is this, number {number}?")
            await desk.settle()
        await desk.say("Hello there, who are you?", "c2", person="bob")
        await desk.settle()
        assert desk.outlet.texts == [f"{LINE}\n\nAn answer.", "An answer.", "An answer.", f"{LINE}\n\nAn answer."]
        # what is kept of the conversation, and shown to models, is the answer alone
        history = await desk.desk.memory.history.messages(conversation_key("", "c1"), channel="test")
        assert history and all(LINE not in message.text for message in history)


async def test_a_command_that_comes_first_says_it(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: "An answer.", notices=BUILT_IN) as desk:
        for text in ("/help", "What is this?", "/new", "What is this now?"):
            await desk.say(text)
            await desk.settle()
        assert desk.outlet.texts[0].startswith(f"{LINE}\n\n")
        assert sum(LINE in text for text in desk.outlet.texts) == 1


async def test_a_restart_says_it_no_more(tmp_path: Path) -> None:
    for number in range(2):
        async with running(tmp_path, lambda messages: "An answer.", notices=BUILT_IN) as desk:
            await desk.say(f"What is this, number {number}?")
            await desk.settle()
            assert (LINE in desk.outlet.texts[0]) is (number == 0)


async def test_it_is_there_while_the_answer_is_written(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow(messages: object) -> str:
        await go_on.wait()
        return "An answer."

    outlet = TestOutlet(Abilities(edits=True))
    async with running(tmp_path, slow, outlet=outlet, notices=BUILT_IN) as desk:
        await desk.say("What is this?")
        async with asyncio.timeout(60):
            while not outlet.sent:  # noqa: ASYNC110 - the placeholder of a platform without a typing sign
                await asyncio.sleep(0.05)
        assert outlet.texts[0].startswith(f"{LINE}\n\n")
        go_on.set()
        await desk.settle()
        assert outlet.edited[-1][1] == f"{LINE}\n\nAn answer."


async def _no_messages(conversation: str) -> list[ShownMessage]:
    return []


@pytest.mark.parametrize("language", languages())
async def test_it_is_said_in_the_persons_language(language: str) -> None:
    line = BUILT_IN.first_line("test", {}, language)
    assert line == say("machine_notice", language) and (language == "en" or line != LINE)
    assert say("web_machine", language) in ChatPage("Chat", "", "#000000").render(language)


@pytest.mark.parametrize(("given", "said"), [("A robot of ours answers.", "A robot of ours answers."), (False, "")])
async def test_it_can_be_changed_and_left_out_on_purpose(given: str | bool, said: str) -> None:
    assert MachineNotices({"test": given}).first_line("test", {}, "de") == said
    channel = WebChannel.create(WebChannel.manifest.read({}))
    channel.attach(_no_messages, None, "all", given)
    app = httpx.ASGITransport(Starlette(routes=list(channel.routes())))
    async with httpx.AsyncClient(transport=app, base_url="http://desk.example") as client:
        page = (await client.get("/", headers={"Accept-Language": "de"})).text
    assert say("web_machine", "de") not in page
    assert ('id="machine" dir="auto" hidden>' in page) is (not said)


@pytest.mark.parametrize("empty", ["", "  "])
def test_it_is_not_left_out_by_accident(empty: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, channels={"web": {"access": "open", "machine_notice": empty}})
    service = Service(settings, channels=make_channels(settings))
    with pytest.raises(ConfigError, match=r"machine_notice.*\[channels\.web\].*false"):
        asyncio.run(service.__aenter__())
    monkeypatch.setenv("QWENDESK_MACHINE_NOTICE", empty or " ")
    with pytest.raises(ConfigError, match=r"(?i)machine_notice.*false"):
        load_settings()


@pytest.mark.parametrize(("value", "read"), [("false", False), ("true", True), ("Ein Automat.", "Ein Automat.")])
def test_variables_are_read(value: str, read: str | bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_MACHINE_NOTICE", value)
    assert load_settings().machine_notice == read
