"""uvicorn's protocols for HTTP and WebSockets, whose connections and bytes a guard knows of.

``connection_made``, ``data_received`` and ``connection_lost`` are asyncio's. The ``handle_`` methods are uvicorn's and
not documented, but nothing else tells of frames that are no whole message: ASGI has none for them, and no option
counts them. ``tests/security/test_frames.py`` fails where uvicorn no longer calls one of them, and ``pyproject.toml``
bounds its version.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from qwendesk.server.guard import Guard, Line

_SLICE = 16 * 2**10
"""Bytes that are read at once."""
_FRAMES_AT_ONCE = 1000
"""WebSocket frames of one connection that may come at once, and then a second."""
_FRAMES_A_SECOND = 100.0
if TYPE_CHECKING:
    Base = asyncio.Protocol
else:
    Base = object


class _Guarded(Base):
    """Tells the guard when a connection opens, brings bytes and ends."""

    guard: ClassVar[Guard]
    _line: Line | None = None

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
    """Reads a little at a time, and ends a connection of too many frames: each costs as much as thousands of bytes."""

    _frames_left = float(_FRAMES_AT_ONCE)
    _refilled = 0.0

    def data_received(self, data: bytes) -> None:
        for begin in range(0, len(data), _SLICE):
            super().data_received(data[begin : begin + _SLICE])

    def handle_text(self, event: Frame) -> None:
        self._count()
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._count()
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        self._count()
        super().handle_cont(event)

    def handle_ping(self) -> None:
        self._count()
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        self._count()
        super().handle_pong(event)

    def _count(self) -> None:
        now = monotonic()
        refill = (now - (self._refilled or now)) * _FRAMES_A_SECOND
        self._frames_left = min(_FRAMES_AT_ONCE, self._frames_left + refill) - 1
        self._refilled = now
        if self._frames_left < 0 and self._line:
            self.guard.notices.warn("A WebSocket was cut off: it sent too many frames.")
            self.guard.cut(self._line)


def guarded(guard: Guard) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol]]:
    """Return the protocols of HTTP and of WebSockets."""

    class Http(_Guarded, H11Protocol):
        pass

    class WebSocket(_Socket):
        pass

    Http.guard = WebSocket.guard = guard
    return Http, WebSocket
