"""The HTTP client of the embedded llama.cpp: split lines, refusals, cancelled requests."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress

import pytest

from qwendesk.engines.llamacpp.server import LlamaClient, LlamaServer
from qwendesk.errors import EngineError, EngineFailed
from tests.engines.web_server import Reply, serve

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def says(*parts: bytes) -> tuple[asyncio.Server, str]:
    """Answer every request with these parts, sent one by one."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_lines_are_whole_however_they_are_cut() -> None:
    text = 'data: {"content": "日本\u2028\x85"}\n\ndata: two\n\nrest'.encode()
    for size in (1, 7, 1000):
        cut = [text[at : at + size] for at in range(0, len(text), size)]
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in cut]
        server, address = await says(_CONTINUE, _HEAD, *chunks, b"0\r\n\r\n")
        async with server:
            lines = [line async for line in LlamaClient(address, "key").lines("/completion", {})]
        assert lines == ['data: {"content": "日本\u2028\x85"}', "", "data: two", "", "rest"]


async def test_who_leaves_closes_the_connection() -> None:
    async with serve(lambda path, body: Reply(lines=["data: 1\n"], stall=True)) as site:
        async with aclosing(LlamaClient(site.url, "key").lines("/completion", {})) as lines:
            assert await anext(lines) == "data: 1"
        async with asyncio.timeout(30):
            await site.gone.wait()


async def test_who_leaves_does_not_send_the_rest_of_what_it_asked() -> None:
    taken = asyncio.Event()
    left = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        taken.set()
        await left.wait()
        with suppress(ConnectionError):
            while part := await reader.read(1_000_000):
                read.append(len(part))
        writer.close()
        over.set()

    read, over = list[int](), asyncio.Event()
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        wire = LlamaClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "key")
        asking = asyncio.create_task(wire.ask("POST", "/completion", {"prompt": "a" * 50_000_000}))
        await taken.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        left.set()
        async with asyncio.timeout(30):
            await over.wait()
    assert sum(read) < 40_000_000


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "malformed response, b'abc'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc", "broke off"),
        (b'HTTP/1.1 400 Bad\r\nContent-Length: 32\r\n\r\n{"error": {"message": "no way"}}', "refused: no way"),
    ],
)
async def test_an_answer_that_is_none_is_an_error(answer: bytes, words: str) -> None:
    server, address = await says(answer)
    async with server:
        with pytest.raises(EngineError, match=words):
            await LlamaClient(address, "key").ask("GET", "/props")


async def test_a_line_that_is_no_text_is_read_all_the_same() -> None:
    server, address = await says(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\xffb\n")
    async with server:
        assert [line async for line in LlamaClient(address, "key").lines("/completion", {})] == ["a\ufffdb"]


async def test_a_failure_in_the_middle_of_a_stream_is_an_error() -> None:
    said = [f"data: {json.dumps(piece)}\n\n" for piece in ({"content": "Hi"}, {"error": {"message": "it broke"}})]
    async with serve(lambda path, body: Reply(lines=said)) as site:
        pieces = []
        with pytest.raises(EngineError, match="it broke"):
            async for piece in LlamaServer(None, site.url, "key").complete({}):
                pieces.append(piece)
    assert [piece["content"] for piece in pieces] == ["Hi"]


async def test_a_server_that_is_gone_or_speaks_something_else_is_an_error() -> None:
    server, address = await says(b"220 mail ready\r\n\r\n")
    async with server:
        with pytest.raises(EngineFailed, match=r"broke off.*Ask again"):
            await LlamaClient(address, "key").ask("GET", "/props")
    with pytest.raises(EngineFailed, match=r"broke off.*Ask again"):
        await LlamaClient(address, "key").ask("GET", "/props")
