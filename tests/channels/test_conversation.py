"""Ratings and chat commands on each channel, with a whole desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Desk, Settings
from qwendesk.channel_wiring import make_channel
from qwendesk.channels.matrix.parse import MatrixIdentity, parse
from qwendesk.engines.scripted import SCRIPTED_MODELS, ScriptedEngine
from qwendesk.errors import ConfigError
from qwendesk.models.card import ModelCard
from qwendesk.plugins import load
from qwendesk.service import Service
from qwendesk.testing.scenario import play, read_script
from qwendesk.testing.simulators.base import Simulator, UserMessage, simulator_for
from tests.databases import put_migrated
from tests.ports import free_port

pytestmark = pytest.mark.slow

CARDS = (*SCRIPTED_MODELS, ModelCard(name="scripted-large", roles=("thinking",), parameters=70, thinking="hybrid"))
CHANNELS = ["telegram", "slack", "web"]
ASKED: list[str] = []
"""What the model has been asked."""


@asynccontextmanager
async def playing(name: str, home: Path, **channel: Any) -> AsyncIterator[Simulator]:
    """Run a desk with one simulated platform."""
    port = free_port()
    kind = load("channels", name)
    async with simulator_for(kind) as simulator:
        simulator.desk_url = f"http://127.0.0.1:{port}"
        values = simulator.settings()
        own = {name: {**values, "access": "open", **channel}}
        settings = Settings(home=home, engine="scripted", port=port, shutdown_timeout=5, channels=own)
        put_migrated(settings.data_dir / "qwendesk.db")
        desk = Desk(settings, engines={"scripted": ScriptedEngine(slow, cards=CARDS)})
        async with Service(settings, channels={name: make_channel(kind, values, settings)}, desk=desk):
            await simulator.wait_started()
            yield simulator


async def slow(messages: Any) -> str:
    text = messages[-1].text
    ASKED.append(text)
    if "slowly" in text:
        await asyncio.sleep(60)
    return f"You said: {text}"


async def played(simulator: Simulator, script: str) -> None:
    steps = read_script(script, "the script")
    for step in steps:
        if step.expect:
            step.expect.seconds = 60
    failures = await play(steps, simulator, lambda who, what: None)
    assert failures == []


async def nothing_to_stop(simulator: Simulator) -> None:
    """Write "/stop" until it is answered: one that arrives while the previous message ends stops that one silently."""

    def told(seen: Simulator) -> bool:
        return any("nothing to stop" in text for text in seen.texts())

    async with asyncio.timeout(60):
        while not told(simulator):
            await simulator.write(UserMessage("/stop"))
            with suppress(TimeoutError):
                await simulator.wait_until(told, 10)


@pytest.mark.parametrize("name", CHANNELS)
async def test_an_answer_is_rated_and_tried_again_by_its_buttons(name: str, tmp_path: Path) -> None:
    async with playing(name, tmp_path) as simulator:
        await played(
            simulator,
            """
- write: {text: "Hello there"}
- expect: {messages: 1, button: "👎"}
- press: {button: "👍"}
- expect: {messages: 1, button: "👍 ✓"}
- repeat: true
- press: {button: "👎"}
- expect: {messages: 2, button: "👎 ✓"}
- press: {button: "👍"}
- expect: {messages: 2, button: "👍 ✓"}
""",
        )
        assert [shown.text.count("Hello there") for shown in simulator.messages] == [1, 1]


@pytest.mark.parametrize("name", CHANNELS)
async def test_every_command_is_answered(name: str, tmp_path: Path) -> None:
    ASKED.clear()
    async with playing(name, tmp_path, feedback_buttons=False, models=["scripted-math"]) as simulator:
        await played(
            simulator,
            """
- write: {text: "/why"}
- expect: {contains: "no answer in this conversation yet"}
- write: {text: "Hello there"}
- expect: {contains: "You said: Hello there"}
- write: {text: "/why"}
- expect: {contains: "Answered by: general"}
- write: {text: "/model QWEN-Coder"}
- expect: {contains: "specialist: coder; model: auto"}
- write: {text: "/model no-such-model"}
- expect: {contains: "auto, scripted-math"}
- write: {text: "/model scripted-math"}
- expect: {contains: "model: scripted-math"}
- write: {text: "/model AUTO"}
- expect: {contains: "specialist: auto; model: auto"}
- write: {text: "/retry"}
- expect: {messages: 8}
- write: {text: "/bad too short"}
- expect: {messages: 9, contains: "/model"}
- write: {text: "/good"}
- expect: {messages: 10, contains: "Noted, thank you."}
- write: {text: "/new"}
- expect: {contains: "We begin anew."}
- write: {text: "/help"}
- expect: {contains: "/retry"}
""",
        )
        await nothing_to_stop(simulator)
        await simulator.write(UserMessage("Answer slowly"))
        async with asyncio.timeout(30):
            while not any("slowly" in text for text in ASKED):  # noqa: ASYNC110 - the model tells nobody
                await asyncio.sleep(0.02)
        await played(
            simulator,
            """
- write: {text: "/stop"}
- expect: {contains: "(stopped)"}
""",
        )
        assert not any(shown.buttons for shown in simulator.messages)


async def test_a_channel_s_own_wish_about_buttons_has_to_be_yes_or_no(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="feedback_buttons"):
        async with playing("telegram", tmp_path, feedback_buttons="perhaps"):
            pass


def test_a_script_says_that_there_is_no_such_button() -> None:
    step = read_script("- press: {button: x}", "s")[0]
    assert step.press and step.press.button == "x"


@pytest.mark.parametrize(
    ("key", "target", "sender", "text"),
    [
        ("👍", "$own", "@ann:x", "rate:1:$own"),
        ("👎\ufe0f", "$own", "@ann:x", "rate:-1:$own"),
        ("👍🏽", "$own", "@ann:x", "rate:1:$own"),
        ("🎉", "$own", "@ann:x", None),
        ("👍", "$somebody-else-s", "@ann:x", None),
        ("👍", "$own", "@desk:x", None),
    ],
)
def test_a_reaction_on_matrix_is_a_thumb(key: str, target: str, sender: str, text: str | None) -> None:
    relation = {"rel_type": "m.annotation", "event_id": target, "key": key}
    event = {"type": "m.reaction", "sender": sender, "event_id": "$r", "content": {"m.relates_to": relation}}
    parsed = parse(event, "!room", 3, {"$own": "!room|$root"}, MatrixIdentity("@desk:x", "desk"))
    assert (parsed.inbound.text if parsed else None) == text
    if parsed:
        inbound = parsed.inbound
        assert (inbound.conversation, inbound.person, inbound.event, inbound.group) == (
            "!room|$root",
            "@ann:x",
            "$r",
            True,
        )


@pytest.mark.parametrize(
    "event", [{"content": {}}, {"content": {"m.relates_to": None}}, {"content": {"m.relates_to": {"event_id": []}}}]
)
def test_a_broken_reaction_does_no_harm(event: Any) -> None:
    assert (
        parse(
            {"type": "m.reaction", "sender": "@a:x", "event_id": "$r", **event},
            "!r",
            2,
            {},
            MatrixIdentity("@d:x", "d"),
        )
        is None
    )
