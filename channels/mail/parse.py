"""From a mail to a message for the desk; mail that programs send is not for it."""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart
from email.policy import EmailPolicy
from hashlib import sha256
from typing import Any, cast

from qwendesk.channels.base import LARGEST_FILE, left_out
from qwendesk.channels.mail.html import text_of
from qwendesk.channels.mail.quotes import newest
from qwendesk.channels.mail.sender import sender_of
from qwendesk.messages import Attachment, Inbound, kind_of, storable

_LONGEST_HEADER = 2000
"""Characters of a header that are read: the standard library's reader takes the square of its time for some."""
_LONGEST_BODY = 2**18
"""Bytes of a body that are read, many times what the desk takes of a text."""
_SLOW = {"punycode", "idna"}
"""Alphabets that are none, and whose decoders take the square of the time."""
UNPROVEN = "unproven:"
"""What a name begins with whose mail may be of somebody else."""
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*(?=[,;\s]|$)")
_NO_LOCALE = 40
"""Characters in which a language has to be named."""
_NAME = re.compile(r"<[^<>\s]+>")


@dataclass(frozen=True, slots=True)
class Thread:
    """What an answer to a mail needs: whom to write to, under which subject, after which mail.

    It is kept in ``Inbound.reply_to``, so that nothing but the desk's own tables has to remember it.
    """

    address: str
    message_id: str
    subject: str

    def __str__(self) -> str:
        return f"{self.address} {self.message_id} {self.subject}"

    @classmethod
    def read(cls, written: str) -> Thread:
        """Return what ``str`` wrote."""
        address, message_id, subject = (written.split(" ", 2) + ["", ""])[:3]
        return cls(address, message_id, subject)


class _Bounded(EmailPolicy):
    """Reads headers no further than they make sense."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        """Return a header's value as an object."""
        return super().header_fetch_parse(name, value[:_LONGEST_HEADER])


def parse(raw: bytes, own: str, authserv: str = "") -> Inbound | None:
    """Return what a person wrote; None for lists, bounces, automatic answers and the desk's own mail.

    Args:
        raw: the mail.
        own: the desk's own address.
        authserv: the name of the mail server whose word is taken for who wrote a mail; empty: every sender is believed.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        mail = cast(EmailMessage, email.message_from_bytes(raw, policy=_Bounded()))
        return _read(mail, raw, own.lower(), authserv)
    except (MessageError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"not a mail that can be read: {error!r}") from error


def _read(mail: EmailMessage, raw: bytes, own: str, authserv: str) -> Inbound | None:
    sender = (
        None
        if _is_automatic(mail)
        else sender_of(mail, _header(mail, "From"), _header(mail, "Reply-To"), own, authserv)
    )
    if sender is None:
        return None
    message_id = _first(mail, "Message-ID") or f"<{sha256(raw).hexdigest()[:32]}@unnamed>"
    root = _first(mail, "References") or _first(mail, "In-Reply-To") or message_id
    subject = _header(mail, "Subject")
    text = newest(_body(mail))
    files = [_file(part) for part in mail.iter_attachments() if not part.is_multipart()]
    kept = tuple(file for file in files if file.data and len(file.data) <= LARGEST_FILE)
    if subject and root == message_id:
        text = f"{subject}\n\n{text}".strip()
    doubted = bool(authserv) and not sender.proven
    person = f"{UNPROVEN}{sender.address}" if doubted else sender.address
    # whoever may be somebody else never gets into a conversation of the one they may not be
    place = f"{sender.address} {root} ?" if doubted else f"{sender.address} {root}"
    return Inbound(
        storable(text),
        _short(place, 400),
        kept,
        person=_short(person, 200),
        channel="mail",
        account=own,
        # a Message-ID alone can be taken by anybody, and the mail that has it by right would be the second one
        event=_short(f"{person} {message_id}", 300),
        reply_to=storable(str(Thread(sender.address, message_id, subject)))[:900],
        display_name=storable(sender.name)[:200],
        locale=_locale(mail),
        unreadable=left_out(len(file.data) for file in files),
    )


def _short(name: str, longest: int) -> str:
    """Return a name that can be kept; a longer one ends in what stands for its rest."""
    name = storable(name)
    return name if len(name) <= longest else f"{name[: longest - 33]}#{sha256(name.encode()).hexdigest()[:32]}"


def _is_automatic(mail: EmailMessage) -> bool:
    automatic = _header(mail, "Auto-Submitted").lower()
    return (
        (automatic not in ("", "no"))
        or any(
            mail[name] is not None
            for name in ("List-Id", "List-Unsubscribe", "X-Autoreply", "X-Auto-Response-Suppress")
        )
        or _header(mail, "Precedence").lower() in ("bulk", "junk", "list", "auto_reply")
        or _header(mail, "Return-Path").strip() == "<>"
    )


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(mail[name] or "").split())
    except (ValueError, IndexError, AttributeError):  # the standard library's reader trips over some headers
        return ""


def _locale(mail: EmailMessage) -> str | None:
    """Return the first language that the sender's program names."""
    named = _header(mail, "Content-Language") or _header(mail, "Accept-Language")
    found = _LOCALE.match(named[:_NO_LOCALE])
    return found[0] if found else None


def _first(mail: EmailMessage, name: str) -> str:
    found = _NAME.search(_header(mail, name))
    return found[0] if found else ""


def _body(mail: EmailMessage) -> str:
    part = mail.get_body(("plain", "html"))
    if part is None:
        return ""
    text = _content(part)
    return text_of(text) if part.get_content_type() == "text/html" else text


def _content(part: MIMEPart) -> str:
    data = part.get_payload(decode=True)
    alphabet = part.get_content_charset("utf-8")
    whole = data[:_LONGEST_BODY] if isinstance(data, bytes) else b""
    try:
        return whole.decode("utf-8" if alphabet in _SLOW else alphabet, "replace")
    except (LookupError, UnicodeError, ValueError):
        return whole.decode("utf-8", "replace")


def _file(part: EmailMessage) -> Attachment:
    mime = part.get_content_type()
    data = part.get_payload(decode=True)
    name = storable(str(part.get_filename() or ""))[:200]
    return Attachment(kind_of(mime), mime, data if isinstance(data, bytes) else b"", name)
