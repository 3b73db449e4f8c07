"""Who is at a page and which conversations are theirs: an anonymous visitor, or a customer whom the shop has signed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from time import monotonic

from qwendesk.channels.web.identity import IdentityRefused, IdentityVerifier, SignedIdentity
from qwendesk.desk.visitors import VisitorConversation, Visitors
from qwendesk.messages import Customer

_KEY = re.compile(r"[0-9a-f]{64}")
"""A conversation's key."""
_NEW = re.compile(r"[A-Za-z0-9_-]{16,32}")
"""A name that a page draws for a new conversation."""


class SessionTaken(Exception):
    """The page's session belongs to a customer who has to log in; the page draws a new one."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person at a page."""

    person: str
    """Name on the channel."""
    customer: Customer | None = None
    """What the shop has signed; None: anonymous."""
    locale: str | None = None
    ends_at: float | None = None
    """Monotonic time at which the identity expires."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a page shows to be let in."""

    session: str
    """Hash of the random token that the page keeps: the name of an anonymous visitor."""
    token: str = ""
    user_id: str = ""
    user_hash: str = ""


def visitor_name(token: str) -> str:
    """Return an anonymous visitor's name, from which the random token cannot be computed."""
    return hashlib.sha256(token.encode()).hexdigest()


def conversation_key(person: str, name: str = "") -> str:
    """Return the key of a person's conversation, by the name that a page has drawn for it; empty: the first one."""
    if not name and is_key(person):
        return person
    # no person's name has a line break, so two people have no key in common
    return hashlib.sha256(f"{person}\n{name}".encode()).hexdigest()


def is_key(text: str) -> bool:
    """Return whether a text is a conversation's key."""
    return _KEY.fullmatch(text) is not None


class VisitorDirectory:
    """Lets visitors in and finds their conversations.

    Args:
        verifier: checks what shops sign.
        is_enforced: whether only signed customers are let in.
    """

    def __init__(self, verifier: IdentityVerifier, *, is_enforced: bool) -> None:
        self._verifier = verifier
        self._is_enforced = is_enforced
        self.stored: Visitors | None = None
        """Visitors in the database."""

    async def admit(self, shown: Credentials) -> Visitor:
        """Return the visitor of these credentials; what this browser has written before belongs to the customer then.

        Raises:
            IdentityRefused: the identity is missing or not accepted.
            SessionTaken: the session belongs to a customer, and the page passes no identity, or none can be checked.
            StoreError: the database cannot be asked.
        """
        signed = self._signed(shown)
        if signed:
            if self.stored:
                await self.stored.adopt(shown.session, signed.person)
            left = signed.seconds_left
            ends_at = None if left is None else monotonic() + left
            return Visitor(signed.person, signed.customer, signed.locale, ends_at)
        if self._is_enforced:
            raise IdentityRefused("required")
        # asked without a secret as well: one that was removed must not open what a log-in has closed
        if self.stored and await self.stored.is_customers(shown.session):
            raise SessionTaken
        return Visitor(shown.session)

    async def conversations(self, visitor: Visitor, limit: int = 20) -> list[VisitorConversation]:
        """Return the visitor's conversations, the most recently used first.

        Raises:
            StoreError: the database cannot be read.
        """
        return await self.stored.conversations(visitor.person, limit) if self.stored else []

    async def conversation(self, visitor: Visitor, wanted: str) -> str:
        """Return the key of the conversation that a page opens; a key of somebody else's opens the visitor's own.

        Args:
            visitor: the visitor.
            wanted: a key, or the name that the page has drawn for a new one; empty: a customer's newest one, on
                whichever device it was written, or an anonymous visitor's first one.

        Raises:
            StoreError: the database cannot be read.
        """
        own = conversation_key(visitor.person)
        if wanted and not is_key(wanted):
            return conversation_key(visitor.person, wanted) if _NEW.fullmatch(wanted) else own
        if wanted == own or not (wanted or visitor.customer):
            return own
        keys = [one.key for one in await self.conversations(visitor, 100)]
        if wanted in keys:
            return wanted
        return next(iter(keys), own) if visitor.customer else own

    def _signed(self, shown: Credentials) -> SignedIdentity | None:
        if shown.token:
            return self._verifier.verify_token(shown.token)
        if shown.user_id or shown.user_hash:
            return self._verifier.verify_hash(shown.user_id, shown.user_hash)
        return None
