"""An HTTP server on loopback with the replies of a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[str, dict[str, Any]], "Reply"]


@dataclass
class Reply:
    """The reply to a request: a body, or lines that are sent one by one."""

    body: Any = None
    status: int = 200
    lines: list[str] = field(default_factory=list)
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Close the connection before the end."""
    stall: bool = False
    """Send nothing more until the client has gone."""


@dataclass
class WebServer:
    """The address of the server, and the requests it got."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has closed its connection before the end."""


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[WebServer]:
    """Answer requests on a free port."""
    site = WebServer()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path, body = await _request(reader)
            site.asked.append((path, body))
            await _send(writer, answer(path, body), reader, site)
        except (ConnectionError, asyncio.IncompleteReadError):
            site.gone.set()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield site
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    path = head.split()[1]
    lengths = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length")]
    body = await reader.readexactly(int(lengths[0])) if lengths else b""
    return path, json.loads(body) if body else {}


async def _send(writer: asyncio.StreamWriter, reply: Reply, reader: asyncio.StreamReader, site: WebServer) -> None:
    text = "".join(reply.lines) if reply.body is None else json.dumps(reply.body)
    length = len(text.encode()) + (100 if reply.cut or reply.stall else 0)
    headers = {"Content-Type": reply.kind, "Content-Length": str(length)} | reply.headers
    lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, "", ""])
    writer.write(head.encode() + text.encode())
    await writer.drain()
    if reply.stall:
        await reader.read()
        site.gone.set()
