"""Nothing of a person who was forgotten stays in the process, its database or its files."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from qwendesk import Desk, Settings
from qwendesk.channel_wiring import make_channels
from qwendesk.desk.turns.background import BackgroundJobs, FinishedTurn
from qwendesk.engines.llamacpp.server import SLOTS, LlamaServer
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.errors import ToolError
from qwendesk.memory.audit import ErasureWatch
from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound
from qwendesk.service import Service
from qwendesk.settings import STARTER_MODEL, GuardSettings
from qwendesk.text_caches import Forgotten, TextCaches
from qwendesk.tools.clock import find_zones
from qwendesk.wiring import build_pool
from tests.ports import free_port

# torch, where it is loaded, warns of a name that the search for words touches
pytestmark = pytest.mark.filterwarnings("ignore:`torch.distributed.reduce_op` is deprecated:FutureWarning")

LEFT, RIGHT = "quokka", "zwanzig"
"""Two halves of a word: the test itself never holds it for long."""
LIMIT = 60.0


def _referred() -> Iterator[str | bytes]:
    """Yield every text and all bytes that an object of this process refers to."""
    gc.collect()
    for holder in gc.get_objects():
        waiting = gc.get_referents(holder)
        while waiting:
            held = waiting.pop()
            if isinstance(held, str | bytes | bytearray):
                yield held if isinstance(held, str) else bytes(held)
            elif isinstance(held, tuple | dict) and not gc.is_tracked(held):
                # one that holds plain values alone is not among the collector's objects
                waiting += gc.get_referents(held)


def held_in_memory(left: str = LEFT, right: str = RIGHT) -> list[str | bytes]:
    word = left + right
    data = word.encode()
    found = (held for held in _referred() if (word in held if isinstance(held, str) else data in held))
    return [held for held in found if len(held) > len(word)]


def held_in_files(folder: Path) -> list[str]:
    data = (LEFT + RIGHT).encode()
    return [str(file) for file in folder.rglob("*") if file.is_file() and data in file.read_bytes()]


class Page:
    """An open page of the web chat, which keeps nothing of what it is shown."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    async def say(self, text: str, *files: dict[str, str]) -> None:
        self._number += 1
        await self._socket.send(
            json.dumps({"type": "message", "id": f"m{self._number}", "text": text, "files": list(files)})
        )

    async def hear(self, kind: str, what: str = "") -> None:
        async with asyncio.timeout(LIMIT):
            while True:
                frame: dict[str, Any] = json.loads(await self._socket.recv())
                # an answer that grows is shown first and edited then
                came = "shown" if frame["type"] == "edited" else frame["type"]
                if came == kind and what in json.dumps(frame):
                    return

    async def shown(self) -> list[str]:
        """Return the texts that are shown until the page is welcome."""
        texts = []
        async with asyncio.timeout(LIMIT):
            while True:
                frame = json.loads(await self._socket.recv())
                if frame["type"] == "welcome":
                    return texts
                texts.append(frame.get("text", ""))


@asynccontextmanager
async def page(port: int, visitor: str) -> AsyncIterator[Page]:
    async with connect(f"ws://127.0.0.1:{port}/channels/web/socket", max_size=None) as socket:
        await socket.send(json.dumps({"type": "hello", "session": visitor * 40, "seen": 0}))
        yield Page(socket)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not is_so():  # noqa: ASYNC110 - the rest of an answer's work tells nobody when it is done
            await asyncio.sleep(0.05)


@asynccontextmanager
async def served(home: Path) -> AsyncIterator[tuple[Service, Memory]]:
    settings = Settings(
        home=home,
        engine="scripted",
        guards=GuardSettings(leaks=False),  # the engine repeats its prompt
        embedder="none",
        port=free_port(),
        channels={"web": {"access": "open"}},
    )
    desk = Desk(settings, engines={"scripted": ScriptedEngine()})
    async with Service(settings, channels=make_channels(settings), desk=desk) as service:
        yield service, desk.memory


def test_no_place_stays_that_was_looked_up() -> None:
    with suppress(ToolError):
        find_zones(f"{LEFT}{RIGHT} upon tyne")
    assert held_in_memory() == []


@pytest.mark.slow
async def test_nothing_of_a_visitor_stays(own_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "qwendesk")
    async with served(own_home) as (service, memory):
        port = service.settings.port
        async with page(port, "o") as other, page(port, "s") as visitor:
            await other.say("I am another visitor.")
            await other.hear("shown", "another visitor")
            notes = base64.b64encode(f"The word is {LEFT + RIGHT}.".encode()).decode()
            await visitor.say(
                f"Read this, {LEFT + RIGHT}", {"name": f"{LEFT + RIGHT}.txt", "mime": "text/plain", "data": notes}
            )
            await visitor.hear("shown", "Read this")
            await visitor.say(f"/remember word: {LEFT + RIGHT}")
            await visitor.hear("shown", "word")
            await visitor.say(f"What was my word, {LEFT + RIGHT}?")
            await visitor.hear("shown", "What was my word")
            assert held_in_memory() and held_in_files(own_home)
            await visitor.say("/forget me yes")
            await visitor.hear("forgotten")
            await visitor.hear("shown", "forgot")
            await until(lambda: not held_in_files(own_home))
            await until(lambda: not held_in_memory())
            # pages that open now are shown nothing of it, and others have lost nothing
            async with page(port, "s") as again, page(port, "o") as second:
                assert not any("word" in text for text in await again.shown())
                assert any("another visitor" in text for text in await second.shown())
        assert (LEFT + RIGHT) not in caplog.text


async def test_another_process_that_forgets_is_noticed(own_home: Path) -> None:
    async with served(own_home) as (service, memory):
        watch = ErasureWatch(memory.scope, memory.text_caches)
        await watch.poll()
        async with page(service.settings.port, "s") as visitor:
            await visitor.say(f"My word is {LEFT + RIGHT}")
            await visitor.hear("shown", LEFT)
            # as "qwendesk memory forget" does it, while the desk is served
            elsewhere = Memory(service.settings.database)
            await elsewhere.open()
            for person in await elsewhere.people.listed():
                await elsewhere.people.forget(person.id)
            await elsewhere.aclose()
            await watch.poll()
            await visitor.hear("forgotten")
        async with page(service.settings.port, "s") as again:
            assert await again.shown() == []
        await until(lambda: not held_in_memory())


async def test_what_this_process_forgets_itself_is_no_news() -> None:
    held = TextCaches()
    held.note("1")
    assert [held.is_new("1"), held.is_new("2")] == [False, True]


async def test_a_holder_that_fails_keeps_the_others_from_nothing(caplog: pytest.LogCaptureFixture) -> None:
    held, dropped = TextCaches(), []

    async def fails(_: Forgotten) -> None:
        raise OSError(LEFT)

    async def drops(forgotten: Forgotten) -> None:
        dropped.append(forgotten.names_on("web"))

    held.register("first", fails)
    held.register("second", drops)
    await held.drop(Forgotten(frozenset({("web", "ann"), ("irc", "bob")})))
    assert dropped == [["ann"]] and "first" in caplog.text and LEFT not in caplog.text


async def test_work_that_waits_for_a_pause_is_left_out() -> None:
    begun, done = asyncio.Event(), []

    async def job(over: FinishedTurn) -> None:
        begun.set()
        await asyncio.sleep(LIMIT if over.inbound.person == "ann" else 0)
        done.append(over.inbound.person)

    background = BackgroundJobs([job], idle_seconds=0, yields_to_turns=False)
    for person, conversation in (("ann", "1"), ("ann", "2"), ("bob", "3")):
        background.schedule(FinishedTurn(Inbound("hello", conversation, person=person, channel="web"), None, 1, 1))
    await begun.wait()
    await background.drop(Forgotten(frozenset({("web", "ann")})))
    await background.wait()
    assert done == ["bob"]


@pytest.mark.model
async def test_slots_of_the_embedded_server_are_erased() -> None:
    pool = build_pool(Settings())
    await pool.choose("coder")  # fetches the starter where it is not there
    await pool.aclose()
    (file,) = (Settings().store_dir / STARTER_MODEL).glob("*.gguf")
    server = await LlamaServer.start(file, context=1024, threads=1)
    try:
        tokens = await server.tokenize("My word is a long and secret one that nobody may know.", special=False)

        async def reused() -> int:
            body = {"prompt": tokens, "n_predict": 1, "cache_prompt": True}
            pieces = [piece async for piece in server.complete(body)]
            return int(pieces[-1]["timings"]["cache_n"])

        assert not await reused() and await reused()
        await server.forget_prompts()
        assert not await reused()
    finally:
        await server.aclose()
    assert SLOTS > 1
