"""uvicorn's protocols for HTTP and WebSockets, whose connections and bytes a guard knows of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from qwendesk.server.guard import Guard, Line

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


def guarded(guard: Guard) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol]]:
    """Return the protocols of HTTP and of WebSockets."""

    class Http(_Guarded, H11Protocol):
        pass

    class WebSocket(_Guarded, WebSocketsSansIOProtocol):
        pass

    Http.guard = WebSocket.guard = guard
    return Http, WebSocket
