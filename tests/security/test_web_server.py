"""The web server under load by one address: others are served, and memory has a budget. A real server process."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from benchmarks.served import Served, says, served
from websockets.asyncio.client import connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
MB = 2**20
LIMITS = {
    "QWENDESK_HTTP__CONNECTIONS": "60",
    "QWENDESK_HTTP__CONNECTIONS_PER_ADDRESS": "40",
    "QWENDESK_HTTP__HEADER_TIMEOUT": "2",
    "QWENDESK_HTTP__BODY_TIMEOUT": "4",
    "QWENDESK_HTTP__BYTES_IN_FLIGHT": str(24 * MB),
    "QWENDESK_HTTP__BYTES_IN_FLIGHT_PER_ADDRESS": str(16 * MB),
}
HEAD = b"Host: desk\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("served"), LIMITS) as running:
        await says(running, "warm up")
        yield running


@asynccontextmanager
async def raw(desk: Served, head: bytes = b"", source: str = "127.0.0.1") -> AsyncIterator[Any]:
    """Open a connection and send what is given."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port, local_addr=(source, 0))
    try:
        writer.write(head)
        await writer.drain()
        yield reader, writer
    finally:
        writer.transport.abort()


async def is_closed(reader: asyncio.StreamReader, seconds: float = 30.0) -> bool:
    """Wait until the other side closes."""
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(65536):
                pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


async def health(desk: Served, source: str = "127.0.0.1") -> int:
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, timeout=20) as client:
        return (await client.get(f"{desk.url}/healthz")).status_code


@pytest.mark.parametrize(
    "head",
    [b"", b"GET /healthz HTTP/1.1\r\n" + HEAD, b"GET /healthz HTTP/1.1\r\n" + HEAD + b"\r\n"],
    ids=["nothing sent", "half a head", "answered"],
)
async def test_connections_that_do_nothing_leave_room_for_others(desk: Served, head: bytes) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(120):
            await stack.enter_async_context(raw(desk, head))
        for source in ("127.0.0.1", "127.0.0.2"):
            assert await health(desk, source) == 200
        assert desk.connections() <= 60
        assert await says(desk, "is somebody there") < 60


async def test_the_oldest_connection_of_the_greediest_address_goes_first(desk: Served) -> None:
    async with AsyncExitStack() as stack:
        modest, _ = await stack.enter_async_context(raw(desk, source="127.0.0.3"))
        greedy = [await stack.enter_async_context(raw(desk)) for _ in range(40)]
        for source in ("127.0.0.4", "127.0.0.5"):
            for _ in range(12):
                await stack.enter_async_context(raw(desk, source=source))
        assert await is_closed(greedy[0][0], 5)
        assert not modest.at_eof()


@pytest.mark.parametrize("pause", [0.3, 60.0])
async def test_a_head_that_comes_slowly_is_not_waited_for(desk: Served, pause: float) -> None:
    async with raw(desk, b"GET /healthz HTTP/1.1\r\n") as (reader, writer):
        closed = asyncio.create_task(is_closed(reader))
        for number in range(100):
            if closed.done():
                break
            try:
                writer.write(b"X-%d: slow\r\n" % number)
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.wait([closed], timeout=pause)
        assert await closed


def signed_like(size: int) -> bytes:
    """Return the head of a call that looks signed, and is not."""
    return b"".join(
        (
            b"POST /channels/webhook/ HTTP/1.1\r\n" + HEAD,
            b"webhook-id: m\r\nwebhook-signature: v1,AAAA\r\n",
            f"webhook-timestamp: {int(time.time())}\r\ncontent-length: {size}\r\n\r\n".encode(),
        )
    )


async def test_bodies_that_nobody_signed_have_a_budget(desk: Served) -> None:
    before = desk.memory()
    async with AsyncExitStack() as stack:
        for _ in range(25):
            _, writer = await stack.enter_async_context(raw(desk, signed_like(27 * MB)))
            try:
                writer.write(b"x" * (6 * MB))
                await asyncio.wait_for(writer.drain(), 1)
            except (ConnectionError, TimeoutError):
                pass
        assert desk.memory() - before < 80 * MB
        assert await health(desk, "127.0.0.2") == 200
        assert await says(desk, "is somebody there") < 60


@pytest.mark.slow
async def test_too_large_a_body_is_answered_and_a_slow_one_given_up(desk: Served) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        unsigned = await client.post(f"{desk.url}/channels/webhook/", content=b"x" * (2 * MB))
        assert unsigned.status_code == 401
    async with raw(desk, signed_like(MB) + b"slow") as (reader, _):
        answer = await asyncio.wait_for(reader.readline(), 20)
        assert b" 408 " in answer
        assert await is_closed(reader)


async def test_messages_half_sent_over_a_websocket_have_a_budget_and_a_time(desk: Served) -> None:
    before = desk.memory()
    async with AsyncExitStack() as stack:
        sockets = []
        for _ in range(20):
            reader, writer = await stack.enter_async_context(raw(desk, upgrade()))
            assert b"101" in await reader.readuntil(b"\r\n\r\n")
            try:
                # a text frame of 8 MiB, of which 5 come
                writer.write(b"\x81\xff" + (8 * MB).to_bytes(8, "big") + bytes(4) + b"x" * (5 * MB))
                await asyncio.wait_for(writer.drain(), 1)
            except (ConnectionError, TimeoutError):
                pass
            sockets.append(reader)
        assert desk.memory() - before < 60 * MB
        assert await says(desk, "is somebody there") < 60
        assert all([await is_closed(reader) for reader in sockets])


@pytest.mark.parametrize(
    "more", [b"\x00\x81" + bytes(4) + b"x", b"\x00\x80" + bytes(4), b"\x89\x80" + bytes(4), b"\x8a\x80" + bytes(4)]
)
async def test_frames_without_an_end_are_cut_off(desk: Served, more: bytes) -> None:
    async with raw(desk, upgrade()) as (reader, writer):
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        closed = asyncio.create_task(is_closed(reader))
        try:
            writer.write(b"\x01\x81" + bytes(4) + b"x")
            while not closed.done():
                writer.write(more * 2000)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        assert await closed
    assert await says(desk, "is somebody there") < 60


@pytest.mark.slow
async def test_a_visitor_who_only_listens_stays(desk: Served) -> None:
    async with connect(f"ws://127.0.0.1:{desk.port}/channels/web/socket") as socket:
        await socket.send(json.dumps({"type": "hello", "session": secrets.token_urlsafe(32)}))
        assert json.loads(await socket.recv())["type"] == "welcome"
        for _ in range(6):  # longer than a head or a body may take
            await (await socket.ping())
            await asyncio.sleep(1)
        await socket.send(json.dumps({"type": "message", "id": "a", "text": "still here"}))
        assert json.loads(await asyncio.wait_for(socket.recv(), 30))["type"] in ("said", "taken", "typing")


async def test_a_hang_up_is_one_line_in_the_log(desk: Served) -> None:
    for _ in range(5):
        async with raw(desk, signed_like(MB) + b"x" * 1000):
            await asyncio.sleep(0.05)
    await says(desk, "is somebody there")
    log = desk.log.decode()
    assert "Traceback" not in log
    assert log.count("disconnected in the middle") <= 1


def upgrade() -> bytes:
    """Return the head that opens the web chat's WebSocket."""
    return b"".join(
        (
            b"GET /channels/web/socket HTTP/1.1\r\n" + HEAD,
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
    )
