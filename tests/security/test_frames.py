"""What a WebSocket's frames cost: their number is bounded, and a message that was taken no longer counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from qwendesk.server.guard import ConnectionGuard
from qwendesk.server.guard_adapters import ConnectionGuardMiddleware, FrameCounter
from qwendesk.server.limits import WebLimits
from qwendesk.server.web import WebServer

MASK = bytes(4)
HEAD = (
    b"GET / HTTP/1.1\r\nHost: desk\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def _listen(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.receive()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[WebServer]:
    running = WebServer(Starlette(routes=[WebSocketRoute("/", _listen)]), "127.0.0.1", 0)
    await running.start()
    yield running
    await running.stop()


@pytest.mark.parametrize(
    ("first", "frame"),
    [
        (b"", b"\x81\x80" + MASK),
        (b"", b"\x82\x80" + MASK),
        (b"\x01\x80" + MASK, b"\x00\x80" + MASK),
        (b"", b"\x89\x80" + MASK),
        (b"", b"\x8a\x80" + MASK),
    ],
    ids=["texts", "bytes", "continued", "pings", "pongs"],
)
async def test_every_kind_of_frame_is_counted(server: WebServer, first: bytes, frame: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")

    async def flood() -> None:
        writer.write(first)
        while True:
            writer.write(frame * 500)
            await writer.drain()
            await asyncio.sleep(0)

    async def read_on() -> None:
        while await reader.read(65536):
            pass

    with pytest.raises(ConnectionError):
        async with asyncio.timeout(30):
            await asyncio.gather(flood(), read_on())
    writer.transport.abort()


async def test_frames_of_an_ordinary_visitor_are_not_too_many(server: WebServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/") as socket:
        for _ in range(300):
            await socket.send("word by word")
        await (await socket.ping())


class Transport(asyncio.Transport):
    """A connection that nothing comes over."""

    aborted = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 4711) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("text", ["a" * 60_000, "漢" * 60_000, "🙂" * 60_000])
async def test_a_long_text_that_was_taken_is_no_message_half_sent(text: str) -> None:
    guard, transport = ConnectionGuard(WebLimits(), 2**20), Transport()
    line = guard.register(transport)
    waits = asyncio.Event()
    came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        waits.set()
        await receive()

    scope = {"type": "websocket", "client": ("192.0.2.1", 4711), "headers": []}
    running = asyncio.create_task(ConnectionGuardMiddleware(app, guard)(scope, came.get, came.put))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    guard.record_received(line, len(text.encode()) + 14)
    came.put_nowait({"type": "websocket.receive", "text": text})
    await waits.wait()
    await asyncio.sleep(0)
    guard.close_overdue(monotonic() + 600)
    assert not transport.aborted
    running.cancel()


def test_a_port_that_is_taken_again_stays_known() -> None:
    guard, old, new = ConnectionGuard(WebLimits(), 2**20), Transport(), Transport()
    guard.register(old)
    line = guard.register(new)
    guard.unregister(old)
    assert guard.connection_from(("192.0.2.1", 4711)) is line
    guard.unregister(new)
    assert guard.connection_from(("192.0.2.1", 4711)) is None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("mask", [b"", MASK], ids=["bare", "masked"])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_frames_are_counted_however_their_bytes_arrive(size: int, mask: bytes, step: int) -> None:
    bit = 0x80 if mask else 0
    if size < 126:
        length = bytes([size | bit])
    elif size <= 0xFFFF:
        length = bytes([126 | bit]) + size.to_bytes(2)
    else:
        length = bytes([127 | bit]) + size.to_bytes(8)
    frame = b"\x82" + length + mask + b"\x81" * size
    counter, sent = FrameCounter(), HEAD + frame * 3 + frame[:1]
    assert sum(counter.feed(sent[at : at + step]) for at in range(0, len(sent), step)) == 3
