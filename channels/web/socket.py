"""One page's connection: what it sends is handed over, what is shown to it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from qwendesk.channels.base import Accept
from qwendesk.channels.relay import Frame
from qwendesk.channels.web.protocol import Hello, Said, Unreadable, read
from qwendesk.channels.web.sessions import Link, Room
from qwendesk.desk.rate_limiter import Allowance

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

Tell = Callable[[str, Frame], Awaitable[None]]
"""Says to other processes what a visitor wrote here."""
Enter = Callable[[str], Awaitable[Room]]
"""Gives the room of a conversation's key, with what was shown there before."""
_PATIENCE = 30.0
"""Seconds in which a connection has to say who it is."""
_BURST = 40
_A_SECOND = 8.0
ANSWER_WITHIN = 900.0
"""Seconds in which another process's answer is looked for."""
POLICY, LATER = 1008, 1013
"""Codes with which a socket is closed."""


class Visit:
    """One connection, from its first frame to its last.

    Args:
        accept: gives what takes messages; None while the desk stops.
        tell: lets the visitor's pages at other processes see what is written here.
    """

    def __init__(self, socket: WebSocket, enter: Enter, accept: Callable[[], Accept | None], tell: Tell) -> None:
        self._socket = socket
        self._enter = enter
        self._accept = accept
        self._tell = tell
        self._link = Link()
        self._room: Room | None = None
        self._key = ""
        self._allowance = Allowance(_BURST, _A_SECOND * 3600)
        self._is_too_fast = False

    async def run(self) -> None:
        """Talk until either side is gone."""
        await self._socket.accept()
        writing = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            if self._room:
                self._room.leave(self._link)
            writing.cancel()
            await asyncio.wait([writing])

    async def _read(self) -> None:
        while True:
            try:
                async with asyncio.timeout(None if self._room else _PATIENCE):
                    message = await self._socket.receive()
            except TimeoutError:
                self._link.cut()
                message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not self._allowance.spend():
                self._is_too_fast = True
                self._link.cut()
                continue
            await self._take(message.get("text") or message.get("bytes") or "")

    async def _take(self, data: str | bytes) -> None:
        try:
            frame = await asyncio.to_thread(read, data) if len(data) > 100_000 else read(data)
        except ValueError as error:
            # with its name, so that the page does not send it again for ever
            name = error.name if isinstance(error, Unreadable) else None
            self._link.put({"type": "refused", "text": str(error)} | ({"id": name} if name else {}))
            return
        if isinstance(frame, Hello):
            await self._greet(frame)
        elif self._room is None:
            self._link.put({"type": "refused", "text": "Say hello first."})
        else:
            self._link.put(await self._hand_over(frame, self._room))

    async def _greet(self, hello: Hello) -> None:
        if self._room:
            self._room.leave(self._link)
        self._room, self._key = await self._enter(hello.key), hello.key
        self._room.waits_until = monotonic() + ANSWER_WITHIN
        self._room.join(self._link, hello.seen)
        self._link.put({"type": "welcome"})

    async def _hand_over(self, said: Said, room: Room) -> Frame:
        accept = self._accept()
        if accept is None:
            return {"type": "busy", "id": said.id, "after": 2}
        address = self._socket.client.host if self._socket.client else ""
        admission = await accept(replace(said.inbound(self._key), address=address))
        room.waits_until = monotonic() + ANSWER_WITHIN
        match admission.outcome:
            case "busy":
                return {"type": "busy", "id": said.id, "text": admission.text, "after": admission.retry_after or 1}
            case "refused":
                return {"type": "refused", "id": said.id, "text": admission.text}
            case "accepted" if not said.pressed:
                names = [file.name or file.mime for file in said.files]
                frame: Frame = {"type": "said", "id": said.id, "text": said.text, "files": names}
                room.show(frame)
                # it is stored, and an answer will come: the person sees so before a worker says it
                room.tell({"type": "typing"})
                await self._tell(self._key, frame)
        return {"type": "taken", "id": said.id}

    async def _write(self) -> None:
        from starlette.websockets import WebSocketDisconnect

        with suppress(RuntimeError, OSError, WebSocketDisconnect):  # the other side is gone; reading says so as well
            while frame := await self._link.next():
                await self._socket.send_json(frame)
            await self._socket.close(POLICY if self._is_too_fast else LATER)
