"""Who may talk: nobody until somebody in charge says so (pairing), those on a list, or everybody."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any, Literal

from cachetools import TTLCache

from qwendesk.desk.access_repository import LONGEST, Guest, Guestbook, GuestRole
from qwendesk.desk.rate_limiter import Allowance
from qwendesk.errors import ConfigError, not_among
from qwendesk.messages import Inbound

Policy = Literal["pairing", "allowlist", "open"]

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

"""Letters of a code; those that look alike are left out."""

CODE_LENGTH = 8

HOLDS_FOR = timedelta(hours=1)

_RANKS: tuple[GuestRole | None, ...] = (None, "person", "operator", "owner")

_CACHE_SECONDS = 2.0

_MAX_CACHED_PEOPLE = 10_000

_CODES_AT_ONCE, _CODES_AN_HOUR = 50, 200

"""New codes on one channel: names of strangers cost nothing, and each code is a row."""

_CODES_OF_ONE_AT_ONCE, _CODES_OF_ONE_AN_HOUR = 5, 20

"""New codes for one origin of names: a network address, a mail domain, a home server, a host."""

_IPV6_SITE_BITS = 64

"""Leading bits of an IPv6 address that one customer of a network has; the others are free to choose."""

PUBLIC_COMMANDS = (
    "help", "new", "why", "retry", "good", "bad", "model", "think", "no_think", "lang", "stop",
    "memory", "remember", "forget", "link",
)  # fmt: skip

"""Chat commands of everybody."""

OPERATOR_COMMANDS = ("approve", "deny")

"""Chat commands of operators and owners; ``commands`` of a channel may give them to people who were let in."""


PairingRequest = Callable[[Inbound, str], None]

"""Is called with a stranger's message and the code that the stranger was given."""


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
    commands: frozenset[str] | None = None
    """Chat commands that people may use; None: all public ones. Operators and owners may use every command."""
    models: tuple[str, ...] = ()
    """Models that people may choose by ``/model NAME``; operators and owners may choose any."""

    @classmethod
    def read(cls, channel: str, settings: Mapping[str, Any]) -> House:
        """Read the settings of a channel that say who may talk and who may do what.

        Raises:
            ConfigError: there is no such policy or command, or a list is none.
        """
        policy = settings.get("access", "pairing")
        if policy not in ("pairing", "allowlist", "open"):
            raise ConfigError(
                f"[channels.{channel}] has access = {policy!r}; it may be 'pairing', 'allowlist' or 'open'."
            )
        allow, operators, owners, models = (
            _names(channel, name, settings.get(name, ())) for name in ("allow", "operators", "owners", "models")
        )
        commands = _commands(channel, settings["commands"]) if "commands" in settings else None
        people = frozenset(allow), frozenset(operators), frozenset(owners)
        return cls(policy, *people, commands=commands, models=models)

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
    on_request: PairingRequest | None = None
    """Is told of each new code; None: nobody is."""
    _strangers: Allowance = field(default_factory=lambda: Allowance(_CODES_AT_ONCE, _CODES_AN_HOUR))
    _origins: Allowance = field(default_factory=lambda: Allowance(_CODES_OF_ONE_AT_ONCE, _CODES_OF_ONE_AN_HOUR))
    _known: TTLCache[tuple[str, str, str], Verdict] = field(
        default_factory=lambda: TTLCache(_MAX_CACHED_PEOPLE, _CACHE_SECONDS)
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
        if known := self._known.get(key):
            return known
        verdict = await self._ask(house, inbound)
        if verdict.role:
            self._known[key] = verdict
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
        origin = origin_of(inbound)
        # the origin's limit comes first: one that is used up takes nothing of what is left for the channel's others
        if origin and not self._origins.spend(inbound.channel, origin):
            return Verdict(None, "busy")
        if not self._strangers.spend(inbound.channel):
            return Verdict(None, "busy")
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        asked = await self.book.ask(inbound, code, datetime.now(UTC) + HOLDS_FOR)
        if self.on_request:
            self.on_request(inbound, asked)
        return Verdict(None, "pairing", asked)


def _holds(guest: Guest) -> bool:
    return (
        bool(guest.code)
        and guest.expires_at is not None
        and timedelta() < guest.expires_at - datetime.now(UTC) <= LONGEST
    )


def origin_of(inbound: Inbound) -> str:
    """Return what several names of strangers share where names cost nothing; empty where the platform has accounts.

    It is the network address a visitor connects from, else the domain, home server or host in a person's name. An
    address of a private network is none: all visitors behind a proxy on this machine would share it.
    """
    if inbound.address:
        return _site(inbound.address)
    _, at, host = inbound.person.rpartition("@")
    if at:
        # a Matrix name is @user:server, any other one user@host
        return (host.partition(":")[2] or host).partition("/")[0].lower()
    return ""


def _site(address: str) -> str:
    with suppress(ValueError):
        parsed = ip_address(address.partition("%")[0])
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        if parsed.is_loopback or parsed.is_private or parsed.is_link_local or parsed.is_unspecified:
            return ""
        if isinstance(parsed, IPv6Address):
            return f"{int(parsed) >> (128 - _IPV6_SITE_BITS):x}/{_IPV6_SITE_BITS}"
        return str(parsed)
    return ""


def _commands(channel: str, value: Any) -> frozenset[str]:
    """Return the commands of a list, which may be written with their slash.

    Raises:
        ConfigError: there is no such command.
    """
    given = {name.removeprefix("/").lower() for name in _names(channel, "commands", value)}
    known = (*PUBLIC_COMMANDS, *OPERATOR_COMMANDS)
    if unknown := given - set(known):
        raise ConfigError(f"'commands' in [channels.{channel}] has {not_among('unknown commands', unknown, known)}")
    return frozenset(given)


def _names(channel: str, setting: str, value: Any) -> tuple[str, ...]:
    """Return a list of names, which a variable gives with commas.

    Raises:
        ConfigError: it is neither a list nor a text.
    """
    parts: Sequence[Any] = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple | set | frozenset) or not all(isinstance(one, str | int) for one in parts):
        raise ConfigError(f"{setting!r} in [channels.{channel}] must be a list of names, not {value!r}.")
    return tuple(dict.fromkeys(name for one in parts if (name := str(one).strip())))


ALWAYS = frozenset({"help", "rate"})

"""Commands that no setting takes away: the list of commands, and what a rating button sends."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one person may do on one channel."""

    role: GuestRole | None = None
    """The person's role there; None: nobody has let the person in."""
    is_known: bool = False
    """Whether the settings or an operator's decision name the person; False for visitors of an open channel."""
    house: House = House()
    """The channel's rules."""

    @property
    def is_operator(self) -> bool:
        """Whether the person runs the desk: an operator or an owner."""
        return self.role in ("operator", "owner")

    def may_run(self, command: str) -> bool:
        """Tell whether the person may use a command."""
        if self.is_operator or command in ALWAYS:
            return True
        if command in OPERATOR_COMMANDS:
            widened = command in (self.house.commands or ())
            return widened and self.is_known and self.house.proves_senders
        return self.house.commands is None or command in self.house.commands

    def model_named(self, name: str) -> str | None:
        """Return the model that the person may choose by a name, as the channel's list spells it; None: none."""
        if self.is_operator:
            return name
        return next((model for model in self.house.models if model.lower() == name.strip().lower()), None)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Looks up what people may do; without ``guests`` nobody is an operator and every public command is allowed."""

    guests: Guests | None = None

    async def of(self, inbound: Inbound) -> Rights:
        """Return the rights of the person who wrote a message."""
        if self.guests is None:
            return Rights("person")
        verdict = await self.guests.look(inbound)
        return Rights(verdict.role, verdict.is_known, self.guests.house_of(inbound))
