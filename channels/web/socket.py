"""The WebSocket of one open page: validate and accept its frames, send it the frames of the desk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import uuid4

from qwendesk.channels.base import Accept
from qwendesk.channels.ingest import read_json
from qwendesk.channels.relay import Frame
from qwendesk.channels.web.identity import MAX_TOKEN_CHARS, IdentityRefused
from qwendesk.channels.web.sessions import FORGOTTEN, FrameQueue, VisitorSession
from qwendesk.channels.web.visitors import Credentials, SessionTaken, Visitor, VisitorDirectory, is_key, visitor_name
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.desk.translations import say
from qwendesk.errors import StoreError
from qwendesk.messages import Attachment, Inbound, ReplyAddress, kind_of, storable_text
from qwendesk.printable import one_line

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
_ADDRESS = {
    "name": re.compile(r"(?s).{0,100}"),
    "email": re.compile(r"(?=.{3,254}\Z)[^\s@<>\"(),:;\[\]\\]+@[^\s@<>\"(),:;\[\]\\.]+(\.[^\s@<>\"(),:;\[\]\\.]+)+"),
    "phone": re.compile(r"(?=(?:\D*\d){5,15}\D*\Z)\+?[\d ().\-/\u00a0]{5,30}"),
}
"""What a form may have in each of its fields; digits of any script count."""
_WRONG = {"name": "web_wrong_name", "email": "web_wrong_email", "phone": "web_wrong_phone"}
"""Keys of what is said of a field."""
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
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
    """A page has connected or reconnected, opens another conversation, or its visitor has logged in or out."""

    shown: Credentials
    seen: int
    """Highest sequence number that the page has received of the conversation."""
    conversation: str = ""
    """Key of the conversation, or the name that the page has drawn for a new one; empty: the visitor's current one."""
    locale: str | None = None


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
    address: ReplyAddress | None = None
    """What the form has, where the message comes from it."""

    def inbound(self, key: str, visitor: Visitor) -> Inbound:
        """Return the message for the desk."""
        customer = visitor.customer
        return Inbound(
            self.text,
            key,
            self.files,
            person=visitor.person,
            channel="web",
            event=f"{key}:{self.id}",
            reply_to=self.id,
            locale=visitor.locale or self.locale,
            display_name=(customer.name if customer else "") or (self.address.name if self.address else ""),
            unsupported_media="large file" if self.too_large else None,
            customer=customer,
            reply_address=self.address,
        )


@dataclass(frozen=True, slots=True)
class RequestFrame:
    """A request without content: ``stop`` the answer, or list the ``conversations``."""

    kind: Literal["stop", "conversations"]


AnyFrame = HelloFrame | MessageFrame | RequestFrame


class InvalidFrame(ValueError):
    """An invalid frame.

    Args:
        text: what is wrong.
        name: the id of its message, if it has one.
        field: the field of a form that is wrong.
    """

    def __init__(self, text: str, name: str | None, field: str = "") -> None:
        super().__init__(text)
        self.name = name
        self.field = field


def read_frame(data: str | bytes) -> AnyFrame:
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
        raise InvalidFrame(str(error), name if known else None, getattr(error, "field", "")) from None


def _parse(frame: Any) -> AnyFrame:
    kind = frame.get("type") if isinstance(frame, dict) else None
    match kind:
        case "hello":
            return _hello(frame)
        case "message":
            return _message(frame)
        case "press":
            return _press(frame)
        case "address":
            return _address(frame)
        case "stop" | "conversations":
            return RequestFrame(kind)
    raise ValueError("The frame has an unknown type.")


def _hello(frame: dict[str, Any]) -> HelloFrame:
    session, seen = frame.get("session"), frame.get("seen", 0)
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise ValueError("'session' is not a valid token.")
    if not isinstance(seen, int) or isinstance(seen, bool):
        raise ValueError("'seen' is not a number.")
    names = ("identity", "user_id", "user_hash", "conversation")
    shown = {name: frame.get(name) or "" for name in names}
    if wrong := [name for name, value in shown.items() if not isinstance(value, str) or len(value) > MAX_TOKEN_CHARS]:
        raise ValueError(f"{wrong[0]!r} is not a text of at most {MAX_TOKEN_CHARS} characters.")
    conversation = shown.pop("conversation")
    credentials = Credentials(visitor_name(session), shown["identity"], shown["user_id"], shown["user_hash"])
    return HelloFrame(credentials, seen, conversation, _locale(frame))


def _message(frame: dict[str, Any]) -> MessageFrame:
    text, files = _text(frame, "text", MAX_TEXT_BYTES), frame.get("files", [])
    if not isinstance(files, list) or len(files) > 10:
        raise ValueError("'files' is not a list of at most 10 files.")
    given = [_file(file) for file in files]
    taken = tuple(file for file in given if len(file.data) <= MAX_FILE_BYTES)
    return MessageFrame(_id(frame), text, _locale(frame), taken, len(taken) < len(given))


def _press(frame: dict[str, Any]) -> MessageFrame:
    return MessageFrame(_id(frame), _text(frame, "value", 64), _locale(frame), pressed=True)


def _address(frame: dict[str, Any]) -> MessageFrame:
    text, locale = _text(frame, "text", MAX_TEXT_BYTES).strip(), _locale(frame)
    values = {name: _text(frame, name, 1000).strip() for name in ("name", "email", "phone")}
    wrong = [name for name, pattern in _ADDRESS.items() if values[name] and not pattern.fullmatch(values[name])]
    if wrong:
        raise InvalidFrame(say(_WRONG[wrong[0]], locale), None, wrong[0])
    if not (values["email"] or values["phone"]):
        raise InvalidFrame(say("web_one_of", locale), None, "email")
    address = ReplyAddress(one_line(values["name"]), values["email"], values["phone"])
    return MessageFrame(_id(frame), text or say("web_left_address", locale), locale, address=address)


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


class Pages(Protocol):
    """What a page's connection needs of its channel."""

    directory: VisitorDirectory

    @property
    def accept(self) -> Accept | None:
        """Accepts messages; None while the desk stops."""

    async def load_session(self, key: str) -> VisitorSession:
        """Return the session of a conversation's key, with its stored messages."""

    async def publish(self, key: str, frame: Frame) -> None:
        """Send a frame of a conversation to the visitor's pages at other processes."""

    async def update_standing(self, key: str, session: VisitorSession) -> None:
        """Find out who answers in a conversation."""

    def log_refused_identity(self, error: IdentityRefused) -> None:
        """Log that an identity was refused."""


class PageConnection:
    """One connection, from its first frame to its last.

    Args:
        socket: the WebSocket.
        pages: the channel.
    """

    def __init__(self, socket: WebSocket, pages: Pages) -> None:
        self._socket = socket
        self._pages = pages
        self._outgoing = FrameQueue()
        self._session: VisitorSession | None = None
        self._visitor = Visitor("")
        self._key = ""
        self._locale: str | None = None
        self._frame_limit = RateLimiter(_BURST_FRAMES, _FRAMES_PER_SECOND * 3600)
        self._exceeded_rate = False

    async def run(self) -> None:
        """Exchange frames until either side closes the connection."""
        await self._socket.accept()
        writing = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            self._leave()
            writing.cancel()
            await asyncio.wait([writing])

    async def _read(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._seconds_to_wait()):
                    message = await self._socket.receive()
            except TimeoutError:
                if self._session:  # the page asks the shop for a new identity
                    self._leave()
                    self._outgoing.put(self._unidentified("expired"))
                    continue
                self._outgoing.close()
                message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not self._frame_limit.allow():
                self._exceeded_rate = True
                self._outgoing.close()
                continue
            await self._receive(message.get("text") or message.get("bytes") or "")

    def _seconds_to_wait(self) -> float | None:
        """Return the seconds until something has to come, or until the identity expires."""
        if self._session is None:
            return _HELLO_TIMEOUT_SECONDS
        ends_at = self._visitor.ends_at
        return None if ends_at is None else max(0.0, ends_at - monotonic())

    def _leave(self) -> None:
        if self._session:
            self._session.leave(self._outgoing)
        self._session = None

    async def _receive(self, data: str | bytes) -> None:
        try:
            frame = await asyncio.to_thread(read_frame, data) if len(data) > _THREAD_BYTES else read_frame(data)
        except ValueError as error:
            # with the id of its message, so that the page does not send it again for ever
            refused: Frame = {"type": "refused", "text": str(error)}
            if isinstance(error, InvalidFrame):
                refused |= {"id": error.name} if error.name else {}
                refused |= {"field": error.field} if error.field else {}
            self._outgoing.put(refused)
            return
        if isinstance(frame, HelloFrame):
            await self._join(frame)
        elif self._session is None:
            self._outgoing.put({"type": "refused", "text": "The first frame must be 'hello'."})
        elif isinstance(frame, RequestFrame):
            await self._answer(frame)
        else:
            self._outgoing.put(await self._submit(frame, self._session))

    async def _join(self, hello: HelloFrame) -> None:
        """Let the visitor of a page in, and show the conversation; another visitor's is left before."""
        self._leave()
        self._locale = hello.locale
        directory = self._pages.directory
        try:
            self._visitor = await directory.admit(hello.shown)
            self._key = await directory.conversation(self._visitor, hello.conversation)
        except IdentityRefused as error:
            self._pages.log_refused_identity(error)
            self._outgoing.put(self._unidentified(error.fault, str(error)))
            return
        except SessionTaken:
            self._outgoing.put(self._unidentified("session"))
            return
        except StoreError:
            self._outgoing.close()  # the page comes back
            return
        self._session = await self._pages.load_session(self._key)
        self._session.person = self._visitor.person
        self._session.awaits_answer_until = monotonic() + ANSWER_TIMEOUT_SECONDS
        is_another = is_key(hello.conversation) and hello.conversation != self._key
        if is_another:  # what the page shows is of a conversation that is not the visitor's
            self._outgoing.put(FORGOTTEN)
        self._session.join(self._outgoing, 0 if is_another else hello.seen)
        await self._pages.update_standing(self._key, self._session)
        self._outgoing.put(self._welcome(self._session))

    def _welcome(self, session: VisitorSession) -> Frame:
        frame: Frame = {"type": "welcome", "conversation": self._key, "form": session.standing.wants_address}
        if customer := self._visitor.customer:
            frame["customer"] = {"name": customer.name, "email": customer.email}
        return frame

    def _unidentified(self, reason: str, detail: str = "") -> Frame:
        """Return the frame that says why a visitor is not let in: a line for the visitor, the detail for the shop."""
        key = "web_session_ended" if reason in ("expired", "session") else "web_log_in"
        return {"type": "unidentified", "reason": reason, "text": say(key, self._locale), "detail": detail}

    async def _answer(self, request: RequestFrame) -> None:
        if request.kind == "stop":
            if accept := self._pages.accept:
                await accept(self._with_address(MessageFrame(uuid4().hex, "/stop", self._locale)))
            return
        try:
            found = await self._pages.directory.conversations(self._visitor)
        except StoreError:
            found = []
        rows = [{"id": one.key, "title": one.title, "at": int(one.updated_at.timestamp() * 1000)} for one in found]
        self._outgoing.put({"type": "conversations", "list": rows, "current": self._key})

    def _with_address(self, message: MessageFrame) -> Inbound:
        address = self._socket.client.host if self._socket.client else ""
        return replace(message.inbound(self._key, self._visitor), address=address)

    async def _submit(self, message: MessageFrame, session: VisitorSession) -> Frame:
        """Pass a message to the desk and return the frame that answers it."""
        accept = self._pages.accept
        if accept is None:
            return {"type": "busy", "id": message.id, "after": 2}
        admission = await accept(self._with_address(message))
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
                if message.address:
                    session.set_standing(replace(session.standing, wants_address=False))
                if session.standing.bot_answers:  # the message is stored: the sign comes before a worker sends it
                    session.broadcast({"type": "typing"})
                await self._pages.publish(self._key, frame)
        return {"type": "taken", "id": message.id}

    async def _write(self) -> None:
        from starlette.websockets import WebSocketDisconnect

        with suppress(RuntimeError, OSError, WebSocketDisconnect):  # the page has disconnected
            while frame := await self._outgoing.next():
                await self._socket.send_json(frame)
            await self._socket.close(POLICY_VIOLATION if self._exceeded_rate else TRY_AGAIN_LATER)
