"""From a mail to a message for the desk; mail that programs send is not for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email.errors import MessageError
from hashlib import sha256

from qwendesk.channels.base import MAX_FILE_BYTES, skipped_media
from qwendesk.channels.mail.automatic import is_automatic
from qwendesk.channels.mail.body import Body, body_of
from qwendesk.channels.mail.headers import Mail, text
from qwendesk.channels.mail.limits import Limits, structure
from qwendesk.channels.mail.quote_words import FORWARD_SUBJECTS
from qwendesk.channels.mail.quotes import newest
from qwendesk.channels.mail.sender import sender_of
from qwendesk.messages import Inbound, storable

UNPROVEN = "unproven:"
"""What a name begins with whose mail may be of somebody else."""
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*(?=[,;\s]|$)")
_NO_LOCALE = 40
"""Characters in which a language has to be named."""
_NAME = re.compile(r"<[^<>\s]+>")
_UNSEEN = re.compile(
    r"(?<![\U0001F3F4\U000E0000-\U000E007F])[\U000E0000-\U000E007F]+|[\u200b\u2060\ufeff\u00ad\u034f]+"
)
"""Signs that nobody sees: letters made of tags, which are part of flags alone, and fillers of no width."""
_DEFAULT = Limits()


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


def parse(raw: bytes, own: str, authserv: str = "", limits: Limits = _DEFAULT) -> Inbound | None:
    """Return what a person wrote; None for lists, bounces, automatic answers and the desk's own mail.

    Args:
        raw: the mail.
        own: the desk's own address.
        authserv: the name of the mail server whose word is taken for who wrote a mail; empty: every sender is believed.
        limits: how much of the mail is read; what is beyond is left out.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        mail, is_whole = structure(raw, limits)
        inbound = _read(mail, raw, own.lower(), authserv, limits)
    except (MessageError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"not a mail that can be read: {error!r}") from error
    return (
        inbound
        if inbound is None or is_whole
        else replace(inbound, unsupported_media=inbound.unsupported_media or "large file")
    )


def _read(mail: Mail, raw: bytes, own: str, authserv: str, limits: Limits) -> Inbound | None:
    sender = None if is_automatic(mail) else sender_of(mail, own, authserv)
    if sender is None:
        return None
    message_id = _first(mail, "Message-ID") or f"<{sha256(raw).hexdigest()[:32]}@unnamed>"
    root = _first(mail, "References") or _first(mail, "In-Reply-To") or message_id
    subject = _visible(text(mail, "Subject"))
    body = body_of(mail, limits)
    said = _said(body, subject)
    kept = tuple(file for file in body.files if file.data and len(file.data) <= MAX_FILE_BYTES)
    if subject and root == message_id:
        said = f"{subject}\n\n{said}".strip()
    doubted = bool(authserv) and not sender.proven
    person = f"{UNPROVEN}{sender.address}" if doubted else sender.address
    # whoever may be somebody else never gets into a conversation of the one they may not be
    place = f"{sender.address} {root} ?" if doubted else f"{sender.address} {root}"
    return Inbound(
        storable(said),
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
        unsupported_media=body.unsupported_media or skipped_media(len(file.data) for file in body.files),
    )


def _said(body: Body, subject: str) -> str:
    """Return what the sender wrote, without the older mails below it, and the mails that are passed on."""
    is_passed_on = subject.casefold().startswith(FORWARD_SUBJECTS)
    texts = (newest(_visible(one), forwarded=is_passed_on) for one in body.texts)
    return "\n\n".join([*texts, *(_visible(one) for one in body.forwarded)]).strip("\n").rstrip()


def _visible(said: str) -> str:
    return said if said.isascii() else _UNSEEN.sub("", said)


def _short(name: str, longest: int) -> str:
    """Return a name that can be kept; a longer one ends in what stands for its rest."""
    name = storable(name)
    return name if len(name) <= longest else f"{name[: longest - 33]}#{sha256(name.encode()).hexdigest()[:32]}"


def _locale(mail: Mail) -> str | None:
    """Return the first language that the sender's program names."""
    named = text(mail, "Content-Language") or text(mail, "Accept-Language")
    found = _LOCALE.match(named[:_NO_LOCALE])
    return found[0] if found else None


def _first(mail: Mail, name: str) -> str:
    found = _NAME.search(text(mail, name))
    return found[0] if found else ""
