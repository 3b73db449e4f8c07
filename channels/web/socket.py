"""The WebSocket of one open page: validate and accept its frames, send it the frames of the desk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from qwendesk.channels.base import Accept
from qwendesk.channels.ingest import read_json
from qwendesk.channels.relay import Frame
from qwendesk.channels.web.sessions import FrameQueue, VisitorSession
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.messages import Attachment, Inbound, kind_of, storable_text

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

MAX_TEXT_BYTES = 64 * 1024
"""Bytes of UTF-8 in the text of one message."""
MAX_FILE_BYTES = 5 * 2**20
MAX_FRAME_BYTES = 8 * 2**20
"""A frame holds a file of the maximum size in base64 and its message."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{32,64}")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MIME = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,100}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
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


@dataclass(frozen=True, slots=True)
class HelloFrame:
    """A page has connected or reconnected."""

    key: str
    """Key of the conversation: a hash of the visitor's secret, which is not stored."""
    seen: int
    """Highest sequence number that the page has received."""


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """A visitor has written a message or pressed a button."""

    id: str
    """Id that the page gave it; a repeated id is the same message."""
    text: str
    locale: str | None = None
    files: tuple[Attachment, ...] = ()
    too_large: bool = False
    """Whether a file was skipped because of its size."""
    pressed: bool = False
    """Whether the text is the value of a button."""

    def inbound(self, key: str) -> Inbound:
        """Return the message for the desk."""
        return Inbound(
            self.text,
            key,
            self.files,
            person=key,
            channel="web",
            event=f"{key}:{self.id}",
            reply_to=self.id,
            locale=self.locale,
            unsupported_media="large file" if self.too_large else None,
        )


class InvalidFrame(ValueError):
    """An invalid frame; ``name`` is the id of its message, if it has one."""

    def __init__(self, text: str, name: str | None) -> None:
        super().__init__(text)
        self.name = name


def read_frame(data: str | bytes) -> HelloFrame | MessageFrame:
    """Validate a frame.

    Raises:
        ValueError: it is too large, or no JSON.
        InvalidFrame: its content is invalid.
    """
    if len(data) > MAX_FRAME_BYTES:
        raise ValueError("This is too large.")
    try:
        frame = read_json(data)
    except ValueError:
        raise ValueError("This is not JSON.") from None
    try:
        return _parse(frame)
    except ValueError as error:
        name = frame.get("id") if isinstance(frame, dict) else None
        known = isinstance(name, str) and _ID.fullmatch(name)
        raise InvalidFrame(str(error), name if known else None) from None


def _parse(frame: Any) -> HelloFrame | MessageFrame:
    kind = frame.get("type") if isinstance(frame, dict) else None
    if kind == "hello":
        return _hello(frame)
    if kind == "message":
        return _message(frame)
    if kind == "press":
        return _press(frame)
    raise ValueError("The frame has an unknown type.")


def conversation_key(session: str) -> str:
    """Return the conversation's key, from which the session token cannot be computed."""
    return hashlib.sha256(session.encode()).hexdigest()


def _hello(frame: dict[str, Any]) -> HelloFrame:
    session, seen = frame.get("session"), frame.get("seen", 0)
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise ValueError("'session' is not a valid token.")
    if not isinstance(seen, int) or isinstance(seen, bool):
        raise ValueError("'seen' is not a number.")
    return HelloFrame(conversation_key(session), seen)


def _message(frame: dict[str, Any]) -> MessageFrame:
    text, files = _text(frame, "text", MAX_TEXT_BYTES), frame.get("files", [])
    if not isinstance(files, list) or len(files) > 10:
        raise ValueError("'files' is not a list of at most 10 files.")
    given = [_file(file) for file in files]
    taken = tuple(file for file in given if len(file.data) <= MAX_FILE_BYTES)
    return MessageFrame(_id(frame), text, _locale(frame), taken, len(taken) < len(given))


def _press(frame: dict[str, Any]) -> MessageFrame:
    return MessageFrame(_id(frame), _text(frame, "value", 64), _locale(frame), pressed=True)


def _text(frame: dict[str, Any], name: str, most: int) -> str:
    text = frame.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f"{name!r} is not a string.")
    text = storable_text(text)
    if len(text.encode()) > most:
        raise ValueError(f"{name!r} is longer than {most} bytes.")
    return text


def _id(frame: dict[str, Any]) -> str:
    name = frame.get("id") or uuid4().hex
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError("'id' is not a valid message id.")
    return name


def _locale(frame: dict[str, Any]) -> str | None:
    locale = frame.get("locale")
    return locale if isinstance(locale, str) and len(locale) <= 20 and _LOCALE.fullmatch(locale) else None


def _file(file: Any) -> Attachment:
    if not isinstance(file, dict) or not isinstance(file.get("data"), str):
        raise ValueError("A file has no 'data'.")
    try:
        data = base64.b64decode(file["data"], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("'data' of a file is not base64.") from None
    mime = str(file.get("mime") or "application/octet-stream")
    if not _MIME.fullmatch(mime):
        mime = "application/octet-stream"
    name = storable_text(str(file.get("name") or ""))[:200]
    return Attachment(kind_of(mime), mime, data, name)


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
        self._outgoing = FrameQueue()
        self._session: VisitorSession | None = None
        self._key = ""
        self._frame_limit = RateLimiter(_BURST_FRAMES, _FRAMES_PER_SECOND * 3600)
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
            if not self._frame_limit.allow():
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
            self._outgoing.put({"type": "refused", "text": "The first frame must be 'hello'."})
        else:
            self._outgoing.put(await self._submit(frame, self._session))

    async def _join(self, hello: HelloFrame) -> None:
        if self._session:
            self._session.leave(self._outgoing)
        self._session, self._key = await self._open_session(hello.key), hello.key
        self._session.awaits_answer_until = monotonic() + ANSWER_TIMEOUT_SECONDS
        self._session.join(self._outgoing, hello.seen)
        self._outgoing.put({"type": "welcome"})

    async def _submit(self, message: MessageFrame, session: VisitorSession) -> Frame:
        """Pass a message to the desk and return the frame that answers it."""
        accept = self._accept()
        if accept is None:
            return {"type": "busy", "id": message.id, "after": 2}
        address = self._socket.client.host if self._socket.client else ""
        admission = await accept(replace(message.inbound(self._key), address=address))
        session.awaits_answer_until = monotonic() + ANSWER_TIMEOUT_SECONDS
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
