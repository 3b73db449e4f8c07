"""Threads of mails: the key of a thread's conversation, and what an answer in it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from qwendesk.desk.tickets.records import DeliveryAddress
from qwendesk.messages import storable_text

MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_MAX_KEY_CHARS = 400
_MAX_ANSWERED_CHARS = 900


@dataclass(frozen=True, slots=True)
class Thread:
    """Data for answering a mail: the address, the Message-ID of the mail, and the subject.

    It is stored in ``Inbound.reply_to``, so that it needs no table.
    """

    address: str
    message_id: str
    """Empty: the mail that is answered has none here."""
    subject: str

    def __str__(self) -> str:
        return f"{self.address} {self.message_id} {self.subject}"

    @property
    def stored(self) -> str:
        """The thread as ``Inbound.reply_to`` holds it."""
        return storable_text(str(self))[:_MAX_ANSWERED_CHARS]

    @classmethod
    def read(cls, written: str) -> Thread:
        """Parse the output of ``str``."""
        address, message_id, subject = (written.split(" ", 2) + ["", ""])[:3]
        return cls(address, message_id, subject)


def thread_key(address: str, root: str, *, is_doubted: bool = False) -> str:
    """Return the key of the conversation of a thread.

    Args:
        address: the customer's address in lower case.
        root: the Message-ID of the thread's first mail.
        is_doubted: whether the sender is not authenticated: such a mail joins no conversation of the claimed sender.
    """
    return limited(f"{address} {root} ?" if is_doubted else f"{address} {root}", _MAX_KEY_CHARS)


def thread_root(key: str) -> str:
    """Return the Message-ID of the first mail of a conversation's thread; empty if its key does not hold it."""
    root = (key.split(" ") + [""])[1]
    return root if MESSAGE_ID.fullmatch(root) else ""


def delivery_address(
    own: str, address: str, name: str, mail_ids: Sequence[str], subject: str, *, root: str
) -> DeliveryAddress:
    """Return where an answer in a thread goes that began elsewhere; the customer's reply comes to its conversation.

    Args:
        own: the desk's own address.
        address: the customer's address.
        name: the customer's name.
        mail_ids: Message-IDs of the customer's mails, oldest first.
        subject: the subject.
        root: the Message-ID under which the thread is kept if none is known.
    """
    known = [found[0] for one in mail_ids if (found := MESSAGE_ID.fullmatch(one if "<" in one else f"<{one}>"))]
    to = address.lower()
    thread = Thread(to, known[-1] if known else "", subject)
    key = thread_key(to, known[0] if known else root)
    return DeliveryAddress(own.lower(), key, to, name, reply_to=thread.stored)


def limited(name: str, longest: int) -> str:
    """Return a name of limited length; a hash replaces the end of a longer one."""
    name = storable_text(name)
    return name if len(name) <= longest else f"{name[: longest - 33]}#{sha256(name.encode()).hexdigest()[:32]}"
