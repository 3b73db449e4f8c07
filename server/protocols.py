"""uvicorn's protocols for HTTP and WebSockets, extended to report connections, bytes and frames to the guard.

Only methods of ``asyncio.Protocol`` are extended. ASGI reports whole messages, so the frames below them are counted in
the bytes that arrive.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.server.guard import ClientConnection, ConnectionGuard

_READ_BYTES = 16 * 2**10
_FRAME_BURST = 1000
_FRAMES_PER_SECOND = 100.0
_END_OF_HEAD = b"\r\n\r\n"
_SECONDS_PER_HOUR = 3600
if TYPE_CHECKING:
    Base = asyncio.Protocol
else:
    Base = object


class _Guarded(Base):
    """Reports to the guard when a connection opens, receives bytes and closes."""

    guard: ClassVar[ConnectionGuard]
    _line: ClientConnection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._line = self.guard.opened(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        if self._line is None or self._line.transport.is_closing():
            return
        self.guard.received(self._line, len(data))
        if not self._line.transport.is_closing():
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._line:
            self.guard.closed(self._line.transport)
        super().connection_lost(exc)


class _Socket(_Guarded, WebSocketsSansIOProtocol):
    """Splits input into small pieces and closes connections with too many frames, each as costly as kilobytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._frames = FrameCounter()
        self._allowance = RateLimiter(_FRAME_BURST, _FRAMES_PER_SECOND * _SECONDS_PER_HOUR)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        for begin in range(0, len(data), _READ_BYTES):
            piece = data[begin : begin + _READ_BYTES]
            if self._line and not all(self._allowance.allow() for _ in range(self._frames.feed(piece))):
                self.guard.notices.warn("A WebSocket was cut off: it sent too many frames.")
                self.guard.cut(self._line)
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
