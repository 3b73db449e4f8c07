"""The web chat over processes that share a real PostgreSQL: visitors at one, answers given by others."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from qwendesk.channels.base import ShownMessage
from qwendesk.channels.relay import FrameAssembler, Relay, split_frame
from qwendesk.channels.web.sessions import VisitorSession
from tests import postgres_server
from tests.channels.slow_worker import WORDS

ROOT = Path(__file__).parents[2]
SECONDS = 60.0


class Page:
    """What a page knows and shows."""

    def __init__(self, port: int, session: str) -> None:
        self.session = session
        self.frames: list[tuple[float, dict[str, Any]]] = []
        self.texts: dict[str, str] = {}
        self.faces: dict[str, list[tuple[str, bool]]] = {}
        self._url = f"ws://127.0.0.1:{port}/channels/web/socket"
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def open(self) -> None:
        self._socket = await connect(self._url)
        seen = max((frame.get("seq", 0) for _, frame in self.frames), default=0)
        await self._socket.send(json.dumps({"type": "hello", "session": self.session, "seen": seen}))
        self._reading = asyncio.create_task(self._read(self._socket))
        await self.until(lambda: self.frames[-1:] != [] and any(one["type"] == "welcome" for _, one in self.frames))

    async def close(self) -> None:
        if self._socket and self._reading:
            await self._socket.close()
            await self._reading

    async def say(self, text: str) -> float:
        return await self._send({"type": "message", "text": text})

    async def press(self, value: str) -> float:
        return await self._send({"type": "press", "value": value})

    async def until(self, what: Callable[[], Any]) -> None:
        async with asyncio.timeout(SECONDS):
            while not what():
                self._news.clear()
                await self._news.wait()

    def answers(self) -> list[str]:
        return [text for text in self.texts.values() if text.startswith("<p>")]

    def buttons(self, at: int) -> list[str]:
        names = [name for name, text in self.texts.items() if text.startswith("<p>")]
        last = next(frame for _, frame in reversed(self.frames) if frame.get("id") == names[at])
        return [button["value"] for button in last.get("buttons", ())]

    async def _send(self, frame: dict[str, Any]) -> float:
        assert self._socket
        await self._socket.send(json.dumps({**frame, "id": uuid4().hex}))
        return time.monotonic()

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for data in socket:
                self._take(json.loads(data))
        except ConnectionClosed:
            return

    def _take(self, frame: dict[str, Any]) -> None:
        self.frames.append((time.monotonic(), frame))
        if frame["type"] in ("shown", "edited", "said"):
            self.texts[frame["id"]] = frame["text"]
            self.faces[frame["id"]] = [(one["label"], one["chosen"]) for one in frame.get("buttons", ())]
        self._news.set()


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_server.database() as made:
        yield made


@pytest.fixture
async def start(url: str, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Give a function that starts a process and waits until it runs."""
    running: list[Process] = []

    async def begin(*command: str, port: int = 0) -> Process:
        settings = {
            "QWENDESK_DATABASE_URL": url,
            "QWENDESK_ENGINE": "scripted",
            "QWENDESK_PORT": str(port),
            "QWENDESK_CHANNELS__WEB__ACCESS": "open",
            "QWENDESK_HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, env={**os.environ, **settings}, cwd=tmp_path, stdout=PIPE
        )
        running.append(process)
        assert process.stdout
        async with asyncio.timeout(SECONDS):
            line = await process.stdout.readline()
        assert line.startswith(b"Qwendesk runs"), line
        return process

    yield begin
    for process in running:
        if process.returncode is None:
            process.terminate()
    for process in running:
        async with asyncio.timeout(SECONDS):
            await process.communicate()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@asynccontextmanager
async def visiting(port: int, session: str | None = None) -> AsyncIterator[Page]:
    page = Page(port, session or uuid4().hex)
    await page.open()
    try:
        yield page
    finally:
        await page.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_visitor_sees_the_answer_grow_that_another_process_gives(start: Callable[..., Any]) -> None:
    one, other = free_ports(2)
    worker, *_ = await asyncio.gather(
        start("tests.channels.slow_worker"),
        start("qwendesk", "serve", "--component", "web", port=one),
        start("qwendesk", "serve", "--component", "web", port=other),
    )
    async with visiting(one) as page:
        # the first message makes what a new process makes once
        await page.say("hello")
        await page.until(lambda: "<p>re hello</p>" in page.answers())
        signs = [await _first_sign(page, f"story {number}") for number in range(2)]
        growing = [frame["text"] for _, frame in page.frames if frame["type"] in ("shown", "edited")]
        assert len(set(growing)) >= 8 and growing[-1] == f"<p>{WORDS}</p>"
        assert min(signs) <= 0.3, signs

        # a thumb is marked, and the second try comes
        await page.press(page.buttons(-1)[1])
        await page.until(lambda: len(page.answers()) == 4)
        await page.until(lambda: ("👎", True) in list(page.faces.values())[-2])

        # the connection breaks in the middle of an answer; the page comes back to another process
        async with visiting(other, page.session) as twin:
            await page.say("one more story")
            await twin.until(lambda: "one more story" in twin.texts.values() and len(twin.answers()) == 5)
        await page.until(lambda: len(page.answers()) == 5)
        await page.close()
        async with visiting(other, page.session) as back:
            await back.until(lambda: back.answers()[-1:] == [f"<p>{WORDS}</p>"] and len(back.answers()) == 5)
            assert [text for text in back.texts.values() if not text.startswith("<p>")] == [
                "hello",
                "story 0",
                "story 1",
                "one more story",
            ]
            assert sum(("👎", True) in faces for faces in back.faces.values()) == 1
            await back.until(lambda: len(back.buttons(-1)) == 2)
            await back.say("/stop")
            await back.until(lambda: any("nothing to stop" in frame.get("text", "") for _, frame in back.frames))

            # the worker is killed in the middle of an answer; the next one completes it
            await back.say("a last story")
            await back.until(lambda: len(back.answers()) == 6)
            os.kill(worker.pid, signal.SIGKILL)
            await start("tests.channels.slow_worker")
            await back.until(lambda: back.answers()[-1] == f"<p>{WORDS}</p>" and len(back.buttons(-1)) == 2)
            assert len(back.answers()) == 6


async def _first_sign(page: Page, text: str) -> float:
    """Return the seconds until a visitor sees that somebody is there, and wait for the whole answer."""
    asked, before = len(page.answers()), len(page.frames)
    begun = await page.say(text)
    await page.until(lambda: len(page.answers()) > asked and page.answers()[-1] == f"<p>{WORDS}</p>")
    await page.until(lambda: bool(list(page.faces.values())[-1]))
    return next(at for at, frame in page.frames[before:] if frame["type"] in ("typing", "shown")) - begun


@pytest.mark.parametrize("text", ["short", "ü文😀" * 5000])
def test_a_frame_of_any_length_is_carried(text: str) -> None:
    frame = {"type": "shown", "id": "k", "text": text}
    pieces = FrameAssembler()
    *first, last = split_frame("key", frame)
    assert all(len(piece.encode()) < 8000 for piece in [*first, last])
    assert [pieces.add(piece) for piece in first] == [None] * len(first)
    assert pieces.add(last) == ("key", frame)


def test_incomplete_frames_are_dropped_and_malformed_payloads_ignored() -> None:
    pieces = FrameAssembler()
    for number in range(1000):
        assert pieces.add(f'{number}:2:0:["k", ') is None
    assert pieces.add('899:2:1:{"type": "typing"}]') is None
    assert pieces.add('999:2:1:{"type": "typing"}]') == ("k", {"type": "typing"})
    assert pieces.add("nonsense") is None and pieces.add("a:1:0:[1, 2]") is None and pieces.add("a:x:0:") is None
    assert pieces.add(split_frame("k", {"type": "typing"})[0]) == ("k", {"type": "typing"})


async def test_what_is_said_is_heard_and_a_broken_connection_is_made_again(url: str) -> None:
    import psycopg
    from sqlalchemy import make_url

    heard: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
    stopping, speaker, listener = asyncio.Event(), Relay(url, "web"), Relay(url, "web")
    listening = asyncio.create_task(listener.listen(lambda key, frame: heard.put_nowait((key, frame)), stopping))
    long = {"type": "shown", "id": "k", "text": "x" * 30_000}
    try:
        for _ in range(2):
            while not listener.is_listening:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.02)
            await speaker.send("a", {"type": "typing"})
            await speaker.send("b", long)
            async with asyncio.timeout(SECONDS):
                assert [await heard.get() for _ in range(2)] == [("a", {"type": "typing"}), ("b", long)]
            dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
                others = "pid <> pg_backend_pid() AND datname = current_database()"
                await admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            await speaker.send("c", {"type": "typing"})  # lost, and no harm
            while listener.is_listening:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        stopping.set()
        await asyncio.wait_for(listening, 10)
        await speaker.aclose()


def test_a_page_keeps_what_is_newer_than_the_database() -> None:
    session = VisitorSession()
    session.change({"type": "shown", "id": "k", "text": "word one two"})
    stored = [ShownMessage("k", "word", is_complete=False), ShownMessage("old", "before")]
    session.catch_up([*stored, ShownMessage("mine", "asked", from_person=True)])
    assert [frame["text"] for frame in session.frames] == ["word one two", "before", "asked"]
    session.catch_up([ShownMessage("k", "word one two three")])
    assert session.frames[0]["text"] == "word one two three"
