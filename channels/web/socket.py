"""The WebSocket of one open page: accept its messages, send its frames."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from qwendesk.channels.base import Accept
from qwendesk.channels.relay import Frame
from qwendesk.channels.web.protocol import HelloFrame, InvalidFrame, MessageFrame, read_frame
from qwendesk.channels.web.sessions import PageSocket, VisitorSession
from qwendesk.desk.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

Publish = Callable[[str, Frame], Awaitable[None]]
"""Sends a frame of a conversation to other processes."""
OpenSession = Callable[[str], Awaitable[VisitorSession]]
"""Returns the session of a conversation's key, with its stored messages."""
_HELLO_TIMEOUT_SECONDS = 30.0
_BURST_FRAMES = 40
_FRAMES_PER_SECOND = 8.0
_THREAD_BYTES = 100_000
"""Frames larger than this are read in a thread."""
ANSWER_TIMEOUT_SECONDS = 900.0
"""Time for which answers of another process are looked up."""
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
"""WebSocket close codes."""


class PageConnection:
    """One connection, from its first frame to its last.

    Args:
        socket: the WebSocket.
        open_session: returns a visitor's session.
        accept: returns the function that accepts messages; None while the desk stops.
        publish: sends the visitor's messages to the visitor's pages at other processes.
    """

    def __init__(
        self, socket: WebSocket, open_session: OpenSession, accept: Callable[[], Accept | None], publish: Publish
    ) -> None:
        self._socket = socket
        self._open_session = open_session
        self._accept = accept
        self._publish = publish
        self._outgoing = PageSocket()
        self._session: VisitorSession | None = None
        self._key = ""
        self._allowance = RateLimiter(_BURST_FRAMES, _FRAMES_PER_SECOND * 3600)
        self._exceeded_rate = False

    async def run(self) -> None:
        """Exchange frames until either side closes the connection."""
        await self._socket.accept()
        writing = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            if self._session:
                self._session.leave(self._outgoing)
            writing.cancel()
            await asyncio.wait([writing])

    async def _read(self) -> None:
        while True:
            try:
                async with asyncio.timeout(None if self._session else _HELLO_TIMEOUT_SECONDS):
                    message = await self._socket.receive()
            except TimeoutError:
                self._outgoing.close()
                message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not self._allowance.allow():
                self._exceeded_rate = True
                self._outgoing.close()
                continue
            await self._receive(message.get("text") or message.get("bytes") or "")

    async def _receive(self, data: str | bytes) -> None:
        try:
            frame = await asyncio.to_thread(read_frame, data) if len(data) > _THREAD_BYTES else read_frame(data)
        except ValueError as error:
            # with the id of its message, so that the page does not send it again for ever
            name = error.name if isinstance(error, InvalidFrame) else None
            self._outgoing.put({"type": "refused", "text": str(error)} | ({"id": name} if name else {}))
            return
        if isinstance(frame, HelloFrame):
            await self._join(frame)
        elif self._session is None:
            self._outgoing.put({"type": "refused", "text": "Say hello first."})
        else:
            self._outgoing.put(await self._submit(frame, self._session))

    async def _join(self, hello: HelloFrame) -> None:
        if self._session:
            self._session.leave(self._outgoing)
        self._session, self._key = await self._open_session(hello.key), hello.key
        self._session.waits_until = monotonic() + ANSWER_TIMEOUT_SECONDS
        self._session.join(self._outgoing, hello.seen)
        self._outgoing.put({"type": "welcome"})

    async def _submit(self, message: MessageFrame, session: VisitorSession) -> Frame:
        """Pass a message to the desk and return the frame that answers it."""
        accept = self._accept()
        if accept is None:
            return {"type": "busy", "id": message.id, "after": 2}
        address = self._socket.client.host if self._socket.client else ""
        admission = await accept(replace(message.inbound(self._key), address=address))
        session.waits_until = monotonic() + ANSWER_TIMEOUT_SECONDS
        match admission.outcome:
            case "busy":
                return {"type": "busy", "id": message.id, "text": admission.text, "after": admission.retry_after or 1}
            case "refused":
                return {"type": "refused", "id": message.id, "text": admission.text}
            case "accepted" if not message.pressed:
                names = [file.name or file.mime for file in message.files]
                frame: Frame = {"type": "said", "id": message.id, "text": message.text, "files": names}
                session.show(frame)
                # the message is stored: show the typing sign before a worker sends it
                session.broadcast({"type": "typing"})
                await self._publish(self._key, frame)
        return {"type": "taken", "id": message.id}

    async def _write(self) -> None:
        from starlette.websockets import WebSocketDisconnect

        with suppress(RuntimeError, OSError, WebSocketDisconnect):  # the page has disconnected
            while frame := await self._outgoing.next():
                await self._socket.send_json(frame)
            await self._socket.close(POLICY_VIOLATION if self._exceeded_rate else TRY_AGAIN_LATER)
