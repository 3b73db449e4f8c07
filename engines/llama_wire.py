"""HTTP to the llama.cpp in this process: a connection for each request, its answer read as it comes.

A general client does more work for each token than the rest of the program. This is the parser under it (h11) on
asyncio's own streams: half of that, and it is taken from the model where both have the same cores
(``python -m benchmarks.engines``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import h11

from qwendesk.errors import EngineError, EngineFailed

_PIECE = 65_536
"""Bytes that are read at once, at most."""


class LlamaWire:
    """Asks one server.

    Args:
        address: where it listens, as http://HOST:PORT.
        key: the key that it was started with.
    """

    def __init__(self, address: str, key: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._headers = [
            ("Host", parts.netloc),
            ("Authorization", f"Bearer {key}"),
            ("Content-Type", "application/json"),
        ]

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer's JSON.

        Raises:
            EngineError: the server refuses; the text says why.
            EngineFailed: it breaks off.
        """
        answer = b"".join([part async for part in self._parts(method, path, body)])
        try:
            return json.loads(answer)
        except ValueError as error:
            raise EngineFailed(f"llama.cpp sent garbage, {answer[:80]!r}. Ask again.") from error

    async def lines(self, path: str, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Yield an answer's lines; closing the iterator closes the connection, which stops the work for it.

        Raises:
            EngineError: the server refuses; the text says why.
            EngineFailed: it breaks off.
        """
        rest = b""
        async with aclosing(self._parts("POST", path, body)) as parts:
            async for part in parts:
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    async def _parts(self, method: str, path: str, body: dict[str, Any] | None) -> AsyncGenerator[bytes, None]:
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            try:
                exchange = h11.Connection(h11.CLIENT)
                writer.write(self._request(exchange, method, path, body))
                await writer.drain()
                response = await _next(exchange, reader)
                async with aclosing(_body(exchange, reader)) as parts:
                    if response.status_code != 200:
                        raise refusal(b"".join([part async for part in parts]))
                    async for part in parts:
                        yield part
            finally:
                # not close: that would send the rest of a large body first
                writer.transport.abort()
        except (OSError, h11.RemoteProtocolError) as error:
            raise EngineFailed(f"llama.cpp broke off: {error!r}. Ask again.") from error

    def _request(self, exchange: h11.Connection, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        headers = [*self._headers, ("Content-Length", str(len(content)))]
        events = h11.Request(method=method, target=path, headers=headers), h11.Data(data=content), h11.EndOfMessage()
        return b"".join(exchange.send(event) or b"" for event in events)


def refusal(body: bytes | str) -> EngineError:
    """Return the error for what the server answers in an answer's place; a fault of its own is not the question's."""
    try:
        error = json.loads(body)
        error = error.get("error", error)
        code, reason = error.get("code"), error.get("message", error)
    except (ValueError, AttributeError):
        code, reason = None, repr(body[:200])
    kind = EngineFailed if isinstance(code, int) and code >= 500 else EngineError
    return kind(f"llama.cpp refused: {reason}")


async def _body(exchange: h11.Connection, reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    while not isinstance(event := await _next(exchange, reader), h11.EndOfMessage):
        yield bytes(event.data)


async def _next(exchange: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """Return what comes next: the response's head, parts of its body, its end."""
    while isinstance(event := exchange.next_event(), h11.InformationalResponse) or event is h11.NEED_DATA:
        if event is h11.NEED_DATA:
            exchange.receive_data(await reader.read(_PIECE))
    return event
