"""Who may talk: nobody until somebody in charge says so (pairing), those on a list, or everybody."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Literal

from qwendesk.desk.allowance import Allowance
from qwendesk.errors import ConfigError
from qwendesk.memory.guestbook import LONGEST, Guest, Guestbook, GuestRole
from qwendesk.messages import Inbound
from qwendesk.newest import Newest

Policy = Literal["pairing", "allowlist", "open"]
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Letters of a code; those that look alike are left out."""
CODE_LENGTH = 8
HOLDS_FOR = timedelta(hours=1)
_RANKS: tuple[GuestRole | None, ...] = (None, "person", "operator", "owner")
_REMEMBER = 2.0
"""Seconds for which an answer of the guest book is taken for granted."""
_MOST_REMEMBERED = 10_000
_CODES_AT_ONCE, _CODES_AN_HOUR = 50, 200
"""New codes on one channel: names of strangers cost nothing, and each code is a row."""


@dataclass(frozen=True, slots=True)
class House:
    """The rules of one channel."""

    policy: Policy = "pairing"
    allow: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    by_letter: bool = False
    """Whether an answer may reach somebody in whose name another one wrote."""
    proves_senders: bool = True
    """Whether who writes is proved; where it is not, nobody is an operator or owner."""

    @classmethod
    def read(cls, channel: str, settings: Mapping[str, Any]) -> House:
        """Read ``access``, ``allow``, ``operators`` and ``owners`` of a channel's settings.

        Raises:
            ConfigError: there is no such policy.
        """
        policy = settings.get("access", "pairing")
        if policy not in ("pairing", "allowlist", "open"):
            raise ConfigError(
                f"[channels.{channel}] has access = {policy!r}; it may be 'pairing', 'allowlist' or 'open'."
            )
        allow, operators, owners = (_names(settings.get(name, ())) for name in ("allow", "operators", "owners"))
        return cls(policy, allow, operators, owners)

    def role_of(self, person: str) -> GuestRole | None:
        """Return what the settings say somebody is."""
        people: dict[GuestRole, frozenset[str]]
        people = {"owner": self.owners, "operator": self.operators, "person": self.allow}
        return self.at_most(next((role for role, named in people.items() if person in named), None))

    def at_most(self, role: GuestRole | None) -> GuestRole | None:
        """Return what a role comes to here."""
        return role if self.proves_senders or role is None else "person"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether somebody may talk, as what, and what to tell them where not."""

    role: GuestRole | None
    text_key: str = ""
    code: str = ""
    is_known: bool = False
    """Whether the settings or a decision name the person; False for a visitor of an open channel."""


@dataclass(slots=True)
class Guests:
    """Decides at the door; what people in charge decided is in the guest book."""

    book: Guestbook
    houses: Mapping[str, House] = field(default_factory=dict)
    """The rules by channel; a channel without any is closed."""
    _strangers: Allowance = field(default_factory=lambda: Allowance(_CODES_AT_ONCE, _CODES_AN_HOUR))
    _known: Newest[tuple[str, str, str], tuple[float, Verdict]] = field(
        default_factory=lambda: Newest(_MOST_REMEMBERED)
    )

    def house_of(self, inbound: Inbound) -> House:
        """Return the rules of a message's channel."""
        return self.houses.get(inbound.channel, House())

    async def look(self, inbound: Inbound) -> Verdict:
        """Decide about the person of a message; a stranger gets a code where the channel pairs."""
        house = self.house_of(inbound)
        if house.policy == "allowlist" and not house.role_of(inbound.person):
            return Verdict(None, "not_allowed")
        key = (inbound.channel, inbound.account, inbound.person)
        remembered = self._known.get(key)
        if remembered and remembered[0] > monotonic():
            return remembered[1]
        verdict = await self._ask(house, inbound)
        if verdict.role:
            self._known[key] = (monotonic() + _REMEMBER, verdict)
        return verdict

    async def _ask(self, house: House, inbound: Inbound) -> Verdict:
        guest = await self.book.find(inbound.channel, inbound.account, inbound.person)
        if guest and guest.state == "denied":
            return Verdict(None, "not_allowed")
        known = [house.role_of(inbound.person), guest.role if guest and guest.state == "allowed" else None]
        if role := house.at_most(max(known, key=_RANKS.index)):
            return Verdict(role, is_known=True)
        if house.policy == "open":
            return Verdict("person")
        if guest and _holds(guest):
            return Verdict(None, "pairing", guest.code or "")
        if not self._strangers.spend(inbound.channel):
            return Verdict(None, "busy")
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        asked = await self.book.ask(inbound, code, datetime.now(UTC) + HOLDS_FOR)
        return Verdict(None, "pairing", asked)


def _holds(guest: Guest) -> bool:
    return (
        bool(guest.code)
        and guest.expires_at is not None
        and timedelta() < guest.expires_at - datetime.now(UTC) <= LONGEST
    )


def _names(value: Any) -> frozenset[str]:
    """Return a list of people, which a variable gives with commas."""
    return frozenset(str(name).strip() for name in (value.split(",") if isinstance(value, str) else value)) - {""}
