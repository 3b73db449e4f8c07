"""A real HTTP server on a port of this machine that takes webhooks, or behaves badly in a chosen way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def status(code: int, text: str = "", **headers: str) -> Answer:
    """Return an answer with a status."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {code} X", f"content-length: {len(text)}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + f"\r\n\r\n{text}").encode())

    return answer


async def hang(writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off."""
    writer.transport.abort()


async def endless(writer: asyncio.StreamWriter) -> None:
    """Begin an answer that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@dataclass
class Request:
    """A request that arrived."""

    head: str
    body: bytes

    def header(self, name: str) -> str:
        lines = (line.partition(":") for line in self.head.splitlines())
        return next(value.strip() for key, _, value in lines if key.lower() == name)


@dataclass
class Receiver:
    """Answers the first requests as ``answers`` say, the rest with 204."""

    port: int = 0
    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def until(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(20):
            while len(self.requests) < count:
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request = Request(head, b"")
            request.body = await reader.readexactly(int(request.header("content-length")))
            answer = self.answers.pop(0) if self.answers else status(204)
            self.requests.append(request)
            self._changed.set()
            await answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(task)
            writer.close()


@asynccontextmanager
async def receiving(*answers: Answer) -> AsyncIterator[Receiver]:
    """Yield a receiver that is open."""
    receiver = Receiver(answers=list(answers))
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()
