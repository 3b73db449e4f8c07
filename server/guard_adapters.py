"""Report connections, bytes and requests to the connection guard: uvicorn's protocols and an ASGI middleware.

uvicorn's protocols are extended only by methods of ``asyncio.Protocol``. ASGI reports whole messages, so the frames of
a WebSocket are counted in the bytes that arrive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, cast

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.server.addresses import is_private, plain_address
from qwendesk.server.guard import ClientConnection, ConnectionGuard

_READ_BYTES = 16 * 2**10
_FRAME_BURST = 1000
_FRAMES_PER_SECOND = 100.0
_END_OF_HEAD = b"\r\n\r\n"
_SECONDS_PER_HOUR = 3600
_TRY_AGAIN_LATER = 1013
"""Close code of a WebSocket that the client may retry."""
_RETRY_AFTER_SECONDS = "5"
"""Time after which a client may retry, in seconds."""
_SCOPE_KEY = "qwendesk.connection"
log = logging.getLogger(__name__)


if TYPE_CHECKING:
    Base = asyncio.Protocol
else:
    Base = object


class _Guarded(Base):
    """Reports to the guard when a connection opens, receives bytes and closes."""

    guard: ClassVar[ConnectionGuard]
    _client_connection: ClientConnection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._client_connection = self.guard.register(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        if self._client_connection is None or self._client_connection.transport.is_closing():
            return
        self.guard.record_received(self._client_connection, len(data))
        if not self._client_connection.transport.is_closing():
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._client_connection:
            self.guard.unregister(self._client_connection.transport)
        super().connection_lost(exc)


class _Socket(_Guarded, WebSocketsSansIOProtocol):
    """Splits input into small pieces and closes connections with too many frames, each as costly as kilobytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._frames = FrameCounter()
        self._frame_limit = RateLimiter(_FRAME_BURST, _FRAMES_PER_SECOND * _SECONDS_PER_HOUR)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        for begin in range(0, len(data), _READ_BYTES):
            piece = data[begin : begin + _READ_BYTES]
            if self._client_connection and not all(self._frame_limit.allow() for _ in range(self._frames.feed(piece))):
                self.guard.limited_log.warn("A WebSocket was closed: it sent too many frames.")
                self.guard.abort(self._client_connection)
                return
            super().data_received(piece)


class FrameCounter:
    """Counts WebSocket frames in the bytes from a client, which begin with the handshake (RFC 6455, section 5.2)."""

    def __init__(self) -> None:
        self._head = b""
        self._is_open = False
        self._header = bytearray()
        self._payload_left = 0

    def feed(self, data: bytes) -> int:
        """Return the number of frame headers that end in these bytes."""
        if not self._is_open:
            self._head, end, data = (self._head + data).partition(_END_OF_HEAD)
            if end:
                self._is_open, self._head = True, b""
        frames = position = 0
        while position < len(data):
            if self._payload_left:
                size = min(self._payload_left, len(data) - position)
                self._payload_left -= size
            else:
                size = _header_size(self._header) - len(self._header)
                self._header += data[position : position + size]
                if len(self._header) == _header_size(self._header):
                    frames += 1
                    self._payload_left = _payload_size(self._header)
                    self._header.clear()
            position += size
        return frames


def _header_size(header: bytearray) -> int:
    """Return the size of a frame's header in bytes, as known from its first bytes."""
    if len(header) < 2:
        return 2
    mask_size = 4 if header[1] & 0x80 else 0
    return 2 + {126: 2, 127: 8}.get(header[1] & 0x7F, 0) + mask_size


def _payload_size(header: bytearray) -> int:
    short = header[1] & 0x7F
    return int.from_bytes(header[2 : {126: 4, 127: 10}[short]]) if short >= 126 else short


def guarded(guard: ConnectionGuard) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol]]:
    """Return the protocol classes for HTTP and for WebSockets."""

    class Http(_Guarded, H11Protocol):
        pass

    class WebSocket(_Socket):
        pass

    Http.guard = WebSocket.guard = guard
    return Http, WebSocket


class ConnectionGuardMiddleware:
    """Passes requests to an application within the limits of the guard.

    Args:
        app: the application.
        guard: the connection guard.
    """

    def __init__(self, app: ASGIApp, guard: ConnectionGuard) -> None:
        self._app = app
        self._guard = guard
        self._has_seen_proxy = False
        behind: ASGIApp = self._counted
        if guard.trusted:
            trusted = list(guard.limits.trusted_proxies)
            behind = ProxyHeadersMiddleware(self._counted, trusted_hosts=trusted)  # type: ignore[arg-type, assignment]
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or serve a WebSocket."""
        connection = self._guard.connection_from(scope.get("client"))
        if connection is None:  # another kind of scope, or a closed connection
            await self._app(scope, receive, send)
            return
        scope[_SCOPE_KEY] = connection
        self._look_for_proxy(connection, scope)
        scope["client"] = (plain_address(scope["client"][0]), scope["client"][1])
        try:
            await self._behind(scope, receive, send)
        except (ClientDisconnect, WebSocketDisconnect):
            self._guard.limited_log.warn("A client disconnected in the middle of a message.")
        finally:
            self._guard.release(connection)

    def _look_for_proxy(self, connection: ClientConnection, scope: Scope) -> None:
        """Warn once of an untrusted proxy in a private network, whose clients share the limits of one address."""
        if self._has_seen_proxy or connection.is_proxy or not is_private(connection.peer[0]):
            return
        if "x-forwarded-for" in Headers(scope=scope):
            self._has_seen_proxy = True
            log.warning(
                "Requests come through the proxy %s, which is not trusted, so its clients count as one address: "
                "add it to trusted_proxies in the table [http] if it sets X-Forwarded-For itself.",
                connection.network,
            )

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection: ClientConnection = scope[_SCOPE_KEY]
        if connection.is_proxy and not self._guard.count_under(connection, scope["client"][0]):
            self._guard.limited_log.warn(
                "A request was refused: its client address has too many connections behind a proxy."
            )
            await _refuse(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, *self._over_socket(connection, receive, send))
        else:
            await self._answer(connection, scope, receive, send)

    async def _answer(self, connection: ClientConnection, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(self._guard, connection, receive, comes=_has_body(Headers(scope=scope)))
        try:
            await self._app(scope, body.receive, send)
        finally:
            connection.enter("idle" if body.is_whole else "leftover")

    def _over_socket(self, connection: ClientConnection, receive: Receive, send: Send) -> tuple[Receive, Send]:
        size = 0
        connection.enter("socket")

        async def receive_counted() -> Message:
            nonlocal size
            if size:
                self._guard.record_processed(connection, size)
            message = await receive()
            size = len((message.get("text") or "").encode()) or len(message.get("bytes") or b"")
            return message

        async def send_noted(message: Message) -> None:
            connection.since = monotonic()
            await send(message)

        return receive_counted, send_noted


class _Body:
    """Body of one request, with limits on its time and on bytes in flight."""

    def __init__(self, guard: ConnectionGuard, connection: ClientConnection, receive: Receive, *, comes: bool) -> None:
        self._guard = guard
        self._client_connection = connection
        self._receive = receive
        self._begun = monotonic()
        self._size = 0
        self.is_whole = not comes
        """Whether the body is complete."""
        connection.enter("body" if comes else "working")

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            HTTPException: the body is too slow (408), or too many bytes are in flight (503).
        """
        if self.is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._guard.limits.deadline(self._begun, self._size) - monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "The request body took too long.") from None
        self._take(message)
        return message

    def _take(self, message: Message) -> None:
        size = len(message.get("body", b""))
        self._size += size
        if size and not self._guard.charge(self._client_connection, size):
            self._guard.limited_log.warn("A body was refused: too many bytes are in flight.")
            raise HTTPException(503, "Too many bytes are in flight.", {"Retry-After": _RETRY_AFTER_SECONDS})
        if not message.get("more_body", False):
            self.is_whole = True
            self._client_connection.enter("working")


def _has_body(headers: Mapping[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
    else:
        await PlainTextResponse("Too many connections.\n", 503, {"Retry-After": _RETRY_AFTER_SECONDS})(
            scope, receive, send
        )
