"""From a mail to a message for the desk; mail that programs send is not for it."""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart
from email.utils import parseaddr
from hashlib import sha256

from qwendesk.channels.mail.html import text_of
from qwendesk.messages import Attachment, Inbound, storable

LARGEST_FILE = 20 * 2**20
_LANGUAGES = ["en", "de", "fr", "it", "es", "pt", "nl", "pl", "sv", "da", "no", "cs", "ja", "zh", "ko", "he"]
"""Languages whose "On Monday Anna wrote:" is known to the reader of quotes."""
_NAME = re.compile(r"<[^<>\s]+>")
_PROGRAMS = ("mailer-daemon@", "postmaster@", "noreply@", "no-reply@", "donotreply@", "bounce")


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


def parse(raw: bytes, own: str) -> Inbound | None:
    """Return what a person wrote; None for lists, bounces, automatic answers and the desk's own mail.

    Args:
        raw: the mail.
        own: the desk's own address.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        mail = email.message_from_bytes(raw, policy=policy.default)
        return _read(mail, raw, own.lower())
    except (MessageError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"not a mail that can be read: {error!r}") from error


def _read(mail: EmailMessage, raw: bytes, own: str) -> Inbound | None:
    name, address = parseaddr(_header(mail, "From"))
    address = address.lower()
    if "@" not in address or address == own or _from_a_program(mail, address):
        return None
    message_id = _first(mail, "Message-ID") or f"<{sha256(raw).hexdigest()[:32]}@unnamed>"
    root = _first(mail, "References") or _first(mail, "In-Reply-To") or message_id
    subject = _header(mail, "Subject")
    text = _newest(_body(mail))
    files = [_file(part) for part in mail.iter_attachments() if not part.is_multipart()]
    kept = tuple(file for file in files if file.data and len(file.data) <= LARGEST_FILE)
    if subject and root == message_id:
        text = f"{subject}\n\n{text}".strip()
    return Inbound(
        storable(text),
        storable(f"{address} {root}")[:400],
        kept,
        person=storable(address)[:200],
        channel="mail",
        account=own,
        event=storable(message_id)[:300],
        reply_to=storable(str(Thread(address, message_id, subject)))[:900],
        display_name=storable(name)[:200],
        unreadable="large file" if len(kept) < len(files) else None,
    )


def _from_a_program(mail: EmailMessage, address: str) -> bool:
    automatic = _header(mail, "Auto-Submitted").lower()
    return (
        (automatic not in ("", "no"))
        or any(
            mail[name] is not None
            for name in ("List-Id", "List-Unsubscribe", "X-Autoreply", "X-Auto-Response-Suppress")
        )
        or _header(mail, "Precedence").lower() in ("bulk", "junk", "list", "auto_reply")
        or _header(mail, "Return-Path").strip() == "<>"
        or address.startswith(_PROGRAMS)
    )


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(mail[name] or "").split())
    except (ValueError, IndexError, AttributeError):  # the standard library's reader trips over some headers
        return ""


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
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError, ValueError):
        data = part.get_payload(decode=True)
        return data.decode("utf-8", "replace") if isinstance(data, bytes) else ""


def _newest(text: str) -> str:
    """Leave out the older mails that are quoted below."""
    from mailparser_reply import EmailReplyParser

    reply = EmailReplyParser(languages=_LANGUAGES).parse_reply(text=text)
    return str(reply or text).strip()


def _file(part: EmailMessage) -> Attachment:
    mime = part.get_content_type()
    family = mime.partition("/")[0]
    data = part.get_payload(decode=True)
    kind = family if family in ("image", "audio") else "document"
    name = storable(str(part.get_filename() or ""))[:200]
    return Attachment(kind, mime, data if isinstance(data, bytes) else b"", name)  # type: ignore[arg-type]
