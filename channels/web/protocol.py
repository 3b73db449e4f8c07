"""Frames that a page sends, validated: any program may connect to the WebSocket."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from qwendesk.channels.ingest import read_json
from qwendesk.messages import Attachment, Inbound, kind_of, storable

MAX_TEXT_BYTES = 64 * 1024
"""Bytes of UTF-8 in the text of one message."""
MAX_FILE_BYTES = 5 * 2**20
MAX_FRAME_BYTES = 8 * 2**20
"""A frame holds a file of the maximum size in base64 and its message."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{32,64}")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MIME = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,100}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


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
    """A frame that no page sends; ``name`` is the id of its message, if it has one."""

    def __init__(self, text: str, name: str | None) -> None:
        super().__init__(text)
        self.name = name


def read_frame(data: str | bytes) -> HelloFrame | MessageFrame:
    """Validate a frame.

    Raises:
        ValueError: it is too large, or no JSON.
        InvalidFrame: no page sends such a frame.
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
    raise ValueError("This is nothing that can be read here.")


def conversation_key(session: str) -> str:
    """Return the conversation's key, from which the session token cannot be computed."""
    return hashlib.sha256(session.encode()).hexdigest()


def _hello(frame: dict[str, Any]) -> HelloFrame:
    session, seen = frame.get("session"), frame.get("seen", 0)
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise ValueError("The session is no token.")
    if not isinstance(seen, int) or isinstance(seen, bool):
        raise ValueError("'seen' is no number.")
    return HelloFrame(conversation_key(session), seen)


def _message(frame: dict[str, Any]) -> MessageFrame:
    text, files = _text(frame, "text", MAX_TEXT_BYTES), frame.get("files", [])
    if not isinstance(files, list) or len(files) > 10:
        raise ValueError("'files' is no short list.")
    given = [_file(file) for file in files]
    taken = tuple(file for file in given if len(file.data) <= MAX_FILE_BYTES)
    return MessageFrame(_id(frame), text, _locale(frame), taken, len(taken) < len(given))


def _press(frame: dict[str, Any]) -> MessageFrame:
    return MessageFrame(_id(frame), _text(frame, "value", 64), _locale(frame), pressed=True)


def _text(frame: dict[str, Any], name: str, most: int) -> str:
    text = frame.get(name, "")
    if not isinstance(text, str):
        raise ValueError("This is no text.")
    text = storable(text)
    if len(text.encode()) > most:
        raise ValueError("This text is too long.")
    return text


def _id(frame: dict[str, Any]) -> str:
    name = frame.get("id") or uuid4().hex
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError("'id' is no name of a message.")
    return name


def _locale(frame: dict[str, Any]) -> str | None:
    locale = frame.get("locale")
    return locale if isinstance(locale, str) and len(locale) <= 20 and _LOCALE.fullmatch(locale) else None


def _file(file: Any) -> Attachment:
    if not isinstance(file, dict) or not isinstance(file.get("data"), str):
        raise ValueError("A file is not readable.")
    try:
        data = base64.b64decode(file["data"], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("A file is not in base64.") from None
    mime = str(file.get("mime") or "application/octet-stream")
    if not _MIME.fullmatch(mime):
        mime = "application/octet-stream"
    name = storable(str(file.get("name") or ""))[:200]
    return Attachment(kind_of(mime), mime, data, name)
