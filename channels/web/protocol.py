"""What a page sends, read with care: anybody may write to the socket."""

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

MOST_TEXT = 64 * 1024
"""Bytes of UTF-8 in one message."""
LARGEST_FILE = 5 * 2**20
LARGEST_FRAME = 8 * 2**20
"""A file of 5 MiB in base64, and its message."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{32,64}")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MIME = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,100}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Hello:
    """A page has opened, or is back."""

    key: str
    """The conversation's key, made of the visitor's secret; the secret itself is kept nowhere."""
    seen: int
    """The newest place in the conversation that the page knows."""


@dataclass(frozen=True, slots=True)
class Said:
    """A visitor has written something, or pressed a button."""

    id: str
    """The page's name for it: the same name is the same message."""
    text: str
    locale: str | None = None
    files: tuple[Attachment, ...] = ()
    too_large: bool = False
    """Whether a file was left out."""
    pressed: bool = False
    """Whether it is the value of a button."""

    def inbound(self, key: str) -> Inbound:
        """Return it as the desk takes it."""
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


class Unreadable(ValueError):
    """A frame is nothing that a page sends; ``name`` is that of its message, where it has one."""

    def __init__(self, text: str, name: str | None) -> None:
        super().__init__(text)
        self.name = name


def read(data: str | bytes) -> Hello | Said:
    """Return what a frame says.

    Raises:
        ValueError: it is too large, or no JSON.
        Unreadable: it is nothing that a page sends.
    """
    if len(data) > LARGEST_FRAME:
        raise ValueError("This is too large.")
    try:
        frame = read_json(data)
    except ValueError:
        raise ValueError("This is not JSON.") from None
    try:
        return _understood(frame)
    except ValueError as error:
        name = frame.get("id") if isinstance(frame, dict) else None
        known = isinstance(name, str) and _ID.fullmatch(name)
        raise Unreadable(str(error), name if known else None) from None


def _understood(frame: Any) -> Hello | Said:
    kind = frame.get("type") if isinstance(frame, dict) else None
    if kind == "hello":
        return _hello(frame)
    if kind == "message":
        return _said(frame)
    if kind == "press":
        return _pressed(frame)
    raise ValueError("This is nothing that can be read here.")


def key_of(session: str) -> str:
    """Return the conversation's key: from it, nobody can get the session back."""
    return hashlib.sha256(session.encode()).hexdigest()


def _hello(frame: dict[str, Any]) -> Hello:
    session, seen = frame.get("session"), frame.get("seen", 0)
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise ValueError("The session is no token.")
    if not isinstance(seen, int) or isinstance(seen, bool):
        raise ValueError("'seen' is no number.")
    return Hello(key_of(session), seen)


def _said(frame: dict[str, Any]) -> Said:
    text, files = _text(frame, "text", MOST_TEXT), frame.get("files", [])
    if not isinstance(files, list) or len(files) > 10:
        raise ValueError("'files' is no short list.")
    read = [_file(file) for file in files]
    whole = tuple(file for file in read if len(file.data) <= LARGEST_FILE)
    return Said(_id(frame), text, _locale(frame), whole, len(whole) < len(read))


def _pressed(frame: dict[str, Any]) -> Said:
    return Said(_id(frame), _text(frame, "value", 64), _locale(frame), pressed=True)


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
